#include "prune/scored.h"

#include <algorithm>
#include <cmath>

#include "prune/compact.h"
#include "prune/plan_test_support.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::EveryStatistic;
using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

const ValueType kFrames = {Element::kF32, Layout::kSequence, 6};

PruneSpec JacobianUnits() {
  PruneSpec spec;
  spec.criterion = "jacobian";
  spec.granularity = "unit";
  spec.sparsity = 0.5;
  return spec;
}

// Of all units of a layer, straight from the definition: rows (row modulo H) and columns of the
// matrices that are named.
struct Part {
  std::string weight;
  bool has_rows = false;
  bool has_cols = false;
};
std::vector<double> DirectScores(const Graph& graph, const StatisticsSet& statistics, size_t units,
                                 const std::vector<Part>& parts) {
  std::vector<double> scores(units, 0.0);
  for (const Part& part : parts) {
    const Statistics& found = statistics.at(part.weight);
    const size_t cols = static_cast<size_t>(graph.weights.at(part.weight).dim(1));
    for (size_t i = 0; i < found.weight.size(); ++i) {
      const double s = std::abs(double{found.weight[i]} * double{found.spectrum_gradient[i]});
      const size_t row = i / cols % units;
      if (part.has_rows) scores[row] += s;
      if (part.has_cols && !(part.has_rows && i % cols == row)) scores[i % cols] += s;
    }
  }
  return scores;
}

void ExpectScores(const Graph& graph, size_t layer, const std::vector<Part>& parts) {
  const Plan plan = ValueOrDie(MakePlan(graph, JacobianUnits()));
  const EveryStatistic statistics(graph, plan);
  const std::vector<float> scores =
      UnitScores(plan.coupling, plan.criterion->grouping,
                 ValueOrDie(SaliencyOfAll(plan, *plan.criterion, plan.seed, statistics.set())));
  const UnitLayer& units = plan.coupling.layers[layer];
  const std::vector<double> expected =
      DirectScores(graph, statistics.set(), units.groups.size(), parts);
  for (size_t k = 0; k < units.groups.size(); ++k) {
    EXPECT_NEAR(scores[static_cast<size_t>(units.groups[k])], expected[k], 1e-5 * expected[k])
        << units.name() << " " << k;
  }
}

TEST(Jacobian, ScoresAUnitByItsPartsOfRecurrentLayers) {
  const Graph graph = Digits();
  ExpectScores(graph, 0,
               {{"lstm0.weight_ih", true, false},
                {"lstm0.weight_hh", true, true},
                {"gru0.weight_ih", false, true}});
  ExpectScores(graph, 1, {{"gru0.weight_ih", true, false}, {"gru0.weight_hh", true, true}});
}

TEST(Jacobian, ScoresBothKindsOfUnitsOfAProjection) {
  Rng rng(5);
  GraphBuilder builder("projected", {"x", kFrames}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 12, {Direction::kForward, 0.0, 8}).LastStep().Gemm(4);
  const Graph graph = ValueOrDie(builder.Finish());
  const Plan plan = ValueOrDie(MakePlan(graph, JacobianUnits()));
  ASSERT_EQ(plan.coupling.layers[0].part, UnitLayer::Part::kUnits);
  ExpectScores(graph, 0,
               {{"lstm0.weight_ih", true, false},
                {"lstm0.weight_hh", true, false},
                {"lstm0.weight_hr", false, true}});
  ExpectScores(graph, 1, {{"lstm0.weight_hh", false, true}, {"lstm0.weight_hr", true, false}});
}

TEST(Jacobian, RemovesTheUnitsOfTheSmallestScores) {
  const Graph graph = Digits();
  const Plan plan = ValueOrDie(MakePlan(graph, JacobianUnits()));
  const EveryStatistic statistics(graph, plan);
  const MaskSet masks = ValueOrDie(MakeMasks(plan, 0.5, statistics.set(), {}));
  EXPECT_TRUE(masks.contains("gemm0.weight")) << "what reads a unit goes with it";
  const Keep keep = AliveGroups(plan.coupling, masks);
  const std::vector<double> scores =
      DirectScores(graph, statistics.set(), 20,
                   {{"gru0.weight_ih", true, false}, {"gru0.weight_hh", true, true}});
  double best_gone = 0.0, worst_kept = 1e9;
  for (size_t k = 0; k < 20; ++k) {
    const bool is_kept = keep[static_cast<size_t>(plan.coupling.layers[1].groups[k])] != 0;
    if (is_kept) worst_kept = std::min(worst_kept, scores[k]);
    if (!is_kept) best_gone = std::max(best_gone, scores[k]);
  }
  EXPECT_EQ(KeptCount(plan.coupling.layers[1], keep), 10);
  EXPECT_LT(best_gone, worst_kept);
}

TEST(Jacobian, RefusesUnitsThatNoRecurrentLayerHas) {
  Rng rng(5);
  GraphBuilder builder("convolved", {"x", kFrames}, &rng);
  builder.Conv1d(8, {3}).Recurrent(CellKind::kGruCell, 8).Conv1d(8, {3});
  const Graph graph = ValueOrDie(builder.MeanOverTime().Gemm(4).Finish());
  PruneSpec spec = JacobianUnits();
  // Columns of gru0.weight_ih read those of the first.
  spec.weights = {"conv1d0.weight", "gru0.*"};
  EXPECT_TRUE(MakePlan(graph, spec).ok());
  spec.weights = {"*"};
  ExpectError(MakePlan(graph, spec).status(), Code::kInvalidArgument,
              {"jacobian", "unit 0 of conv1d1"});
}

TEST(Jacobian, RefusesMatricesOfOtherLayers) {
  PruneSpec spec;
  spec.criterion = "jacobian";
  spec.weights = {"*"};
  ExpectError(MakePlan(Digits(), spec).status(), Code::kInvalidArgument,
              {"jacobian", "gemm0.weight"});
}

}  // namespace
}  // namespace espalier
