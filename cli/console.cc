#include "console.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/strings.h"

namespace espalier {
namespace {

// The one piece of process state: signal handlers can reach nothing else.
std::atomic<bool> g_cancelled{false};

void OnSignal(int signal) {
  // A second signal ends the program at once.
  if (g_cancelled.exchange(true)) std::signal(signal, SIG_DFL);
}

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string Duration(double seconds) {
  const auto total = static_cast<int64_t>(seconds + 0.5);
  char text[32];
  std::snprintf(text, sizeof(text), "%lld:%02lld", static_cast<long long>(total / 60),
                static_cast<long long>(total % 60));
  return text;
}

}  // namespace

Console::Console() : is_terminal_(::isatty(STDERR_FILENO) != 0) {}

const std::atomic<bool>& Console::cancelled() { return g_cancelled; }

void Console::InstallSignalHandlers() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
}

void Console::Result(const std::string& text, const std::string& json_object) const {
  std::fputs(json ? json_object.c_str() : text.c_str(), stdout);
  const std::string& printed = json ? json_object : text;
  if (!printed.empty() && printed.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
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
  // Ten times a second is as often as anybody can read.
  if (quiet || !is_terminal_ || (line_open_ && since_line_.ElapsedSeconds() < 0.1)) return;
  since_line_.Restart();
  std::string line = stage_.empty() ? "" : stage_ + "  ";
  line += StrCat("epoch ", progress.epoch, "/", progress.epochs, "  step ", progress.step, "/",
                 progress.steps, "  loss ", Format("%.4f", progress.loss), "  valid ",
                 Format("%.2f %%", 100.0 * progress.valid_metric), "  lr ",
                 Format("%.1e", progress.learning_rate));
  if (progress.sparsity > 0.0) line += "  sparsity " + Format("%.1f %%", 100.0 * progress.sparsity);
  line += StrCat("  ", Format("%.0f", progress.sequences_per_second), " seq/s  ETA ",
                 Duration(progress.eta_seconds));
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  line_open_ = true;
}

void Console::Epoch(const TrainEpoch& epoch) {
  std::string line = stage_.empty() ? "" : stage_ + "  ";
  line +=
      StrCat("epoch ", epoch.epoch, "  step ", epoch.step, "  train loss ",
             Format("%.4f", epoch.train_loss), "  valid loss ", Format("%.4f", epoch.valid_loss),
             "  valid metric ", Format("%.2f %%", 100.0 * epoch.valid_metric));
  if (epoch.sparsity > 0.0) line += "  sparsity " + Format("%.1f %%", 100.0 * epoch.sparsity);
  Note(line + "  " + Format("%.1f s", epoch.seconds));
}

TrainHooks Console::MakeTrainHooks() {
  TrainHooks hooks;
  hooks.on_step = [this](const TrainProgress& progress) { Step(progress); };
  hooks.on_epoch = [this](const TrainEpoch& epoch) { Epoch(epoch); };
  hooks.cancel = &g_cancelled;
  return hooks;
}

LogSink Console::MakeLogSink() {
  const LogLevel level = verbose ? LogLevel::kDebug : LogLevel::kWarning;
  return {level, [this](LogLevel, const std::string& text) { Note(text); }};
}

}  // namespace espalier
