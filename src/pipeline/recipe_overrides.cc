#include "pipeline/recipe_overrides.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "tasks/task.h"

namespace espalier {
namespace {

void ScaleEpochs(double scale, StageSpec* stage) {
  int64_t& epochs = stage->train.epochs;
  if (epochs == 0) return;
  const auto before = static_cast<double>(epochs);
  epochs = std::max<int64_t>(1, std::llround(before * scale));
  // By what the whole epochs became, so that the ramp still ends where it did among them.
  const double found = static_cast<double>(epochs) / before;
  RampSpec& ramp = stage->ramp;
  ramp.end_epoch = std::min(ramp.end_epoch * found, static_cast<double>(epochs));
  ramp.begin_epoch = std::min(ramp.begin_epoch * found, ramp.end_epoch);
  for (RegularizerSpec& spec : stage->regularizers) spec.warmup_epochs *= found;
}

}  // namespace

Result<Recipe> Override(Recipe recipe, const RecipeOverrides& overrides) {
  if (overrides.seed) recipe.seed = *overrides.seed;
  if (overrides.threads) recipe.threads = *overrides.threads;
  if (overrides.task) {
    ESPALIER_RETURN_IF_ERROR(FindTask(*overrides.task).status());
    recipe.task = *overrides.task;
  }
  if (overrides.epochs_scale) {
    const double scale = *overrides.epochs_scale;
    if (!(scale > 0.0 && scale <= 1e6)) {
      return InvalidArgument(
          StrCat("epochs scale: a number above 0 and at most 1e6 expected, ", scale, " found"));
    }
    for (StageSpec& stage : recipe.stages) ScaleEpochs(scale, &stage);
  }
  return recipe;
}

}  // namespace espalier
