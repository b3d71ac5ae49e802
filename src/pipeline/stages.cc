#include "pipeline/stages.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/rng.h"
#include "base/strings.h"
#include "compile/compile.h"
#include "model/random_batch.h"
#include "model/reference.h"
#include "pipeline/calibration_file.h"
#include "prune/gone.h"
#include "prune/predictor.h"
#include "prune/pruner.h"
#include "report/text.h"
#include "train/autograd.h"
#include "train/statistics.h"
#include "train/train_options.h"

namespace espalier {
namespace {

ScheduleSpec ScheduleOf(const StageSpec& stage, const TaskData& data) {
  const int64_t batch = std::max<int64_t>(stage.train.batch_size, 1);
  const auto steps_per_epoch = static_cast<double>((data.train.size() + batch - 1) / batch);
  const double last_step = static_cast<double>(stage.train.epochs) * steps_per_epoch - 1.0;
  // What is to be after the start is so by a step at least.
  const auto step_of = [&](double epoch) {
    const double least = epoch > 0.0 ? std::min(1.0, last_step) : 0.0;
    return static_cast<int64_t>(std::clamp(std::round(epoch * steps_per_epoch), least, last_step));
  };
  return {stage.ramp.schedule,    step_of(stage.ramp.begin_epoch), step_of(stage.ramp.end_epoch),
          stage.ramp.every_steps, stage.ramp.initial_sparsity,     stage.ramp.masks,
          stage.ramp.regrow};
}

CalibrationOptions CalibrationOf(const StageSpec& stage) {
  CalibrationOptions calibration = stage.calibration;
  calibration.seed = stage.prune.seed;
  return calibration;
}

Result<PruneOutcome> PruneOnce(const Graph& graph, const StageSpec& stage, const TaskData* data,
                               Pruner* pruner) {
  const CalibrationOptions calibration = CalibrationOf(stage);
  ESPALIER_RETURN_IF_ERROR(ValidateCalibration(calibration));
  StatisticsSet statistics = StatisticsOf(graph.weights);
  CalibrationStatistics calibrated;
  if ((pruner->needs() & kNeedsCalibration) != 0) {
    SetTorchThreads(stage.train.threads);
    ESPALIER_ASSIGN_OR_RETURN(const auto autograd, Autograd::Create(graph));
    ESPALIER_RETURN_IF_ERROR(ValidateData(graph, data->train, autograd->output(), "training set"));
    ESPALIER_ASSIGN_OR_RETURN(
        calibrated, CalibrationStatistics::Gather(pruner->needs(), data->train, calibration,
                                                  autograd.get(), &pruner->plan()));
    calibrated.Fill(&statistics);
  }
  PruneOutcome outcome;
  outcome.graph = graph;
  ESPALIER_RETURN_IF_ERROR(pruner->Update(0, statistics).status());
  ESPALIER_RETURN_IF_ERROR(ApplyMasks(pruner->masks(), &outcome.graph.weights));
  if (stage.reconstruct == Reconstruction::kNone) return outcome;
  const auto repair = stage.reconstruct == Reconstruction::kBias ? CorrectBiases : Reconstruct;
  ESPALIER_RETURN_IF_ERROR(
      repair(graph, data->train, calibration, pruner->masks(), &outcome.graph.weights));
  return outcome;
}

// "" if something was, or nothing was asked for.
std::string NothingCut(const Graph& before, const Graph& after, const Plan& plan) {
  const bool asks = HasThresholds(plan) || plan.sparsity > 0.0;
  if (!asks || MasksOfZeros(before) != MasksOfZeros(after)) return "";
  const std::string gone = FormatPercent(ShareGone(before, plan), 2) + " gone before";
  if (HasThresholds(plan)) return "nothing cut: every piece reaches its threshold, " + gone;
  return StrCat("nothing cut: ", gone, ", ", FormatPercent(plan.sparsity, 2), " asked");
}

// Both executors sum in double and round each value to float once; recurrence amplifies that by
// little over the steps of a proof.
constexpr double kProofTolerance = 1e-5;

// NaN equals nothing, not even NaN.
Status CheckEqual(const std::string& what, const std::vector<float>& expected,
                  const std::vector<float>& found) {
  if (expected.size() != found.size()) {
    return Internal(StrCat("compact: ", what, ": ", expected.size(),
                           " values expected as in the masked network, ", found.size(), " found"));
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    const double gap = std::abs(static_cast<double>(expected[i]) - static_cast<double>(found[i]));
    if (gap <= kProofTolerance * std::max(1.0, std::abs(static_cast<double>(expected[i]))))
      continue;
    return Internal(StrCat("compact: ", what, " element ", i, ": ", expected[i],
                           " expected as in the masked network, ", found[i], " found"));
  }
  return Ok();
}

// One batch of random features, lengths and states through both networks.
Status ProveOnce(const Graph& masked, const Compacted& compacted, int64_t steps, Rng* rng) {
  constexpr int64_t kSize = 3;
  const Batch batch = RandomBatch(masked, steps, kSize, 0, rng);
  StateSet states = RandomStates(masked, kSize, rng);
  ESPALIER_ASSIGN_OR_RETURN(StateSet found_states,
                            CompactStates(compacted.coupling, compacted.keep, states));
  ESPALIER_ASSIGN_OR_RETURN(const auto expected, RunReference(masked, batch, &states));
  ESPALIER_ASSIGN_OR_RETURN(const auto found, RunReference(compacted.graph, batch, &found_states));
  for (const std::string& output : masked.outputs) {
    ESPALIER_RETURN_IF_ERROR(
        CheckEqual("output '" + output + "'", expected.at(output).values, found.at(output).values));
  }
  ESPALIER_ASSIGN_OR_RETURN(const StateSet expected_states,
                            CompactStates(compacted.coupling, compacted.keep, states));
  for (const auto& [name, values] : expected_states) {
    ESPALIER_RETURN_IF_ERROR(CheckEqual("state '" + name + "'", values, found_states.at(name)));
  }
  return Ok();
}

}  // namespace

MaskSet MasksOfZeros(const Graph& graph) {
  MaskSet masks;
  for (const std::string& name : PrunableWeights(graph)) {
    const Tensor& weight = graph.weights.at(name);
    if (SparsityOf(weight.values) > 0.0) masks[name] = MaskOfNonzeros(weight);
  }
  return masks;
}

bool NeedsData(const StageSpec& stage) { return stage.train.epochs > 0 || ReadsCalibration(stage); }

Status FitNewPredictors(const Graph& before, const Dataset& split, Graph* graph) {
  constexpr int64_t kSequences = 64;
  constexpr uint64_t kSeed = 1;
  std::set<std::string> layers;
  for (const Node& node : graph->nodes) {
    if (!node.predicted.has_value()) continue;
    const Node* old = FindNode(before, node.name);
    const bool is_old = old != nullptr && old->predicted.has_value() &&
                        old->predicted->size == node.predicted->size;
    if (!is_old) layers.insert(node.name);
  }
  if (layers.empty()) return Ok();
  ESPALIER_RETURN_IF_ERROR(
      FitPredictors(CalibrationBatches(split, kSequences, kSeed), layers, graph));
  *graph = RoundMatrices(*graph, WeightType::kF32);  // but for predictors nothing
  return Ok();
}

Result<PruneOutcome> PruneNetwork(const Graph& graph, const StageSpec& stage,
                                  const PruneInputs& inputs, const TrainHooks& hooks) {
  const bool fine_tunes = stage.train.epochs > 0;
  if (fine_tunes && inputs.data == nullptr) {
    return InvalidArgument("prune: fine-tuning needs a task and its data, none given");
  }
  const ScheduleSpec schedule = fine_tunes ? ScheduleOf(stage, *inputs.data) : ScheduleSpec();
  ESPALIER_ASSIGN_OR_RETURN(Pruner pruner,
                            Pruner::Create(graph, stage.prune, schedule, MasksOfZeros(graph)));
  ESPALIER_RETURN_IF_ERROR(CheckReconstruction(graph, pruner.plan(), stage.reconstruct));
  if (inputs.data == nullptr && NeedsData(stage)) {
    return InvalidArgument(StrCat("prune: ",
                                  stage.reconstruct != Reconstruction::kNone
                                      ? "reconstruct"
                                      : "criterion " + stage.prune.criterion,
                                  " needs a task and its data, none given"));
  }
  if (!fine_tunes) {
    ESPALIER_ASSIGN_OR_RETURN(PruneOutcome outcome, PruneOnce(graph, stage, inputs.data, &pruner));
    outcome.note = NothingCut(graph, outcome.graph, pruner.plan());
    return outcome;
  }
  TrainJob job;
  job.graph = graph;
  job.train = &inputs.data->train;
  job.valid = &inputs.data->valid;
  job.pruner = &pruner;
  job.calibration = CalibrationOf(stage);
  job.reconstruct = stage.reconstruct;
  if (inputs.rewind != nullptr) job.rewind = &inputs.rewind->weights;
  job.regularizers = stage.regularizers;
  job.regularized = stage.prune;
  job.distillation = {inputs.teacher, stage.teacher.weight, stage.teacher.temperature,
                      stage.teacher.hidden, inputs.kept_units};
  ESPALIER_ASSIGN_OR_RETURN(TrainResult result, Train(job, stage.train, hooks));
  std::string note = NothingCut(graph, result.graph, pruner.plan());
  return PruneOutcome{std::move(result.graph), std::move(result.epochs), result.stopped,
                      result.seconds,          result.best_epoch,        std::move(note)};
}

Status ProveEqual(const Graph& masked, const Compacted& compacted) {
  Rng rng(1);
  for (const int64_t steps : {1, 2, 5, 12, 28}) {
    ESPALIER_RETURN_IF_ERROR(ProveOnce(masked, compacted, steps, &rng));
  }
  return Ok();
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
