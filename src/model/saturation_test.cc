// Idle candidates and predicted rows in the reference executor, by hand and by what they promise.
#include "cells/saturation.h"

#include <cmath>

#include "base/bytes.h"
#include "model/build.h"
#include "model/serialize.h"
#include "model/without_rules.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

Graph Layer(CellKind cell, int64_t hidden, std::optional<IdleCandidates> idle,
            std::optional<PredictedRows> predicted, uint64_t seed = 1) {
  Rng rng(seed);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.idle = idle;
  options.predicted = predicted;
  return ValueOrDie(builder.Recurrent(cell, hidden, options).Finish());
}

constexpr CellKind kSaturating[] = {CellKind::kLstmCell, CellKind::kGruCell,
                                    CellKind::kGruResetBeforeCell};

// One step of one sequence whose x is 0.
std::vector<float> StepFrom(const Graph& graph, StateSet states) {
  Batch batch;
  batch.steps = batch.size = 1;
  batch.features.assign(static_cast<size_t>(graph.inputs[0].type.features), 0.0f);
  batch.lengths = {1};
  return ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]).values;
}

TEST(Saturation, LimitsAreWhereGatesAreThatNearToAnEnd) {
  EXPECT_NEAR(Sigmoid(double{SaturationLimit(0.02f, false)}), 0.98, 1e-7);
  EXPECT_NEAR(Sigmoid(-double{SaturationLimit(0.3f, false)}), 0.3, 1e-7);
  EXPECT_NEAR(std::tanh(double{SaturationLimit(0.02f, true)}), 0.98, 1e-7);
  EXPECT_TRUE(std::isinf(SaturationLimit(0.0f, false)));
}

// One unit without weights, so that biases are the sums: i, f, g, o and r, z, n.
TEST(Saturation, AnIdleCandidateIsZero) {
  const auto run = [](CellKind cell, const std::vector<float>& bias, double epsilon) {
    Graph graph = Layer(cell, 1, IdleCandidates{epsilon}, {});
    for (auto& [name, weight] : graph.weights) weight.values.assign(weight.size(), 0.0f);
    const std::string name = graph.nodes[0].name;
    graph.weights.at(name + ".bias_ih").values = bias;
    StateSet states = ZeroStates(graph, 1);
    for (auto& [state, values] : states) values = {0.5f};
    return StepFrom(graph, states)[0];
  };
  // i = 0.0474: idle for 0.05, not for 0.04.
  const double c = Sigmoid(1.0) * 0.5, i = Sigmoid(-3.0), g = std::tanh(0.7), o = Sigmoid(0.5);
  EXPECT_NEAR(run(CellKind::kLstmCell, {-3.0f, 1.0f, 0.7f, 0.5f}, 0.05), o * std::tanh(c), 1e-7);
  EXPECT_NEAR(run(CellKind::kLstmCell, {-3.0f, 1.0f, 0.7f, 0.5f}, 0.04), o * std::tanh(c + i * g),
              1e-7);
  // An i near 1 is no reason.
  EXPECT_NEAR(run(CellKind::kLstmCell, {3.0f, 1.0f, 0.7f, 0.5f}, 0.05),
              o * std::tanh(c + (1.0 - i) * g), 1e-7);
  const double z = Sigmoid(3.0), n = std::tanh(0.7);
  for (const CellKind cell : {CellKind::kGruCell, CellKind::kGruResetBeforeCell}) {
    EXPECT_NEAR(run(cell, {0.3f, 3.0f, 0.7f}, 0.05), z * 0.5, 1e-7);
    EXPECT_NEAR(run(cell, {0.3f, 3.0f, 0.7f}, 0.04), z * 0.5 + (1.0 - z) * n, 1e-7);
    EXPECT_NEAR(run(cell, {0.3f, -3.0f, 0.7f}, 0.05), (1.0 - z) * 0.5 + z * n, 1e-7);
  }
}

// A predictor that says 4 of the output gate, which is 0.5 in truth: taken where 0.982 is near
// enough to 1.
TEST(Saturation, APredictedRowIsWhatThePredictorSays) {
  const auto run = [](double epsilon) {
    Graph graph = Layer(CellKind::kLstmCell, 1, {}, PredictedRows{2, epsilon});
    for (auto& [name, weight] : graph.weights) weight.values.assign(weight.size(), 0.0f);
    graph.weights.at("lstm0.bias_hh").values = {0.2f, 0.4f, 0.6f, 0.5f};
    graph.weights.at("lstm0.weight_predict_hh").values = {1.0f, 0.0f};
    graph.weights.at("lstm0.weight_predict").values = {0, 0, 0, 0, 0, 0, 6.0f, 9.0f};
    graph.weights.at("lstm0.bias_predict").values = {0.0f, 0.0f, 0.0f, 1.0f};
    StateSet states = ZeroStates(graph, 1);
    states.at("lstm0.h") = {0.5f};
    return StepFrom(graph, states)[0];
  };
  const double c = Sigmoid(0.2) * std::tanh(0.6);
  EXPECT_NEAR(run(0.01), Sigmoid(0.5) * std::tanh(c), 1e-7);
  EXPECT_NEAR(run(0.02), Sigmoid(4.0) * std::tanh(c), 1e-7);
}

