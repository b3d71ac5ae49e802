#include "pipeline/prune_keys.h"

#include <string>

#include "pipeline/recipe.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

StageSpec StageOf(const std::string& keys) {
  return ValueOrDie(ParseRecipe("{task: mnist-rows, model: [lstm: 8, last_step, gemm: 10], "
                                "stages: [train, prune: {" +
                                keys + "}]}"))
      .stages[1];
}

TEST(PruneKeys, SayPerGateWhereAPatternNamesOne) {
  EXPECT_EQ(StageOf("sparsity: 0.5").prune.per, "tensor");
  EXPECT_EQ(StageOf("weights: 'lstm0.weight_hh[f]'").prune.per, "gate");
  EXPECT_EQ(StageOf("sparsity: {lstm0.weight_hh: {f: 0.5}}").prune.per, "gate");
  EXPECT_EQ(StageOf("per: gate").prune.per, "gate");
}

TEST(PruneKeys, LeaveWhatIsNullAsIfItWereNotThere) {
  const StageSpec search = StageOf("sparsity: null, search: {sparsities: [0.5, 0.75]}");
  EXPECT_EQ(search.search.sparsities.size(), 2u);
  EXPECT_FALSE(StageOf("threshold: null, sparsity: 0.5").prune.threshold.has_value());
}

}  // namespace
}  // namespace espalier
