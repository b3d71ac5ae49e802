#include "pipeline/dry_run.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

Status DryRunOf(const std::string& model, const std::string& stages) {
  return DryRun(ValueOrDie(
      ParseRecipe("{task: mnist-rows, model: [" + model + "], stages: [" + stages + "]}")));
}

constexpr char kModel[] = "lstm: 24, last_step, gemm: 10";

TEST(DryRun, PassesWhatFits) {
  EXPECT_OK(DryRunOf(kModel,
                     "train, prune: {name: a, granularity: unit, sparsity: 0.3}, compact, "
                     "prune: {name: b, granularity: slot_8x8, sparsity: 0.5, epochs: 3}, compile"));
}

TEST(DryRun, RefusesANetworkThatIsNoneForTheTask) {
  ExpectError(DryRunOf("lstm: 24, gemm: 10", "train"), Code::kInvalidArgument,
              {"model", "[B, classes]"});
  ExpectError(DryRunOf("lstm: 24, last_step, gemm: 5", "train"), Code::kInvalidArgument,
              {"model", "5 classes expected", "10 found"});
}

TEST(DryRun, NamesTheStageThatDoesNotFit) {
  ExpectError(DryRunOf(kModel, "train, prune: {weights: [nope]}"), Code::kInvalidArgument,
              {"stages[1].prune", "nope"});
  ExpectError(DryRunOf(kModel, "train, prune: {granularity: slot_7x3}"), Code::kInvalidArgument,
              {"stages[1].prune", "slot_7x3"});
}

// Strips of 64 rows fit the 96 of 24 units, and not the 48 of the 12 that stay.
TEST(DryRun, LooksAtTheNetworkThatAStageWouldGet) {
  ExpectError(DryRunOf(kModel,
                       "train, prune: {name: a, granularity: unit, sparsity: 0.5}, compact, "
                       "prune: {name: b, granularity: slot_64x8}"),
              Code::kInvalidArgument, {"stages[3].prune", "slot_64x8"});
}

TEST(DryRun, EndsWhereTheTrainedWeightsDecideTheShapes) {
  ASSERT_OK(DryRunOf(kModel,
                     "train, prune: {name: a, granularity: unit, allocation: global, sparsity: "
                     "0.5}, compact, prune: {name: b, granularity: slot_64x8}"));
}

}  // namespace
}  // namespace espalier
