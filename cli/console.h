// Console: what the user sees. Results go to stdout (one JSON object with --json), everything else
// to stderr: progress as one rewritten line on a terminal, as plain lines elsewhere.
#ifndef ESPALIER_CLI_CONSOLE_H_
#define ESPALIER_CLI_CONSOLE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "train/trainer.h"

namespace espalier {

class Console {
 public:
  Console();

  // Options that every command has; bound to the parser in main.cc.
  bool json = false;
  bool quiet = false;
  bool verbose = false;

  // Results: `text` for people, or `json_object` (one object, ends without newline) with --json.
  void Result(const std::string& text, const std::string& json_object) const;
  // A line on stderr, unless --quiet.
  void Note(const std::string& text);
  // An error: always printed, in one sentence.
  void Error(const Status& status);

  // Names the stage in front of progress lines; "" for none.
  void SetStage(const std::string& stage) { stage_ = stage; }
  void Step(const TrainProgress& progress);
  void Epoch(const TrainEpoch& epoch);
  // Callbacks for Train that print here and stop on SIGINT or SIGTERM.
  TrainHooks MakeTrainHooks();

  LogSink MakeLogSink();

  // True once SIGINT or SIGTERM came (InstallSignalHandlers was called).
  static const std::atomic<bool>& cancelled();
  static void InstallSignalHandlers();

 private:
  void ClearLine();

  bool is_terminal_ = false;
  bool line_open_ = false;
  std::string stage_;
  Stopwatch since_line_;
};

}  // namespace espalier

#endif  // ESPALIER_CLI_CONSOLE_H_
