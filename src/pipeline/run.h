// RunRecipe: runs a whole recipe in a run folder and records everything in RUN/run.json.
//
// Files: <stage>.onnx or .esp for each stage's output, <first stage>-dense.esp for the dense
// network in our own dense format (what the pruned one is compared with), <stage>.ckpt while a
// stage trains, run.json. Each is written whole or not at all. A stage whose recipe, seed and
// predecessors are what run.json says is not run again; one that was interrupted goes on from its
// checkpoint.
#ifndef ESPALIER_PIPELINE_RUN_H_
#define ESPALIER_PIPELINE_RUN_H_

#include <atomic>
#include <functional>
#include <string>

#include "base/status.h"
#include "pipeline/recipe.h"
#include "report/run_record.h"
#include "train/trainer.h"

namespace espalier {

struct RunOptions {
  std::string run_dir;
  std::string data_dir;
  std::string onnxruntime;  // path of the library, "" = do not time it
  std::string command;      // how the user started it, for the record
  bool fresh = false;       // run every stage again
};

struct RunHooks {
  // index from 0; `reused`: the stage's results are there already.
  std::function<void(const StageSpec&, size_t index, size_t count, bool reused)> on_stage;
  std::function<void(const StageRecord&)> on_stage_end;
  std::function<void(const TrainProgress&)> on_step;
  std::function<void(const TrainEpoch&)> on_epoch;
  std::function<void(const std::string&)> on_note;  // a line worth reading
  const std::atomic<bool>* cancel = nullptr;
};

// Errors: those of the stages, with the stage's name in front. A cancelled run is one too, and says
// how to go on; the front end knows that it cancelled.
Result<RunRecord> RunRecipe(const Recipe& recipe, const RunOptions& options, const RunHooks& hooks);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RUN_H_
