#include "prune/plan.h"

#include <algorithm>
#include <cmath>

#include "model/build.h"
#include "prune/plan_test_support.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::ExpectError;
using ::espalier::testing::KeptIn;
using ::espalier::testing::Masks;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::Words;

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

TEST(MakeMasks, KeepsTheExactCountOfEachGateUnderUniformPerGate) {
  PruneSpec spec;
  spec.per = "gate";
  const MaskSet masks = Masks(Digits(), spec);
  for (const auto& [name, mask] : masks) {
    const size_t gates = name.starts_with("lstm") ? 4 : 3;
    const size_t size = mask.keep.size() / gates;
    for (size_t gate = 0; gate < gates; ++gate) {
      const auto first = mask.keep.begin() + static_cast<ptrdiff_t>(gate * size);
      EXPECT_EQ(std::count(first, first + static_cast<ptrdiff_t>(size), 1),
                static_cast<ptrdiff_t>(size - size * 9 / 10))
          << name << " gate " << gate;
    }
  }
}

TEST(MakeMasks, KeepsTheExactCountUnderEveryAllocationThatShares) {
  const Graph graph = Digits();
  const size_t size = 2304 + 2688 + 1200 + 1440;
  for (const char* allocation : {"global", "class_distribution", "lamp", "erk", "sensitivity"}) {
    for (const double sparsity : {0.5, 0.9, 0.97}) {
      PruneSpec spec;
      spec.allocation = allocation;
      spec.sparsity = sparsity;
      for (const char* name :
           {"gru0.weight_hh", "gru0.weight_ih", "lstm0.weight_hh", "lstm0.weight_ih"}) {
        spec.losses[name] = {{0.0, 1.0},
                             {0.8, 1.1 + 0.1 * static_cast<double>(spec.losses.size())}};
      }
      EXPECT_EQ(KeptIn(Masks(graph, spec)),
                static_cast<size_t>(KeepBudget(sparsity, static_cast<int64_t>(size))))
          << allocation << " at " << sparsity;
    }
  }
}

TEST(MakeMasks, GivesEachTensorAndGateItsOwnSparsity) {
  PruneSpec spec;
  spec.sparsities = {{"lstm0.weight_ih", 0.5},
                     {"lstm0.weight_hh[i]", 0.75},
                     {"lstm0.weight_hh[o]", 0.25},
                     {"gru0.*", 0.9}};
  const Plan plan = ValueOrDie(MakePlan(Digits(), spec));
  EXPECT_EQ(plan.per, Per::kGate);
  EXPECT_STREQ(plan.allocation->name, "given");
  const Graph graph = Digits();
  const MaskSet masks = ValueOrDie(MakeMasks(plan, plan.sparsity, StatisticsOf(graph.weights), {}));
  EXPECT_EQ(masks.at("lstm0.weight_ih").Sparsity(), 0.5);
  EXPECT_EQ(masks.at("gru0.weight_hh").Sparsity(), 0.9);
  const Mask& hh = masks.at("lstm0.weight_hh");
  const size_t gate = 24 * 24;
  const size_t expected[] = {gate / 4, gate, gate, gate * 3 / 4};
  for (size_t i = 0; i < 4; ++i) {
    const auto first = hh.keep.begin() + static_cast<ptrdiff_t>(i * gate);
    EXPECT_EQ(std::count(first, first + static_cast<ptrdiff_t>(gate), 1),
              static_cast<ptrdiff_t>(expected[i]));
  }
  // Half way there, each has lost half.
  const MaskSet half =
      ValueOrDie(MakeMasks(plan, plan.sparsity / 2, StatisticsOf(graph.weights), {}));
  EXPECT_EQ(half.at("lstm0.weight_ih").Sparsity(), 0.25);
}

// Each gate's rows of a matrix, [96, cols] or [60, cols], that are kept.
std::vector<size_t> KeptOfGates(const Mask& mask, size_t gates) {
  std::vector<size_t> kept(gates, 0);
  for (size_t i = 0; i < mask.keep.size(); ++i) kept[i * gates / mask.keep.size()] += mask.keep[i];
  return kept;
}

