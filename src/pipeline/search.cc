#include "pipeline/search.h"

#include <cmath>
#include <optional>

#include "tasks/metric.h"

namespace espalier {
namespace {

// NaN is not within anything.
bool IsWithin(const Metric& metric, double value, const SearchRecord& record) {
  const double before = record.metric_before;
  const double lost = metric.better == Metric::Better::kLarger ? before - value : value - before;
  return lost <= record.within * std::abs(before);
}

}  // namespace

Result<PruneOutcome> FindSparsity(const Graph& graph, const StageSpec& stage,
                                  const PruneInputs& inputs, const TrainHooks& train_hooks,
                                  const SearchHooks& hooks, SearchRecord* record) {
  const Dataset& valid = inputs.data->valid;
  EvaluateOptions options;
  options.threads = stage.train.threads;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation before, Evaluate(graph, valid, options));
  *record = SearchRecord{before.metric, stage.search.within, {}, {}};
  std::optional<PruneOutcome> best;
  double seconds = 0.0;
  for (size_t i = 0; i < stage.search.sparsities.size(); ++i) {
    StageSpec one = stage;
    one.prune.sparsity = stage.search.sparsities[i];
    one.train.checkpoint_path = hooks.checkpoint(i);
    ESPALIER_ASSIGN_OR_RETURN(PruneOutcome outcome, PruneNetwork(graph, one, inputs, train_hooks));
    if (outcome.stopped == StopReason::kCancelled) return outcome;
    seconds += outcome.seconds;
    ESPALIER_ASSIGN_OR_RETURN(const Evaluation after, Evaluate(outcome.graph, valid, options));
    record->tried.push_back({one.prune.sparsity, after.metric});
    hooks.on_tried(record->tried.back());
    if (!IsWithin(valid.metric, after.metric, *record)) break;
    record->kept = one.prune.sparsity;
    best = std::move(outcome);
  }
  if (!best) best.emplace().graph = graph;
  best->seconds = seconds;
  return *std::move(best);
}

}  // namespace espalier
