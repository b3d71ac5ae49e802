#include "pipeline/prune_keys.h"

#include <string>

#include "pipeline/recipe.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

Result<Recipe> RecipeOf(const std::string& keys) {
  return ParseRecipe(
      "{task: mnist-rows, model: [lstm: 8, last_step, gemm: 10], stages: [train, prune: {" + keys +
      "}]}");
}

StageSpec StageOf(const std::string& keys) { return ValueOrDie(RecipeOf(keys)).stages[1]; }

TEST(PruneKeys, SayPerGateWhereAPatternNamesOne) {
  EXPECT_EQ(StageOf("sparsity: 0.5").prune.per, "tensor");
  EXPECT_EQ(StageOf("weights: 'lstm0.weight_hh[f]'").prune.per, "gate");
  EXPECT_EQ(StageOf("sparsity: {lstm0.weight_hh: {f: 0.5}}").prune.per, "gate");
  EXPECT_EQ(StageOf("per: gate").prune.per, "gate");
}

TEST(PruneKeys, RefuseAKeyWithoutAValue) {
  for (const char* keys :
       {"sparsity: null, search: {sparsities: [0.5, 0.75]}",
        "search: {sparsities: [0.5, 0.75], bytes: }", "threshold: null, sparsity: 0.5",
        "weights: ~", "schedule: {regrow: null}, epochs: 1", "criterion: null",
        "distillation: null", "regularizers: null", "calibration: null"}) {
    ExpectError(RecipeOf(keys).status(), Code::kInvalidArgument,
                {"stages[1].prune.", ": a value expected, nothing found"});
  }
}

TEST(PruneKeys, ReadTheBudgetOfASearch) {
  const SearchSpec search =
      StageOf("search: {sparsities: [0.5, 0.6], bytes: 0.25, time: 1, against: train}").search;
  EXPECT_EQ(search.bytes, 0.25);
  EXPECT_EQ(search.time, 1.0);
  EXPECT_EQ(search.against, "train");
  EXPECT_FALSE(StageOf("search: {sparsities: [0.5, 0.6]}").search.HasCosts());
  const auto refuses = [](const std::string& key, const std::vector<std::string>& parts) {
    ExpectError(RecipeOf("search: {sparsities: [0.5, 0.6], " + key + "}").status(),
                Code::kInvalidArgument, parts);
  };
  refuses("bytes: 0", {"stages[1].prune.search.bytes", "(0, 1]", "0"});
  refuses("time: 30us", {"stages[1].prune.search.time", "(0, 1]", "30us"});
  refuses("against: trian", {"stages[1].prune.search.against", "'trian'", "'train'"});
}

}  // namespace
}  // namespace espalier
