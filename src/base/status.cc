#include "base/status.h"

namespace espalier {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "Ok";
    case Code::kInvalidArgument: return "InvalidArgument";
    case Code::kBadFormat: return "BadFormat";
    case Code::kUnsupported: return "Unsupported";
    case Code::kOutOfMemory: return "OutOfMemory";
    case Code::kIo: return "Io";
    case Code::kInternal: return "Internal";
    case Code::kCancelled: return "Cancelled";
  }
  return "Unknown";
}

Status Status::WithContext(const std::string& context) const {
  if (ok()) return *this;
  return {code_, context + ": " + message_};
}

}  // namespace espalier
