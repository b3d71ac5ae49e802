#include "train/torch_executor.h"

#include <cmath>

#include "model/build.h"
#include "testing/random_graph.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Chunk;
using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomNetworkOfEverything;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;

// Float rounding through at most 12 steps of cells whose values are of size 1.
constexpr double kForwardTolerance = 2e-6;

TorchTensors TensorsOf(const Graph& graph) {
  TorchTensors tensors;
  for (const auto& [name, weight] : graph.weights) {
    tensors[name] = at::tensor(weight.values).view(weight.shape).requires_grad_(true);
  }
  return tensors;
}

TorchTensors TensorsOf(const StateSet& states, int64_t batch_size) {
  TorchTensors tensors;
  for (const auto& [name, values] : states) {
    tensors[name] = at::tensor(values).view({batch_size, -1});
  }
  return tensors;
}

std::vector<float> ValuesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous();
  return std::vector<float>(flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
}

struct Case {
  CellKind cell;
  Direction direction;
  CellPath path;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const CellInfo& info : kCells) {
    for (const Direction direction :
         {Direction::kForward, Direction::kReverse, Direction::kBidirectional}) {
      for (const CellPath path : {CellPath::kFused, CellPath::kTextual}) {
        cases.push_back({info.kind, direction, path});
      }
    }
  }
  return cases;
}

std::string NameOf(const ::testing::TestParamInfo<Case>& test) {
  return std::string(InfoOf(test.param.cell).name) + "_" + DirectionName(test.param.direction) +
         (test.param.path == CellPath::kFused ? "_fused" : "_textual");
}

// Two layers, both ways to leave time, every operator for f32 values.
Graph RichGraph(CellKind cell, Direction direction) {
  Rng rng(1);
  GraphBuilder builder("rich", {"x", {Element::kF32, Layout::kSequence, 5}}, &rng);
  builder.Gemm(6).Activation(Op::kRelu).Conv1d(5, {3, 2});
  builder.Recurrent(cell, 7, {direction, 0.3}).Dropout(0.5);
  builder.Recurrent(cell, 4, {direction, 0.0});
  const std::string top = builder.value();
  builder.Activation(Op::kTanh).LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime();
  const std::string mean = builder.value();
  builder.Add(last).Activation(Op::kSigmoid).Concat(mean).Gemm(3).Activation(Op::kSoftmax);
  return ValueOrDie(builder.Finish());
}

class EveryCellAndPath : public ::testing::TestWithParam<Case> {
 protected:
  // Compares all values and end states with the reference executor's.
  void ExpectEqualsReference(const Batch& batch, const StateSet& start) const {
    const Graph graph = RichGraph(GetParam().cell, GetParam().direction);
    StateSet expected_states = start;
    const auto expected = ValueOrDie(RunReference(graph, batch, &expected_states));
    TorchTensors states = TensorsOf(start, batch.size);
    const TorchTensors values =
        Forward(graph, TensorsOf(graph), batch, &states, {GetParam().path, nullptr});
    for (const auto& [name, value] : expected) {
      EXPECT_LT(MaxAbsDifference(value.values, ValuesOf(values.at(name))), kForwardTolerance)
          << name;
    }
    for (const auto& [name, state] : expected_states) {
      EXPECT_LT(MaxAbsDifference(state, ValuesOf(states.at(name))), kForwardTolerance) << name;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Cells, EveryCellAndPath, ::testing::ValuesIn(AllCases()), NameOf);

TEST_P(EveryCellAndPath, EqualsTheReferenceOnEqualLengths) {
  const Graph graph = RichGraph(GetParam().cell, GetParam().direction);
  Rng rng(2);
  ExpectEqualsReference(RandomBatch(graph, 12, 5, 12, &rng), RandomStates(graph, 5, &rng));
}

TEST_P(EveryCellAndPath, EqualsTheReferenceOnUnequalLengths) {
  const Graph graph = RichGraph(GetParam().cell, GetParam().direction);
  Rng rng(3);
  for (int repetition = 0; repetition < 5; ++repetition) {
    const int64_t size = 1 + static_cast<int64_t>(rng.Below(7));
    ExpectEqualsReference(RandomBatch(graph, 9, size, 0, &rng), RandomStates(graph, size, &rng));
  }
}

TEST_P(EveryCellAndPath, EqualsTheReferenceIfAllSequencesAreEmpty) {
  const Graph graph = RichGraph(GetParam().cell, GetParam().direction);
  Rng rng(4);
  Batch batch = RandomBatch(graph, 3, 2, 0, &rng);
  batch.lengths = {0, 0};
  ExpectEqualsReference(batch, RandomStates(graph, 2, &rng));
}

TEST(TorchExecutor, EqualsTheReferenceOnRandomNetworksOfEverything) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    const int64_t size = 1 + static_cast<int64_t>(rng.Below(4));
    const int64_t steps = 1 + static_cast<int64_t>(rng.Below(6));
    const Batch batch = RandomBatch(graph, steps, size, seed % 2 == 0 ? steps : 0, &rng);
    StateSet expected_states = RandomStates(graph, size, &rng);
    TorchTensors states = TensorsOf(expected_states, size);
    const TorchTensors values =
        Forward(graph, TensorsOf(graph), batch, &states, {CellPath::kFused, nullptr});
    const auto expected = ValueOrDie(RunReference(graph, batch, &expected_states));
    for (const std::string& name : graph.outputs) {
      EXPECT_LT(MaxAbsDifference(expected.at(name).values, ValuesOf(values.at(name))), 1e-5);
    }
    for (const auto& [name, state] : expected_states) {
      double largest = 1.0;
      for (const float value : state) largest = std::max(largest, std::abs(double{value}));
      EXPECT_LT(MaxAbsDifference(state, ValuesOf(states.at(name))), 1e-5 * largest) << name;
    }
  }
}

