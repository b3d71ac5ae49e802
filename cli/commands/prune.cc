#include <memory>

#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/stages.h"
#include "tasks/task.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  std::string teacher;
  DataOptions data;
  TrainFlags train;
  StageSpec stage;
  bool regrowth = false;
  double ramp_end = -1.0;
};

std::string Describe(const Graph& graph) {
  std::string text;
  for (const std::string& name : PrunableWeights(graph)) {
    const Tensor& weight = graph.weights.at(name);
    text += StrCat("  ", name, " ", ShapeString(weight.shape), ": ",
                   Percent(SparsityOf(weight.values)), " zeros\n");
  }
  return text;
}

std::string DescribeJson(const Graph& graph) {
  std::vector<std::string> parts;
  for (const std::string& name : PrunableWeights(graph)) {
    parts.push_back(Quoted(name) + ": " + StrCat(SparsityOf(graph.weights.at(name).values)));
  }
  return "{" + StrJoin(parts, ", ") + "}";
}

Status Run(const Flags& flags, Console* console) {
  StageSpec stage = flags.stage;
  stage.kind = StageKind::kPrune;
  stage.name = "prune";
  ESPALIER_ASSIGN_OR_RETURN(stage.train, flags.train.Resolve());
  stage.prune.seed = stage.train.seed;
  stage.prune.regrowth = flags.regrowth ? Regrowth::kAllowed : Regrowth::kNever;
  const auto epochs = static_cast<double>(stage.train.epochs);
  stage.ramp.end_epoch = flags.ramp_end < 0.0 ? epochs * 2.0 / 3.0 : flags.ramp_end;
  if (!(stage.ramp.end_epoch <= epochs)) {
    return InvalidArgument(StrCat("--ramp-end: at most --epochs = ", stage.train.epochs,
                                  " expected, ", stage.ramp.end_epoch, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  std::optional<TaskData> data;
  if (stage.train.epochs > 0) {
    if (flags.data.task.empty()) {
      return InvalidArgument("--epochs: fine-tuning needs --task (and --data)");
    }
    ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(flags.data.task));
    ESPALIER_ASSIGN_OR_RETURN(data, task.load(flags.data.data));
  }
  std::optional<Graph> teacher;
  if (!flags.teacher.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(teacher, LoadNetwork(flags.teacher));
  }
  ESPALIER_ASSIGN_OR_RETURN(const PruneOutcome outcome,
                            PruneNetwork(graph, stage, data ? &*data : nullptr,
                                         teacher ? &*teacher : nullptr, console->MakeTrainHooks()));
  if (outcome.stopped == StopReason::kCancelled) {
    return Unsupported("interrupted; nothing was written");
  }
  ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(outcome.graph, flags.output));
  console->Result(flags.output + ":\n" + Describe(outcome.graph),
                  StrCat("{\"output\": ", Quoted(flags.output),
                         ", \"sparsity\": ", DescribeJson(outcome.graph), "}"));
  return Ok();
}

}  // namespace

Action AddPrune(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  PruneSpec& spec = flags->stage.prune;
  flags->train.options.epochs = 0;
  app->footer(
      "examples:\n"
      "  espalier prune dense.onnx -o units.onnx --granularity unit --sparsity 0.5\n"
      "  espalier prune small.onnx -o sparse.onnx --granularity slot_8x16 --sparsity 0.7 "
      "--allocation global --task mnist-rows --epochs 6 --learning-rate 0.003 --teacher "
      "dense.onnx");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.onnx)")->required();
  const auto add = [&](const char* name, auto* value, const char* help) {
    app->add_option(name, *value, help)->capture_default_str()->group("Pruning");
  };
  add("--criterion", &spec.criterion, "How much a weight matters: magnitude, random");
  add("--granularity", &spec.granularity, "What is cut: element, slot_ROWSxCOLS, unit");
  add("--allocation", &spec.allocation, "How much where: uniform, global");
  add("--sparsity", &spec.sparsity, "Share that goes, of the whole, in [0, 1)");
  add("--weights", &spec.weights,
      "Patterns of weight names, e.g. '*.weight_hh' (default: recurrent)");
  add("--floor", &spec.floor, "Least share of each tensor that stays under 'global'");
  add("--multiple", &spec.multiple, "unit: each layer keeps a multiple of this");
  app->add_flag("--regrowth", flags->regrowth, "Let cut weights come back while the ramp runs")
      ->group("Pruning");
  add("--schedule", &flags->stage.ramp.schedule, "When: one_shot, cubic");
  add("--ramp-end", &flags->ramp_end, "Epoch at which the sparsity is reached (default: 2/3)");
  add("--every-steps", &flags->stage.ramp.every_steps, "Steps between two masks");
  AddDataOptions(app, TaskNeed::kOptional, &flags->data);
  AddTrainOptions(app, &flags->train);
  app->add_option("--teacher", flags->teacher, "Network to distil from")->group("Training");
  app->add_option("--teacher-weight", flags->stage.teacher.weight, "Share of the teacher's loss")
      ->capture_default_str()
      ->group("Training");
  app->add_option("--temperature", flags->stage.teacher.temperature, "Of the distillation")
      ->capture_default_str()
      ->group("Training");
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
