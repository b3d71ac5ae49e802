// Console: what the user sees. Results go to stdout (one JSON object with --json), everything else
// to stderr: progress as one rewritten line on a terminal, as plain lines elsewhere.
#ifndef ESPALIER_CLI_CONSOLE_H_
#define ESPALIER_CLI_CONSOLE_H_

#include <atomic>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "base/stopwatch.h"
#include "train/trainer.h"

namespace espalier {

using Json = nlohmann::ordered_json;  // keys stay in the order they were written

class Console {
 public:
  Console();

  // Options that every command has; bound to the parser in main.cc.
  bool json = false;
  bool quiet = false;
  bool verbose = false;

  // Prints a command's result: `text`, or `object` on one line with --json; bytes that are not
  // UTF-8 are replaced in it. Errors: kIo if stdout cannot be written.
  Status Result(const std::string& text, const Json& object) const;
  // Prints a result that is the same in both forms, or was chosen by the caller.
  Status Print(const std::string& text) const;
  // A line on stderr, unless --quiet.
  void Note(const std::string& text);
  // An error: always printed, in one sentence.
  void Error(const Status& status);

  // Names the stage in front of progress lines; "" for none.
  void SetStage(const std::string& stage) { stage_ = stage; }
  // What valid_metric is in progress lines.
  void SetMetric(const std::string& metric) { metric_ = metric; }
  void Step(const TrainProgress& progress);
  void Epoch(const TrainEpoch& epoch);
  // Callbacks for Train that print here and stop on SIGINT or SIGTERM.
  TrainHooks MakeTrainHooks();

  LogSink MakeLogSink();

  // From now on the first SIGINT or SIGTERM sets the flag, and a second one of its kind ends the
  // program at once. For commands that look at the flag; the others end at the first signal. A
  // read that waits fails with EINTR.
  static const std::atomic<bool>* StopOnSignals();

 private:
  void ClearLine();

  bool is_terminal_ = false;
  bool line_open_ = false;
  std::string stage_;
  std::string metric_ = "accuracy";
  TrainProgress progress_;
  Stopwatch since_line_;
};

}  // namespace espalier

#endif  // ESPALIER_CLI_CONSOLE_H_