TEST(TorchExecutor, EqualsTheReferenceOnIds) {
  Rng rng(5);
  GraphBuilder builder("ids", {"x", {Element::kI32, Layout::kSequence, 11}}, &rng);
  builder.Embedding(4).Recurrent(CellKind::kGruCell, 6).LastStep().Gemm(3);
  const Graph graph = ValueOrDie(builder.Finish());
  const Batch batch = RandomBatch(graph, 7, 4, 0, &rng);
  StateSet states = ZeroStates(graph, 4);
  const auto expected = ValueOrDie(RunReference(graph, batch, &states));
  const TorchTensors values = Forward(graph, TensorsOf(graph), batch, nullptr, ForwardOptions());
  const std::string output = graph.outputs[0];
  EXPECT_LT(MaxAbsDifference(expected.at(output).values, ValuesOf(values.at(output))),
            kForwardTolerance);
}

// A scalar that depends on every value, with weights that are not all equal.
at::Tensor Scalar(const at::Tensor& output) {
  return (output * at::arange(output.numel(), at::kFloat).view(output.sizes()).sin()).sum();
}

std::map<std::string, std::vector<float>> GradientsOf(const Graph& graph, const Batch& batch,
                                                      const StateSet& start, CellPath path,
                                                      Rng* dropout) {
  const TorchTensors weights = TensorsOf(graph);
  TorchTensors states = TensorsOf(start, batch.size);
  const TorchTensors values = Forward(graph, weights, batch, &states, {path, dropout});
  at::Tensor loss = Scalar(values.at(graph.outputs[0]));
  // End states take part as well: truncated training carries them on.
  for (const auto& [name, state] : states) loss = loss + 0.1 * Scalar(state);
  loss.backward();
  std::map<std::string, std::vector<float>> gradients;
  for (const auto& [name, weight] : weights) gradients[name] = ValuesOf(weight.grad());
  return gradients;
}

class EveryCell : public ::testing::TestWithParam<CellInfo> {};
INSTANTIATE_TEST_SUITE_P(Cells, EveryCell, ::testing::ValuesIn(kCells),
                         [](const auto& cell) { return std::string(cell.param.name); });

TEST_P(EveryCell, HasTheSameGradientFusedAndTextual) {
  const Graph graph = RichGraph(GetParam().kind, Direction::kBidirectional);
  Rng rng(6);
  for (const int64_t min_length : {8, 0}) {
    const Batch batch = RandomBatch(graph, 8, 5, min_length, &rng);
    const StateSet start = RandomStates(graph, 5, &rng);
    const auto fused = GradientsOf(graph, batch, start, CellPath::kFused, nullptr);
    const auto textual = GradientsOf(graph, batch, start, CellPath::kTextual, nullptr);
    for (const auto& [name, gradient] : fused) {
      EXPECT_LT(MaxAbsDifference(gradient, textual.at(name)), 1e-5) << name;
    }
  }
}

TEST_P(EveryCell, HasTheSameGradientFusedAndTextualUnderDropout) {
  const Graph graph = RichGraph(GetParam().kind, Direction::kForward);
  Rng rng(7);
  const Batch batch = RandomBatch(graph, 8, 5, 0, &rng);
  const StateSet start = RandomStates(graph, 5, &rng);
  Rng fused_dropout(8);
  Rng textual_dropout(8);
  const auto fused = GradientsOf(graph, batch, start, CellPath::kFused, &fused_dropout);
  const auto textual = GradientsOf(graph, batch, start, CellPath::kTextual, &textual_dropout);
  for (const auto& [name, gradient] : fused) {
    EXPECT_LT(MaxAbsDifference(gradient, textual.at(name)), 1e-5) << name;
  }
}

