// What the stages of a run do in its folder. Internal to this room; see RunRecipe in run.h.
#ifndef ESPALIER_PIPELINE_RUN_STAGES_H_
#define ESPALIER_PIPELINE_RUN_STAGES_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/run.h"
#include "tasks/task.h"

namespace espalier {

// One run: what was asked for, and the record so far.
struct RecipeRun {
  const Recipe& recipe;
  const RunOptions& options;
  const RunHooks& hooks;
  std::vector<std::string> keys;  // of the recipe's stages
  TaskInfo task;
  std::string target;  // instruction set of the compile stage and of all that runs its file
  RunRecord record;
  std::optional<TaskData> data;  // read when the first stage needs it

  std::string Path(const std::string& file) const { return options.run_dir + "/" + file; }
  void Note(const std::string& text) const {
    if (hooks.on_note) hooks.on_note(text);
  }
};

// Names of the files in the run folder that stage `index` writes; the first is StageRecord::output.
std::vector<std::string> OutputsOf(const Recipe& recipe, size_t index);

// The checkpoint of stage `index` while it trains, and the end of all checkpoints of that stage,
// whatever their key.
std::string CheckpointOf(const RecipeRun& run, size_t index);
void RemoveCheckpoints(const RecipeRun& run, size_t index);

// Records the dense network if its stage is one of those before `end`, which are done, and the
// record has none or another's: a train stage after it may be gone, or have rules now, and what the
// record said was forgotten with that one.
Status RecordDenseBefore(size_t end, RecipeRun* run);

// Runs stage `index`: writes its files, and adds what it found out to run->record and to `*stage`
// (epochs; seconds gets what an interrupted run spent before). Precondition: the stages before it
// are done.
Status RunStage(RecipeRun* run, size_t index, StageRecord* stage);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RUN_STAGES_H_
