#include "command.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "exchange/onnx.h"
#include "peers/onnxruntime.h"
#include "tasks/task.h"

namespace espalier {

void AddDataOptions(CLI::App* app, TaskNeed need, DataOptions* options) {
  std::vector<std::string> names;
  for (const TaskInfo& task : AllTasks()) names.emplace_back(task.name);
  CLI::Option* task = app->add_option("--task", options->task, "Task: " + StrJoin(names, ", "));
  if (need == TaskNeed::kRequired) task->required();
  app->add_option("--data", options->data, "Folder of the task's data")->capture_default_str();
}

void AddTrainOptions(CLI::App* app, TrainFlags* flags) {
  TrainOptions& options = flags->options;
  const char* group = "Training";
  const auto add = [&](const char* name, auto* value, const char* help) {
    app->add_option(name, *value, help)->capture_default_str()->group(group);
  };
  add("--epochs", &options.epochs, "Epochs");
  add("--batch-size", &options.batch_size, "Sequences in a batch");
  add("--optimizer", &flags->optimizer, "adam or sgd");
  add("--learning-rate", &options.learning_rate.peak,
      "Learning rate, the peak if it has a schedule");
  add("--lr-schedule", &flags->schedule, "constant, step, cosine or one_cycle");
  add("--momentum", &options.optimizer.momentum, "Momentum of sgd");
  add("--weight-decay", &options.optimizer.weight_decay, "Decoupled weight decay of matrices");
  add("--clip-norm", &options.clip_norm, "Largest norm of the gradient, 0 = not clipped");
  add("--label-smoothing", &options.label_smoothing, "Share of the target spread over classes");
  add("--patience", &options.patience, "Stop after so many epochs without progress, 0 = never");
  add("--threads", &options.threads, "Threads");
  add("--seed", &options.seed, "Seed of everything random");
  add("--checkpoint", &options.checkpoint_path, "File that keeps the state of the training");
  app->add_flag("--resume", options.resume, "Go on from the checkpoint if it is there")
      ->group(group);
}

Result<TrainOptions> TrainFlags::Resolve() const {
  TrainOptions resolved = options;
  ESPALIER_ASSIGN_OR_RETURN(resolved.optimizer.kind, ParseOptimizer(optimizer));
  ESPALIER_ASSIGN_OR_RETURN(resolved.learning_rate.schedule, ParseLrSchedule(schedule));
  return resolved;
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

void AddNodeModulesOption(CLI::App* app, std::string* node_modules) {
  *node_modules = "node_modules";
  app->add_option("--node-modules", *node_modules, "Folder where npm put its packages")
      ->capture_default_str();
}

Result<std::string> FindOnnxRuntimeIn(const std::string& node_modules) {
  return FindOnnxRuntime((std::filesystem::path(node_modules) / "..").string());
}

std::string Quoted(const std::string& text) { return nlohmann::json(text).dump(); }

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

std::string Percent(double share) { return Fixed(100.0 * share, 2) + " %"; }

}  // namespace espalier
