#include "command.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/strings.h"
#include "compile/compile.h"
#include "exchange/onnx.h"
#include "kernels/kernels.h"
#include "peers/onnxruntime.h"

namespace espalier {

std::string CheckSeed(const std::string& text) {
  uint64_t seed = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, seed);
  if (read.ec == std::errc() && read.ptr == end) return "";
  return "a whole number from 0 to 2^64 - 1 expected, '" + text + "' found";
}

void AddTargetOption(CLI::App* app, std::string* target) {
  // Not CLI11's envname: that would be checked for commands that were not called, too.
  if (const char* name = std::getenv("ESPALIER_TARGET")) *target = name;
  app->add_option("--target", *target,
                  "Instruction set (default: $ESPALIER_TARGET, or else the best)")
      ->check([](const std::string& text) { return FindKernels(text).status().message(); });
}

void AddNodeModulesOption(CLI::App* app, std::string* node_modules) {
  *node_modules = "node_modules";
  app->add_option("--node-modules", *node_modules, "Folder where npm put its packages")
      ->capture_default_str();
}

Result<std::string> FindOnnxRuntimeIn(const std::string& node_modules) {
  return FindOnnxRuntime((std::filesystem::path(node_modules) / "..").string());
}

std::string DataDirOf(const TaskInfo& task, const std::string& data) {
  return data.empty() ? task.default_dir : data;
}

Result<TaskData> DataOptions::Load() const {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo info, FindTask(task));
  return info.load(DataDirOf(info, data));
}

CLI::Option* AddDataOption(CLI::App* app, std::string* data) {
  return app->add_option("--data", *data,
                         "Folder of the task's data (default: where the task looks for them)");
}

void AddTaskOptions(CLI::App* app, TaskNeed need, DataOptions* options) {
  std::vector<std::string> names;
  for (const TaskInfo& task : AllTasks()) names.push_back(task.name);
  CLI::Option* task = app->add_option("--task", options->task, "Task: " + StrJoin(names, ", "));
  CLI::Option* data = AddDataOption(app, &options->data);
  if (need == TaskNeed::kRequired) {
    task->required();
  } else {
    task->group(kTrainingGroup);
    data->group(kTrainingGroup);
  }
}

void AddTrainOptions(CLI::App* app, bool has_rules, TrainFlags* flags) {
  TrainOptions& options = flags->options;
  const auto add = [&](const char* name, auto* value, const char* help) {
    app->add_option(name, *value, help)->capture_default_str()->group(kTrainingGroup);
  };
  add("--epochs", &options.epochs, "Epochs, 0 = no training");
  add("--batch-size", &options.batch_size, "Sequences in a batch");
  add("--optimizer", &flags->optimizer, "adam, sgd or asgd (averaged)");
  add("--learning-rate", &options.learning_rate.peak,
      "Learning rate, the peak if it has a schedule");
  add("--lr-schedule", &flags->schedule, "constant, step, cosine or one_cycle");
  add("--warmup", &options.learning_rate.warmup, "Share of the steps in which one_cycle rises");
  add("--momentum", &options.optimizer.momentum, "Momentum of sgd");
  app->add_flag("--nesterov", options.optimizer.nesterov, "Nesterov's momentum, for sgd")
      ->group(kTrainingGroup);
  add("--average-after", &options.optimizer.average_after,
      "asgd averages once validation has not become better for so many epochs");
  add("--weight-decay", &options.optimizer.weight_decay, "Decoupled weight decay of matrices");
  add("--clip-norm", &options.clip_norm, "Largest norm of the gradient, 0 = not clipped");
  add("--label-smoothing", &options.label_smoothing, "Share of the target spread over classes");
  add("--random-prefix", &options.random_prefix,
      "Share of an epoch's sequences that are cut to their first steps, for early exit");
  if (has_rules) {
    add("--update-penalty", &options.update_penalty,
        "Times the share of steps that are updates and of banks that run, of layers that skip or "
        "have banks");
    add("--delta-penalty", &options.delta_penalty,
        "Times the mean change of h, of layers with delta");
    add("--send-penalty", &options.send_penalty,
        "Times the share of x and h that layers with delta send; their thresholds are then "
        "learned");
  }
  app->add_option("--dropout", options.dropout,
                  "Rate of all dropout layers while this training runs (default: their own)")
      ->group(kTrainingGroup);
  add("--noise-draws", &options.noise_draws,
      "How often a batch the noise of regularizers is drawn; the batch size: for each sequence");
  add("--weight-type", &flags->weight_type,
      "Train for matrices rounded to it (straight-through): f32, bf16, i8 or f28");
  app->add_option("--regularizer", flags->regularizers,
                  "NAME=STRENGTH or NAME@GRANULARITY=STRENGTH, acts on pieces until the last masks "
                  "are made: " +
                      NamesOf(AllRegularizers()))
      ->group(kTrainingGroup);
  add("--regularizer-warmup", &flags->regularizer.warmup_epochs,
      "Epochs over which its strength rises from 0");
  add("--regularizer-speed", &flags->regularizer.speed,
      "Learning rate of its parameters by that of the weights (0: its own)");
  add("--regularizer-share", &flags->regularizer.share,
      "targeted_dropout: share of the pieces that may be dropped");
  add("--patience", &options.patience, "Stop after so many epochs without progress, 0 = never");
  add("--checkpoint", &options.checkpoint_path, "File that keeps the state of the training");
  add("--checkpoint-steps", &options.checkpoint_steps,
      "Steps between two checkpoints, 0 = only at the end of an epoch");
  app->add_flag("--resume", options.resume, "Go on from the checkpoint if it is there")
      ->group(kTrainingGroup);
  AddThreadsOption(app, &options.threads, "Threads")->capture_default_str();
  AddSeedOption(app, &options.seed, "Seed of everything random")->capture_default_str();
}

