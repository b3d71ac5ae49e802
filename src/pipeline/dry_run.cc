#include "pipeline/dry_run.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "base/strings.h"
#include "compile/compile.h"
#include "formats/format.h"
#include "pipeline/stages.h"
#include "prune/compact.h"
#include "prune/pruner.h"
#include "prune/units.h"
#include "report/text.h"
#include "tasks/task.h"
#include "train/statistics.h"

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

// What the allocation gives a pool, if that does not depend on the weights.
double SparsityOfPool(const Plan& plan, const Pool& pool, const MaskSet& masks) {
  switch (plan.allocation->kind) {
    case AllocationKind::kRanking: return -1.0;
    case AllocationKind::kShares:
      return plan.allocation->needs == AllocationNeeds::kSparsities ? pool.sparsity : plan.sparsity;
    case AllocationKind::kFlooredShares: break;
  }
  // Counts that do not depend on what is counted: those of the random weights.
  for (size_t i = 0; i < plan.cut.slices.size(); ++i) {
    if (plan.cut.pools[i].name != pool.name) continue;
    const Slice& slice = plan.cut.slices[i];
    const auto first = masks.at(slice.weight).keep.begin() + slice.first_row * slice.cols;
    const int64_t size = slice.rows * slice.cols;
    return static_cast<double>(std::count(first, first + size, 0)) / static_cast<double>(size);
  }
  return -1.0;
}

// The schedule of a stage whose epochs have as many steps as nobody knows before the data is there:
// what is checked of it does not depend on how many, but for a step that is not the first.
ScheduleSpec StandInSchedule(const StageSpec& stage) {
  constexpr double kStepsOfEpoch = 1000.0;
  const auto step_of = [&](double epoch) {
    return epoch == 0.0 ? 0 : std::max<int64_t>(1, std::llround(epoch * kStepsOfEpoch));
  };
  const RampSpec& ramp = stage.ramp;
  if (stage.train.epochs == 0) {
    ScheduleSpec at_once;
    at_once.name = ramp.schedule;
    at_once.initial_sparsity = ramp.initial_sparsity;
    return at_once;
  }
  return {ramp.schedule,    step_of(ramp.begin_epoch), step_of(ramp.end_epoch),
          ramp.every_steps, ramp.initial_sparsity,     ramp.masks,
          ramp.regrow};
}

Status Gone(const PlannedPool& pool, double gone) {
  return InvalidArgument(StrCat("sparsity: at least the ", FormatFixed(100.0 * gone, 1), " % of ",
                                pool.name, " that are gone by then expected, ",
                                FormatFixed(100.0 * pool.sparsity, 1), " % found"));
}

// Of each pool, no more may be gone than the stage asks for: it would do nothing.
Status CheckNotGone(const Graph& graph, const Plan& plan, const PlannedStage& planned) {
  constexpr double kWholePieces = 0.02;  // a stage before may have taken a little more
  for (size_t i = 0; i < plan.cut.slices.size(); ++i) {
    const Slice& slice = plan.cut.slices[i];
    const auto& values = graph.weights.at(slice.weight).values;
    const auto first = values.begin() + slice.first_row * slice.cols;
    const int64_t size = slice.rows * slice.cols;
    const double gone =
        static_cast<double>(std::count(first, first + size, 0.0f)) / static_cast<double>(size);
    const double share = planned.pools[i].sparsity;
    if (share < 0.0 || share == 0.0 || gone <= share + kWholePieces) continue;
    return Gone(planned.pools[i], gone);
  }
  if (planned.sparsity <= 0.0 || plan.allocation->kind != AllocationKind::kRanking) return Ok();
  PlannedPool all{"all that is cut", 0, 0, planned.sparsity};
  double zeros = 0.0, size = 0.0;
  for (const Slice& slice : plan.cut.slices) {
    const auto& values = graph.weights.at(slice.weight).values;
    const auto first = values.begin() + slice.first_row * slice.cols;
    zeros += static_cast<double>(std::count(first, first + slice.rows * slice.cols, 0.0f));
    size += static_cast<double>(slice.rows * slice.cols);
  }
  if (size == 0.0 || zeros / size <= all.sparsity + kWholePieces) return Ok();
  return Gone(all, zeros / size);
}