// The loss in double precision by the reference executor, so that differences are exact enough.
double ReferenceScalar(const Graph& graph, const Batch& batch) {
  StateSet states = ZeroStates(graph, batch.size);
  const auto values = ValueOrDie(RunReference(graph, batch, &states));
  const std::vector<float>& output = values.at(graph.outputs[0]).values;
  double sum = 0.0;
  for (size_t i = 0; i < output.size(); ++i) {
    sum += static_cast<double>(output[i]) * std::sin(static_cast<double>(i));
  }
  return sum;
}

// The seed is one with which no sum of a rectified cell crosses 0 within a difference.
TEST_P(EveryCell, HasTheGradientOfFiniteDifferences) {
  Rng rng(12);
  GraphBuilder builder("tiny", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  builder.Recurrent(GetParam().kind, 3).LastStep().Gemm(2);
  Graph graph = ValueOrDie(builder.Finish());
  for (auto& [name, weight] : graph.weights) {
    // What is above its threshold by far: a step has no slope (TorchDynamic tests its stand-in).
    const bool is_threshold =
        name.ends_with("weight_peephole") && InfoOf(GetParam().kind).has_threshold;
    if (is_threshold) weight.values.assign(weight.size(), -10.0f);
  }
  const Batch batch = RandomBatch(graph, 4, 3, 1, &rng);
  const TorchTensors weights = TensorsOf(graph);
  const TorchTensors values = Forward(graph, weights, batch, nullptr, ForwardOptions());
  Scalar(values.at(graph.outputs[0])).backward();
  constexpr float kStep = 1.0f / 256.0f;  // error: third derivative * 3e-6, rounding / step
  for (auto& [name, weight] : graph.weights) {
    const std::vector<float> gradient = ValuesOf(weights.at(name).grad());
    for (size_t i = 0; i < weight.size(); ++i) {
      const float kept = weight.values[i];
      weight.values[i] = kept + kStep;
      const double above = ReferenceScalar(graph, batch);
      weight.values[i] = kept - kStep;
      const double below = ReferenceScalar(graph, batch);
      weight.values[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2.0 * kStep), 3e-4) << name << " element " << i;
    }
  }
}

// The differences of all weights of a graph of the newer operators.
TEST(TorchExecutor, HasTheGradientOfFiniteDifferencesThroughAnEncoderAndDecoder) {
  Rng rng(15);
  GraphBuilder builder("seq2seq", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 4, {Direction::kBidirectional, 0.0, 2}).LayerNorm(0.1);
  const std::string encoder = builder.value();
  const std::string h = builder.LastStep().Gemm(3).value();
  const std::string c = builder.From(encoder).MeanOverTime().Slice(1, 3).value();
  builder.From("x").Recurrent(CellKind::kLstmPeepholeCell, 3,
                              {Direction::kForward, 0.0, 0, {h, c}});
  Graph graph = ValueOrDie(builder.Gemm(4).Glu().Finish());
  const Batch batch = RandomBatch(graph, 4, 3, 1, &rng);
  const TorchTensors weights = TensorsOf(graph);
  const TorchTensors values = Forward(graph, weights, batch, nullptr, ForwardOptions());
  // What either does past the lengths is not compared with care, but it is the same function.
  Scalar(values.at(graph.outputs[0])).backward();
  constexpr float kStep = 1.0f / 256.0f;
  for (auto& [name, weight] : graph.weights) {
    const std::vector<float> gradient = ValuesOf(weights.at(name).grad());
    for (size_t i = 0; i < weight.size(); ++i) {
      const float kept = weight.values[i];
      weight.values[i] = kept + kStep;
      const double above = ReferenceScalar(graph, batch);
      weight.values[i] = kept - kStep;
      const double below = ReferenceScalar(graph, batch);
      weight.values[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2.0 * kStep), 3e-4) << name << " element " << i;
    }
  }
}

