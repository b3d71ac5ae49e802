// What the saliencies of the weights of one piece make of it, by criterion.
#include "prune/criterion.h"

#include <string>
#include <tuple>

#include "model/build.h"
#include "prune/plan.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

// One matrix, of three rows: that of the largest mean, of the largest weight, of the most squares.
Graph Rows() {
  Rng rng(5);
  GraphBuilder builder("rows", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
  Graph graph = ValueOrDie(builder.LastStep().Gemm(3).Finish());
  graph.weights.at("gemm0.weight").values = {0.6f,  -0.6f, 0.6f,  0.6f,  0.3f, 0.3f,
                                             -1.0f, 0.3f,  -0.9f, -0.7f, 0.0f, 0.7f};
  return graph;
}

// Which of the rows stays.
class SizeOfAPiece : public ::testing::TestWithParam<std::tuple<const char*, const char*, size_t>> {
};
INSTANTIATE_TEST_SUITE_P(List, SizeOfAPiece,
                         ::testing::Values(std::tuple("magnitude", "blocked_1x4", 0),
                                           std::tuple("magnitude", "row", 0),
                                           std::tuple("largest_magnitude", "blocked_1x4", 1),
                                           std::tuple("largest_magnitude", "row", 1),
                                           std::tuple("squared_magnitude", "blocked_1x4", 2),
                                           std::tuple("squared_magnitude", "row", 2)));

TEST_P(SizeOfAPiece, SaysWhichOneStays) {
  const auto [criterion, granularity, row] = GetParam();
  PruneSpec spec;
  spec.criterion = criterion;
  spec.granularity = granularity;
  spec.weights = {"gemm0.weight"};
  spec.sparsity = 0.6;
  const Graph graph = Rows();
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const MaskSet masks =
      ValueOrDie(MakeMasks(plan, spec.sparsity, StatisticsOf(graph.weights), MaskSet()));
  std::vector<uint8_t> expected(12, 0);
  std::fill_n(expected.begin() + static_cast<ptrdiff_t>(4 * row), 4, 1);
  EXPECT_EQ(masks.at("gemm0.weight").keep, expected);
}

TEST(LargestMagnitude, LeavesOutWhatIsGone) {
  const Graph graph = Rows();
  PruneSpec spec;
  spec.criterion = "largest_magnitude";
  spec.granularity = "blocked_1x4";
  spec.weights = {"gemm0.weight"};
  spec.sparsity = 0.6;
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const StatisticsSet statistics = StatisticsOf(graph.weights);
  MaskSet before = {{"gemm0.weight", Mask({3, 4})}};
  before.at("gemm0.weight").keep[6] = 0;  // the -1
  const SaliencySet saliency = ValueOrDie(SaliencyOfPlan(plan, statistics, before));
  const std::vector<Pool> pools = PoolsOf(plan.cut, plan.criterion->grouping, saliency, before);
  EXPECT_EQ(pools[0].pieces[1].score, 0.3f);
}

TEST(LargestMagnitude, GivesAUnitTheLargestOfAllItsWeights) {
  Rng rng(5);
  GraphBuilder builder("units", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  const Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Gemm(2).Finish());
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  SaliencySet saliency;
  for (const auto& [name, tensor] : graph.weights) saliency[name].assign(tensor.size(), 0.5f);
  saliency.at("gemm0.weight")[4 + 2] = 0.75f;  // a column of unit 2
  const auto scores = UnitScores(coupling, Grouping::kLargest, saliency);
  for (size_t unit = 0; unit < 4; ++unit) {
    EXPECT_EQ(scores[static_cast<size_t>(coupling.layers[0].groups[unit])],
              unit == 2 ? 0.75f : 0.5f);
  }
}

}  // namespace
}  // namespace espalier
