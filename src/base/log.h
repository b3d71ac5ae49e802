// LogSink: where a library function reports what it did. Libraries log only to the sink that they
// were handed; the default sink drops everything. Only cli/ writes to a stream.
#ifndef ESPALIER_BASE_LOG_H_
#define ESPALIER_BASE_LOG_H_

#include <functional>
#include <string>
#include <utility>

namespace espalier {

enum class LogLevel { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

class LogSink {
 public:
  using Write = std::function<void(LogLevel, const std::string&)>;

  LogSink() = default;
  LogSink(LogLevel most_verbose, Write write)
      : most_verbose_(most_verbose), write_(std::move(write)) {}

  bool Wants(LogLevel level) const { return write_ != nullptr && level <= most_verbose_; }
  void Log(LogLevel level, const std::string& text) const {
    if (Wants(level)) write_(level, text);
  }
  void Warning(const std::string& text) const { Log(LogLevel::kWarning, text); }
  void Info(const std::string& text) const { Log(LogLevel::kInfo, text); }
  void Debug(const std::string& text) const { Log(LogLevel::kDebug, text); }

 private:
  LogLevel most_verbose_ = LogLevel::kError;
  Write write_;
};

}  // namespace espalier

#endif  // ESPALIER_BASE_LOG_H_
