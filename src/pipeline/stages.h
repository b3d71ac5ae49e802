// The stages that change a network: each is a function from a Graph to a Graph, so that a single
// command and a recipe run the same code.
#ifndef ESPALIER_PIPELINE_STAGES_H_
#define ESPALIER_PIPELINE_STAGES_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "pipeline/recipe.h"
#include "prune/compact.h"
#include "tasks/task.h"
#include "train/trainer.h"

namespace espalier {

// A pruned network and the epochs of its fine-tuning (none if there was none).
struct PruneOutcome {
  Graph graph;
  std::vector<TrainEpoch> epochs;
  StopReason stopped = StopReason::kFinished;
  double seconds = 0.0;    // of the fine-tuning; across a resume, the sum
  int64_t best_epoch = 0;  // whose weights `graph` has; 0 if nothing was fine-tuned
  std::string note;        // that nothing was cut, though some was asked for; else ""
};

// What a prune stage may read beside the network; all may be nullptr where nothing asks for it.
struct PruneInputs {
  const TaskData* data = nullptr;  // to fine-tune, for criteria that need calibration, reconstruct
  const Graph* teacher = nullptr;
  const Graph* rewind = nullptr;  // of stage.ramp.rewind
  // Which of the teacher's units were kept (Distillation), if a compact stage lies between.
  std::map<std::string, std::vector<int64_t>> kept_units{};
  const Graph* against = nullptr;  // of stage.search.against (FindSparsity)
};

// Whether PruneNetwork needs `data`. Precondition: the criterion is known.
bool NeedsData(const StageSpec& stage);

// Prunes as `stage` (of kind prune) says and fine-tunes under the masks for stage.train.epochs.
// Zeros that the matrices have already stay. Errors: kInvalidArgument if an input is missing; those
// of MakePlan, CalibrationStatistics and Train.
Result<PruneOutcome> PruneNetwork(const Graph& graph, const StageSpec& stage,
                                  const PruneInputs& inputs, const TrainHooks& hooks);

// Fits what predicts rows (prune/predictor.h) in the layers that have no predictor, or one of
// another size, in `before`, to sequences of a split, and rounds it as it is compiled. Errors:
// FitPredictors's.
Status FitNewPredictors(const Graph& before, const Dataset& split, Graph* graph);

// Masks of the matrices that have zeros already.
MaskSet MasksOfZeros(const Graph& graph);

// Checks on random batches of several lengths and states that both give the same outputs and leave
// the same states. Errors: kInternal naming the first value that differs, or is NaN in either.
Status ProveEqual(const Graph& masked, const Compacted& compacted);

// Removes the hidden units that influence nothing, if ProveEqual agrees. `removed` gets, by layer,
// how many units went. Errors: ProveEqual's (nothing is returned).
Result<Graph> CompactNetwork(const Graph& graph, std::map<std::string, int64_t>* removed);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_STAGES_H_
