#include "console.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "report/text.h"

namespace espalier {
namespace {

// The one piece of process state: signal handlers can reach nothing else.
std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int) { g_stop = true; }

std::string Scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1e", value);
  return text;
}

std::string RateAndEta(const TrainProgress& progress) {
  return StrCat(FormatFixed(progress.sequences_per_second, 0), " seq/s  ETA ",
                FormatSeconds(progress.eta_seconds));
}

}  // namespace

Console::Console() : is_terminal_(::isatty(STDERR_FILENO) != 0) {}

const std::atomic<bool>* Console::StopOnSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  return &g_stop;
}

Status Console::Result(const std::string& text, const Json& object) const {
  return Print(json ? object.dump(-1, ' ', false, Json::error_handler_t::replace) : text);
}

Status Console::Print(const std::string& text) const {
  errno = 0;
  bool good = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!text.empty() && text.back() != '\n') good = std::fputc('\n', stdout) != EOF && good;
  good = std::fflush(stdout) == 0 && good;
  return good ? Ok() : IoError(StrCat("stdout: cannot write: ", std::strerror(errno)));
}

void Console::ClearLine() {
  if (!line_open_) return;
  std::fputs("\r\x1b[K", stderr);
  line_open_ = false;
}

void Console::Note(const std::string& text) {
  if (quiet) return;
  ClearLine();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Console::Error(const Status& status) {
  ClearLine();
  std::fprintf(stderr, "espalier: %s\n", status.message().c_str());
}

void Console::Step(const TrainProgress& progress) {
  progress_ = progress;
  // Ten times a second is as often as anybody can read.
  if (quiet || !is_terminal_ || (line_open_ && since_line_.ElapsedSeconds() < 0.1)) return;
  since_line_.Restart();
  std::string line = stage_.empty() ? "" : stage_ + "  ";
  line += StrCat("epoch ", progress.epoch, "/", progress.epochs, "  step ", progress.step, "/",
                 progress.steps, "  loss ", FormatFixed(progress.loss, 4), "  valid ",
                 FormatMetric(metric_, progress.valid_metric), "  lr ",
                 Scientific(progress.learning_rate));
  if (progress.sparsity > 0.0) line += "  sparsity " + FormatPercent(progress.sparsity, 1);
  std::fprintf(stderr, "\r\x1b[K%s  %s", line.c_str(), RateAndEta(progress).c_str());
  std::fflush(stderr);
  line_open_ = true;
}

void Console::Epoch(const TrainEpoch& epoch) {
  std::string line = stage_.empty() ? "" : stage_ + "  ";
  line +=
      StrCat("epoch ", epoch.epoch, "  step ", epoch.step, "  train loss ",
             FormatFixed(epoch.train_loss, 4), "  valid loss ", FormatFixed(epoch.valid_loss, 4),
             "  valid ", metric_, " ", FormatMetric(metric_, epoch.valid_metric));
  if (epoch.sparsity > 0.0) line += "  sparsity " + FormatPercent(epoch.sparsity, 1);
  Note(StrCat(line, "  ", FormatSeconds(epoch.seconds), "  ", RateAndEta(progress_)));
}

TrainHooks Console::MakeTrainHooks() {
  TrainHooks hooks;
  hooks.on_step = [this](const TrainProgress& progress) { Step(progress); };
  hooks.on_epoch = [this](const TrainEpoch& epoch) { Epoch(epoch); };
  hooks.cancel = StopOnSignals();
  return hooks;
}

LogSink Console::MakeLogSink() {
  const LogLevel level = verbose ? LogLevel::kDebug : LogLevel::kWarning;
  return {level, [this](LogLevel, const std::string& text) { Note(text); }};
}

}  // namespace espalier
