// Every criterion with every allocation and every granularity, per tensor and per gate.
#include <algorithm>

#include "base/strings.h"
#include "prune/compact.h"
#include "prune/plan.h"
#include "prune/plan_test_support.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::DroppedIn;
using ::espalier::testing::EveryStatistic;
using ::espalier::testing::ExpectError;
using ::espalier::testing::Masks;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::Words;

// One of each list: a new entry is tested with all others.
struct Combination {
  const Criterion* criterion;
  const Allocation* allocation;
  std::string granularity;
  std::string per;
};

std::string TextOf(const Granularity& granularity) {
  const char* const tile[] = {"", "_4", "_4", "_4x16", "_4x16"};
  return std::string(granularity.name) + tile[static_cast<size_t>(granularity.tile)];
}

// What is not known of rows that are looked up; all other pairs go together (docs/methods.md).
bool GoTogether(const Criterion& criterion, const Granularity& granularity) {
  constexpr Needs kOfProducts = kNeedsInputPower | kNeedsInverseMoment | kNeedsSpectrumGradient;
  return granularity.domain != Domain::kEmbeddings || (criterion.needs & kOfProducts) == 0;
}

TEST(EveryPair, IsRefusedWhereTheCriterionKnowsNothing) {
  std::vector<std::string> refused;
  for (const Criterion* criterion : AllCriteria()) {
    for (const Granularity* granularity : AllGranularities()) {
      const bool looks_up = granularity->domain == Domain::kEmbeddings;
      PruneSpec spec;
      spec.criterion = criterion->name;
      spec.granularity = TextOf(*granularity);
      const auto fixed = granularity->fixed_sparsity;
      spec.sparsity =
          fixed != nullptr ? fixed(ValueOrDie(ParseGranularity(spec.granularity))) : 0.5;
      const Status status = MakePlan(looks_up ? Words() : Digits(), spec).status();
      EXPECT_EQ(status.ok(), GoTogether(*criterion, *granularity)) << status.message();
      if (status.ok()) continue;
      ExpectError(status, Code::kInvalidArgument, {criterion->name, "embedding0.weight"});
      refused.push_back(StrCat(criterion->name, " ", granularity->name));
    }
  }
  EXPECT_EQ(refused,
            (std::vector<std::string>{"wanda embedding_column", "wanda embedding_row",
                                      "obs embedding_column", "obs embedding_row",
                                      "jacobian embedding_column", "jacobian embedding_row"}));
}

std::vector<Combination> Combinations() {
  std::vector<Combination> all;
  for (const Criterion* criterion : AllCriteria()) {
    for (const Allocation* allocation : AllAllocations()) {
      if (allocation->needs == AllocationNeeds::kThresholds) continue;  // spends no budget
      for (const Granularity* granularity : AllGranularities()) {
        if (!GoTogether(*criterion, *granularity)) continue;
        all.push_back({criterion, allocation, TextOf(*granularity), "tensor"});
        if (granularity->extent != Extent::kWeight && granularity != &granularities::gate_row) {
          continue;  // no pieces of one gate
        }
        if (criterion != &criteria::magnitude && criterion->grouping != Grouping::kSignedSum) {
          continue;  // a gate's rows are ranked as a tensor's are
        }
        all.push_back({criterion, allocation, TextOf(*granularity), "gate"});
      }
    }
  }
  return all;
}

class EveryCombination : public ::testing::TestWithParam<Combination> {
 protected:
  Plan MakePlanAt(const Graph& graph, double sparsity) const {
    PruneSpec spec;
    spec.criterion = GetParam().criterion->name;
    spec.allocation = GetParam().allocation->name;
    spec.granularity = GetParam().granularity;
    spec.per = GetParam().per;
    spec.sparsity = sparsity;
    const AllocationNeeds needs = GetParam().allocation->needs;
    if (needs == AllocationNeeds::kSparsities)
      spec.sparsities = {{graph.name == "words" ? "*" : "*0.weight_?h", sparsity}};
    if (needs == AllocationNeeds::kLosses) {
      PruneSpec scan = spec;
      scan.allocation = "uniform";
      for (const Pool& pool : ValueOrDie(MakePlan(graph, scan)).cut.pools) {
        const double scale = static_cast<double>(spec.losses.size() + 1);
        spec.losses[pool.name] = {{0.0, 1.0}, {0.5, 1.0 + 0.01 * scale}, {0.9, 1.0 + scale}};
      }
    }
    return ValueOrDie(MakePlan(graph, spec));
  }
  // The sparsity at which it can end: what it fixes, else one at which a whole layer fits too.
  double Last() const {
    const GranularitySpec granularity = ValueOrDie(ParseGranularity(GetParam().granularity));
    const auto fixed = granularity.kind->fixed_sparsity;
    return fixed != nullptr ? fixed(granularity) : 0.7;
  }
  // On the way there.
  MaskSet MasksAt(double sparsity, const Graph& graph, const MaskSet& previous = {}) const {
    const Plan plan = MakePlanAt(graph, Last());
    return ValueOrDie(MakeMasks(plan, sparsity, EveryStatistic(graph, plan).set(), previous));
  }
  static Graph GraphFor(const Combination& combination) {
    const GranularitySpec spec = ValueOrDie(ParseGranularity(combination.granularity));
    return spec.kind->domain == Domain::kEmbeddings ? Words() : Digits();
  }
  Graph graph_ = GraphFor(GetParam());
};
std::string CombinationName(const ::testing::TestParamInfo<Combination>& info) {
  return std::string(info.param.criterion->name) + "_" + info.param.allocation->name + "_" +
         info.param.granularity + "_per_" + info.param.per;
}
INSTANTIATE_TEST_SUITE_P(Lists, EveryCombination, ::testing::ValuesIn(Combinations()),
                         CombinationName);

