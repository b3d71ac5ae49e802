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

// Fills what `tried` costs and says whether that is little enough.
Result<bool> MeetsCosts(const SearchSpec& search, const SearchHooks& hooks, const Graph& base,
                        const Graph& graph, TriedRecord* tried) {
  ESPALIER_ASSIGN_OR_RETURN(const CostShares cost, hooks.cost(base, graph));
  if (search.bytes) tried->bytes = cost.bytes;
  if (search.time) tried->time = cost.time;
  return cost.bytes <= search.bytes.value_or(cost.bytes) &&
         cost.time <= search.time.value_or(cost.time);
}

}  // namespace

Result<PruneOutcome> FindSparsity(const Graph& graph, const StageSpec& stage,
                                  const PruneInputs& inputs, const TrainHooks& train_hooks,
                                  const SearchHooks& hooks, SearchRecord* record) {
  const Dataset& valid = inputs.data->valid;
  EvaluateOptions options;
  options.threads = stage.train.threads;
  const SearchSpec& search = stage.search;
  const Graph& base = inputs.against != nullptr ? *inputs.against : graph;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation before, Evaluate(base, valid, options));
  *record = SearchRecord{before.metric, search.within, {}, {}, search.bytes, search.time};
  record->is_met = !search.HasCosts();
  std::optional<PruneOutcome> best;
  double seconds = 0.0;
  for (size_t i = 0; i < search.sparsities.size(); ++i) {
    StageSpec one = stage;
    one.prune.sparsity = search.sparsities[i];
    one.train.checkpoint_path = hooks.checkpoint(i);
    ESPALIER_ASSIGN_OR_RETURN(PruneOutcome outcome, PruneNetwork(graph, one, inputs, train_hooks));
    if (outcome.stopped == StopReason::kCancelled) return outcome;
    seconds += outcome.seconds;
    ESPALIER_ASSIGN_OR_RETURN(const Evaluation after, Evaluate(outcome.graph, valid, options));
    TriedRecord tried{one.prune.sparsity, after.metric};
    const bool is_within = IsWithin(valid.metric, after.metric, *record);
    if (is_within && search.HasCosts()) {
      ESPALIER_ASSIGN_OR_RETURN(record->is_met,
                                MeetsCosts(search, hooks, base, outcome.graph, &tried));
    }
    record->tried.push_back(tried);
    hooks.on_tried(tried);
    if (!is_within) break;
    record->kept = one.prune.sparsity;
    best = std::move(outcome);
    if (search.HasCosts() && record->is_met) break;
  }
  if (!best) best.emplace().graph = graph;
  best->seconds = seconds;
  return *std::move(best);
}

}  // namespace espalier
