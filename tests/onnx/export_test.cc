// Exported networks give the same numbers in ONNX Runtime as in the reference executor.
#include "base/strings.h"
#include "exchange/onnx.h"
#include "model/build.h"
#include "onnxruntime_test.h"
#include "peers/onnx_network.h"
#include "testing/random_graph.h"

namespace espalier {
namespace {

using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::OnnxRuntimeTest;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomNetwork;
using ::espalier::testing::RandomNetworkOfEverything;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;

// The bar. Values are of order 1, so this is absolute and relative at once.
constexpr double kTolerance = 1e-5;

constexpr OnnxExportOptions::States kExplicit = OnnxExportOptions::States::kExplicit;
constexpr OnnxExportOptions::States kZero = OnnxExportOptions::States::kZero;
constexpr OnnxExportOptions::Lengths kInput = OnnxExportOptions::Lengths::kInput;
constexpr OnnxExportOptions::Lengths kNone = OnnxExportOptions::Lengths::kNone;

class ExportTest : public OnnxRuntimeTest {
 protected:
  // One session on several T and B; every output and every end state is compared.
  void ExpectSameNumbers(const Graph& graph, const OnnxExportOptions& options, uint64_t seed) {
    const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(graph, options));
    const auto network = OnnxNetwork::Load(runtime(), bytes, graph);
    ASSERT_TRUE(network.ok()) << network.status().message();
    Rng rng(seed);
    for (const auto& [steps, size] : {std::pair{1, 1}, {7, 1}, {1, 5}, {6, 4}, {11, 3}}) {
      SCOPED_TRACE(StrCat("T = ", steps, ", B = ", size));
      const int64_t min_length = options.lengths == kNone ? steps : 0;
      Batch batch = RandomBatch(graph, steps, size, min_length, &rng);
      if (options.lengths == kInput && size > 1) batch.lengths.back() = 0;
      StateSet states =
          options.states == kExplicit ? RandomStates(graph, size, &rng) : ZeroStates(graph, size);
      StateSet onnx_states = states;
      const auto expected = ValueOrDie(RunReference(graph, batch, &states));
      const auto found = network->Run(batch, &onnx_states);
      ASSERT_TRUE(found.ok()) << found.status().message();
      for (const auto& [name, value] : *found) {
        ExpectNear(expected.at(name).values, value.values, name);
      }
      if (options.states == kZero) continue;
      for (const auto& [name, values] : states) {
        // Without lengths what LastStep holds is never read, and not in the file.
        if (options.lengths == kNone && name.ends_with(".last")) continue;
        ExpectNear(values, onnx_states.at(name), name);
      }
    }
  }

  // Of the largest value, if that is more than 1 (sums of many steps are).
  static void ExpectNear(const std::vector<float>& expected, const std::vector<float>& found,
                         const std::string& name) {
    double largest = 1.0;
    for (const float value : expected) largest = std::max(largest, std::abs(double{value}));
    EXPECT_LT(MaxAbsDifference(expected, found), kTolerance * largest) << name;
  }

  void ExpectSameNumbersInEveryForm(const Graph& graph, uint64_t seed) {
    for (const auto states : {kExplicit, kZero}) {
      for (const auto lengths : {kInput, kNone}) {
        SCOPED_TRACE(StrCat(states == kExplicit ? "explicit" : "zero", " states, ",
                            lengths == kInput ? "lengths" : "no lengths"));
        ExpectSameNumbers(graph, {states, lengths}, seed);
      }
    }
  }
};

const GraphInput kFeatures = {"x", {Element::kF32, Layout::kSequence, 5}};
const GraphInput kIds = {"ids", {Element::kI32, Layout::kSequence, 11}};

class EveryCell : public ExportTest,
                  public ::testing::WithParamInterface<std::tuple<CellInfo, Direction>> {};
INSTANTIATE_TEST_SUITE_P(Cells, EveryCell,
                         ::testing::Combine(::testing::ValuesIn(kCells),
                                            ::testing::Values(Direction::kForward,
                                                              Direction::kReverse,
                                                              Direction::kBidirectional)),
                         [](const auto& cell) {
                           return StrCat(std::get<0>(cell.param).name, "_",
                                         DirectionName(std::get<1>(cell.param)));
                         });

TEST_P(EveryCell, GivesTheSameNumbersInOnnxRuntime) {
  const auto& [cell, direction] = GetParam();
  Rng rng(7);
  GraphBuilder builder("layer", kFeatures, &rng);
  builder.Recurrent(cell.kind, 8, {direction, 0.1});
  Graph graph = ValueOrDie(builder.Finish());
  ExpectSameNumbersInEveryForm(graph, 1);
}

TEST_F(ExportTest, RandomNetworksGiveTheSameNumbersInOnnxRuntime) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    ExpectSameNumbersInEveryForm(RandomNetwork(seed % 3 == 0 ? kIds : kFeatures, seed), seed);
  }
}

