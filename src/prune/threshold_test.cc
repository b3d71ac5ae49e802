// Plans and pruners under allocation `threshold`: scores decide what goes, not counts.
#include <algorithm>

#include "prune/plan_test_support.h"
#include "prune/pruner.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

PruneSpec SpecOf(const std::string& granularity, std::optional<double> threshold) {
  PruneSpec spec;
  spec.granularity = granularity;
  spec.allocation = "threshold";
  spec.threshold = threshold;
  return spec;
}

MaskSet MasksAt(const Graph& graph, const PruneSpec& spec, double share) {
  return ValueOrDie(
      MakeMasks(ValueOrDie(MakePlan(graph, spec)), share, StatisticsOf(graph.weights), {}));
}

TEST(ThresholdPlan, CutsWhatIsBelowIt) {
  const Graph graph = Digits();
  for (const double share : {0.5, 1.0}) {
    const MaskSet masks = MasksAt(graph, SpecOf("element", 0.1), share);
    for (const auto& [name, mask] : masks) {
      const Tensor& weight = graph.weights.at(name);
      for (size_t i = 0; i < mask.keep.size(); ++i) {
        EXPECT_EQ(mask.keep[i] != 0, std::abs(static_cast<double>(weight.values[i])) >= 0.1 * share)
            << name << " " << i;
      }
      EXPECT_LT(mask.KeptCount(), mask.keep.size()) << name;
    }
  }
}

// The q of Narang et al.: at the start the whole threshold is worth the sparsity.
TEST(ThresholdPlan, TakesItsThresholdsFromASparsityOfTheStart) {
  const Graph graph = Digits();
  for (const char* granularity : {"element", "row", "gate_row", "blocked_4x4"}) {
    PruneSpec spec = SpecOf(granularity, std::nullopt);
    spec.sparsity = 0.75;
    spec.floor = 0.0;
    PruneSpec uniform = spec;
    uniform.allocation = "uniform";
    uniform.floor = PruneSpec().floor;
    EXPECT_EQ(MasksAt(graph, spec, 1.0), MasksAt(graph, uniform, 0.75)) << granularity;
    EXPECT_LT(testing::DroppedIn(MasksAt(graph, spec, 0.4)),
              testing::DroppedIn(MasksAt(graph, spec, 1.0)));
  }
}

TEST(ThresholdPlan, DropsExactlyWhatIsZeroAtThresholdZero) {
  Graph graph = Digits();
  PruneSpec units;
  units.granularity = "unit";
  units.sparsity = 0.3;
  const Plan plan = ValueOrDie(MakePlan(graph, units));
  const MaskSet masks = ValueOrDie(MakeMasks(plan, 0.3, StatisticsOf(graph.weights), {}));
  ASSERT_TRUE(ApplyMasks(masks, &graph.weights).ok());
  // Biases may hold what they like: units are gone with their matrices.
  for (float& value : graph.weights.at("lstm0.bias_ih").values) value = 0.5f;
  EXPECT_EQ(MasksAt(graph, SpecOf("unit", 0.0), 1.0), masks);
  const MaskSet elements = MasksAt(graph, SpecOf("element", 0.0), 1.0);
  for (const char* name : {"lstm0.weight_hh", "gru0.weight_hh", "gru0.weight_ih"}) {
    EXPECT_EQ(elements.at(name), masks.at(name)) << name;
  }
}

TEST(ThresholdPlan, LeavesAPieceOfATensorThatIsAllZero) {
  Graph graph = Digits();
  for (float& value : graph.weights.at("lstm0.weight_hh").values) value = 0.0f;
  PruneSpec spec = SpecOf("gate_row", 0.0);
  for (float& value : graph.weights.at("lstm0.weight_ih").values) value = 0.0f;
  EXPECT_GT(MasksAt(graph, spec, 1.0).at("lstm0.weight_hh").KeptCount(), 0u);
  spec.granularity = "unit";
  const MaskSet masks = MasksAt(graph, spec, 1.0);
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const Keep alive = AliveGroups(coupling, masks);
  for (const UnitLayer& layer : coupling.layers) EXPECT_GT(KeptCount(layer, alive), 0);
}

TEST(ThresholdPruner, RampsTheThresholdAndLetsTheWeightsSayHowMuchGoes) {
  Graph graph = Digits();
  PruneSpec spec = SpecOf("element", std::nullopt);
  spec.sparsity = 0.9;
  Pruner pruner = ValueOrDie(Pruner::Create(graph, spec, {"two_slopes", 0, 100, 25, 0.0}, {}));
  std::vector<size_t> dropped;
  for (int64_t step = 0; step <= 100; step += 25) {
    ASSERT_TRUE(pruner.Update(step, StatisticsOf(graph.weights)).ok());
    dropped.push_back(testing::DroppedIn(pruner.masks()));
  }
  EXPECT_EQ(dropped[0], 0u);
  EXPECT_TRUE(std::is_sorted(dropped.begin(), dropped.end()));
  // Weights that have grown since the start go less often than the sparsity says.
  Pruner other = ValueOrDie(Pruner::Create(graph, spec, {"two_slopes", 0, 100, 25, 0.0}, {}));
  for (auto& [name, tensor] : graph.weights) {
    for (float& value : tensor.values) value *= 2.0f;
  }
  ASSERT_TRUE(other.Update(100, StatisticsOf(graph.weights)).ok());
  EXPECT_LT(testing::DroppedIn(other.masks()), dropped.back() * 2 / 3);
}

TEST(ThresholdPlan, RefusesWhatMakesNoSense) {
  const Graph graph = Digits();
  const auto plan = [&](const PruneSpec& spec) { return MakePlan(graph, spec).status(); };
  ExpectError(plan(SpecOf("element", -0.1)), Code::kInvalidArgument,
              {"threshold", "at least 0 expected, -0.1 found"});
  PruneSpec uniform = SpecOf("element", 0.1);
  uniform.allocation = "uniform";
  ExpectError(plan(uniform), Code::kInvalidArgument,
              {"threshold: nothing expected under allocation uniform, 0.1 found"});
  ExpectError(plan(SpecOf("bank_8", 0.1)), Code::kInvalidArgument,
              {"allocation threshold", "hold no balance", "bank_8"});
  ExpectError(plan(SpecOf("nm_16x4x2", 0.1)), Code::kInvalidArgument,
              {"allocation threshold", "nm_16x4x2"});
  ExpectError(plan(SpecOf("unit", std::nullopt)), Code::kInvalidArgument,
              {"threshold: a number expected", "granularity unit"});
  ExpectError(
      Pruner::Create(graph, SpecOf("element", 0.1), {"iterative", 0, 10, 5, 0.0}, {}).status(),
      Code::kInvalidArgument, {"schedule.name", "ramps thresholds", "iterative found"});
}

}  // namespace
}  // namespace espalier
