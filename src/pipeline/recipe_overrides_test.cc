#include "pipeline/recipe_overrides.h"

#include <cmath>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

Recipe Example() {
  return ValueOrDie(ParseRecipe(
      "{task: mnist-rows, seed: 3, model: [lstm: 8, last_step, gemm: 10], stages: [train: {epochs: "
      "6}, prune: {name: now}, prune: {name: later, epochs: 3, schedule: {begin_epoch: 0.5, "
      "end_epoch: 2}, regularizers: [{name: dropout, strength: 0.1, warmup_epochs: 1}]}]}"));
}

TEST(RecipeOverrides, ChangeNothingUnasked) {
  EXPECT_EQ(RecipeJson(ValueOrDie(Override(Example(), {}))), RecipeJson(Example()));
}

TEST(RecipeOverrides, ScaleAllThatIsCountedInEpochs) {
  const Recipe twice = ValueOrDie(Override(Example(), {.epochs_scale = 2.0}));
  EXPECT_EQ(twice.stages[0].train.epochs, 12);
  EXPECT_EQ(twice.stages[1].train.epochs, 0) << "it does not fine-tune";
  EXPECT_EQ(twice.stages[2].train.epochs, 6);
  EXPECT_EQ(twice.stages[2].ramp.begin_epoch, 1.0);
  EXPECT_EQ(twice.stages[2].ramp.end_epoch, 4.0);
  EXPECT_EQ(twice.stages[2].regularizers[0].warmup_epochs, 2.0);
  const Recipe little = ValueOrDie(Override(Example(), {.epochs_scale = 0.01}));
  EXPECT_EQ(little.stages[2].train.epochs, 1);
  EXPECT_NEAR(little.stages[2].ramp.end_epoch, 2.0 / 3.0, 1e-12);
  EXPECT_TRUE(ParseRecipe(RecipeJson(little)).ok());
}

TEST(RecipeOverrides, TakeAnotherTaskAndSeed) {
  const Recipe other =
      ValueOrDie(Override(Example(), {.seed = 9, .threads = 2, .task = "speech-keywords"}));
  EXPECT_EQ(other.task, "speech-keywords");
  EXPECT_EQ(other.seed, 9u);
  EXPECT_EQ(other.threads, 2);
}

TEST(RecipeOverrides, RefuseWhatIsNoTaskOrScale) {
  ExpectError(Override(Example(), {.task = "speech-keyword"}).status(), Code::kInvalidArgument,
              {"speech-keyword", "speech-keywords"});
  for (const double scale : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    ExpectError(Override(Example(), {.epochs_scale = scale}).status(), Code::kInvalidArgument,
                {"epochs scale: a number above 0"});
  }
}

}  // namespace
}  // namespace espalier
