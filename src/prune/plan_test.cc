#include "prune/plan.h"

#include <cmath>
#include <list>

#include "model/build.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

Graph Digits() {
  Rng rng(5);
  GraphBuilder builder("digits", {"x", {Element::kF32, Layout::kSequence, 28}}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 24).Dropout(0.2).Recurrent(CellKind::kGruCell, 20);
  return ValueOrDie(builder.LastStep().Gemm(10).Finish());
}

MaskSet Masks(const Graph& graph, const PruneSpec& spec, const MaskSet& previous = {}) {
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  return ValueOrDie(MakeMasks(plan, spec.sparsity, StatisticsOf(graph.weights), previous));
}

size_t KeptIn(const MaskSet& masks) {
  size_t kept = 0;
  for (const auto& [name, mask] : masks) kept += mask.KeptCount();
  return kept;
}

size_t DroppedIn(const MaskSet& masks) {
  size_t dropped = 0;
  for (const auto& [name, mask] : masks) dropped += mask.keep.size() - mask.KeptCount();
  return dropped;
}

// Every field that any criterion may need: drawn by the weight's name, positive where it is a
// power.
class EveryStatistic {
 public:
  explicit EveryStatistic(const TensorStore& weights) : set_(StatisticsOf(weights)) {
    Rng rng(21);
    for (auto& [name, found] : set_) {
      for (const StatisticsField& field : StatisticsFields()) {
        if (field.flag == kNeedsWeight) continue;
        const bool is_power = field.flag == kNeedsSquaredGradient ||
                              field.flag == kNeedsInputPower || field.flag == kNeedsInverseMoment;
        std::vector<float>& values = values_.emplace_back(found.weight.size());
        for (float& value : values) value = rng.Uniform(is_power ? 0.0f : -1.0f, 1.0f);
        found.*field.field = values;
      }
    }
  }
  const StatisticsSet& set() const { return set_; }

 private:
  std::list<std::vector<float>> values_;
  StatisticsSet set_;
};

// One of each list: a new entry is tested with all others.
struct Combination {
  const Criterion* criterion;
  const Allocation* allocation;
  std::string granularity;
};

std::vector<Combination> Combinations() {
  std::vector<Combination> all;
  for (const Criterion* criterion : AllCriteria()) {
    for (const Allocation* allocation : AllAllocations()) {
      for (const Granularity* granularity : AllGranularities()) {
        const bool has_tile = granularity->tile != Tile::kNone;
        all.push_back(
            {criterion, allocation, std::string(granularity->name) + (has_tile ? "_8x16" : "")});
      }
    }
  }
  return all;
}

class EveryCombination : public ::testing::TestWithParam<Combination> {
 protected:
  // On the way to the last sparsity, which a granularity may fix.
  MaskSet MasksAt(double sparsity, const Graph& graph, const MaskSet& previous = {}) const {
    PruneSpec spec;
    spec.criterion = GetParam().criterion->name;
    spec.allocation = GetParam().allocation->name;
    spec.granularity = GetParam().granularity;
    const GranularitySpec granularity = ValueOrDie(ParseGranularity(spec.granularity));
    const auto fixed = granularity.kind->fixed_sparsity;
    if (fixed != nullptr) spec.sparsity = fixed(granularity);
    const Plan plan = ValueOrDie(MakePlan(graph, spec));
    return ValueOrDie(MakeMasks(plan, sparsity, EveryStatistic(graph.weights).set(), previous));
  }
  Graph graph_ = Digits();
};
std::string CombinationName(const ::testing::TestParamInfo<Combination>& info) {
  return std::string(info.param.criterion->name) + "_" + info.param.allocation->name + "_" +
         info.param.granularity;
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

TEST(MakeMasks, KeepsTheExactCountOfEachWeightUnderUniform) {
  PruneSpec spec;
  const Graph graph = Digits();
  const MaskSet masks = Masks(graph, spec);
  EXPECT_EQ(masks.size(), 4u);
  for (const auto& [name, mask] : masks) {
    EXPECT_EQ(mask.KeptCount(), mask.keep.size() - mask.keep.size() * 9 / 10) << name;
  }
}

TEST(MakeMasks, KeepsTheExactCountOfAllWeightsUnderGlobal) {
  PruneSpec spec;
  spec.allocation = "global";
  const Graph graph = Digits();
  size_t size = 0;
  const MaskSet masks = Masks(graph, spec);
  for (const auto& [name, mask] : masks) size += mask.keep.size();
  EXPECT_EQ(KeptIn(masks), size - size * 9 / 10);
}

TEST(MakeMasks, LeavesTheFloorToAWeightOfSmallValues) {
  Graph graph = Digits();
  for (float& value : graph.weights.at("gru0.weight_ih").values) value *= 1e-6f;
  PruneSpec spec;
  spec.allocation = "global";
  spec.floor = 0.05;
  const Mask mask = Masks(graph, spec).at("gru0.weight_ih");
  EXPECT_EQ(mask.KeptCount(), mask.keep.size() / 20);
}

TEST(MakeMasks, RanksByMagnitude) {
  const Graph graph = Digits();
  for (const auto& [name, mask] : Masks(graph, PruneSpec())) {
    float smallest_kept = 1e9f, largest_dropped = 0.0f;
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      const float magnitude = std::abs(graph.weights.at(name).values[i]);
      if (mask.keep[i] != 0) smallest_kept = std::min(smallest_kept, magnitude);
      if (mask.keep[i] == 0) largest_dropped = std::max(largest_dropped, magnitude);
    }
    EXPECT_GE(smallest_kept, largest_dropped) << name;
  }
}