TEST(MakeMasks, CutsTheGatesThatWeightsNameAlone) {
  const Graph graph = Digits();
  PruneSpec spec;
  spec.sparsity = 0.75;
  spec.weights = {"lstm0.weight_hh[f]", "*.weight_ih[o]", "gru0.weight_hh"};
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  EXPECT_EQ(plan.per, Per::kGate);
  ASSERT_EQ(plan.cut.pools.size(), 5u);
  EXPECT_EQ(plan.cut.pools[3].name, "lstm0.weight_hh[f]");
  EXPECT_EQ(plan.cut.pools[4].name, "lstm0.weight_ih[o]");
  const MaskSet masks = Masks(graph, spec);
  ASSERT_EQ(masks.size(), 3u);
  const size_t hh = 24 * 24, ih = 24 * 28, gru = 20 * 20;
  EXPECT_EQ(KeptOfGates(masks.at("lstm0.weight_hh"), 4), (std::vector{hh, hh / 4, hh, hh}));
  EXPECT_EQ(KeptOfGates(masks.at("lstm0.weight_ih"), 4), (std::vector{ih, ih, ih, ih / 4}));
  EXPECT_EQ(KeptOfGates(masks.at("gru0.weight_hh"), 3), (std::vector{gru / 4, gru / 4, gru / 4}));
}

TEST(MakeMasks, LeavesTheMasksOfGatesThatWeightsDoNotName) {
  const Graph graph = Digits();
  PruneSpec spec;
  spec.sparsity = 0.5;
  spec.weights = {"lstm0.weight_hh"};
  const Mask before = Masks(graph, spec).at("lstm0.weight_hh");
  spec.sparsity = 0.75;
  spec.weights = {"lstm0.weight_hh[g]"};
  const Mask after = Masks(graph, spec, {{"lstm0.weight_hh", before}}).at("lstm0.weight_hh");
  for (size_t i = 0; i < after.keep.size(); ++i) {
    const size_t gate = i * 4 / after.keep.size();
    if (gate == 2) {
      EXPECT_LE(after.keep[i], before.keep[i]) << i;
    } else {
      EXPECT_EQ(after.keep[i], before.keep[i]) << i;
    }
  }
  EXPECT_EQ(KeptOfGates(after, 4)[2], 24u * 24u / 4u);
}

TEST(MakeMasks, CutsGateRowsOfTheGatesThatWeightsName) {
  PruneSpec spec;
  spec.granularity = "gate_row";
  spec.sparsity = 0.5;
  spec.weights = {"lstm0.weight_hh[f]", "gru0.weight_ih[n]"};
  const Plan plan = ValueOrDie(MakePlan(Digits(), spec));
  ASSERT_EQ(plan.cut.pools.size(), 2u);
  EXPECT_EQ(plan.cut.pools[0].name, "lstm0[f]");
  EXPECT_EQ(plan.targets.size(), 4u);
  const MaskSet masks = Masks(Digits(), spec);
  EXPECT_EQ(KeptOfGates(masks.at("lstm0.weight_hh"), 4),
            (std::vector<size_t>{24 * 24, 12 * 24, 24 * 24, 24 * 24}));
  EXPECT_EQ(KeptOfGates(masks.at("lstm0.weight_ih"), 4),
            (std::vector<size_t>{24 * 28, 12 * 28, 24 * 28, 24 * 28}));
  EXPECT_EQ(KeptOfGates(masks.at("gru0.weight_hh"), 3),
            (std::vector<size_t>{20 * 20, 20 * 20, 10 * 20}));
  spec.weights = {"lstm0.weight_hh[f]"};
  EXPECT_EQ(ValueOrDie(MakePlan(Digits(), spec)).targets.size(), 2u) << "nothing of the GRU";
}

