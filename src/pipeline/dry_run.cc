#include "pipeline/dry_run.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/strings.h"
#include "compile/compile.h"
#include "formats/format.h"
#include "pipeline/known_network.h"
#include "pipeline/stages.h"
#include "tasks/task.h"

namespace espalier {
namespace {

// One sequence of one step, to ask whether a network is one for the task.
Dataset SampleOf(const TaskInfo& task) {
  Dataset sample;
  sample.input = task.input;
  sample.labelled = task.output.layout;
  sample.metric = task.metric;
  sample.offsets = {0, 1};
  if (task.metric.is_regression) {
    sample.target_size = task.output.features;
    sample.targets.assign(static_cast<size_t>(task.output.features), 0.0f);
  } else {
    sample.classes = task.output.features;
    sample.labels = {0};
  }
  if (task.input.element == Element::kI32) {
    sample.ids = {0};
  } else {
    sample.features.assign(static_cast<size_t>(task.input.features), 0.0f);
  }
  return sample;
}

// A rewind takes the weights of an earlier stage's network, so shapes must be as they were.
Status CheckRewind(const Graph& graph, const std::string& stage, const Graph& earlier) {
  for (const auto& [name, tensor] : graph.weights) {
    const auto it = earlier.weights.find(name);
    if (it != earlier.weights.end() && it->second.shape == tensor.shape) continue;
    return InvalidArgument(
        StrCat("schedule.rewind: a stage whose ", name, " is ", ShapeString(tensor.shape),
               " expected, '", stage, "' found, where it is ",
               it == earlier.weights.end() ? "not there" : ShapeString(it->second.shape)));
  }
  return Ok();
}

// Fills what is left after the stage. `compile`: of the recipe's next compile stage.
Status DescribeResult(const KnownNetwork& known, const CompileSpec& compile,
                      PlannedStage* planned) {
  planned->certainty = known.certainty;
  planned->nonzeros = static_cast<int64_t>(ParameterCount(known.graph, Count::kNonzeros));
  planned->multiply_adds = static_cast<int64_t>(MultiplyAddsPerStep(known.graph, Count::kNonzeros));
  CompileOptions options;
  options.tuning = Tuning::kOff;
  options.weights = compile.weight_type;
  for (const std::string& name : compile.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec format, FindFormat(name));
    options.candidates.push_back(format);
  }
  ESPALIER_ASSIGN_OR_RETURN(const auto artifact, Compile(known.graph, options));
  planned->bytes = static_cast<int64_t>(artifact.size());
  return Ok();
}

CompileSpec CompileAfter(const Recipe& recipe, size_t index) {
  for (size_t i = index; i < recipe.stages.size(); ++i) {
    if (recipe.stages[i].kind == StageKind::kCompile) return recipe.stages[i].compile;
  }
  return CompileSpec();
}

// The layers whose hidden states are to be those of the teacher's. An earlier stage of the same
// recipe has them if the student has.
Status CheckTeacher(const Graph& graph, const StageSpec& stage) {
  if (stage.teacher.hidden == 0.0) return Ok();
  const bool has_layer = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                     [](const Node& node) { return node.op == Op::kRecurrent; });
  if (has_layer) return Ok();
  return InvalidArgument(
      StrCat("distillation.hidden: a recurrent layer in the model expected, "
             "none found"));
}

// Whether their pieces are there.
Status CheckRegularizers(const Graph& graph, const StageSpec& stage) {
  std::map<std::string, size_t> offsets;
  size_t offset = 0;
  for (const auto& [name, tensor] : graph.weights) {
    offsets[name] = offset;
    offset += tensor.size();
  }
  for (size_t i = 0; i < stage.regularizers.size(); ++i) {
    const Status status = PiecesFor(graph, stage.regularizers[i], stage.prune, offsets).status();
    ESPALIER_RETURN_IF_ERROR(status.WithContext(StrCat("regularizers[", i, "]")));
  }
  return Ok();
}

// Sequences can end early where the network answers for a sequence and can do so at any step.
Status CheckEarlyEnds(const Graph& graph, const TaskInfo& task, const StageSpec& stage) {
  const char* key = stage.evaluate.exit.has_value()   ? "exit"
                    : stage.train.random_prefix > 0.0 ? "random_prefix"
                                                      : nullptr;
  if (key == nullptr) return Ok();
  if (task.output.layout != Layout::kVector) {
    return InvalidArgument(StrCat(key, ": a task with a label a sequence expected, ", task.name,
                                  ", with a label at each step, found"));
  }
  if (task.metric.is_regression) {
    return InvalidArgument(StrCat(key, ": a task of classes expected, ", task.name, " found"));
  }
  const bool squashes = std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return node.output == graph.outputs[0] &&
           (node.op == Op::kSigmoid || node.op == Op::kTanh || node.op == Op::kRelu);
  });
  if (stage.evaluate.exit && squashes) {
    return InvalidArgument("exit: a model that ends in logits or softmax expected");
  }
  if (!stage.evaluate.exit || IsStreamable(graph)) return Ok();
  return InvalidArgument(
      "exit: a model without a reverse direction expected, since that needs the whole sequence");
}

