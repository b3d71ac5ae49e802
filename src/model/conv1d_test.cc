// Conv1d of the reference executor against a convolution written out.
#include <functional>

#include "model/build.h"
#include "model/reference.h"
#include "model/serialize.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr int64_t kInputs = 3;
constexpr int64_t kOutputs = 4;

Graph OneConv1d(int64_t kernel_size, int64_t dilation) {
  Rng rng(1);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, kInputs}}, &rng);
  return ValueOrDie(builder.Conv1d(kOutputs, {kernel_size, dilation}).Finish());
}

// y[t, b, o] as signal processing has it: the sum over lags of a tap times the input so far back,
// 0 before the start. Tap `lag` of input i is column (K-1-lag) * I + i.
double Direct(const Graph& graph, const Batch& batch, int64_t t, int64_t b, int64_t o) {
  const Node& node = graph.nodes[0];
  const Tensor& weight = graph.weights.at("conv1d0.weight");
  double y = graph.weights.at("conv1d0.bias").values[static_cast<size_t>(o)];
  for (int64_t lag = 0; lag < node.kernel_size; ++lag) {
    const int64_t from = t - lag * node.dilation;
    for (int64_t i = 0; i < kInputs && from >= 0; ++i) {
      const int64_t col = (node.kernel_size - 1 - lag) * kInputs + i;
      y += double{weight.values[static_cast<size_t>(o * weight.dim(1) + col)]} *
           double{batch.features[static_cast<size_t>((from * batch.size + b) * kInputs + i)]};
    }
  }
  return y;
}

class EveryWindow : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {
 protected:
  const Graph graph_ = OneConv1d(GetParam().first, GetParam().second);
};
INSTANTIATE_TEST_SUITE_P(Conv1d, EveryWindow,
                         ::testing::Values(std::pair{1, 1}, std::pair{2, 1}, std::pair{3, 1},
                                           std::pair{3, 4}, std::pair{2, 9}, std::pair{1, 5}));

TEST_P(EveryWindow, IsTheSumOverTheTapsOfEarlierSteps) {
  Rng rng(2);
  const Batch batch = RandomBatch(graph_, 8, 3, 0, &rng);
  StateSet states = ZeroStates(graph_, 3);
  const auto values = ValueOrDie(RunReference(graph_, batch, &states));
  for (int64_t b = 0; b < 3; ++b) {
    for (int64_t t = 0; t < batch.lengths[static_cast<size_t>(b)]; ++t) {
      for (int64_t o = 0; o < kOutputs; ++o) {
        EXPECT_NEAR(values.at("conv1d0.out").row(t, b)[o], Direct(graph_, batch, t, b, o), 1e-6);
      }
    }
  }
}

TEST_P(EveryWindow, HoldsTheLastValidInputsOfEachSequence) {
  Rng rng(3);
  Batch batch = RandomBatch(graph_, 6, 3, 0, &rng);
  batch.lengths = {6, 0, 2};
  const StateSet start = RandomStates(graph_, 3, &rng);
  StateSet states = start;
  ASSERT_OK(RunReference(graph_, batch, &states));
  const int64_t past_steps = PastSteps(graph_.nodes[0]);
  ASSERT_EQ(states.size(), past_steps > 0 ? 1u : 0u);
  for (int64_t b = 0; b < 3 && past_steps > 0; ++b) {
    const auto part = [&](const StateSet& set) {
      const auto begin = set.at("conv1d0.past").begin() + b * past_steps * kInputs;
      return std::vector<float>(begin, begin + past_steps * kInputs);
    };
    std::vector<float> steps = part(start);
    for (int64_t t = 0; t < batch.lengths[static_cast<size_t>(b)]; ++t) {
      const auto x = batch.features.begin() + (t * 3 + b) * kInputs;
      steps.insert(steps.end(), x, x + kInputs);
    }
    EXPECT_EQ(part(states), std::vector<float>(steps.end() - past_steps * kInputs, steps.end()))
        << b;
  }
}

TEST_P(EveryWindow, GivesTheSameNumbersWholeInChunksAndStepByStep) {
  Rng rng(4);
  const Batch batch = RandomBatch(graph_, 9, 2, 0, &rng);
  const StateSet start = RandomStates(graph_, 2, &rng);
  StateSet whole_states = start;
  const auto whole = ValueOrDie(RunReference(graph_, batch, &whole_states));
  for (const int64_t chunk_steps : {1, 2, 4}) {
    StateSet states = start;
    for (int64_t first = 0; first < batch.steps; first += chunk_steps) {
      const int64_t count = std::min(chunk_steps, batch.steps - first);
      const Batch chunk = Chunk(graph_, batch, first, count);
      const auto values = ValueOrDie(RunReference(graph_, chunk, &states));
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t t = 0; t < chunk.lengths[static_cast<size_t>(b)]; ++t) {
          const float* expected = whole.at("conv1d0.out").row(first + t, b);
          const float* found = values.at("conv1d0.out").row(t, b);
          EXPECT_TRUE(std::equal(expected, expected + kOutputs, found)) << first + t;
        }
      }
    }
    EXPECT_EQ(states, whole_states) << chunk_steps;
  }
}