namespace {

// "hard_concrete@unit=0.001"
Result<RegularizerSpec> ParseRegularizer(const std::string& text, const RegularizerSpec& shared) {
  RegularizerSpec spec = shared;
  const size_t split = text.rfind('=');
  const size_t at = std::min(text.find('@'), split);
  if (split == std::string::npos || at == 0 ||
      !CLI::detail::lexical_cast(text.substr(split + 1), spec.strength)) {
    return InvalidArgument(
        "--regularizer: NAME=STRENGTH or NAME@GRANULARITY=STRENGTH expected, e.g. "
        "'proximal_group_lasso@unit=0.01', '" +
        text + "' found");
  }
  spec.name = text.substr(0, at);
  const Result<const Regularizer*> kind = FindRegularizer(spec.name);
  if (!kind.ok()) return kind.status().WithContext("--regularizer");
  if ((*kind)->speed == 0.0) spec.speed = 0.0;
  if (!(*kind)->has_share) spec.share = RegularizerSpec().share;
  if (at < split) spec.granularity = text.substr(at + 1, split - at - 1);
  ESPALIER_RETURN_IF_ERROR(ValidateRegularizer(spec).WithContext("--regularizer"));
  return spec;
}

}  // namespace

Result<std::vector<RegularizerSpec>> TrainFlags::Regularizers() const {
  std::vector<RegularizerSpec> specs;
  for (const std::string& text : regularizers) {
    ESPALIER_ASSIGN_OR_RETURN(RegularizerSpec spec, ParseRegularizer(text, regularizer));
    specs.push_back(std::move(spec));
  }
  const auto is_read = [&](auto field) {
    return regularizer.*field == RegularizerSpec().*field ||
           std::any_of(specs.begin(), specs.end(), [&](const RegularizerSpec& spec) {
             return spec.*field == regularizer.*field;
           });
  };
  const auto unread = [](const char* option) {
    return InvalidArgument(std::string(option) + ": only with a --regularizer that reads it");
  };
  if (!is_read(&RegularizerSpec::warmup_epochs)) return unread("--regularizer-warmup");
  if (!is_read(&RegularizerSpec::speed)) return unread("--regularizer-speed");
  if (!is_read(&RegularizerSpec::share)) return unread("--regularizer-share");
  return specs;
}

Status CheckNoTrainingOptions(const CLI::App& app, bool needs_data) {
  for (const CLI::Option* option : app.get_options()) {
    const bool is_data = option->check_lname("task") || option->check_lname("data");
    if (option->get_group() != kTrainingGroup || option->count() == 0) continue;
    if (option->check_lname("epochs") || (is_data && needs_data)) continue;
    return InvalidArgument(option->get_name() + ": only with --epochs of at least 1" +
                           (is_data ? ", a criterion that needs data or --reconstruct" : ""));
  }
  return Ok();
}

Result<TrainOptions> TrainFlags::Resolve() const {
  TrainOptions resolved = options;
  ESPALIER_ASSIGN_OR_RETURN(resolved.optimizer.kind, ParseOptimizer(optimizer));
  ESPALIER_ASSIGN_OR_RETURN(resolved.weight_type, ParseWeightType(weight_type));
  ESPALIER_ASSIGN_OR_RETURN(resolved.learning_rate.schedule, ParseLrSchedule(schedule));
  if (resolved.checkpoint_path.empty()) {
    if (resolved.resume) return InvalidArgument("--resume: only with --checkpoint");
    return resolved;
  }
  ESPALIER_RETURN_IF_ERROR(CheckWritable(resolved.checkpoint_path));
  if (!resolved.resume && std::filesystem::exists(resolved.checkpoint_path)) {
    return InvalidArgument(resolved.checkpoint_path +
                           ": is there already; --resume goes on from it if it is a checkpoint");
  }
  return resolved;
}

