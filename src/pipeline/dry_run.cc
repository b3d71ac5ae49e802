#include "pipeline/dry_run.h"

#include <map>
#include <string>

#include "base/strings.h"
#include "pipeline/stages.h"
#include "tasks/task.h"

namespace espalier {
namespace {

// One sequence of one step, to ask whether a network is one for the task.
Dataset SampleOf(const TaskInfo& task) {
  Dataset sample;
  sample.input = task.input;
  sample.classes = static_cast<int64_t>(task.class_names.size());
  sample.offsets = {0, 1};
  sample.labels = {0};
  if (task.input.element == Element::kI32) {
    sample.ids = {0};
  } else {
    sample.features.assign(static_cast<size_t>(task.input.features), 0.0f);
  }
  return sample;
}

}  // namespace

Status DryRun(const Recipe& recipe) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(recipe.task));
  Rng rng(recipe.seed);
  ESPALIER_ASSIGN_OR_RETURN(Graph graph, BuildNetwork(task.name, task.input, recipe.model, &rng));
  ESPALIER_RETURN_IF_ERROR(
      Evaluate(graph, SampleOf(task), EvaluateOptions()).status().WithContext("model"));
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    StageSpec stage = recipe.stages[i];
    const std::string where = StrCat("stages[", i, "].", StageKindName(stage.kind));
    if (stage.kind == StageKind::kPrune) {
      stage.train.epochs = 0;
      // Without data any criterion does: how much goes does not depend on it.
      stage.prune.criterion = "magnitude";
      stage.reconstruct = false;
      Result<PruneOutcome> outcome = PruneNetwork(graph, stage, PruneInputs(), TrainHooks());
      if (!outcome.ok()) return outcome.status().WithContext(where);
      graph = std::move(outcome->graph);
      if (stage.prune.granularity == "unit" && stage.prune.allocation != "uniform") return Ok();
    } else if (stage.kind == StageKind::kCompact) {
      std::map<std::string, int64_t> removed;
      Result<Graph> compacted = CompactNetwork(graph, &removed);
      if (!compacted.ok()) return compacted.status().WithContext(where);
      graph = *std::move(compacted);
    }
  }
  return Ok();
}

}  // namespace espalier