TEST_P(EveryCombination, KeepsEverythingAtSparsityZero) {
  for (const auto& [name, mask] : MasksAt(0.0, graph_)) EXPECT_EQ(mask.Sparsity(), 0.0) << name;
}

TEST_P(EveryCombination, GivesTheSameMasksAgain) {
  EXPECT_EQ(MasksAt(0.7, graph_), MasksAt(0.7, graph_));
}

TEST_P(EveryCombination, OnlyDropsFromThePreviousMasks) {
  MaskSet before = MasksAt(0.3, graph_);
  Graph other = graph_;  // weights that would now be ranked otherwise
  Rng rng(77);
  for (auto& [name, tensor] : other.weights) {
    for (float& value : tensor.values) value = rng.Uniform(-1.0f, 1.0f);
  }
  const MaskSet after = MasksAt(0.6, other, before);
  for (const auto& [name, mask] : after) {
    const auto it = before.find(name);
    if (it == before.end()) continue;
    for (size_t i = 0; i < mask.keep.size(); ++i)
      EXPECT_LE(mask.keep[i], it->second.keep[i]) << name;
  }
  EXPECT_GT(DroppedIn(after), DroppedIn(before));
}

// In pieces of one weight exactly, else by less than the largest piece of each pool.
TEST_P(EveryCombination, SpendsTheBudget) {
  const Plan plan = MakePlanAt(graph_, Last());
  if (plan.granularity.kind->extent == Extent::kUnits) return;  // rounded up: units_test.cc
  int64_t size = 0;
  double slack = 0.0;
  for (const Pool& pool : plan.cut.pools) {
    size += pool.size;
    const bool is_lines = plan.granularity.kind->extent == Extent::kLines;
    const bool is_row = GetParam().granularity.find("row") != std::string::npos;
    const int64_t line = plan.granularity.kind == &granularities::layer ? pool.size
                         : is_row                                       ? pool.cols
                         : is_lines                                     ? pool.size / pool.cols
                         : GetParam().granularity == "column"           ? pool.rows
                                                                        : 64;
    const std::string& name = GetParam().granularity;
    const bool is_single = name == "element" || name.starts_with("bank") ||
                           name.starts_with("nm") || name.starts_with("column_balanced");
    // Counts of each tensor are whole numbers.
    slack += is_single ? 1.0 : static_cast<double>(line);
  }
  for (const double sparsity : {0.2, Last()}) {
    const int64_t dropped = static_cast<int64_t>(DroppedIn(MasksAt(sparsity, graph_)));
    const double wanted = sparsity * static_cast<double>(size);
    EXPECT_LE(static_cast<double>(dropped), wanted + slack) << sparsity;
    EXPECT_GE(static_cast<double>(dropped), wanted - slack) << sparsity;
  }
}

TEST_P(EveryCombination, LeavesAPieceOfEveryPool) {
  const Plan plan = MakePlanAt(graph_, Last());
  const MaskSet masks = MasksAt(Last(), graph_);
  for (const Slice& slice : plan.cut.slices) {
    const Mask& mask = masks.at(slice.weight);
    const auto first = mask.keep.begin() + static_cast<ptrdiff_t>(slice.first_row * slice.cols);
    EXPECT_NE(std::count(first, first + static_cast<ptrdiff_t>(slice.rows * slice.cols), 1), 0)
        << slice.weight << " from row " << slice.first_row;
  }
  if (plan.granularity.kind == &granularities::layer) return;  // whole matrices go
  for (const auto& [name, mask] : masks) EXPECT_GT(mask.KeptCount(), 0u) << name;
}

// A unit that was masked before is found dead under any further mask.
TEST_P(EveryCombination, LeavesDeadUnitsForCompact) {
  PruneSpec units;
  units.granularity = "unit";
  units.sparsity = 0.25;
  const Plan plan = ValueOrDie(MakePlan(graph_, units));
  const MaskSet before = Masks(graph_, units);
  Graph pruned = graph_;
  ASSERT_OK(ApplyMasks(MasksAt(Last(), graph_, before), &pruned.weights));
  const Keep keep = ValueOrDie(CompactZeros(pruned)).keep;
  const Keep alive = AliveGroups(plan.coupling, before);
  for (const UnitLayer& layer : plan.coupling.layers) {
    EXPECT_LE(KeptCount(layer, keep), KeptCount(layer, alive)) << layer.name();
  }
}

}  // namespace
}  // namespace espalier