TEST_F(ExportTest, RandomNetworksOfEverythingGiveTheSameNumbersInOnnxRuntime) {
  for (uint64_t seed = 0; seed < 80; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    Rng rng(seed);
    ExpectSameNumbersInEveryForm(RandomNetworkOfEverything(&rng), seed);
  }
}

class EveryProjection : public ExportTest,
                        public ::testing::WithParamInterface<std::tuple<CellKind, Direction>> {};
INSTANTIATE_TEST_SUITE_P(
    Cells, EveryProjection,
    ::testing::Combine(::testing::Values(CellKind::kLstmCell, CellKind::kLstmPeepholeCell),
                       ::testing::Values(Direction::kForward, Direction::kReverse,
                                         Direction::kBidirectional)));

TEST_P(EveryProjection, GivesTheSameNumbersInOnnxRuntime) {
  const auto& [cell, direction] = GetParam();
  Rng rng(7);
  GraphBuilder builder("layer", kFeatures, &rng);
  builder.Recurrent(cell, 8, {direction, 0.1, 3});
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.LastStep().Finish());
  graph.outputs.push_back(sequence);
  ExpectSameNumbersInEveryForm(graph, 1);
}

TEST_F(ExportTest, AConv1dGivesTheSameNumbersInOnnxRuntime) {
  for (const auto& [kernel_size, dilation] : {std::pair{1, 1}, {3, 1}, {2, 4}, {3, 3}}) {
    SCOPED_TRACE(StrCat("K = ", kernel_size, ", D = ", dilation));
    Rng rng(9);
    GraphBuilder builder("conv", kFeatures, &rng);
    builder.Conv1d(6, {kernel_size, dilation}).Activation(Op::kRelu).Conv1d(4, {2, 1});
    const std::string sequence = builder.value();
    Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 3).LastStep().Finish());
    ExpectSameNumbersInEveryForm(graph, 2);
    // Every step, and not what either does past the lengths.
    graph.outputs.push_back(sequence);
    for (const auto states : {kExplicit, kZero}) ExpectSameNumbers(graph, {states, kNone}, 3);
  }
}

TEST_F(ExportTest, AVectorNetworkGivesTheSameNumbersInOnnxRuntime) {
  Rng rng(1);
  GraphBuilder builder("vector", {"x", {Element::kF32, Layout::kVector, 6}}, &rng);
  builder.Gemm(7).Activation(Op::kRelu).Dropout(0.5).Gemm(3).Activation(Op::kSoftmax);
  const Graph graph = ValueOrDie(builder.Finish());
  const auto network =
      ValueOrDie(OnnxNetwork::Load(runtime(), ValueOrDie(ExportOnnx(graph)), graph));
  Batch batch{1, 4, {}, {}, {1, 1, 1, 1}};
  for (int i = 0; i < 24; ++i) batch.features.push_back(static_cast<float>(rng.Normal()));
  StateSet states;
  const auto expected = ValueOrDie(RunReference(graph, batch, &states));
  const auto found = ValueOrDie(network.Run(batch, &states));
  EXPECT_LT(
      MaxAbsDifference(expected.at(graph.outputs[0]).values, found.at(graph.outputs[0]).values),
      kTolerance);
}

TEST_F(ExportTest, ChunksInOnnxRuntimeGoOnFromTheEndStates) {
  Rng rng(5);
  GraphBuilder builder("chunks", kFeatures, &rng);
  builder.Conv1d(6, {3, 2}).Recurrent(CellKind::kLstmCell, 6).Recurrent(CellKind::kGruCell, 5);
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  const Graph graph = ValueOrDie(builder.From(top).MeanOverTime().Concat(last).Gemm(3).Finish());
  const auto network =
      ValueOrDie(OnnxNetwork::Load(runtime(), ValueOrDie(ExportOnnx(graph)), graph));
  const Batch batch = RandomBatch(graph, 9, 4, 0, &rng);
  const StateSet start = RandomStates(graph, 4, &rng);
  StateSet whole = start;
  const auto expected = ValueOrDie(RunReference(graph, batch, &whole));
  StateSet states = start;
  std::map<std::string, Value> found;
  for (int64_t first = 0; first < batch.steps; first += 2) {
    const int64_t count = std::min<int64_t>(2, batch.steps - first);
    found = ValueOrDie(network.Run(testing::Chunk(graph, batch, first, count), &states));
  }
  EXPECT_LT(
      MaxAbsDifference(expected.at(graph.outputs[0]).values, found.at(graph.outputs[0]).values),
      kTolerance);
}

}  // namespace
}  // namespace espalier