TEST(MakeMasks, DrawsOtherRandomMasksForAnotherSeed) {
  PruneSpec spec;
  spec.criterion = "random";
  const MaskSet one = Masks(Digits(), spec);
  spec.seed = 2;
  EXPECT_NE(Masks(Digits(), spec), one);
}

TEST(MakeMasks, BringsBackNothingThatWasDropped) {
  const Graph graph = Digits();
  PruneSpec spec;
  MaskSet before = Masks(graph, spec);
  for (auto& [name, mask] : before) mask.keep.assign(mask.keep.size(), 0);
  EXPECT_EQ(KeptIn(Masks(graph, spec, before)), 0u);
}

TEST(MakeMasks, KeepsThePreviousMasksOfOtherWeights) {
  PruneSpec spec;
  spec.weights = {"lstm0.*"};
  const MaskSet before = Masks(Digits(), spec);
  spec.weights = {"gru0.*"};
  const MaskSet after = Masks(Digits(), spec, before);
  EXPECT_EQ(after.size(), 4u);
  EXPECT_EQ(after.at("lstm0.weight_hh"), before.at("lstm0.weight_hh"));
}

TEST(MakeMasks, MasksBiasesAndConsumersOfRemovedUnits) {
  const Graph graph = Digits();
  PruneSpec spec;
  spec.granularity = "unit";
  spec.sparsity = 0.5;
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const MaskSet masks = Masks(graph, spec);
  EXPECT_EQ(masks.at("lstm0.bias_hh").KeptCount(), 4u * 12u);
  EXPECT_EQ(masks.at("gemm0.weight").KeptCount(), 10u * 10u);
  const Keep keep = AliveGroups(plan.coupling, masks);
  EXPECT_EQ(KeptUnits(plan.coupling, keep).at("lstm0").size(), 12u);
  EXPECT_EQ(UnitMasks(plan.coupling, keep), masks);
}

TEST(MakeMasks, CountsUnitsThatWereRemovedBefore) {
  PruneSpec spec;
  spec.granularity = "unit";
  spec.sparsity = 0.25;
  const MaskSet before = Masks(Digits(), spec);
  spec.criterion = "random";  // another ranking
  spec.sparsity = 0.5;
  const Plan plan = ValueOrDie(MakePlan(Digits(), spec));
  const auto kept =
      KeptUnits(plan.coupling, AliveGroups(plan.coupling, Masks(Digits(), spec, before)));
  EXPECT_EQ(kept.at("lstm0").size(), 12u);
  EXPECT_EQ(kept.at("gru0").size(), 10u);
}

TEST(MakeMasks, CarriesAnElementMaskUnderAUnitMask) {
  const Graph graph = Digits();
  PruneSpec spec;
  spec.sparsity = 0.5;
  const MaskSet elements = Masks(graph, spec);
  spec.granularity = "unit";
  for (const auto& [name, mask] : Masks(graph, spec, elements)) {
    const auto it = elements.find(name);
    if (it == elements.end()) continue;
    for (size_t i = 0; i < mask.keep.size(); ++i) EXPECT_LE(mask.keep[i], it->second.keep[i]);
  }
}

TEST(MakeMasks, RefusesASaliencyThatIsNotANumber) {
  Graph graph = Digits();
  const Plan plan = ValueOrDie(MakePlan(graph, PruneSpec()));
  graph.weights.at("gru0.weight_hh").values[7] = std::nanf("");
  ExpectError(MakeMasks(plan, 0.5, StatisticsOf(graph.weights), {}).status(),
              Code::kInvalidArgument, {"gru0.weight_hh", "finite", "element 7"});
}

