// Delta, skipped updates and banks of units in the reference executor, by hand and by what they
// must not change.
#include <cmath>
#include <limits>

#include "model/build.h"
#include "model/reference.h"
#include "model/serialize.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr double kInf = std::numeric_limits<double>::infinity();

// h = relu(w x + r h), one unit.
Graph OneUnit(float w, float r, GraphBuilder::RecurrentOptions options) {
  Rng rng(1);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 1, options).Finish());
  graph.weights.at("rnn_relu0.weight_ih").values = {w};
  graph.weights.at("rnn_relu0.weight_hh").values = {r};
  graph.weights.at("rnn_relu0.bias_ih").values = {0.0f};
  graph.weights.at("rnn_relu0.bias_hh").values = {0.0f};
  return graph;
}

std::vector<float> OutputOf(const Graph& graph, const std::vector<float>& x) {
  const auto steps = static_cast<int64_t>(x.size()) / graph.inputs[0].type.features;
  const Batch batch{steps, 1, x, {}, {static_cast<int32_t>(steps)}};
  StateSet states = ZeroStates(graph, 1);
  return ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]).values;
}

GraphBuilder::RecurrentOptions WithDelta(const Delta& delta) {
  GraphBuilder::RecurrentOptions options;
  options.delta = delta;
  return options;
}

GraphBuilder::RecurrentOptions WithSkip() {
  GraphBuilder::RecurrentOptions options;
  options.skip = true;
  return options;
}

TEST(Delta, HoldsWhatHasNotChangedByTheThreshold) {
  const Graph graph = OneUnit(1.0f, 0.0f, WithDelta({0.5, 0.0, 1}));
  // 0.4 is not sent, 0.5 is (its change is the threshold), 0.9 is not, 1.1 is, -1 is.
  EXPECT_EQ(OutputOf(graph, {0.4f, 0.5f, 0.9f, 1.1f, 0.7f, -1.0f}),
            (std::vector<float>{0.0f, 0.5f, 0.5f, 1.1f, 1.1f, 0.0f}));
}

TEST(Delta, HoldsTheHiddenStateByItsOwnThreshold) {
  // h[t] = x[t] + what was sent of h[t-1].
  const Graph graph = OneUnit(1.0f, 1.0f, WithDelta({0.0, 1.0, 1}));
  EXPECT_EQ(OutputOf(graph, {0.75f, 0.25f, 1.0f, 0.0f}),
            (std::vector<float>{0.75f, 0.25f, 1.0f, 1.0f}));
}

TEST(Delta, SendsABankTogether) {
  Rng rng(1);
  GraphBuilder builder("bank", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 1, WithDelta({0.5, 0.0, 2})).Finish());
  graph.weights.at("rnn_relu0.weight_ih").values = {1.0f, 1.0f, 1.0f};
  for (const char* name : {"weight_hh", "bias_ih", "bias_hh"}) {
    graph.weights.at(std::string("rnn_relu0.") + name).values = {0.0f};
  }
  // 0.25 goes with 0.5 beside it; the third feature is a bank of its own.
  EXPECT_EQ(OutputOf(graph, {0.25f, 0.5f, 0.25f}), std::vector<float>{0.75f});
}

TEST(Delta, SendsNaN) {
  const Graph graph = OneUnit(1.0f, 0.0f, WithDelta({0.5, 0.5, 1}));
  const std::vector<float> h = OutputOf(graph, {std::numeric_limits<float>::quiet_NaN()});
  EXPECT_TRUE(std::isnan(h[0]));
}

TEST(Skip, UpdatesWhereItsGainsReachAHalf) {
  // gain = 0.3: after an update rest is 0.7, 0.4 after one skip.
  Graph graph = OneUnit(1.0f, 0.0f, WithSkip());
  graph.weights.at("rnn_relu0.weight_skip").values = {0.0f};
  graph.weights.at("rnn_relu0.bias_skip").values = {std::log(0.3f / 0.7f)};
  EXPECT_EQ(OutputOf(graph, {1, 2, 3, 4, 5, 6}), (std::vector<float>{1, 1, 3, 3, 5, 5}));
  // gain = 0.2: 0.8, 0.6, 0.4.
  graph.weights.at("rnn_relu0.bias_skip").values = {std::log(0.2f / 0.8f)};
  EXPECT_EQ(OutputOf(graph, {1, 2, 3, 4, 5, 6, 7}), (std::vector<float>{1, 1, 1, 4, 4, 4, 7}));
}

