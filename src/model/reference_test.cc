#include "model/reference.h"

#include <cmath>

#include "model/build.h"
#include "model/serialize.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Chunk;
using ::espalier::testing::ExpectError;
using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;

const GraphInput kInput = {"x", {Element::kF32, Layout::kSequence, 5}};

Graph SmallGraph(CellKind cell, Direction direction, uint64_t seed) {
  Rng rng(seed);
  GraphBuilder builder("small", kInput, &rng);
  builder.Recurrent(cell, 7, {direction, 0.0}).Dropout(0.5).Recurrent(cell, 4, {direction, 0.0});
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Concat(last).Gemm(3).Activation(Op::kSoftmax);
  return ValueOrDie(builder.Finish());
}

class EveryCell : public ::testing::TestWithParam<CellKind> {};
INSTANTIATE_TEST_SUITE_P(Cells, EveryCell,
                         ::testing::Values(CellKind::kLstmCell, CellKind::kGruCell,
                                           CellKind::kGruResetBeforeCell, CellKind::kRnnTanhCell,
                                           CellKind::kRnnReluCell),
                         [](const auto& cell) { return std::string(InfoOf(cell.param).name); });

TEST_P(EveryCell, GivesTheSameNumbersWholeInChunksAndStepByStep) {
  const Graph graph = SmallGraph(GetParam(), Direction::kForward, 1);
  Rng rng(2);
  const Batch batch = RandomBatch(graph, 9, 3, 0, &rng);
  const StateSet start = RandomStates(graph, 3, &rng);
  StateSet whole_states = start;
  const auto whole = ValueOrDie(RunReference(graph, batch, &whole_states));
  for (const int64_t chunk_steps : {1, 2, 4}) {
    StateSet states = start;
    std::map<std::string, Value> last;
    for (int64_t first = 0; first < batch.steps; first += chunk_steps) {
      const int64_t count = std::min(chunk_steps, batch.steps - first);
      last = ValueOrDie(RunReference(graph, Chunk(graph, batch, first, count), &states));
    }
    EXPECT_LT(MaxAbsDifference(whole.at(graph.outputs[0]).values, last.at(graph.outputs[0]).values),
              1e-6);
    for (const auto& [name, values] : whole_states) {
      EXPECT_LT(MaxAbsDifference(values, states.at(name)), 1e-6) << name;
    }
  }
}

TEST_P(EveryCell, DoesNotDependOnWhatIsPastALength) {
  const Graph graph = SmallGraph(GetParam(), Direction::kBidirectional, 1);
  Rng rng(3);
  Batch batch = RandomBatch(graph, 6, 4, 0, &rng);
  batch.lengths = {6, 0, 3, 1};
  StateSet states = ZeroStates(graph, 4);
  const auto before = ValueOrDie(RunReference(graph, batch, &states));
  for (int64_t t = 0; t < 6; ++t) {
    for (int64_t b = 0; b < 4; ++b) {
      if (t < batch.lengths[static_cast<size_t>(b)]) continue;
      for (int64_t f = 0; f < 5; ++f)
        batch.features[static_cast<size_t>((t * 4 + b) * 5 + f)] = 1e9f;
    }
  }
  StateSet again = ZeroStates(graph, 4);
  const auto after = ValueOrDie(RunReference(graph, batch, &again));
  EXPECT_EQ(before.at(graph.outputs[0]).values, after.at(graph.outputs[0]).values);
  EXPECT_EQ(states, again);
}

// One LSTM step by hand: W = 0, so the gates are the biases alone.
TEST(Reference, ComputesAnLstmStepAsThePaperSays) {
  Rng rng(1);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 1).Finish());
  graph.weights.at("lstm0.weight_ih").values = {0, 0, 0, 0};
  graph.weights.at("lstm0.weight_hh").values = {0, 0, 0, 0};
  graph.weights.at("lstm0.bias_ih").values = {0.5f, -0.25f, 1.0f, 2.0f};
  graph.weights.at("lstm0.bias_hh").values = {0, 0, 0, 0};
  Batch batch{1, 1, {0.0f}, {}, {1}};
  StateSet states = ZeroStates(graph, 1);
  states.at("lstm0.c") = {3.0f};
  const auto values = ValueOrDie(RunReference(graph, batch, &states));
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  const double c = sigmoid(-0.25) * 3.0 + sigmoid(0.5) * std::tanh(1.0);
  EXPECT_NEAR(states.at("lstm0.c")[0], c, 1e-6);
  EXPECT_NEAR(values.at("lstm0.out").values[0], sigmoid(2.0) * std::tanh(c), 1e-6);
}

TEST(Reference, RefusesALengthPastTheEnd) {
  const Graph graph = SmallGraph(CellKind::kGruCell, Direction::kForward, 1);
  Rng rng(1);
  Batch batch = RandomBatch(graph, 3, 2, 1, &rng);
  batch.lengths[1] = 4;
  StateSet states = ZeroStates(graph, 2);
  ExpectError(RunReference(graph, batch, &states).status(), Code::kInvalidArgument,
              {"lengths[1]", "T = 3", "4 found"});
}

TEST(Graph, NamesTheWeightWithTheWrongShape) {
  Graph graph = SmallGraph(CellKind::kLstmCell, Direction::kForward, 1);
  graph.weights.at("lstm0.weight_hh") = Tensor({28, 6});
  ExpectError(ValidateGraph(graph), Code::kInvalidArgument,
              {"lstm0.weight_hh", "28x7 expected", "28x6 found"});
}

TEST(Graph, NamesTheWeightThatIsNotFinite) {
  Graph graph = SmallGraph(CellKind::kLstmCell, Direction::kForward, 1);
  graph.weights.at("lstm0.bias_ih").values[3] = std::nanf("");
  ExpectError(ValidateGraph(graph), Code::kInvalidArgument, {"lstm0.bias_ih", "element 3"});
}

TEST(Serialize, RoundTripsAGraph) {
  const Graph graph = SmallGraph(CellKind::kGruCell, Direction::kBidirectional, 4);
  ByteWriter writer;
  WriteGraph(graph, &writer);
  ByteReader reader(writer.bytes());
  EXPECT_EQ(ValueOrDie(ReadGraph(&reader)), graph);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Serialize, RefusesEveryTruncation) {
  const Graph graph = SmallGraph(CellKind::kRnnTanhCell, Direction::kForward, 4);
  ByteWriter writer;
  WriteGraph(graph, &writer);
  for (size_t size = 0; size < writer.size(); ++size) {
    ByteReader reader(std::span(writer.bytes()).first(size));
    EXPECT_EQ(ReadGraph(&reader).status().code(), Code::kBadFormat) << size << " bytes";
  }
}

}  // namespace
}  // namespace espalier