TEST_P(EveryWindow, IsReadBackAsItWasWritten) {
  ByteWriter writer;
  WriteGraph(graph_, &writer);
  ByteReader reader(writer.bytes());
  EXPECT_EQ(ValueOrDie(ReadGraph(&reader)), graph_);
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Conv1d, LetsNothingPastALengthIntoTheStateOrWhatReadsIt) {
  Rng rng(5);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, kInputs}}, &rng);
  builder.Conv1d(5, {3, 2}).Conv1d(4, {2, 1});
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 3).LastStep().Finish());
  Batch batch = RandomBatch(graph, 7, 3, 0, &rng);
  batch.lengths = {7, 0, 3};
  StateSet states = ZeroStates(graph, 3);
  const auto before = ValueOrDie(RunReference(graph, batch, &states));
  for (int64_t t = 0; t < 7; ++t) {
    for (int64_t b = 0; b < 3; ++b) {
      if (t < batch.lengths[static_cast<size_t>(b)]) continue;
      std::fill_n(batch.features.begin() + (t * 3 + b) * kInputs, kInputs, 1e9f);
    }
  }
  StateSet again = ZeroStates(graph, 3);
  const auto after = ValueOrDie(RunReference(graph, batch, &again));
  EXPECT_EQ(before.at(graph.outputs[0]).values, after.at(graph.outputs[0]).values);
  EXPECT_EQ(states, again);
}

Status StatusWith(const std::function<void(Graph*)>& change) {
  Graph graph = OneConv1d(3, 2);
  change(&graph);
  return ValidateGraph(graph);
}

TEST(Conv1d, RefusesWhatIsNoWindow) {
  const auto with = [](int64_t kernel_size, int64_t dilation) {
    return StatusWith([&](Graph* graph) {
      graph->nodes[0].kernel_size = kernel_size;
      graph->nodes[0].dilation = dilation;
    });
  };
  ExpectError(with(0, 1), Code::kInvalidArgument,
              {"conv1d0.kernel_size", "1 to 65536 expected", "0 found"});
  ExpectError(with(65537, 1), Code::kInvalidArgument, {"conv1d0.kernel_size", "65537 found"});
  ExpectError(with(3, -1), Code::kInvalidArgument, {"conv1d0.dilation", "-1 found"});
  ExpectError(with(3, int64_t{1} << 62), Code::kInvalidArgument, {"conv1d0.dilation"});
  ExpectError(with(65536, 65536), Code::kInvalidArgument,
              {"conv1d0: kernel_size * dilation * inputs", "65536 * 65536 * 3 found"});
  ExpectError(with(4, 2), Code::kInvalidArgument, {"conv1d0.weight", "4x12 expected", "4x9 found"});
}

TEST(Conv1d, RefusesInputsSoManyThatAWindowOfThemIsTooLarge) {
  const Status status =
      StatusWith([](Graph* graph) { graph->inputs[0].type.features = kMostFeatures; });
  ExpectError(status, Code::kInvalidArgument, {"conv1d0: kernel_size * dilation * inputs"});
}

TEST(Conv1d, RefusesAVector) {
  const Status status =
      StatusWith([](Graph* graph) { graph->inputs[0].type.layout = Layout::kVector; });
  ExpectError(status, Code::kInvalidArgument, {"conv1d0 input 'x'", "a sequence [T, B, F]"});
}

TEST(Conv1d, NamesAMissingBias) {
  const Status status = StatusWith([](Graph* graph) { graph->weights.erase("conv1d0.bias"); });
  ExpectError(status, Code::kInvalidArgument, {"conv1d0.bias", "nothing found"});
}

TEST(Conv1d, CountsTheMultiplyAddsOfItsTaps) {
  const Graph graph = OneConv1d(3, 2);
  EXPECT_EQ(MultiplyAddsPerStep(graph, Count::kDense), 4u * 3u * 3u);
  EXPECT_EQ(ParameterCount(graph, Count::kDense), 4u * 3u * 3u + 4u);
  EXPECT_EQ(PrunableWeights(graph), std::vector<std::string>{"conv1d0.weight"});
}

}  // namespace
}  // namespace espalier
