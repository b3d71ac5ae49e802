#include <memory>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/layers.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  DataOptions data;
  TrainFlags train;
  std::string model = "lstm:128 last_step dropout:0.2 gemm:10";
  std::string output;
};

Status Run(const Flags& flags, const CLI::App& app, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckOutput(flags.output, NetworkFile::kOnnx));
  const int64_t epochs = flags.train.options.epochs;
  if (epochs < 0) {
    return InvalidArgument(StrCat("--epochs: at least 0 expected, ", epochs, " found"));
  }
  const bool trains = epochs > 0;
  if (!trains) ESPALIER_RETURN_IF_ERROR(CheckNoTrainingOptions(app, false));
  ESPALIER_ASSIGN_OR_RETURN(const TrainOptions options, flags.train.Resolve());
  ESPALIER_RETURN_IF_ERROR(CheckDifferent(flags.output, options.checkpoint_path));
  TrainJob job;
  ESPALIER_ASSIGN_OR_RETURN(job.regularizers, flags.train.Regularizers());
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<LayerSpec> layers, ParseLayers(flags.model));
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(flags.data.task));
  ESPALIER_ASSIGN_OR_RETURN(const TaskData data, flags.data.Load());
  Rng rng(options.seed);
  ESPALIER_ASSIGN_OR_RETURN(job.graph, BuildNetwork(task.name, data.train.input, layers, &rng));
  job.train = &data.train;
  job.valid = &data.valid;
  if (!trains) {  // the network as it begins, e.g. to be pruned there
    ESPALIER_RETURN_IF_ERROR(ValidateFit(job));
    ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(job.graph, flags.output));
    return console->Result(flags.output + ": not trained", {{"output", flags.output},
                                                            {"epochs", 0},
                                                            {"valid_loss", nullptr},
                                                            {"valid_metric", nullptr},
                                                            {"seconds", 0}});
  }
  console->SetMetric(task.metric.name);
  ESPALIER_ASSIGN_OR_RETURN(const TrainResult result,
                            Train(job, options, console->MakeTrainHooks()));
  if (result.stopped == StopReason::kCancelled) return Interrupted(options);
  ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(result.graph, flags.output));
  const auto best = static_cast<size_t>(result.best_epoch);
  const TrainEpoch epoch = best == 0 ? TrainEpoch() : result.epochs[best - 1];
  const std::string metric = task.metric.name;
  return console->Result(
      StrCat(flags.output, ": ", metric, " ", FormatMetric(metric, epoch.valid_metric),
             " on the validation split"),
      {{"output", flags.output},
       {"epochs", result.epochs.size()},
       {"valid_loss", epoch.valid_loss},
       {"valid_metric", epoch.valid_metric},
       {"seconds", result.seconds}});
}

}  // namespace

Action AddTrain(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "example: espalier train --task mnist-rows --model \"lstm:128 last_step dropout:0.2 "
      "gemm:10\" "
      "--epochs 6 --learning-rate 0.005 --lr-schedule one_cycle --clip-norm 1 -o dense.onnx");
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  app->add_option("--model", flags->model,
                  "Layers, e.g. \"gru:64:bidirectional mean_over_time gemm:10\"")
      ->capture_default_str();
  app->add_option("-o,--output", flags->output, "File to write (.onnx)")->required();
  AddTrainOptions(app, false, &flags->train);
  return [flags, app](Console* console) { return Run(*flags, *app, console); };
}

}  // namespace espalier
