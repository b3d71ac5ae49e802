#include "prune/units.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

Graph Stack(CellKind cell, std::vector<int64_t> hidden, Direction direction) {
  Rng rng(5);
  GraphBuilder builder("stack", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  for (const int64_t units : hidden) builder.Recurrent(cell, units, {direction, 0.0});
  return ValueOrDie(builder.LastStep().Gemm(2).Finish());
}

std::vector<float> RandomScores(const Coupling& coupling, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> scores(coupling.groups.size());
  for (float& score : scores) score = static_cast<float>(rng.Uniform());
  return scores;
}

std::vector<int64_t> Counts(const Coupling& coupling, const Keep& keep) {
  std::vector<int64_t> counts;
  for (const UnitLayer& layer : coupling.layers) counts.push_back(KeptCount(layer, keep));
  return counts;
}

UnitSelection Select(const Allocation& allocation, double sparsity) {
  return {&allocation, {sparsity, 0.0}, 1, {}, {}, {}};
}

// What an allocation needs beside the scores.
UnitSelection SelectWithAll(const Coupling& coupling, const Allocation& allocation,
                            double sparsity) {
  UnitSelection selection = Select(allocation, sparsity);
  selection.pools = UnitPools(coupling, {});
  for (Pool& pool : selection.pools) {
    pool.sparsity = sparsity;
    pool.losses = {{0.0, 1.0}, {0.5, 1.1}, {0.9, 2.0}};
  }
  return selection;
}

TEST(UnitScores, AreTheNormOfRowsAndColumnsWithEachWeightOnce) {
  const Graph graph = Stack(CellKind::kGruCell, {4}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  std::map<std::string, std::vector<float>> saliency;
  for (const auto& [name, tensor] : graph.weights) saliency[name] = tensor.values;
  const auto scores = UnitScores(coupling, Grouping::kNorm, saliency);
  constexpr int64_t kUnit = 2, kHidden = 4;
  double expected = 0.0;
  const auto add = [&](const std::string& name, auto is_in) {
    const Tensor& tensor = graph.weights.at(name);
    for (int64_t row = 0; row < tensor.dim(0); ++row) {
      for (int64_t col = 0; col < tensor.dim(1); ++col) {
        if (is_in(row, col)) expected += std::pow(ViewOf(tensor).at(row, col), 2);
      }
    }
  };
  add("gru0.weight_ih", [](int64_t row, int64_t) { return row % kHidden == kUnit; });
  add("gru0.weight_hh",
      [](int64_t row, int64_t col) { return row % kHidden == kUnit || col == kUnit; });
  add("gemm0.weight", [](int64_t, int64_t col) { return col == kUnit; });
  EXPECT_NEAR(scores[static_cast<size_t>(coupling.layers[0].groups[kUnit])], std::sqrt(expected),
              1e-6);
}

TEST(SelectUnits, RemovesTheSameShareOfEveryLayerUnderUniform) {
  const Graph graph = Stack(CellKind::kLstmCell, {10, 20}, Direction::kBidirectional);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const Keep keep =
      SelectUnits(coupling, RandomScores(coupling, 1), Select(allocations::uniform, 0.3));
  EXPECT_EQ(Counts(coupling, keep), (std::vector<int64_t>{7, 7, 14, 14}));
}

TEST(SelectUnits, KeepsTheBestOfALayer) {
  const Graph graph = Stack(CellKind::kLstmCell, {5}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  std::vector<float> scores(coupling.groups.size(), 0.0f);
  const float by_unit[] = {0.3f, 0.9f, 0.1f, 0.9f, 0.2f};
  for (size_t k = 0; k < 5; ++k)
    scores[static_cast<size_t>(coupling.layers[0].groups[k])] = by_unit[k];
  const Keep keep = SelectUnits(coupling, scores, Select(allocations::uniform, 0.4));
  EXPECT_EQ(KeptUnits(coupling, keep).at("lstm0"), (std::vector<int64_t>{0, 1, 3}));
}

TEST(SelectUnits, RemovesTheShareOfAllUnitsUnderGlobal) {
  const Graph graph = Stack(CellKind::kGruCell, {40, 60}, Direction::kBidirectional);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  std::vector<float> scores = RandomScores(coupling, 2);
  for (const int32_t group : coupling.layers[0].groups) scores[static_cast<size_t>(group)] += 0.8f;
  const Keep keep = SelectUnits(coupling, scores, Select(allocations::global, 0.5));
  const std::vector<int64_t> counts = Counts(coupling, keep);
  EXPECT_EQ(counts[0], counts[1]);
  EXPECT_EQ(counts[2], counts[3]);
  EXPECT_EQ(counts[0] + counts[1] + counts[2] + counts[3], 100);
  EXPECT_GT(counts[0] * 60, counts[2] * 40);  // the layer with the higher scores keeps more
}

TEST(SelectUnits, LeavesTheFloorToALayerOfLowScores) {
  const Graph graph = Stack(CellKind::kGruCell, {20, 20}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  std::vector<float> scores = RandomScores(coupling, 2);
  for (const int32_t group : coupling.layers[0].groups) scores[static_cast<size_t>(group)] += 9.0f;
  UnitSelection selection = Select(allocations::global, 0.5);
  selection.budget.floor = 0.2;
  EXPECT_EQ(Counts(coupling, SelectUnits(coupling, scores, selection)),
            (std::vector<int64_t>{16, 4}));
}

TEST(SelectUnits, KeepsOneUnitAtTheHighestSparsity) {
  const Graph graph = Stack(CellKind::kRnnReluCell, {6, 1}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  for (const Allocation* allocation : AllAllocations()) {
    if (allocation->needs == AllocationNeeds::kThresholds) continue;  // spends no budget
    const Keep keep = SelectUnits(coupling, RandomScores(coupling, 1),
                                  SelectWithAll(coupling, *allocation, 0.999));
    EXPECT_EQ(Counts(coupling, keep), (std::vector<int64_t>{1, 1})) << allocation->name;
  }
}

TEST(SelectUnits, RoundsUpToAMultipleOrToAll) {
  const Graph graph = Stack(CellKind::kGruCell, {30, 12}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  UnitSelection selection = Select(allocations::uniform, 0.3);  // 21 and 9 by share
  selection.multiple = 8;
  EXPECT_EQ(Counts(coupling, SelectUnits(coupling, RandomScores(coupling, 1), selection)),
            (std::vector<int64_t>{24, 12}));
}

TEST(SelectUnits, TouchesOnlyTheChosenLayers) {
  const Graph graph = Stack(CellKind::kGruCell, {10, 10}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  UnitSelection selection = Select(allocations::uniform, 0.5);
  selection.layers = {0, 1};
  EXPECT_EQ(Counts(coupling, SelectUnits(coupling, RandomScores(coupling, 1), selection)),
            (std::vector<int64_t>{10, 5}));
}

TEST(SelectUnits, DropsFromWhatIsLeft) {
  const Graph graph = Stack(CellKind::kGruCell, {10}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const Keep first =
      SelectUnits(coupling, RandomScores(coupling, 1), Select(allocations::uniform, 0.4));
  UnitSelection selection = Select(allocations::uniform, 0.7);
  selection.alive = first;
  const Keep second = SelectUnits(coupling, RandomScores(coupling, 2), selection);
  EXPECT_EQ(Counts(coupling, second), (std::vector<int64_t>{3}));
  for (size_t i = 0; i < first.size(); ++i) EXPECT_LE(second[i], first[i]);
}

TEST(SelectUnits, KeepsPinnedUnitsWhateverTheirScore) {
  Rng rng(1);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  builder.Recurrent(CellKind::kGruCell, 8).Recurrent(CellKind::kGruCell, 8).LastStep();
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  for (const Allocation* allocation : AllAllocations()) {
    if (allocation->needs == AllocationNeeds::kThresholds) continue;  // spends no budget
    const Keep keep =
        SelectUnits(coupling, RandomScores(coupling, 1), SelectWithAll(coupling, *allocation, 0.5));
    EXPECT_EQ(Counts(coupling, keep)[1], 8) << allocation->name;
    EXPECT_LT(Counts(coupling, keep)[0], 8) << allocation->name;
  }
}

// Per-gate picking, the classic mistake, would zero different units in different gates.
TEST(UnitMasks, ZeroTheSameUnitsInEveryGateAndInTheColumns) {
  const Graph graph = Stack(CellKind::kLstmCell, {6}, Direction::kForward);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const Keep keep =
      SelectUnits(coupling, RandomScores(coupling, 3), Select(allocations::uniform, 0.5));
  const MaskSet masks = UnitMasks(coupling, keep);
  const std::vector<int64_t> kept = KeptUnits(coupling, keep).at("lstm0");
  const auto stays = [&](int64_t unit) {
    return std::find(kept.begin(), kept.end(), unit % 6) != kept.end();
  };
  const Mask& hh = masks.at("lstm0.weight_hh");
  for (int64_t row = 0; row < 24; ++row) {
    for (int64_t col = 0; col < 6; ++col) {
      EXPECT_EQ(hh.keep[static_cast<size_t>(row * 6 + col)] != 0, stays(row) && stays(col));
    }
    EXPECT_EQ(masks.at("lstm0.bias_ih").keep[static_cast<size_t>(row)] != 0, stays(row));
    EXPECT_EQ(masks.at("lstm0.bias_hh").keep[static_cast<size_t>(row)] != 0, stays(row));
  }
  EXPECT_FALSE(masks.contains("gemm0.bias"));
}

}  // namespace
}  // namespace espalier