// What a stage needs that is not its own network: a teacher, regularizers' pieces, a task.
Status CheckSurroundings(const Graph& graph, const TaskInfo& task, const StageSpec& stage) {
  ESPALIER_RETURN_IF_ERROR(CheckRegularizers(graph, stage));
  ESPALIER_RETURN_IF_ERROR(CheckTeacher(graph, stage));
  Distillation distillation;
  distillation.temperature = stage.teacher.temperature;
  ESPALIER_RETURN_IF_ERROR(ValidateForMetric(task.metric, stage.train, distillation));
  ESPALIER_RETURN_IF_ERROR(ValidateForGraph(graph, stage.train, stage.regularizers));
  return CheckEarlyEnds(graph, task, stage);
}

// networks: of the stages before, by name.
Result<PlannedStage> PlanStage(const StageSpec& stage, const std::map<std::string, Graph>& networks,
                               KnownNetwork* known) {
  PlannedStage planned;
  switch (stage.kind) {
    case StageKind::kTrain: PlanTrain(stage, known); break;
    case StageKind::kPrune: {
      const auto earlier = networks.find(stage.ramp.rewind);
      if (earlier != networks.end()) {  // of open shapes the largest, which are too small already
        ESPALIER_RETURN_IF_ERROR(CheckRewind(known->graph, earlier->first, earlier->second));
      }
      const bool is_largest = known->has_open_shapes;
      Result<PlannedStage> plan = PlanPrune(stage, known);
      if (!plan.ok() && is_largest) {
        return plan.status().WithContext("of the largest network that may be left by then");
      }
      ESPALIER_ASSIGN_OR_RETURN(planned, std::move(plan));
      break;
    }
    case StageKind::kCompact: ESPALIER_RETURN_IF_ERROR(PlanCompact(known)); break;
    case StageKind::kThresholds: {
      ESPALIER_ASSIGN_OR_RETURN(const std::set<std::string> layers,
                                ThresholdLayers(known->graph, stage.thresholds));
      planned.layers.assign(layers.begin(), layers.end());
      ESPALIER_ASSIGN_OR_RETURN(known->graph, WithThresholdsOfZero(known->graph, stage.thresholds));
      break;
    }
    case StageKind::kCompile:
    case StageKind::kEvaluate:
    case StageKind::kBench: break;
  }
  planned.kind = stage.kind;
  planned.name = stage.name;
  return planned;
}

}  // namespace

Result<std::vector<PlannedStage>> DryRun(const Recipe& recipe) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(recipe.task));
  Rng rng(recipe.seed);
  KnownNetwork known;
  ESPALIER_ASSIGN_OR_RETURN(known.graph, BuildNetwork(task.name, task.input, recipe.model, &rng));
  ESPALIER_RETURN_IF_ERROR(
      Evaluate(known.graph, SampleOf(task), EvaluateOptions()).status().WithContext("model"));
  std::vector<PlannedStage> planned;
  std::map<std::string, Graph> networks;  // that stages make, by name
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const StageSpec& stage = recipe.stages[i];
    const std::string where = StrCat("stages[", i, "].", StageKindName(stage.kind));
    Result<Graph> dynamic = WithDynamic(known.graph, stage.dynamic);
    if (!dynamic.ok()) return dynamic.status().WithContext(where);
    known.graph = *std::move(dynamic);
    ESPALIER_RETURN_IF_ERROR(CheckSurroundings(known.graph, task, stage).WithContext(where));
    Result<PlannedStage> plan = PlanStage(stage, networks, &known);
    if (!plan.ok()) return plan.status().WithContext(where);
    const bool is_changed =
        i == 0 || stage.kind == StageKind::kPrune || stage.kind == StageKind::kCompact;
    if (is_changed) {
      ESPALIER_RETURN_IF_ERROR(
          DescribeResult(known, CompileAfter(recipe, i), &*plan).WithContext(where));
    }
    planned.push_back(*std::move(plan));
    networks[stage.name] = known.graph;
  }
  return planned;
}

}  // namespace espalier