Result<std::optional<ExitRule>> ExitFlags::Resolve() const {
  if (!confidence) {
    if (!hold && !every) return std::optional<ExitRule>();
    return InvalidArgument(
        "--exit-hold, --exit-every: --exit-confidence beside them expected, none found");
  }
  if (!(*confidence > 0.0 && *confidence <= 1.0)) {
    return InvalidArgument(
        StrCat("--exit-confidence: a confidence in (0, 1] expected, ", *confidence, " found"));
  }
  for (const auto& [flag, value] : {std::pair{"--exit-hold", hold}, {"--exit-every", every}}) {
    if (!value || *value >= 1) continue;
    return InvalidArgument(StrCat(flag, ": at least 1 expected, ", *value, " found"));
  }
  ExitRule rule;
  rule.confidence = std::max(std::numeric_limits<float>::min(), static_cast<float>(*confidence));
  rule.hold = hold.value_or(rule.hold);
  rule.every = every.value_or(rule.every);
  ESPALIER_RETURN_IF_ERROR(ValidateExitRule(rule));
  return std::optional(rule);
}

void AddExitOptions(CLI::App* app, ExitFlags* flags) {
  app->add_option("--exit-confidence", flags->confidence,
                  "End each sequence once a class has this probability, in (0, 1]");
  app->add_option("--exit-hold", flags->hold, "At so many looks in a row (default: 1)");
  app->add_option("--exit-every", flags->every, "Steps from one look to the next (default: 1)");
}

void AddRuleOptions(CLI::App* app, RuleChanges* changes) {
  app->add_option("--delta-x", changes->delta_x,
                  "Threshold for changes of x, in every layer with delta, in the place of its own");
  app->add_option("--delta-h", changes->delta_h, "The same for changes of h");
  app->add_flag("--no-skip", changes->no_skip, "Every step is an update");
  app->add_flag("--no-banks", changes->no_banks, "All banks of units run at every step");
  app->add_option("--idle", changes->idle,
                  "How near to an end a gate is whose candidate is left out, in [0, 0.5], in every "
                  "layer with idle candidates, in the place of its own");
  app->add_option("--predicted", changes->predicted, "The same for predicted rows");
}

Status CheckDifferent(const std::string& output, const std::string& other) {
  std::error_code ignored;
  const bool same = output == other || std::filesystem::equivalent(output, other, ignored);
  return same ? InvalidArgument(output + ": another file expected, it would be overwritten") : Ok();
}

Status Interrupted(const TrainOptions& options) {
  return Cancelled(options.checkpoint_path.empty()
                       ? "interrupted; without --checkpoint nothing was kept"
                       : "interrupted; --resume goes on from " + options.checkpoint_path);
}

Result<bool> IsArtifactFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return IoError(path + ": cannot open: " + std::strerror(errno));
  char magic[4] = {};
  in.read(magic, sizeof(magic));
  return in.gcount() == 4 && std::memcmp(magic,
                                         "\x89"
                                         "ESP",
                                         4) == 0;
}

Result<Graph> LoadNetwork(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  if (!is_artifact) return ImportOnnxFile(path);
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(path));
  return artifact.Decode();
}

Result<Artifact> OpenToRun(const std::string& path, const std::string& target) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  if (is_artifact) return Artifact::Open(path);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ImportOnnxFile(path));
  CompileOptions options;
  options.target = target;
  options.tuning = Tuning::kOff;
  ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(graph, options));
  return Artifact::FromBytes(std::move(bytes));
}

const char* TimeKeyOf(const Artifact& artifact) {
  return artifact.metadata().contains("costs") ? "predicted_ns" : "measured_ns";
}

Status CheckOutput(const std::string& path, NetworkFile kind) {
  if (path.empty()) return InvalidArgument("--output: the name of a file expected, '' found");
  const bool onnx = kind == NetworkFile::kOnnx;
  if (path.ends_with(onnx ? ".esp" : ".onnx")) {
    return InvalidArgument(StrCat("--output: a name that ends in ", onnx ? ".onnx" : ".esp",
                                  " expected, '", path, "' found"));
  }
  return CheckWritable(path);
}

}  // namespace espalier