TEST(Skip, ReadsTheStateThatItMade) {
  // gain = sigmoid(2 - x): above a half until x is 3.
  Graph graph = OneUnit(1.0f, 0.0f, WithSkip());
  graph.weights.at("rnn_relu0.weight_skip").values = {-1.0f};
  graph.weights.at("rnn_relu0.bias_skip").values = {2.0f};
  EXPECT_EQ(OutputOf(graph, {1, 1.5f, 3, 4, 1}), (std::vector<float>{1, 1.5f, 3, 3, 1}));
}

// Two units, h = relu(x) and relu(-x), each a bank; the scores are x + bias and -x.
Graph TwoBanks(int64_t top, float bias) {
  Rng rng(1);
  GraphBuilder builder("two", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.banks = UnitBanks{1, top};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 2, options).Finish());
  const std::string name = "rnn_relu0.";
  graph.weights.at(name + "weight_ih").values = {1.0f, -1.0f};
  graph.weights.at(name + "weight_hh").values = {0.0f, 0.0f, 0.0f, 0.0f};
  graph.weights.at(name + "bias_ih").values = {0.0f, 0.0f};
  graph.weights.at(name + "bias_hh").values = {0.0f, 0.0f};
  graph.weights.at(name + "weight_banks_ih").values = {1.0f, -1.0f};
  graph.weights.at(name + "weight_banks_hh").values = {0.0f, 0.0f, 0.0f, 0.0f};
  graph.weights.at(name + "bias_banks").values = {bias, 0.0f};
  return graph;
}

TEST(Banks, RunWhereTheirScoreIsAbove0) {
  EXPECT_EQ(OutputOf(TwoBanks(0, 0.0f), {2, -3, 0, 1}),
            (std::vector<float>{2, 0, 2, 3, 2, 3, 1, 3}));
}

TEST(Banks, RunWhereTheirScoreIsAmongTheLargest) {
  EXPECT_EQ(OutputOf(TwoBanks(1, 0.0f), {2, -3, 0, -1}),  // of equal scores the first
            (std::vector<float>{2, 0, 2, 3, 0, 3, 0, 1}));
  EXPECT_EQ(OutputOf(TwoBanks(2, -9.0f), {2, -3}), (std::vector<float>{2, 0, 0, 3}));
}

TEST(Banks, ReadTheStateOfTheStepBefore) {
  Graph graph = TwoBanks(0, 0.0f);
  graph.weights.at("rnn_relu0.weight_banks_hh").values = {-1.0f, 0.0f, 2.0f, 0.0f};
  // Scores x - h0 and 2 h0 - x: both above 0 at the second step, the second alone at the third.
  EXPECT_EQ(OutputOf(graph, {2, 3, 1}), (std::vector<float>{2, 0, 3, 0, 3, 0}));
  graph.weights.at("rnn_relu0.weight_ih").values = {1.0f, 1.0f};
  EXPECT_EQ(OutputOf(graph, {2, 3, 1}), (std::vector<float>{2, 0, 3, 3, 3, 1}));
}

TEST(Banks, RunForNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t top : {0, 1}) {
    const std::vector<float> h = OutputOf(TwoBanks(top, 0.0f), {nan});
    EXPECT_TRUE(std::isnan(h[0])) << top;
    EXPECT_EQ(std::isnan(h[1]), top == 0);
  }
}

// With rules that never hold anything back a network is the plain one, to the bit in the reference.
TEST(Dynamic, WithoutThresholdsIsThePlainNetwork) {
  for (const CellInfo& cell : kCells) {
    if (cell.reset_before) continue;
    Rng rng(2);
    GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
    GraphBuilder::RecurrentOptions options = WithDelta({0.0, 0.0, 3});
    options.direction = Direction::kBidirectional;
    options.skip = true;
    Graph dynamic = ValueOrDie(builder.Recurrent(cell.kind, 5, options).Finish());
    const std::string name(cell.name);
    for (const char* reverse : {"", "_reverse"}) {  // gain > 1/2
      dynamic.weights.at(name + "0.bias_skip" + reverse).values = {20.0f};
    }
    Graph plain = dynamic;
    plain.nodes[0].delta.reset();
    plain.nodes[0].skip = false;
    std::erase_if(plain.weights, [](const auto& weight) {
      return weight.first.find("_skip") != std::string::npos;
    });
    const Batch batch = RandomBatch(plain, 9, 4, 0, &rng);
    StateSet plain_states = ZeroStates(plain, 4);
    StateSet dynamic_states = ZeroStates(dynamic, 4);
    const auto expected = ValueOrDie(RunReference(plain, batch, &plain_states));
    const auto found = ValueOrDie(RunReference(dynamic, batch, &dynamic_states));
    EXPECT_EQ(expected.at(plain.outputs[0]).values, found.at(dynamic.outputs[0]).values)
        << cell.name;
  }
}

