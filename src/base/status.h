// Status and Result<T>: how every function of espalier that can fail says so. No exception crosses
// a room; messages name the thing, the value found and what was expected.
#ifndef ESPALIER_BASE_STATUS_H_
#define ESPALIER_BASE_STATUS_H_

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace espalier {

// The same numbers as espalier_status in include/espalier/espalier.h; never renumbered.
enum class Code : int32_t {
  kOk = 0,
  kInvalidArgument = 1,  // the caller's value is wrong
  kBadFormat = 2,        // bytes that are not what they claim to be
  kUnsupported = 3,      // valid, but not something this build or method can do
  kOutOfMemory = 4,
  kIo = 5,         // the file system said no
  kInternal = 6,   // a promise between our own functions was broken: a bug
  kCancelled = 7,  // the caller asked to stop; what was done so far is kept
};

// Returns e.g. "InvalidArgument"; static storage.
const char* CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // Returns this error with `context` and ": " before the message; an Ok status stays Ok.
  Status WithContext(const std::string& context) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status Ok() { return Status(); }
inline Status InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
inline Status BadFormat(std::string m) { return {Code::kBadFormat, std::move(m)}; }
inline Status Unsupported(std::string m) { return {Code::kUnsupported, std::move(m)}; }
inline Status OutOfMemory(std::string m) { return {Code::kOutOfMemory, std::move(m)}; }
inline Status IoError(std::string m) { return {Code::kIo, std::move(m)}; }
inline Status Internal(std::string m) { return {Code::kInternal, std::move(m)}; }
inline Status Cancelled(std::string m) { return {Code::kCancelled, std::move(m)}; }

// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Precondition for all of these: ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return std::move(*value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace espalier

#define ESPALIER_CONCAT_INNER_(a, b) a##b
#define ESPALIER_CONCAT_(a, b) ESPALIER_CONCAT_INNER_(a, b)

// Returns from the enclosing function if `expr` (a Status) is an error.
#define ESPALIER_RETURN_IF_ERROR(expr)                   \
  do {                                                   \
    ::espalier::Status espalier_status_ = (expr);        \
    if (!espalier_status_.ok()) return espalier_status_; \
  } while (false)

// `ESPALIER_ASSIGN_OR_RETURN(auto x, Make());` declares x, or returns Make()'s error.
#define ESPALIER_ASSIGN_OR_RETURN(lhs, expr) \
  ESPALIER_ASSIGN_OR_RETURN_IMPL_(ESPALIER_CONCAT_(espalier_result_, __LINE__), lhs, expr)
#define ESPALIER_ASSIGN_OR_RETURN_IMPL_(result, lhs, expr) \
  auto result = (expr);                                    \
  if (!result.ok()) return result.status();                \
  lhs = std::move(*result)

// A promise between our own functions; checked in debug builds only.
#define ESPALIER_ASSERT(condition) assert(condition)

#endif  // ESPALIER_BASE_STATUS_H_
