#include "prune/dynamic.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "model/build.h"
#include "prune/compact.h"
#include "prune/coupling.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

Graph TwoLayers() {
  Rng rng(1);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 5, {Direction::kBidirectional, 0.0});
  return ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Gemm(2).Finish());
}

TEST(Dynamic, PutsItsRulesIntoTheLayersThatAreNamed) {
  const Graph graph = TwoLayers();
  DynamicSpec delta{.name = "delta", .layers = {"gru*"}, .x = 0.25, .h = 0.5, .bank = 2};
  DynamicSpec skip{.name = "skip"};
  const DynamicSpec specs[] = {delta, skip};
  const Graph changed = ValueOrDie(WithDynamic(graph, specs));
  EXPECT_EQ(FindNode(changed, "gru0")->delta, (Delta{0.25, 0.5, 2}));
  EXPECT_FALSE(FindNode(changed, "lstm0")->delta.has_value());
  for (const char* name : {"lstm0.bias_skip", "lstm0.bias_skip_reverse", "gru0.bias_skip"}) {
    EXPECT_EQ(changed.weights.at(name).values, std::vector<float>{1.0f}) << name;
  }
}

// Before training a layer that skips does not: sigmoid(1) is above a half.
TEST(Dynamic, BeginsAsTheNetworkThatItIsPutInto) {
  const Graph graph = TwoLayers();
  const DynamicSpec specs[] = {{.name = "delta", .layers = {"lstm0"}},
                               {.name = "skip"},
                               {.name = "banks", .layers = {"gru0"}, .banks = {3, 0}}};
  const Graph changed = ValueOrDie(WithDynamic(graph, specs));
  Rng rng(2);
  const Batch batch = RandomBatch(graph, 7, 4, 0, &rng);
  StateSet a = ZeroStates(graph, 4), b = ZeroStates(changed, 4);
  EXPECT_EQ(ValueOrDie(RunReference(graph, batch, &a)).at(graph.outputs[0]).values,
            ValueOrDie(RunReference(changed, batch, &b)).at(graph.outputs[0]).values);
}

TEST(Dynamic, KeepsWhatWasLearnedWhenItIsPutInAgain) {
  const DynamicSpec specs[] = {{.name = "skip"}};
  Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  graph.weights.at("gru0.weight_skip").values = {1, 2, 3, 4};
  EXPECT_EQ(ValueOrDie(WithDynamic(graph, specs)), graph);
  const DynamicSpec banks[] = {{.name = "banks", .layers = {"gru0"}, .banks = {2, 0}}};
  graph = ValueOrDie(WithDynamic(graph, banks));
  graph.weights.at("gru0.bias_banks").values = {1, 2};
  EXPECT_EQ(ValueOrDie(WithDynamic(graph, banks)), graph);
  const DynamicSpec top[] = {{.name = "banks", .layers = {"gru0"}, .banks = {2, 1}}};
  Graph with_top = ValueOrDie(WithDynamic(graph, top));
  EXPECT_EQ(with_top.weights, graph.weights);
  EXPECT_EQ(FindNode(with_top, "gru0")->banks, (UnitBanks{2, 1}));
  const DynamicSpec other[] = {{.name = "banks", .layers = {"gru0"}, .banks = {3, 0}}};
  ExpectError(WithDynamic(graph, other).status(), Code::kInvalidArgument,
              {"gru0.banks.size", "2, as the layer has", "3 found"});
}