// Of shares what comes of them: counts are whole, and of a `multiple`. Errors: as CheckNotGone's.
Status CountUnits(const Plan& plan, const Graph& graph, const MaskSet& masks,
                  PlannedStage* planned) {
  const Keep was_alive = FindDeadUnits(graph, plan.coupling);
  const Keep alive = AliveGroups(plan.coupling, masks);
  const auto by_pool = GroupsOfPools(plan.coupling, plan.unit_layers);
  for (size_t i = 0; i < planned->pools.size(); ++i) {
    if (planned->pools[i].sparsity < 0.0 || by_pool[i].empty()) continue;
    const auto share_gone = [&](const Keep& keep) {
      const auto gone = std::count_if(by_pool[i].begin(), by_pool[i].end(), [&](int32_t group) {
        return keep[static_cast<size_t>(group)] == 0;
      });
      return static_cast<double>(gone) / static_cast<double>(by_pool[i].size());
    };
    planned->pools[i].sparsity = share_gone(alive);
    if (planned->sparsity <= 0.0 || share_gone(was_alive) <= share_gone(alive)) continue;
    return Gone(planned->pools[i], share_gone(was_alive));
  }
  return Ok();
}

// Errors: MakePlan's; Pruner::Create's; CheckReconstruction's; CheckNotGone's; CheckSchedule's.
Result<PlannedStage> PlanStage(const Graph& graph, const StageSpec& stage) {
  ESPALIER_RETURN_IF_ERROR(
      Pruner::Create(graph, stage.prune, StandInSchedule(stage), MasksOfZeros(graph)).status());
  // Without data any criterion does: how much goes does not depend on it.
  PruneSpec spec = stage.prune;
  spec.criterion = "magnitude";
  ESPALIER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(graph, spec));
  ESPALIER_RETURN_IF_ERROR(CheckReconstruction(graph, plan, stage.reconstruct));
  ESPALIER_ASSIGN_OR_RETURN(const MaskSet masks,
                            MakeMasks(plan, HasThresholds(plan) ? 1.0 : plan.sparsity,
                                      StatisticsOf(graph.weights), MaskSet()));
  PlannedStage planned{
      stage.name,        GranularityName(plan.granularity),          plan.allocation->name,
      PerName(plan.per), HasThresholds(plan) ? -1.0 : plan.sparsity, {}};
  for (const Pool& pool : plan.cut.pools) {
    planned.pools.push_back({pool.name, pool.rows, pool.cols, SparsityOfPool(plan, pool, masks)});
  }
  if (plan.granularity.kind->extent == Extent::kUnits) {
    ESPALIER_RETURN_IF_ERROR(CountUnits(plan, graph, masks, &planned));
  }
  ESPALIER_RETURN_IF_ERROR(CheckNotGone(graph, plan, planned));
  return planned;
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

// Fills what the network is after the stage. `compile`: of the recipe's next compile stage.
Status DescribeResult(const Graph& graph, const CompileSpec& compile, PlannedStage* planned) {
  planned->nonzeros = static_cast<int64_t>(ParameterCount(graph, Count::kNonzeros));
  planned->multiply_adds = static_cast<int64_t>(MultiplyAddsPerStep(graph, Count::kNonzeros));
  CompileOptions options;
  options.tuning = Tuning::kOff;
  options.weights = compile.weight_type;
  for (const std::string& name : compile.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec format, FindFormat(name));
    options.candidates.push_back(format);
  }
  ESPALIER_ASSIGN_OR_RETURN(const auto artifact, Compile(graph, options));
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

}  // namespace

namespace {

// Where shapes are not known, whether a tile fits is not: single weights in its place.
Status ForgetTile(PruneSpec* spec) {
  ESPALIER_ASSIGN_OR_RETURN(const GranularitySpec granularity, ParseGranularity(spec->granularity));
  if (spec->sparsities.empty() && spec->allocation != "threshold") {
    ESPALIER_RETURN_IF_ERROR(CheckFixedSparsity(granularity, spec->sparsity));
  }
  if (granularity.kind->tile != Tile::kNone) spec->granularity = "element";
  return Ok();
}

}  // namespace

