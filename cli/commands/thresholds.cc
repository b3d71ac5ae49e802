#include "pipeline/thresholds.h"

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "tasks/task.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::optional<std::string> output;
  DataOptions data;
  ThresholdOptions options;
};

Status Find(Flags flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(ValidateThresholds(flags.options.spec));
  if (flags.output) {
    ESPALIER_RETURN_IF_ERROR(CheckOutput(*flags.output, NetworkFile::kOnnx));
  }
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  ESPALIER_RETURN_IF_ERROR(WithThresholdsOfZero(graph, flags.options.spec).status());
  ESPALIER_ASSIGN_OR_RETURN(const TaskData data, flags.data.Load());
  flags.options.train = &data.train;
  const std::atomic<bool>* stop = Console::StopOnSignals();
  flags.options.progress = [&](const ThresholdPoint& point) {
    console->Note("thresholds: " +
                  PointText(data.valid.metric.name, flags.options.spec.method != "delta", point));
    return !stop->load();
  };
  flags.options.is_cancelled = [stop] { return stop->load(); };
  ESPALIER_ASSIGN_OR_RETURN(const FoundThresholds found,
                            FindThresholds(graph, data.valid, flags.options));
  if (flags.output) ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(found.graph, *flags.output));
  if (const std::string text = NotFasterText(found.curve); !text.empty()) {
    console->Note("thresholds: " + text);
  }
  return console->Result(ThresholdsTable(found.curve), Json::parse(ThresholdsJson(found.curve)));
}

Status Run(const Flags& flags, Console* console) {
  return Find(flags, console).WithContext("thresholds");
}

}  // namespace

Action AddThresholds(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  ThresholdSpec& spec = flags->options.spec;
  app->footer(
      "example: espalier thresholds sparse.onnx --task speech-keywords --loss 0.01 -o delta.onnx\n"
      "         espalier compile delta.onnx -o delta.esp");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "Network with its thresholds to write (.onnx)");
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  app->add_option("--loss", spec.loss,
                  "Target: the largest share of the metric that is lost on the validation split, "
                  "against thresholds of 0; of a network that only skips, against no skipping");
  app->add_option("--sent", spec.sent, "Target: the largest share of columns of x and h sent");
  app->add_option(
      "--rows", spec.rows,
      "Target of idle and predicted: the largest share of the rows that is not left out");
  app->add_option("--multiply-adds", spec.multiply_adds,
                  "Target: the largest share of multiply-adds done, in a compiled copy; another "
                  "compile that chooses other formats does some percent more or fewer");
  app->add_option("--method", spec.method,
                  "The dynamic method: delta; idle (candidates that a gate does not let in) or "
                  "predicted (rows whose gate saturates by a small predictor), of which an epsilon "
                  "is looked for")
      ->capture_default_str();
  app->add_option("--predictor", spec.predictor,
                  "predicted: size of predictors that are not there yet (default: 16)");
  app->add_option("--layers", spec.layers,
                  "Patterns of recurrent layers' names (default: those with the method, or if "
                  "there are none, those that do not skip)");
  app->add_option(
         "--scale", spec.scale,
         "What thresholds are in proportion to: changes of x and h of each layer from step to "
         "step, the same fitted to the loss, common, or the thresholds that layers have (own)")
      ->capture_default_str();
  app->add_option("--timed-steps", flags->options.timed_steps,
                  "Steps of each point that are timed; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{10000000}))
      ->capture_default_str();
  AddTargetOption(app, &flags->options.target);
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