TEST(MakeMasks, MasksAGateRowInBothMatrices) {
  PruneSpec spec;
  spec.granularity = "gate_row";
  spec.sparsity = 0.5;
  spec.weights = {"lstm0.weight_hh"};
  const MaskSet masks = Masks(Digits(), spec);
  ASSERT_EQ(masks.size(), 2u);
  const Mask& ih = masks.at("lstm0.weight_ih");
  const Mask& hh = masks.at("lstm0.weight_hh");
  size_t rows = 0;
  for (size_t row = 0; row < 96; ++row) {
    rows += hh.keep[row * 24];
    for (size_t col = 0; col < 24; ++col) EXPECT_EQ(hh.keep[row * 24 + col], hh.keep[row * 24]);
    for (size_t col = 0; col < 28; ++col) EXPECT_EQ(ih.keep[row * 28 + col], hh.keep[row * 24]);
  }
  EXPECT_EQ(rows, 48u);
}

TEST(MakeMasks, MasksAnInputFeatureInBothDirections) {
  PruneSpec spec;
  spec.granularity = "input_feature";
  spec.sparsity = 0.5;
  spec.weights = {"*.weight_ih"};  // the forward direction's
  const MaskSet masks = Masks(Words(), spec);
  ASSERT_EQ(masks.size(), 2u);
  EXPECT_EQ(masks.at("lstm0.weight_ih"), masks.at("lstm0.weight_ih_reverse"));
  EXPECT_EQ(masks.at("lstm0.weight_ih").KeptCount(), 8u * 48u);
}

TEST(MakeMasks, MasksAnEmbeddingColumnInEveryConsumer) {
  PruneSpec spec;
  spec.granularity = "embedding_column";
  spec.sparsity = 0.75;
  const MaskSet masks = Masks(Words(), spec);
  ASSERT_EQ(masks.size(), 3u);
  const Mask& table = masks.at("embedding0.weight");
  EXPECT_EQ(table.KeptCount(), 4u * 50u);
  for (const char* name : {"lstm0.weight_ih", "lstm0.weight_ih_reverse"}) {
    const Mask& reader = masks.at(name);
    for (size_t i = 0; i < reader.keep.size(); ++i) EXPECT_EQ(reader.keep[i], table.keep[i % 16]);
  }
}