TEST(Dynamic, RefusesWhatAMethodDoesNotRead) {
  const auto expect = [](const DynamicSpec& spec, const std::vector<std::string>& parts) {
    ExpectError(WithDynamic(TwoLayers(), std::span(&spec, 1)).status(), Code::kInvalidArgument,
                parts);
  };
  expect({.name = "skp"}, {"'skp'", "delta, skip, banks, idle, predicted", "did you mean 'skip'"});
  expect({.name = "delta", .layers = {}, .x = 0.1}, {"delta", "layers", "at least one pattern"});
  expect({.name = "skip", .epsilon = 0.1}, {"skip", "epsilon", "reads none", "0.1"});
  expect({.name = "predicted", .layers = {"gru0"}, .predictor = 9},
         {"gru0.predicted.size", "1 to 8", "9 found"});
  expect({.name = "idle", .predictor = 8}, {"idle", "predictor", "reads none", "8"});
  expect({.name = "idle", .epsilon = 0.75}, {"idle", "epsilon", "0 to 0.5", "0.75"});
  expect({.name = "predicted", .epsilon = -0.1}, {"predicted", "epsilon", "0 to 0.5", "-0.1"});
  expect({.name = "predicted", .epsilon = std::nan("")}, {"predicted", "epsilon", "nan"});
  expect({.name = "predicted", .predictor = 0}, {"predicted", "predictor", "1 to 16777216", "0"});
  expect({.name = "skip", .x = 0.1}, {"skip", "x", "reads none", "0.1"});
  expect({.name = "skip", .bank = 2}, {"skip", "bank", "reads none", "2"});
  expect({.name = "skip", .banks = {8, 0}}, {"skip", "size", "reads none", "8"});
  expect({.name = "delta", .banks = {32, 1}}, {"delta", "top", "reads none", "1"});
  expect({.name = "banks", .bank = 2}, {"banks", "bank", "reads none", "2"});
  expect({.name = "banks", .banks = {0, 0}}, {"banks", "size", "at least 1", "0"});
  expect({.name = "banks", .banks = {2, -1}}, {"banks", "top", "at least 0", "-1"});
  expect({.name = "banks", .banks = {8, 0}}, {"lstm0.banks.size", "1 to 5", "8"});
  expect({.name = "banks", .layers = {"gru0"}, .banks = {2, 3}}, {"gru0.banks.top", "0 to 2", "3"});
  expect({.name = "banks", .banks = {std::numeric_limits<int64_t>::max(), 0}},
         {"lstm0.banks.size", "1 to 5"});
  expect({.name = "delta", .h = -1.0}, {"delta", "h", "at least 0", "-1"});
  expect({.name = "delta", .x = std::nan("")}, {"delta", "x", "nan"});
  expect({.name = "delta", .bank = 1000}, {"bank", "1 to 256", "1000"});
  expect({.name = "delta", .layers = {"lstm1"}}, {"layers", "lstm1", "lstm0", "gru0"});
}

TEST(Dynamic, RefusesALayerTwice) {
  const DynamicSpec specs[] = {{.name = "delta", .layers = {"lstm0"}, .x = 0.5},
                               {.name = "delta", .layers = {"*"}, .h = 0.5}};
  ExpectError(WithDynamic(TwoLayers(), specs).status(), Code::kInvalidArgument,
              {"dynamic method delta", "'lstm0' found twice"});
}

// Nothing is left out with epsilons of 0; a predictor that is there stays, one of another size is
// made anew.
TEST(Dynamic, PutsInPredictorsAndIdleCandidates) {
  const Graph graph = TwoLayers();
  const DynamicSpec specs[] = {{.name = "idle"}, {.name = "predicted", .predictor = 3}};
  Graph changed = ValueOrDie(WithDynamic(graph, specs));
  EXPECT_EQ(FindNode(changed, "gru0")->idle, IdleCandidates{});
  EXPECT_EQ(FindNode(changed, "lstm0")->predicted, (PredictedRows{3, 0.0}));
  EXPECT_EQ(changed.weights.at("lstm0.weight_predict_reverse").shape,
            (std::vector<int64_t>{20, 3}));
  EXPECT_EQ(changed.weights.at("gru0.weight_predict").shape, (std::vector<int64_t>{8, 3}));
  EXPECT_THAT(PrunableWeights(changed), ::testing::Not(::testing::Contains("gru0.weight_predict")));
  Rng rng(2);
  const Batch batch = RandomBatch(graph, 7, 4, 0, &rng);
  StateSet a = ZeroStates(graph, 4), b = ZeroStates(changed, 4);
  EXPECT_EQ(ValueOrDie(RunReference(graph, batch, &a)).at(graph.outputs[0]).values,
            ValueOrDie(RunReference(changed, batch, &b)).at(graph.outputs[0]).values);
  changed.weights.at("gru0.bias_predict").values[0] = 5.0f;
  const DynamicSpec again[] = {{.name = "predicted", .epsilon = 0.1, .predictor = 3}};
  EXPECT_EQ(ValueOrDie(WithDynamic(changed, again)).weights, changed.weights);
  const DynamicSpec other[] = {{.name = "predicted", .predictor = 2}};
  EXPECT_EQ(ValueOrDie(WithDynamic(changed, other)).weights.at("gru0.weight_predict").shape,
            (std::vector<int64_t>{8, 2}));
}

