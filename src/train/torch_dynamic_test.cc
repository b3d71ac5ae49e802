// Delta, skipped updates, banks of units and rows that are left out in the autograd executor.
#include <cmath>

#include "cells/saturation.h"
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
  CellKind cell = CellKind::kLstmCell;
  Direction direction = Direction::kForward;
  bool has_delta = false, skips = false;
  std::optional<UnitBanks> banks = {};
  std::optional<IdleCandidates> idle = {};
  std::optional<PredictedRows> predicted = {};
};

Graph NetworkOf(const Case& which) {
  Rng rng(1);
  GraphBuilder builder("dynamic", {"x", {Element::kF32, Layout::kSequence, 5}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = which.direction;
  if (which.has_delta) options.delta = Delta{0.4, 0.08, 1};
  options.skip = which.skips;
  options.banks = which.banks;
  options.idle = which.idle;
  options.predicted = which.predicted;
  builder.Recurrent(which.cell, 7, options);
  if (which.has_delta) options.delta->bank = 3;
  Graph graph = ValueOrDie(builder.Recurrent(which.cell, 4, options).Finish());
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_skip") != std::string::npos) weight.values = {-0.8f};
    if (name.find("bias_banks") != std::string::npos) weight.values.assign(weight.size(), 0.05f);
    if (name.find("predict") != std::string::npos) {
      for (float& value : weight.values) value *= 3.0f;
    }
  }
  return graph;
}

// All values and end states are the reference's, from random states and lengths. No value meets a
// threshold within rounding here.
TEST(TorchDynamic, EqualsTheReference) {
  for (const CellInfo& cell : kCells) {
    const UnitBanks threes{3, 0}, top_two{2, 1}, three_units{1, 3};
    for (const Case& rules :
         {Case{.has_delta = true}, Case{.skips = true}, Case{.has_delta = true, .skips = true},
          Case{.banks = threes}, Case{.skips = true, .banks = threes}, Case{.banks = top_two},
          Case{.banks = three_units}, Case{.idle = IdleCandidates{0.45}},
          Case{.predicted = PredictedRows{3, 0.2}},
          Case{.skips = true, .idle = IdleCandidates{0.45}, .predicted = PredictedRows{3, 0.2}}}) {
      if (cell.reset_before && (rules.has_delta || rules.banks.has_value())) continue;
      const bool leaves_out_rows = rules.idle.has_value() || rules.predicted.has_value();
      if (leaves_out_rows && SaturationOf(cell.kind) == nullptr) continue;
      for (const Direction direction : {Direction::kForward, Direction::kBidirectional}) {
        Case which = rules;
        which.cell = cell.kind;
        which.direction = direction;
        const Graph graph = NetworkOf(which);
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

// Those of the node itself, too large here to send anything, are not looked at.
TEST(TorchDynamic, LearnedThresholdsSendWhatThoseOfTheNodeDo) {
  for (const Direction direction : {Direction::kForward, Direction::kBidirectional}) {
    const Graph graph = NetworkOf({.direction = direction, .has_delta = true});
    Rng rng(3);
    const Batch batch = RandomBatch(graph, 9, 4, 0, &rng);
    const TorchTensors expected =
        Forward(graph, TensorsOf(graph), batch, nullptr, ForwardOptions());
    TorchTensors weights = TensorsOf(graph);
    Graph others = graph;
    for (Node& node : others.nodes) {
      weights[ThresholdsName(node)] =
          at::tensor({static_cast<float>(node.delta->x), static_cast<float>(node.delta->h)});
      node.delta->x = node.delta->h = 7.0;
    }
    std::vector<at::Tensor> sends;
    ForwardOptions options;
    options.sends = &sends;
    const TorchTensors values = Forward(others, weights, batch, nullptr, options);
    for (const auto& [name, value] : expected) {
      EXPECT_EQ(ValuesOf(values.at(name)), ValuesOf(value)) << name;
    }
    EXPECT_EQ(sends.size(), direction == Direction::kForward ? 2u : 4u);
    for (const at::Tensor& share : sends) {
      EXPECT_GT(share.mean().item<float>(), 0.05f);
      EXPECT_LT(share.mean().item<float>(), 0.9f);
    }
  }
}

// One unit, h = relu(x sent), one step: with s' for the derivative of the sigmoid of width 0.1, the
// gradient of a threshold is -s'(|x| - threshold) / 0.1 times x where h reads x, and a half where
// the penalty counts x and h.
TEST(TorchDynamic, ThresholdsHaveTheGradientOfASigmoid) {
  Rng rng(6);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  GraphBuilder::RecurrentOptions recurrent;
  recurrent.delta = Delta{0.0, 0.0, 1};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 1, recurrent).Finish());
  for (auto& [name, weight] : graph.weights) {
    weight.values.assign(weight.size(), name.find("weight_ih") != std::string::npos ? 2.0f : 0.0f);
    if (name.find("bias_ih") != std::string::npos) weight.values = {1.0f};
  }
  Batch batch = RandomBatch(graph, 1, 1, 1, &rng);
  for (const float x : {0.35f, 0.2f, -0.2f}) {
    batch.features = {x};
    TorchTensors weights = TensorsOf(graph);
    const at::Tensor thresholds = at::tensor({0.3f, 0.3f}).requires_grad_(true);
    weights[ThresholdsName(graph.nodes[0])] = thresholds;
    std::vector<at::Tensor> sends;
    ForwardOptions options;
    options.sends = &sends;
    const TorchTensors values = Forward(graph, weights, batch, nullptr, options);
    EXPECT_FLOAT_EQ(values.at(graph.outputs[0]).item<float>(), x > 0.3f ? 1.7f : 1.0f);
    EXPECT_EQ(sends.at(0).item<float>(), x > 0.3f ? 0.5f : 0.0f);
    values.at(graph.outputs[0]).sum().backward({}, /*retain_graph=*/true);
    const double sigmoid = 1.0 / (1.0 + std::exp(-(std::abs(double{x}) - 0.3) / 0.1));
    const double slope = -sigmoid * (1.0 - sigmoid) / 0.1;
    EXPECT_NEAR(thresholds.grad()[0].item<float>(), 2.0 * slope * double{x}, 1e-5) << x;
    EXPECT_EQ(thresholds.grad()[1].item<float>(), 0.0f);
    thresholds.mutable_grad().zero_();
    sends[0].sum().backward();
    EXPECT_NEAR(thresholds.grad()[0].item<float>(), 0.5 * slope, 1e-5) << x;
    EXPECT_NEAR(thresholds.grad()[1].item<float>(), 0.5 * -0.045177 / 0.1, 1e-5) << "h is 0";
  }
}

// One unit that forgets (z = 0): c = tanh(x), h = c where c is above the threshold of 0.3, with the
// derivative of a triangle of height 0.7 and half width 0.5 in the place of that of the step.
TEST(TorchDynamic, EventsHaveTheGradientOfATriangle) {
  Rng rng(6);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kEgruCell, 1).Finish());
  for (auto& [name, weight] : graph.weights) {
    weight.values.assign(weight.size(), 0.0f);
    if (name.find("weight_ih") != std::string::npos) weight.values[2] = 1.0f;
    if (name.find("bias_ih") != std::string::npos) weight.values[1] = -100.0f;
    if (name.find("weight_peephole") != std::string::npos) weight.values[0] = 0.3f;
  }
  Batch batch = RandomBatch(graph, 1, 1, 1, &rng);
  for (const float x : {0.5f, 0.2f, -0.1f, 1.5f}) {
    batch.features = {x};
    const TorchTensors weights = TensorsOf(graph);
    const at::Tensor h =
        Forward(graph, weights, batch, nullptr, ForwardOptions()).at(graph.outputs[0]);
    const double c = std::tanh(double{x});
    EXPECT_FLOAT_EQ(h.item<float>(), c > 0.3 ? static_cast<float>(c) : 0.0f);
    h.sum().backward();
    const double slope = 0.7 * c * std::max(0.0, 1.0 - std::abs(c - 0.3) / 0.5);
    EXPECT_NEAR(weights.at("egru0.weight_peephole").grad().item<float>(), -slope, 1e-6) << x;
    EXPECT_NEAR(weights.at("egru0.bias_ih").grad()[2].item<float>(),
                (slope + (c > 0.3 ? 1.0 : 0.0)) * (1.0 - c * c), 1e-6);
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

// One unit, a bank, h = relu(x): it does not run at the second step. With r for the rounded gate of
// its score s, h1 = r x1 + (1 - r) x0, and r passes the gradient of sigmoid(s).
TEST(TorchDynamic, BanksPassTheirGradientStraightThrough) {
  Rng rng(6);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.banks = UnitBanks{1, 0};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnReluCell, 1, options).Finish());
  for (const auto& [name, value] : {std::pair{"weight_ih", 1.0f},
                                    {"weight_hh", 0.0f},
                                    {"bias_ih", 0.0f},
                                    {"bias_hh", 0.0f},
                                    {"weight_banks_ih", 0.5f},
                                    {"weight_banks_hh", -2.0f},
                                    {"bias_banks", 0.25f}}) {
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
  const auto slope = [](double score) {
    const double gate = 1.0 / (1.0 + std::exp(-score));
    return gate * (1.0 - gate);
  };
  // d h1 / d s1 = (x1 - h0) slope, s1 = 0.5 * 3 - 2 h0 + 0.25 = -0.25. h0 = x0 whatever r0 is but
  // for its gradient (x0 - 0) slope(s0), s0 = 0.75, which h1 passes on as (1 - r1) - 2 d h1 / d s1.
  const double at_1 = (3.0 - 1.0) * slope(-0.25);
  const double at_0 = 1.0 * slope(0.75) * (1.0 - 2.0 * at_1);
  const auto gradient = [&](const char* name) {
    return ValuesOf(weights.at(std::string("rnn_relu0.") + name).grad())[0];
  };
  EXPECT_NEAR(gradient("bias_banks"), at_1 + at_0, 1e-6);
  EXPECT_NEAR(gradient("weight_banks_ih"), 3.0 * at_1 + 1.0 * at_0, 1e-6);
  EXPECT_NEAR(gradient("weight_banks_hh"), 1.0 * at_1, 1e-6);
}

}  // namespace
}  // namespace espalier
