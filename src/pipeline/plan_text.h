// The plan of a recipe, for people and for programs: what every stage will do, and as far as that
// is known before any training, how much it will cut and what it leaves.
#ifndef ESPALIER_PIPELINE_PLAN_TEXT_H_
#define ESPALIER_PIPELINE_PLAN_TEXT_H_

#include <string>
#include <vector>

#include "pipeline/dry_run.h"
#include "pipeline/recipe.h"

namespace espalier {

// Lines without a line break at the end: one a stage, below it one a pool that it cuts, and what it
// leaves. Precondition of both: `planned` is DryRun(recipe).
std::string PlanText(const Recipe& recipe, const std::vector<PlannedStage>& planned);

// A JSON list of the stages. What is not known before the training is null; "at_least" (shares that
// are gone) and "at_most" (what is left) then have the bounds.
std::string PlanJson(const Recipe& recipe, const std::vector<PlannedStage>& planned);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_PLAN_TEXT_H_