TEST(Dynamic, UnitsThatAPredictorSaysStay) {
  const DynamicSpec specs[] = {{.name = "predicted", .layers = {"gru0"}, .predictor = 5}};
  Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  for (const char* name : {"gru0.weight_predict_ih", "gru0.weight_predict"}) {
    std::fill(graph.weights.at(name).values.begin(), graph.weights.at(name).values.end(), 1.0f);
  }
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  keep[static_cast<size_t>(coupling.layers.back().groups[0])] = 0;
  ExpectError(ValidateKeep(coupling, keep), Code::kInvalidArgument, {"gru0", "predicts rows"});
  // Those that it reads may go.
  keep.assign(coupling.groups.size(), 1);
  for (const UnitLayer& layer : coupling.layers) {
    if (layer.node == "lstm0") keep[static_cast<size_t>(layer.groups[1])] = 0;
  }
  const Graph compact = ValueOrDie(Compact(graph, coupling, keep));
  EXPECT_EQ(compact.weights.at("gru0.weight_predict_ih").shape, (std::vector<int64_t>{5, 8}));
  // One that only the predictor reads is not dead; one that nothing reads is.
  EXPECT_EQ(ValueOrDie(CompactZeros(graph)).graph, graph);
  for (Tensor* weight :
       {&graph.weights.at("gru0.weight_ih"), &graph.weights.at("gru0.weight_predict_ih"),
        &graph.weights.at("lstm0.weight_hh"), &graph.weights.at("lstm0.weight_hh_reverse")}) {
    for (size_t i = 1; i < weight->size(); i += static_cast<size_t>(weight->dim(1))) {
      weight->values[i] = 0.0f;                                // of unit 1
      if (weight->dim(1) == 10) weight->values[i + 5] = 0.0f;  // and of the reverse direction
    }
    const size_t left = ValueOrDie(CompactZeros(graph)).graph.weights.at("lstm0.weight_hh").size();
    const bool is_last = weight == &graph.weights.at("lstm0.weight_hh_reverse");
    EXPECT_EQ(left, is_last ? size_t{4 * 4 * 4} : size_t{4 * 5 * 5});
  }
}

TEST(Dynamic, RefusesALayerThatCannotHaveIt) {
  Rng rng(1);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruResetBeforeCell, 4).Finish());
  const DynamicSpec specs[] = {{.name = "delta"}};
  ExpectError(WithDynamic(graph, specs).status(), Code::kUnsupported,
              {"delta", "gru_reset_before0", "r * h"});
}

// Masked and compacted agree, from any state: a unit that is removed weighs nothing in the gain,
// and what its changes sent is multiplied by 0.
TEST(Dynamic, UnitsOfItsLayersCanBeRemoved) {
  const DynamicSpec specs[] = {{.name = "delta", .x = 0.2, .h = 0.1}, {.name = "skip"}};
  Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  Rng rng(3);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("weight_skip") == std::string::npos) continue;
    for (float& value : weight.values) value = rng.Uniform(-2.0f, 2.0f);
  }
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  for (const UnitLayer& layer : coupling.layers) keep[static_cast<size_t>(layer.groups[1])] = 0;
  const MaskSet masks = UnitMasks(coupling, keep);
  Graph masked = graph;
  for (const auto& [name, mask] : masks) {
    std::vector<float>& values = masked.weights.at(name).values;
    for (size_t i = 0; i < values.size(); ++i) values[i] *= mask.keep[i];
  }
  EXPECT_EQ(masked.weights.at("gru0.weight_skip").values[1], 0.0f);
  const Graph compact = ValueOrDie(Compact(graph, coupling, keep));
  EXPECT_EQ(compact.weights.at("gru0.weight_skip").shape, std::vector<int64_t>{3});
  for (int repetition = 0; repetition < 10; ++repetition) {
    const Batch batch = RandomBatch(graph, 9, 3, 0, &rng);
    StateSet states = RandomStates(graph, 3, &rng);
    StateSet compact_states = ValueOrDie(CompactStates(coupling, keep, states));
    const auto expected = ValueOrDie(RunReference(masked, batch, &states));
    const auto found = ValueOrDie(RunReference(compact, batch, &compact_states));
    EXPECT_LT(
        MaxAbsDifference(expected.at(graph.outputs[0]).values, found.at(graph.outputs[0]).values),
        1e-6);
  }
}