TEST(MakeMasks, MasksWholeMatrices) {
  PruneSpec spec;
  spec.granularity = "layer";
  spec.sparsity = 0.6;
  const MaskSet masks = Masks(Digits(), spec);
  size_t whole = 0;
  for (const auto& [name, mask] : masks) {
    EXPECT_TRUE(mask.KeptCount() == 0 || mask.Sparsity() == 0.0) << name;
    whole += mask.KeptCount() != 0;
  }
  EXPECT_GE(whole, 1u);
  EXPECT_LT(whole, 4u);
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
  expect([](PruneSpec* s) { s->allocation = "global", s->floor = 0.2; },
         {"floor: at most 1 - sparsity", "0.2 found",
          "gru0.weight_hh keeps 240 of 1200 weights and not 120"});
  expect([](PruneSpec* s) { s->allocation = "lamp", s->floor = 0.2, s->granularity = "unit"; },
         {"floor", "0.2 found", "lstm0 keeps 5 of 24 units and not 3"});
  expect([](PruneSpec* s) { s->allocation = "erk", s->sparsity = 0.99, s->granularity = "row"; },
         {"floor: at most 77 weights", "340 found", "gru0.weight_hh 60 of 1200"});
  expect([](PruneSpec* s) { s->floor = 0.2; }, {"floor", "uniform", "0.2 found"});
  expect(
      [](PruneSpec* s) {
        s->granularity = "diagonal_8x1", s->sparsity = 0.98, s->weights = {"lstm0.weight_hh"};
      },
      {"lstm0.weight_hh", "the 96 weights", "diagonal_8x1"});
  expect([](PruneSpec* s) { s->per = "gates"; }, {"per", "did you mean 'gate'"});
  expect([](PruneSpec* s) { s->granularity = "slot_8x16", s->per = "gate"; },
         {"gru0.weight_hh[r]", "slot_8x16", "slot_4x16"});
  expect([](PruneSpec* s) { s->granularity = "row", s->sparsity = 0.99, s->per = "gate"; },
         {"gru0.weight_hh[r]", "at least 1 piece", "20 of 400 weights", "0.99", "uniform"});
  expect([](PruneSpec* s) { s->allocation = "given"; }, {"sparsity", "list"});
  expect(
      [](PruneSpec* s) {
        s->sparsities = {{"*", 0.5}}, s->allocation = "lamp";
      },
      {"allocation: given expected", "lamp found"});
  expect([](PruneSpec* s) { s->sparsities = {{"*", 0.5}}, s->weights = {"gru0.*"}; }, {"weights"});
  expect(
      [](PruneSpec* s) {
        s->sparsities = {{"*.weight_hh", 0.5}, {"gru0.*", 0.6}};
      },
      {"gru0.weight_hh", "'*.weight_hh' and 'gru0.*'"});
  expect(
      [](PruneSpec* s) {
        s->sparsities = {{"gru0.weight_hh[i]", 0.5}};
      },
      {"gru0.weight_hh[i]", "gru0.weight_hh[r]"});
  expect([](PruneSpec* s) { s->sparsities = {{"gru1.*", 0.5}}; }, {"'gru1.*'"});
  expect(
      [](PruneSpec* s) {
        s->weights = {"lstm0.*", "gru0.weight_hh[i]"};
      },
      {"weights: pattern 'gru0.weight_hh[i]'", "gru0.weight_hh[r]"});
  expect([](PruneSpec* s) { s->weights = {"gemm0.weight[f]"}; },
         {"weights: pattern 'gemm0.weight[f]'"});
  expect([](PruneSpec* s) { s->sparsities = {{"gru0.*", 1.0}}; }, {"sparsity.gru0.*", "1 found"});
  expect([](PruneSpec* s) { s->sparsities = {{"gru0.*", 0.0}}; }, {"above 0"});
  expect([](PruneSpec* s) { s->allocation = "sensitivity"; }, {"losses of a scan"});
  expect(
      [](PruneSpec* s) {
        s->allocation = "sensitivity", s->losses = {{"lstm9", {}}};
      },
      {"losses of gru0.weight_hh expected", "lstm9 found"});
  expect([](PruneSpec* s) { s->granularity = "embedding_row"; }, {"an Embedding node expected"});
  expect([](PruneSpec* s) { s->granularity = "input_feature", s->weights = {"*.weight_hh"}; },
         {"'*.weight_hh'", "gru0.weight_ih, lstm0.weight_ih"});
  expect([](PruneSpec* s) { s->multiple = 0; }, {"multiple", "0 found"});
  expect([](PruneSpec* s) { s->multiple = 8; }, {"multiple", "granularity is not unit", "8 found"});
  expect([](PruneSpec* s) { s->multiple = 21, s->granularity = "unit"; },
         {"multiple", "gru0", "20"});
  expect([](PruneSpec* s) { s->weights = {"gru1.weight_hh"}; },
         {"'gru1.weight_hh'", "did you mean 'gru0.weight_hh'"});
  expect([](PruneSpec* s) { s->granularity = "slot_16x16", s->weights = {"gemm0.weight"}; },
         {"gemm0.weight", "slot_16x16", "slot_8x16"});
}

TEST(MakePlan, RefusesPiecesOfOneGateWhereAPieceSpansGates) {
  for (const char* granularity : {"unit", "input_feature", "layer"}) {
    PruneSpec spec;
    spec.granularity = granularity;
    spec.per = "gate";
    ExpectError(MakePlan(Digits(), spec).status(), Code::kUnsupported, {granularity, "per gate"});
    spec.per = "";
    spec.weights = {"lstm0.weight_ih[f]"};
    ExpectError(MakePlan(Digits(), spec).status(), Code::kUnsupported, {granularity, "per gate"});
  }
}

TEST(MakePlan, SaysWhyNoEmbeddingColumnCanGo) {
  Rng rng(5);
  GraphBuilder builder("words", {"x", {Element::kI32, Layout::kSequence, 50}}, &rng);
  const std::string first = builder.Embedding(12).value();
  builder.Recurrent(CellKind::kLstmCell, 12).Add(first).MeanOverTime().Gemm(4);
  PruneSpec spec;
  spec.granularity = "embedding_column";
  ExpectError(MakePlan(ValueOrDie(builder.Finish()), spec).status(), Code::kUnsupported,
              {"embedding0.weight", "is one with what lstm0."});
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
              {"gru1", "goes together with one of gru0"});
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