// From any state, in each step: LSTM by c, which the cell writes, GRU by h.
TEST(Saturation, IdleCandidatesMoveTheStateByLessThanEpsilon) {
  for (const CellKind cell : kSaturating) {
    for (const double epsilon : {0.1, 0.45}) {
      Graph graph = Layer(cell, 9, IdleCandidates{epsilon}, {});
      for (auto& [name, weight] : graph.weights) {
        for (float& value : weight.values) value *= 3.0f;
      }
      const Graph plain = WithoutRules(graph);
      Rng rng(5);
      double largest = 0.0;
      for (int repetition = 0; repetition < 50; ++repetition) {
        const Batch batch = RandomBatch(graph, 1, 2, 1, &rng);
        StateSet states = RandomStates(graph, 2, &rng), plain_states = states;
        ValueOrDie(RunReference(graph, batch, &states));
        ValueOrDie(RunReference(plain, batch, &plain_states));
        const std::string name = graph.nodes[0].name + (InfoOf(cell).has_cell_state ? ".c" : ".h");
        largest = std::max(largest, MaxAbsDifference(states.at(name), plain_states.at(name)));
      }
      EXPECT_LT(largest, epsilon) << InfoOf(cell).name;
      EXPECT_GT(largest, epsilon / 10.0) << InfoOf(cell).name;  // something was left out
    }
  }
}

TEST(Saturation, EpsilonsOfZeroAreThePlainCell) {
  for (const CellKind cell : kSaturating) {
    const Graph graph = Layer(cell, 6, IdleCandidates{}, PredictedRows{4, 0.0});
    Rng rng(2);
    const Batch batch = RandomBatch(graph, 9, 4, 0, &rng);
    StateSet states = ZeroStates(graph, 4), plain_states = states;
    const auto found = ValueOrDie(RunReference(graph, batch, &states));
    const auto expected = ValueOrDie(RunReference(WithoutRules(graph), batch, &plain_states));
    EXPECT_EQ(found.at(graph.outputs[0]).values, expected.at(graph.outputs[0]).values);
  }
}

TEST(Saturation, SurvivesSerialization) {
  for (const Graph& graph :
       {Layer(CellKind::kLstmCell, 4, IdleCandidates{0.125}, PredictedRows{3, 0.25}),
        Layer(CellKind::kGruCell, 4, IdleCandidates{0.125}, {}),
        Layer(CellKind::kGruCell, 4, {}, PredictedRows{3, 0.25})}) {
    ByteWriter writer;
    WriteGraph(graph, &writer);
    ByteReader reader(writer.bytes());
    EXPECT_EQ(ValueOrDie(ReadGraph(&reader)), graph);
  }
}

TEST(Saturation, RefusesWhatCannotBe) {
  const Graph graph = Layer(CellKind::kLstmCell, 4, IdleCandidates{}, PredictedRows{3, 0.0});
  const auto expect = [&](Code code, const std::vector<std::string>& parts, const auto& change) {
    Graph changed = graph;
    change(&changed.nodes[0]);
    ExpectError(ValidateGraph(changed), code, parts);
  };
  const double kNan = std::nan("");
  for (const double epsilon : {-0.1, 0.50001, kNan}) {
    expect(Code::kInvalidArgument, {"lstm0.idle.epsilon", "[0, 0.5]"},
           [&](Node* node) { node->idle->epsilon = epsilon; });
    expect(Code::kInvalidArgument, {"lstm0.predicted.epsilon", "[0, 0.5]"},
           [&](Node* node) { node->predicted->epsilon = epsilon; });
  }
  expect(Code::kInvalidArgument, {"lstm0.predicted.size", "1 to 7", "0 found"},
         [](Node* node) { node->predicted->size = 0; });
  expect(Code::kInvalidArgument, {"lstm0.weight_predict", "16x4", "16x3"},
         [](Node* node) { node->predicted->size = 4; });
  expect(Code::kInvalidArgument, {"lstm0.predicted.size", "1 to 7", "8 found"},
         [](Node* node) { node->predicted->size = 8; });
  for (const char* rule : {"idle", "predicted"}) {
    const auto only = [&](Node* node) {
      std::string(rule) == "idle" ? node->predicted.reset() : node->idle.reset();
    };
    const std::string name = std::string("lstm0.") + rule;
    expect(Code::kUnsupported, {name, "lstm, gru or gru_reset_before", "egru"}, [&](Node* node) {
      only(node);
      node->cell = CellKind::kEgruCell;
    });
    expect(Code::kUnsupported, {name, "without delta"}, [&](Node* node) {
      only(node);
      node->delta = Delta{};
    });
    expect(Code::kUnsupported, {name, "without banks"}, [&](Node* node) {
      only(node);
      node->banks = UnitBanks{2, 0};
    });
  }
}

}  // namespace
}  // namespace espalier