TEST(Dynamic, AUnitThatOnlyTheGainReadsIsNotDead) {
  const DynamicSpec specs[] = {{.name = "skip"}};
  Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  const auto zero_columns = [&](const std::string& name, int64_t unit) {
    Tensor& weight = graph.weights.at(name);
    for (int64_t row = 0; row < weight.dim(0); ++row) {
      weight.values[static_cast<size_t>(row * weight.dim(1) + unit)] = 0.0f;
    }
  };
  for (const char* name : {"gru0.weight_hh", "gemm0.weight"}) {
    zero_columns(name, 1);
    zero_columns(name, 2);
  }
  graph.weights.at("gru0.weight_skip").values = {0.0f, 0.5f, 0.0f, 0.0f};
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const auto kept = KeptUnits(coupling, FindDeadUnits(graph, coupling));
  EXPECT_EQ(kept.at("gru0"), (std::vector<int64_t>{0, 1, 3}));
}

TEST(Dynamic, UnitsOfABankStay) {
  const DynamicSpec specs[] = {{.name = "delta", .layers = {"gru0"}, .h = 0.1, .bank = 2}};
  const Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  keep[static_cast<size_t>(coupling.layers.back().groups[0])] = 0;
  ExpectError(ValidateKeep(coupling, keep), Code::kInvalidArgument, {"gru0", "bank of gru0"});
}

// Units of a layer with banks stay; those of the layer that it reads go with their columns of the
// scores.
TEST(Dynamic, BanksLetTheUnitsThatTheyReadGo) {
  const DynamicSpec specs[] = {{.name = "banks", .layers = {"gru0"}, .banks = {2, 0}}};
  Graph graph = ValueOrDie(WithDynamic(TwoLayers(), specs));
  EXPECT_THAT(PrunableWeights(graph), ::testing::Not(::testing::Contains("gru0.weight_banks_ih")));
  Rng rng(4);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("_banks") == std::string::npos) continue;
    for (float& value : weight.values) value = rng.Uniform(-1.0f, 1.0f);
  }
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  keep[static_cast<size_t>(coupling.layers.back().groups[0])] = 0;
  ExpectError(ValidateKeep(coupling, keep), Code::kInvalidArgument, {"gru0", "bank of gru0"});
  keep.assign(coupling.groups.size(), 1);
  for (const UnitLayer& layer : coupling.layers) {
    if (layer.node == "lstm0") keep[static_cast<size_t>(layer.groups[1])] = 0;
  }
  Graph masked = graph;
  for (const auto& [name, mask] : UnitMasks(coupling, keep)) {
    std::vector<float>& values = masked.weights.at(name).values;
    for (size_t i = 0; i < values.size(); ++i) values[i] *= mask.keep[i];
  }
  const Graph compact = ValueOrDie(Compact(graph, coupling, keep));
  EXPECT_EQ(compact.weights.at("gru0.weight_banks_ih").shape, (std::vector<int64_t>{2, 8}));
  EXPECT_EQ(compact.weights.at("gru0.weight_banks_hh"), graph.weights.at("gru0.weight_banks_hh"));
  const Batch batch = RandomBatch(graph, 9, 3, 0, &rng);
  StateSet states = ZeroStates(graph, 3), compact_states = ZeroStates(compact, 3);
  EXPECT_LT(
      MaxAbsDifference(
          ValueOrDie(RunReference(masked, batch, &states)).at(graph.outputs[0]).values,
          ValueOrDie(RunReference(compact, batch, &compact_states)).at(graph.outputs[0]).values),
      1e-6);
}

}  // namespace
}  // namespace espalier
