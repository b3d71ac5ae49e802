#include "pipeline/stages.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/strings.h"
#include "model/reference.h"
#include "prune/compact.h"
#include "prune/pruner.h"

namespace espalier {
namespace {

// Masks of the matrices that have zeros already.
MaskSet MasksOfZeros(const Graph& graph) {
  MaskSet masks;
  for (const std::string& name : PrunableWeights(graph)) {
    const Tensor& weight = graph.weights.at(name);
    if (SparsityOf(weight.values) > 0.0) masks[name] = MaskOfNonzeros(weight);
  }
  return masks;
}

ScheduleSpec ScheduleOf(const StageSpec& stage, const TaskData& data) {
  const int64_t batch = std::max<int64_t>(stage.train.batch_size, 1);
  const auto steps_per_epoch = static_cast<double>((data.train.size() + batch - 1) / batch);
  const double last_step = static_cast<double>(stage.train.epochs) * steps_per_epoch - 1.0;
  const auto step_of = [&](double epoch) {
    return static_cast<int64_t>(std::clamp(std::round(epoch * steps_per_epoch), 0.0, last_step));
  };
  return {stage.ramp.schedule, step_of(stage.ramp.begin_epoch), step_of(stage.ramp.end_epoch),
          stage.ramp.every_steps, stage.ramp.initial_sparsity};
}

Result<PruneOutcome> PruneOnce(const Graph& graph, Pruner* pruner) {
  PruneOutcome outcome;
  outcome.graph = graph;
  ESPALIER_RETURN_IF_ERROR(pruner->Update(0, StatisticsOf(graph.weights)).status());
  ESPALIER_RETURN_IF_ERROR(ApplyMasks(pruner->masks(), &outcome.graph.weights));
  return outcome;
}

// Random values in [-1, 1) for the features, and lengths in [0, T].
Batch ProofBatch(const Graph& graph, int64_t steps, int64_t size, Rng* rng) {
  const ValueType& type = graph.inputs[0].type;
  Batch batch;
  batch.steps = steps;
  batch.size = size;
  if (type.element == Element::kI32) {
    batch.ids.resize(static_cast<size_t>(steps * size));
    for (int32_t& id : batch.ids) {
      id = static_cast<int32_t>(rng->Below(static_cast<uint64_t>(type.features)));
    }
  } else {
    batch.features.resize(static_cast<size_t>(steps * size * type.features));
    for (float& x : batch.features) x = rng->Uniform(-1.0f, 1.0f);
  }
  for (int64_t b = 0; b < size; ++b) {
    batch.lengths.push_back(static_cast<int32_t>(
        b == 0 ? steps : static_cast<int64_t>(rng->Below(static_cast<uint64_t>(steps) + 1))));
  }
  return batch;
}

Status ProveEqual(const Graph& masked, const Compacted& compacted) {
  constexpr int64_t kSize = 3;
  constexpr int64_t kSteps = 12;
  // Both executors sum in double and round each value to float once; recurrence amplifies that by
  // little over 12 steps.
  constexpr double kTolerance = 1e-5;
  Rng rng(1);
  const Batch batch = ProofBatch(masked, kSteps, kSize, &rng);
  StateSet states = ZeroStates(masked, kSize);
  for (auto& [name, values] : states) {
    if (name.ends_with(".count") || name.ends_with(".sum")) continue;
    for (float& value : values) value = rng.Uniform(-1.0f, 1.0f);
  }
  ESPALIER_ASSIGN_OR_RETURN(StateSet small,
                            CompactStates(compacted.coupling, compacted.keep, states));
  ESPALIER_ASSIGN_OR_RETURN(const auto large_values, RunReference(masked, batch, &states));
  ESPALIER_ASSIGN_OR_RETURN(const auto small_values, RunReference(compacted.graph, batch, &small));
  for (const std::string& output : masked.outputs) {
    const std::vector<float>& expected = large_values.at(output).values;
    const std::vector<float>& found = small_values.at(output).values;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (std::abs(expected[i] - found[i]) > kTolerance * std::max(1.0f, std::abs(expected[i]))) {
        return Internal(StrCat("compact: output '", output, "' element ", i, ": ", expected[i],
                               " expected as in the masked network, ", found[i], " found"));
      }
    }
  }
  return Ok();
}

}  // namespace

Result<PruneOutcome> PruneNetwork(const Graph& graph, const StageSpec& stage, const TaskData* data,
                                  const Graph* teacher, const TrainHooks& hooks) {
  const bool fine_tunes = stage.train.epochs > 0;
  if (fine_tunes && data == nullptr) {
    return InvalidArgument("prune: fine-tuning needs a task and its data, none given");
  }
  const ScheduleSpec schedule = fine_tunes ? ScheduleOf(stage, *data) : ScheduleSpec();
  ESPALIER_ASSIGN_OR_RETURN(Pruner pruner,
                            Pruner::Create(graph, stage.prune, schedule, MasksOfZeros(graph)));
  if (!fine_tunes) return PruneOnce(graph, &pruner);
  TrainJob job;
  job.graph = graph;
  job.train = &data->train;
  job.valid = &data->valid;
  job.pruner = &pruner;
  job.distillation = {teacher, stage.teacher.weight, stage.teacher.temperature};
  ESPALIER_ASSIGN_OR_RETURN(TrainResult result, Train(job, stage.train, hooks));
  return PruneOutcome{std::move(result.graph), std::move(result.epochs), result.stopped};
}

Result<Graph> CompactNetwork(const Graph& graph, std::map<std::string, int64_t>* removed) {
  ESPALIER_ASSIGN_OR_RETURN(Compacted compacted, CompactZeros(graph));
  ESPALIER_RETURN_IF_ERROR(ProveEqual(graph, compacted));
  removed->clear();
  const auto kept = KeptUnits(compacted.coupling, compacted.keep);
  for (const UnitLayer& layer : compacted.coupling.layers) {
    (*removed)[layer.name()] = layer.units - static_cast<int64_t>(kept.at(layer.name()).size());
  }
  return std::move(compacted.graph);
}

}  // namespace espalier