TEST(MakeMasks, NamesAMissingStatisticAndAWrongMask) {
  const Graph graph = Digits();
  for (const char* granularity : {"element", "unit"}) {
    PruneSpec spec;
    spec.granularity = granularity;
    const Plan plan = ValueOrDie(MakePlan(graph, spec));
    StatisticsSet statistics = StatisticsOf(graph.weights);
    ExpectError(MakeMasks(plan, 0.5, statistics, {{"lstm0.weight_hh", Mask({96, 23})}}).status(),
                Code::kInvalidArgument, {"lstm0.weight_hh", "96x24 expected", "96x23"});
    statistics.erase("lstm0.weight_hh");
    ExpectError(MakeMasks(plan, 0.5, statistics, {}).status(), Code::kInvalidArgument,
                {"lstm0.weight_hh", "2304 weights", "0 found"});
  }
}

TEST(MakePlan, ChoosesEveryRecurrentMatrixUnlessTold) {
  const auto names = [](const PruneSpec& spec) {
    std::vector<std::string> found;
    for (const auto& target : ValueOrDie(MakePlan(Digits(), spec)).targets)
      found.push_back(target.name);
    return found;
  };
  PruneSpec spec;
  EXPECT_EQ(names(spec), (std::vector<std::string>{"gru0.weight_hh", "gru0.weight_ih",
                                                   "lstm0.weight_hh", "lstm0.weight_ih"}));
  spec.weights = {"*.weight_hh", "gemm?.weight"};
  EXPECT_EQ(names(spec),
            (std::vector<std::string>{"gemm0.weight", "gru0.weight_hh", "lstm0.weight_hh"}));
}

TEST(MakePlan, SaysWhatIsWrongWithASpec) {
  const auto expect = [](auto change, const std::vector<std::string>& parts) {
    PruneSpec spec;
    change(&spec);
    ExpectError(MakePlan(Digits(), spec).status(), Code::kInvalidArgument, parts);
  };
  expect([](PruneSpec* s) { s->criterion = "magnitud"; },
         {"criterion", "did you mean 'magnitude'"});
  expect([](PruneSpec* s) { s->allocation = "globall"; }, {"allocation", "did you mean 'global'"});
  expect([](PruneSpec* s) { s->granularity = "units"; }, {"did you mean 'unit'"});
  expect([](PruneSpec* s) { s->granularity = "nm_16x8x2"; },  // the sparsity is 0.9
         {"sparsity: 0.75", "nm_16x8x2", "0.9 found"});
  for (const double sparsity : {1.0, -0.1, std::nan("")}) {
    expect([&](PruneSpec* s) { s->sparsity = sparsity; }, {"sparsity", "[0, 1)"});
  }
  expect([](PruneSpec* s) { s->floor = 1.5; }, {"floor", "1.5"});
  expect([](PruneSpec* s) { s->allocation = "global", s->floor = 0.2; }, {"floor", "0.2 found"});
  expect([](PruneSpec* s) { s->multiple = 0; }, {"multiple", "0 found"});
  expect([](PruneSpec* s) { s->multiple = 21, s->granularity = "unit"; },
         {"multiple", "gru0", "20"});
  expect([](PruneSpec* s) { s->weights = {"gru1.weight_hh"}; },
         {"'gru1.weight_hh'", "did you mean 'gru0.weight_hh'"});
  expect([](PruneSpec* s) { s->granularity = "slot_16x16", s->weights = {"gemm0.weight"}; },
         {"gemm0.weight", "slot_16x16", "slot_8x16"});
}

TEST(MakePlan, TakesBothDirectionsIfAPatternNamesOne) {
  Rng rng(5);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
  builder.Recurrent(CellKind::kGruCell, 8, {Direction::kBidirectional, 0.0}).LastStep().Gemm(2);
  const Graph graph = ValueOrDie(builder.Finish());
  PruneSpec spec;
  spec.granularity = "unit";
  spec.weights = {"*.weight_hh"};
  spec.sparsity = 0.5;
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const auto kept = KeptUnits(plan.coupling, AliveGroups(plan.coupling, Masks(graph, spec)));
  EXPECT_EQ(kept.at("gru0").size(), 4u);
  EXPECT_EQ(kept.at("gru0_reverse").size(), 4u);
}

TEST(MakePlan, SaysThatUnitsAreTiedToALayerThatWasNotChosen) {
  Rng rng(5);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
  const std::string first = builder.Recurrent(CellKind::kGruCell, 4).value();
  builder.Recurrent(CellKind::kGruCell, 4).Add(first).LastStep().Gemm(2);
  PruneSpec spec;
  spec.granularity = "unit";
  spec.weights = {"gru1.*"};
  ExpectError(MakePlan(ValueOrDie(builder.Finish()), spec).status(), Code::kUnsupported,
              {"gru1", "is added to one of gru0"});
}

TEST(MakePlan, SaysWhyNoUnitCanBeRemoved) {
  Rng rng(5);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Finish());
  PruneSpec spec;
  spec.granularity = "unit";
  ExpectError(MakePlan(graph, spec).status(), Code::kUnsupported,
              {"gru0", "reaches output 'last_step0.out'"});
}

}  // namespace
}  // namespace espalier
