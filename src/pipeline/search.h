// The highest sparsity at which a prune stage's network is as good as it has to be, or the lowest
// at which it is also as small and as fast.
#ifndef ESPALIER_PIPELINE_SEARCH_H_
#define ESPALIER_PIPELINE_SEARCH_H_

#include <functional>
#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "pipeline/recipe.h"
#include "pipeline/stages.h"
#include "report/run_record.h"
#include "train/trainer.h"

namespace espalier {

// What a compiled network costs, as shares of another's.
struct CostShares {
  double bytes = 1.0;
  double time = 1.0;  // of a step's, or where it cannot stream of a sequence's; 1 if not measured
};

struct SearchHooks {
  // Where the training of the i-th sparsity has its checkpoint. What has ended is read from there
  // after an interruption, not trained again, so it stays until the stage is done.
  std::function<std::string(size_t)> checkpoint;
  // Of `graph` against `base`. Asked only if stage.search.HasCosts().
  std::function<Result<CostShares>(const Graph& base, const Graph& graph)> cost;
  // After each of them.
  std::function<void(const TriedRecord&)> on_tried;
};

// Runs the prune stage from `graph` at each sparsity of stage.search, in order, until the metric of
// the validation split (of inputs.data, not nullptr) is worse than that of the base by more than
// the share of it that may be lost, or, if the search has costs, until one meets them. The base is
// inputs.against, or if that is nullptr `graph`. The outcome is the last one whose metric is near
// enough, with the bits of the same stage at that sparsity alone, or if there is none `graph`
// itself; its seconds are those of all. If it was cancelled, so is the search. Errors:
// PruneNetwork's, Evaluate's, those of hooks.cost.
Result<PruneOutcome> FindSparsity(const Graph& graph, const StageSpec& stage,
                                  const PruneInputs& inputs, const TrainHooks& train_hooks,
                                  const SearchHooks& hooks, SearchRecord* record);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_SEARCH_H_