Graph Busy(uint64_t seed) {
  Rng rng(seed);
  GraphBuilder builder("busy", {"x", {Element::kF32, Layout::kSequence, 4}}, &rng);
  GraphBuilder::RecurrentOptions options = WithDelta({0.3, 0.1, 1});
  options.skip = true;
  builder.Recurrent(CellKind::kLstmCell, 5, options);
  builder.Recurrent(CellKind::kGruCell, 6, WithDelta({0.05, 0.05, 4}));
  options.delta.reset();
  options.banks = UnitBanks{3, 0};
  builder.Recurrent(CellKind::kGruCell, 7, options);
  Graph graph = ValueOrDie(builder.Finish());
  graph.weights.at("lstm0.bias_skip").values = {-1.0f};
  graph.weights.at("gru1.bias_skip").values = {-0.2f};
  graph.weights.at("gru1.bias_banks").values = {0.0f, 0.1f, -0.1f};
  return graph;
}

TEST(Dynamic, GivesTheSameInChunks) {
  const Graph graph = Busy(3);
  Rng rng(4);
  const Batch batch = RandomBatch(graph, 12, 3, 0, &rng);
  StateSet whole = ZeroStates(graph, 3), chunked = whole;
  const auto expected = ValueOrDie(RunReference(graph, batch, &whole)).at(graph.outputs[0]);
  std::vector<float> found;
  for (int64_t step = 0; step < 12; ++step) {
    const auto values = ValueOrDie(RunReference(graph, Chunk(graph, batch, step, 1), &chunked));
    const std::vector<float>& row = values.at(graph.outputs[0]).values;
    found.insert(found.end(), row.begin(), row.end());
  }
  EXPECT_LT(MaxAbsDifference(expected.values, found), 1e-6);
  for (const auto& [name, values] : whole) {
    EXPECT_LT(MaxAbsDifference(values, chunked.at(name)), 1e-6) << name;
  }
}

TEST(Dynamic, SurvivesSerialization) {
  const Graph graph = Busy(5);
  ByteWriter writer;
  WriteGraph(graph, &writer);
  ByteReader reader(writer.bytes());
  EXPECT_EQ(ValueOrDie(ReadGraph(&reader)), graph);
}

TEST(Dynamic, RefusesWhatCannotBe) {
  const auto expect = [](const Node& changed, Code code, const std::vector<std::string>& parts) {
    Graph graph = OneUnit(1.0f, 1.0f, {});
    graph.nodes[0] = changed;
    ExpectError(ValidateGraph(graph), code, parts);
  };
  const Node plain = OneUnit(1.0f, 1.0f, {}).nodes[0];
  Node node = plain;
  node.delta = Delta{-0.1, 0.0, 1};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.delta.x", "at least 0", "-0.1"});
  node.delta = Delta{0.0, std::nan(""), 1};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.delta.h", "at least 0", "nan"});
  node.delta = Delta{kInf, 0.0, 1};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.delta.x", "inf"});
  node.delta = Delta{0.0, 0.0, 0};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.delta.bank", "1 to 256", "0 found"});
  node.delta = Delta{0.0, 0.0, 1};
  node.cell = CellKind::kGruResetBeforeCell;
  expect(node, Code::kUnsupported, {"delta", "gru_reset_before", "r * h"});
  node = plain;
  node.skip = true;
  expect(node, Code::kInvalidArgument, {"rnn_relu0.", "_skip"});
  node = plain;
  node.banks = UnitBanks{2, 0};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.banks.size", "1 to 1", "2 found"});
  node.banks = UnitBanks{1, 2};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.banks.top", "0 to 1", "2 found"});
  node.banks = UnitBanks{1, 0};
  expect(node, Code::kInvalidArgument, {"rnn_relu0.", "banks"});
  node.delta = Delta{};
  expect(node, Code::kUnsupported, {"rnn_relu0.banks", "banks or delta", "both"});
  node.delta.reset();
  node.cell = CellKind::kGruResetBeforeCell;
  expect(node, Code::kUnsupported, {"banks", "gru_reset_before", "r * h"});
  node.cell = CellKind::kLstmCell;
  node.projection_size = 1;
  expect(node, Code::kUnsupported, {"rnn_relu0.banks", "without a projection"});
}

}  // namespace
}  // namespace espalier