Result<std::vector<PlannedStage>> DryRun(const Recipe& recipe) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(recipe.task));
  Rng rng(recipe.seed);
  ESPALIER_ASSIGN_OR_RETURN(Graph graph, BuildNetwork(task.name, task.input, recipe.model, &rng));
  ESPALIER_RETURN_IF_ERROR(
      Evaluate(graph, SampleOf(task), EvaluateOptions()).status().WithContext("model"));
  std::vector<PlannedStage> planned;
  std::map<std::string, Graph> networks;  // that stages make, by name
  // After units that go by the trained weights alone: shapes are not known any more, and the
  // network is as it was. What does not depend on shapes is still checked.
  bool is_open = false;
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    StageSpec stage = recipe.stages[i];
    const std::string where = StrCat("stages[", i, "].", StageKindName(stage.kind));
    Result<Graph> dynamic = WithDynamic(graph, stage.dynamic);
    if (!dynamic.ok()) return dynamic.status().WithContext(where);
    graph = *std::move(dynamic);
    ESPALIER_RETURN_IF_ERROR(CheckRegularizers(graph, stage).WithContext(where));
    ESPALIER_RETURN_IF_ERROR(CheckTeacher(graph, stage).WithContext(where));
    Distillation distillation;
    distillation.temperature = stage.teacher.temperature;
    ESPALIER_RETURN_IF_ERROR(
        ValidateForMetric(task.metric, stage.train, distillation).WithContext(where));
    ESPALIER_RETURN_IF_ERROR(
        ValidateForGraph(graph, stage.train, stage.regularizers).WithContext(where));
    ESPALIER_RETURN_IF_ERROR(CheckEarlyEnds(graph, task, stage).WithContext(where));
    if (stage.kind == StageKind::kPrune) {
      const bool is_unit = stage.prune.granularity == "unit";
      if (is_open && !is_unit) {
        ESPALIER_RETURN_IF_ERROR(ForgetTile(&stage.prune).WithContext(where));
      }
      const auto earlier = networks.find(stage.ramp.rewind);
      if (earlier != networks.end() && !is_open) {
        ESPALIER_RETURN_IF_ERROR(
            CheckRewind(graph, earlier->first, earlier->second).WithContext(where));
      }
      Result<PlannedStage> plan = PlanStage(graph, stage);
      if (!plan.ok()) return plan.status().WithContext(where);
      if (is_open) continue;
      planned.push_back(*std::move(plan));
      if (is_unit && (*FindAllocation(stage.prune.allocation))->kind == AllocationKind::kRanking) {
        is_open = true;
        continue;
      }
      stage.train.epochs = 0;
      stage.regularizers.clear();
      stage.prune.criterion = "magnitude";
      stage.reconstruct = Reconstruction::kNone;
      Result<PruneOutcome> outcome = PruneNetwork(graph, stage, PruneInputs(), TrainHooks());
      if (!outcome.ok()) return outcome.status().WithContext(where);
      graph = std::move(outcome->graph);
      if (planned.back().sparsity >= 0.0) {
        ESPALIER_RETURN_IF_ERROR(
            DescribeResult(graph, CompileAfter(recipe, i), &planned.back()).WithContext(where));
      }
    } else if (stage.kind == StageKind::kTrain && !stage.keep_zeros) {
      for (auto& [name, tensor] : graph.weights) {
        std::replace(tensor.values.begin(), tensor.values.end(), 0.0f, 1e-3f);
      }
    } else if (stage.kind == StageKind::kCompact && !is_open) {
      std::map<std::string, int64_t> removed;
      Result<Graph> compacted = CompactNetwork(graph, &removed);
      if (!compacted.ok()) return compacted.status().WithContext(where);
      graph = *std::move(compacted);
    } else if (stage.kind == StageKind::kThresholds) {
      Result<Graph> with_delta = WithThresholdsOfZero(graph, stage.thresholds);
      if (!with_delta.ok()) return with_delta.status().WithContext(where);
      graph = *std::move(with_delta);
    }
    networks[stage.name] = graph;
  }
  return planned;
}

}  // namespace espalier
