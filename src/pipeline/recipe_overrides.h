// RecipeOverrides: what a run changes of a recipe without changing its file.
#ifndef ESPALIER_PIPELINE_RECIPE_OVERRIDES_H_
#define ESPALIER_PIPELINE_RECIPE_OVERRIDES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "pipeline/recipe.h"

namespace espalier {

struct RecipeOverrides {
  std::optional<uint64_t> seed{};
  std::optional<int> threads{};
  std::optional<std::string> task{};
  // Of every training and fine-tuning, with what is counted in epochs in them: above 0. Whole
  // epochs are rounded, to 1 at least; a stage that does not fine-tune stays so.
  std::optional<double> epochs_scale{};
};

// Errors: kInvalidArgument for a task that is not known or a scale that is not above 0.
Result<Recipe> Override(Recipe recipe, const RecipeOverrides& overrides);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RECIPE_OVERRIDES_H_
