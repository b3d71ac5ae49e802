// Delta and skipped updates in the autograd executor.
#include <cmath>

#include "model/build.h"
#include "testing/testing.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

TorchTensors TensorsOf(const Graph& graph) {
  TorchTensors tensors;
  for (const auto& [name, weight] : graph.weights) {
    tensors[name] = at::tensor(weight.values).view(weight.shape).requires_grad_(true);
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
  bool has_delta, skips;
};

Graph NetworkOf(const Case& which) {
  Rng rng(1);
  GraphBuilder builder("dynamic", {"x", {Element::kF32, Layout::kSequence, 5}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = which.direction;
  if (which.has_delta) options.delta = Delta{0.4, 0.08, 1};
  options.skip = which.skips;
  builder.Recurrent(which.cell, 7, options);
  if (which.has_delta) options.delta->bank = 3;
  Graph graph = ValueOrDie(builder.Recurrent(which.cell, 4, options).Finish());
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_skip") != std::string::npos) weight.values = {-0.8f};
  }
  return graph;
}

// All values and end states are the reference's, from random states and lengths. No value meets a
// threshold within rounding here.
TEST(TorchDynamic, EqualsTheReference) {
  for (const CellInfo& cell : kCells) {
    for (const auto& [has_delta, skips] : {std::pair{true, false}, {false, true}, {true, true}}) {
      if (has_delta && cell.reset_before) continue;
      for (const Direction direction : {Direction::kForward, Direction::kBidirectional}) {
        const Graph graph = NetworkOf({cell.kind, direction, has_delta, skips});
        Rng rng(3);
        for (const int64_t min_length : {9, 0}) {
          const Batch batch = RandomBatch(graph, 9, 4, min_length, &rng);
          const StateSet start = RandomStates(graph, 4, &rng);
          StateSet expected_states = start;
          const auto expected = ValueOrDie(RunReference(graph, batch, &expected_states));
          TorchTensors states;
          for (const auto& [name, values] : start) {
            states[name] = at::tensor(values).view({4, -1});
          }
          const TorchTensors values =
              Forward(graph, TensorsOf(graph), batch, &states, ForwardOptions());
          for (const auto& [name, value] : expected) {
            EXPECT_LT(MaxAbsDifference(value.values, ValuesOf(values.at(name))), 2e-6)
                << cell.name << " " << name;
          }
          for (const auto& [name, state] : expected_states) {
            EXPECT_LT(MaxAbsDifference(state, ValuesOf(states.at(name))), 2e-6)
                << cell.name << " " << name;
          }
        }
      }
    }
  }
}

double ReferenceSum(const Graph& graph, const Batch& batch) {
  StateSet states = ZeroStates(graph, batch.size);
  const auto values = ValueOrDie(RunReference(graph, batch, &states));
  double sum = 0.0;
  for (const float value : values.at(graph.outputs[0]).values) sum += double{value};
  return sum;
}

// Where nothing is sent or held otherwise within a difference, thresholds have a true gradient:
// that of what was sent last.
TEST(TorchDynamic, DeltaHasTheGradientOfFiniteDifferences) {
  Rng rng(5);
  GraphBuilder builder("tiny", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.delta = Delta{0.5, 0.1, 1};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 3, options).Finish());
  const Batch batch = RandomBatch(graph, 6, 2, 3, &rng);
  const TorchTensors weights = TensorsOf(graph);
  Forward(graph, weights, batch, nullptr, ForwardOptions()).at(graph.outputs[0]).sum().backward();
  constexpr float kStep = 1.0f / 1024.0f;
  for (auto& [name, weight] : graph.weights) {
    const std::vector<float> gradient = ValuesOf(weights.at(name).grad());
    for (size_t i = 0; i < weight.size(); ++i) {
      const float kept = weight.values[i];
      weight.values[i] = kept + kStep;
      const double above = ReferenceSum(graph, batch);
      weight.values[i] = kept - kStep;
      const double below = ReferenceSum(graph, batch);
      weight.values[i] = kept;
      EXPECT_NEAR(gradient[i], (above - below) / (2.0 * double{kStep}), 1e-3) << name << " " << i;
    }
  }
}

// One unit, h = relu(x): step 1 is skipped at rest = 1 - gain. With u for the rounded gate, which
// passes its gradient on, h1 = u x1 + (1 - u) x0, and u = 1 - rest = gain = sigmoid(b).
TEST(TorchDynamic, SkipPassesItsGradientStraightThrough) {
  Rng rng(6);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.skip = true;
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 1, options).Finish());
  const float bias = -1.0f;
  for (const auto& [name, value] : {std::pair{"weight_ih", 1.0f},
                                    {"weight_hh", 0.0f},
                                    {"bias_ih", 0.0f},
                                    {"bias_hh", 0.0f},
                                    {"weight_skip", 0.0f},
                                    {"bias_skip", bias}}) {
    graph.weights.at(std::string("rnn_relu0.") + name).values = {value};
  }
  const Batch batch{2, 1, {1.0f, 3.0f}, {}, {2}};
  const TorchTensors weights = TensorsOf(graph);
  std::vector<at::Tensor> updates;
  const TorchTensors values =
      Forward(graph, weights, batch, nullptr, {CellPath::kFused, nullptr, &updates});
  const at::Tensor& h = values.at(graph.outputs[0]);
  EXPECT_EQ(ValuesOf(h), (std::vector<float>{1.0f, 1.0f}));
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(ValuesOf(updates[0]), (std::vector<float>{1.0f, 0.0f}));
  h.select(0, 1).sum().backward();
  const double gain = 1.0 / (1.0 + std::exp(-double{bias}));
  const double slope = gain * (1.0 - gain);
  EXPECT_NEAR(ValuesOf(weights.at("rnn_relu0.bias_skip").grad())[0], (3.0 - 1.0) * slope, 1e-6);
  // weight_skip reads h0 = 1.
  EXPECT_NEAR(ValuesOf(weights.at("rnn_relu0.weight_skip").grad())[0], (3.0 - 1.0) * slope, 1e-6);
}

}  // namespace
}  // namespace espalier