// Both convolutions, so that the gradient of the input of one is looked at too; sequences shorter
// than a window among them.
TEST(Conv1d, HasTheGradientOfFiniteDifferences) {
  Rng rng(13);
  GraphBuilder builder("conv", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  builder.Conv1d(3, {2, 3}).Activation(Op::kTanh).Conv1d(2, {3, 1}).MeanOverTime();
  Graph graph = ValueOrDie(builder.Finish());
  const Batch batch = RandomBatch(graph, 7, 4, 0, &rng);
  const TorchTensors weights = TensorsOf(graph);
  const TorchTensors values = Forward(graph, weights, batch, nullptr, ForwardOptions());
  Scalar(values.at(graph.outputs[0])).backward();
  constexpr float kStep = 1.0f / 256.0f;
  for (auto& [name, weight] : graph.weights) {
    const std::vector<float> gradient = ValuesOf(weights.at(name).grad());
    for (size_t i = 0; i < weight.size(); ++i) {
      const float kept = weight.values[i];
      weight.values[i] = kept + kStep;
      const double above = ReferenceScalar(graph, batch);
      weight.values[i] = kept - kStep;
      const double below = ReferenceScalar(graph, batch);
      weight.values[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2.0 * kStep), 3e-4) << name << " element " << i;
    }
  }
}

// End states take part: what a chunk hands on is its inputs, with their gradient.
TEST(Conv1d, HandsItsPastOnWithItsGradient) {
  Rng rng(14);
  GraphBuilder builder("conv", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  const Graph graph = ValueOrDie(builder.Gemm(3).Conv1d(2, {3, 2}).LastStep().Finish());
  Batch batch = RandomBatch(graph, 8, 3, 0, &rng);
  batch.lengths = {8, 0, 5};
  const auto gradients = [&](int64_t chunk_steps) {
    const TorchTensors weights = TensorsOf(graph);
    TorchTensors states = TensorsOf(ZeroStates(graph, 3), 3);
    std::vector<Batch> chunks;
    for (int64_t first = 0; first < 8; first += chunk_steps) {
      chunks.push_back(Chunk(graph, batch, first, chunk_steps));
    }
    at::Tensor last;
    for (const Batch& chunk : chunks) {
      last = Forward(graph, weights, chunk, &states, ForwardOptions()).at(graph.outputs[0]);
    }
    Scalar(last).backward();
    std::map<std::string, std::vector<float>> found;
    for (const auto& [name, weight] : weights) found[name] = ValuesOf(weight.grad());
    return found;
  };
  const auto whole = gradients(8);
  for (const int64_t chunk_steps : {1, 2, 4}) {
    for (const auto& [name, gradient] : gradients(chunk_steps)) {
      EXPECT_LT(MaxAbsDifference(gradient, whole.at(name)), 1e-5) << name << " " << chunk_steps;
    }
  }
}

TEST(Dropout, KeepsTheMeanAndDropsTheRate) {
  Rng rng(10);
  const std::vector<float> factors = ValuesOf(DropoutFactors(301, 333, 0.2, &rng));
  const auto zeros = static_cast<double>(std::count(factors.begin(), factors.end(), 0.0f));
  const auto count = static_cast<double>(factors.size());
  EXPECT_NEAR(zeros / count, 0.2, 0.006);  // five standard deviations
  EXPECT_EQ(static_cast<double>(std::count(factors.begin(), factors.end(), 1.25f)), count - zeros);
}

// With W_hh alone reading h, a recurrent mask of 0 everywhere would make the steps independent; one
// mask kept over time makes a dropped unit invisible at every step.
TEST(RecurrentDropout, KeepsOneMaskOverTime) {
  const int64_t steps = 6, hidden = 4;
  Rng rng(11);
  GraphBuilder builder("rnn", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  builder.Recurrent(CellKind::kRnnTanhCell, hidden);
  const Graph graph = ValueOrDie(builder.Finish());
  const Batch batch = RandomBatch(graph, steps, 1, steps, &rng);
  const TorchTensors all = TensorsOf(graph);
  const CellWeights weights = {all.at("rnn_tanh0.weight_ih"), all.at("rnn_tanh0.weight_hh"),
                               all.at("rnn_tanh0.bias_ih"), all.at("rnn_tanh0.bias_hh")};
  const at::Tensor mask = at::tensor({0.0f, 2.0f, 0.0f, 2.0f}).view({1, hidden});
  const CellRun start{at::tensor(batch.features).view({steps, 1}), at::zeros({1, hidden}), {}};
  const std::vector<int64_t> sizes(static_cast<size_t>(steps), 1);
  const CellRun masked = RunCellTextual({CellKind::kRnnTanhCell}, weights, start, sizes, mask);
  CellWeights scaled = weights;
  scaled.weight_hh = weights.weight_hh * mask;
  const CellRun same = RunCellTextual({CellKind::kRnnTanhCell}, scaled, start, sizes, at::Tensor());
  EXPECT_LT(MaxAbsDifference(ValuesOf(masked.rows), ValuesOf(same.rows)), 1e-6);
}

}  // namespace
}  // namespace espalier
