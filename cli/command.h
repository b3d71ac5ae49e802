// Command: one sub-command of the program; commands.inc lists them.
#ifndef ESPALIER_CLI_COMMAND_H_
#define ESPALIER_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/machine.h"
#include "base/status.h"
#include "console.h"
#include "model/graph.h"
#include "pipeline/rule_changes.h"
#include "runtime/early_exit.h"
#include "tasks/task.h"
#include "train/trainer.h"

namespace espalier {

// What a command does once its arguments are read.
using Action = std::function<Status(Console*)>;

// Adds the command's own options to `app` and returns its action. Options live in a shared_ptr that
// both hold.
using AddCommand = Action (*)(CLI::App* app);

#define ESPALIER_COMMAND(name, function, summary) Action function(CLI::App* app);
#include "commands.inc"
#undef ESPALIER_COMMAND

// Options that several commands share.

// For CLI11: "", or what is wrong with it. (CLI11 alone would read -1 as 2^64 - 1.)
std::string CheckSeed(const std::string& text);
template <typename Seed>
CLI::Option* AddSeedOption(CLI::App* app, Seed* seed, const std::string& help) {
  return app->add_option("--seed", *seed, help)->check(CheckSeed);
}

template <typename Threads>
CLI::Option* AddThreadsOption(CLI::App* app, Threads* threads, const std::string& help) {
  return app->add_option("--threads", *threads, help)->check(CLI::Range(1, kMostThreads));
}

// The environment's ESPALIER_TARGET is the default, checked by who uses it.
void AddTargetOption(CLI::App* app, std::string* target);

// The folder where npm put its packages, and ONNX Runtime's library in it.
void AddNodeModulesOption(CLI::App* app, std::string* node_modules);
Result<std::string> FindOnnxRuntimeIn(const std::string& node_modules);

// The help group of everything that only a training reads.
inline constexpr char kTrainingGroup[] = "Training";

struct DataOptions {
  std::string task;
  std::string data;  // "" = the task's own folder

  // Errors: an unknown task; those of the task's load.
  Result<TaskData> Load() const;
};
CLI::Option* AddDataOption(CLI::App* app, std::string* data);
// `data`, or if it is empty where the set-up puts the data of `task`.
std::string DataDirOf(const TaskInfo& task, const std::string& data);

enum class TaskNeed { kRequired, kOptional };  // optional: only a training reads it
void AddTaskOptions(CLI::App* app, TaskNeed need, DataOptions* options);

struct TrainFlags {
  TrainOptions options;
  std::string optimizer = "adam";
  std::string schedule = "constant";
  std::string weight_type = "f32";
  std::vector<std::string> regularizers;  // NAME[@GRANULARITY]=STRENGTH
  RegularizerSpec regularizer;            // what all of them share

  // `options` with the names resolved. Errors: an unknown name, with the nearest; a checkpoint that
  // cannot be written, or would replace one without --resume.
  Result<TrainOptions> Resolve() const;
  // Errors: ValidateRegularizer's; kInvalidArgument for another form.
  Result<std::vector<RegularizerSpec>> Regularizers() const;
};
// Without epochs nothing is trained, so an option of the training would be ignored. Errors:
// kInvalidArgument, naming the first; --task and --data may be there if `needs_data`.
Status CheckNoTrainingOptions(const CLI::App& app, bool needs_data);
// The error of a training that was cancelled, saying how to go on.
Status Interrupted(const TrainOptions& options);
// `has_rules`: whether what is trained can have dynamic pruning.
void AddTrainOptions(CLI::App* app, bool has_rules, TrainFlags* flags);

// When a stream's answer is taken before its end.
struct ExitFlags {
  std::optional<double> confidence;
  std::optional<int64_t> hold, every;

  // Nothing without a confidence. Errors: a hold or an every without one; ValidateExitRule's.
  Result<std::optional<ExitRule>> Resolve() const;
};
void AddExitOptions(CLI::App* app, ExitFlags* flags);

// Rules of dynamic pruning in the place of the network's own.
void AddRuleOptions(CLI::App* app, RuleChanges* changes);

// Reads a network from .onnx or .esp (by its first bytes, not by its name).
Result<Graph> LoadNetwork(const std::string& path);
// What a Session runs of the file: an .esp as it is, an .onnx compiled for `target` with weights of
// f32 in the smallest formats, none of which is timed.
Result<Artifact> OpenToRun(const std::string& path, const std::string& target);
// True if the file starts with the magic of an .esp file. Errors: kIo.
Result<bool> IsArtifactFile(const std::string& path);

// What --json calls the times of an artifact's formats: "measured_ns", or "predicted_ns" if they
// are by the costs of a CPU.
const char* TimeKeyOf(const Artifact& artifact);

// Can a command's --output be written? To be asked before long work. Errors: CheckWritable's;
// kInvalidArgument for the other kind's extension.
enum class NetworkFile { kOnnx, kEsp };
Status CheckOutput(const std::string& path, NetworkFile kind);
// Errors: kInvalidArgument if both names are of one file, and writing the one would lose the other.
Status CheckDifferent(const std::string& output, const std::string& other);

// The names of a list of extension points, for help: "element, slot, unit".
template <typename List>
std::string NamesOf(const List& list) {
  std::string names;
  for (const auto& entry : list) names += (names.empty() ? "" : ", ") + std::string(entry->name);
  return names;
}

}  // namespace espalier

#endif  // ESPALIER_CLI_COMMAND_H_
