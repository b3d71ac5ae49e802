// RunRecipe: runs a whole recipe in a run folder and records everything in RUN/run.json.
//
// Files: <stage>.onnx or .esp for each stage's output, <first stage>.esp for the dense network in
// our own dense format (what the pruned one is compared with), <stage>-<8 digits of its key>.ckpt
// while a stage trains, run.json, .lock (run_lock.h: one run at a time). Each result is written
// whole or not at all. A stage is not run again if run.json has its key (stage_keys.h) and the
// CRC-32C of the files that it wrote, and no stage before it runs again; one that was interrupted
// goes on from its checkpoint. What a run found out earlier stays in run.json until the first stage
// that runs again has ended.
#ifndef ESPALIER_PIPELINE_RUN_H_
#define ESPALIER_PIPELINE_RUN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
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
  // Instruction set of all kernels unless the recipe's compile stage has one; "" = the best.
  std::string target;
  std::string command;  // that repeats the run, for the record
  // Run every stage again, and forget checkpoints. run.json loses its keys at once, so that an
  // interrupted fresh run goes on without this.
  bool fresh = false;
};

// What happens to a stage whose turn it is.
enum class StageStart : uint8_t {
  kRuns,
  kReused,  // its results are there already
};

// All optional. Called on the caller's thread.
struct RunHooks {
  // index from 0.
  std::function<void(const StageSpec&, size_t index, size_t count, StageStart start)> on_stage;
  std::function<void(const StageRecord&)> on_stage_end;
  std::function<void(const TrainProgress&)> on_step;
  std::function<void(const TrainEpoch&)> on_epoch;
  std::function<void(const std::string&)> on_note;  // a line worth reading
  // true: stop after the running training step, or between the parts of another stage.
  const std::atomic<bool>* cancel = nullptr;
};

// Errors: kIo if the run folder cannot be made or written, or if another run is using it;
// kBadFormat or kUnsupported for a run.json that cannot be read (not if options.fresh); those of
// the stages, with the stage's name in front; kCancelled if hooks.cancel stopped it, saying how to
// go on.
Result<RunRecord> RunRecipe(const Recipe& recipe, const RunOptions& options, const RunHooks& hooks);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RUN_H_
