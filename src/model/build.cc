#include "model/build.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "cells/saturation.h"

namespace espalier {
namespace {

// Of a cell with thresholds, at first: with thresholds next to 0 most units say something at most
// steps, and training hardly raises them.
constexpr float kLeastThreshold = 0.2f;

}  // namespace

GraphBuilder::GraphBuilder(std::string name, GraphInput input, Rng* rng)
    : value_(input.name), rng_(rng) {
  graph_.name = std::move(name);
  graph_.inputs.push_back(std::move(input));
}

Node& GraphBuilder::Append(Op op, const std::string& kind) {
  int64_t count = 0;
  while (FindNode(graph_, kind + std::to_string(count)) != nullptr) ++count;
  Node node;
  node.op = op;
  node.name = kind + std::to_string(count);
  node.inputs = {value_};
  node.output = node.name + ".out";
  value_ = node.output;
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back();
}

int64_t GraphBuilder::FeaturesOf(const std::string& value) const {
  const auto types = InferTypes(graph_);
  if (!types.ok()) return 1;  // Finish will say what is wrong
  const auto it = types->find(value);
  return it == types->end() ? 1 : it->second.features;
}

Tensor GraphBuilder::Uniform(std::vector<int64_t> shape, float bound) {
  Tensor tensor(std::move(shape));
  for (float& value : tensor.values) value = rng_->Uniform(-bound, bound);
  return tensor;
}

void GraphBuilder::AddLinear(const std::string& node, int64_t outputs, int64_t inputs) {
  const float bound = 1.0f / std::sqrt(static_cast<float>(std::max<int64_t>(inputs, 1)));
  graph_.weights[node + ".weight"] = Uniform({outputs, inputs}, bound);
  graph_.weights[node + ".bias"] = Uniform({outputs}, bound);
}

GraphBuilder& GraphBuilder::Recurrent(CellKind cell, int64_t hidden_size) {
  return Recurrent(cell, hidden_size, RecurrentOptions());
}

GraphBuilder& GraphBuilder::Recurrent(CellKind cell, int64_t hidden_size,
                                      RecurrentOptions options) {
  const int64_t inputs = FeaturesOf(value_);
  Node& node = Append(Op::kRecurrent, std::string(InfoOf(cell).name));
  node.cell = cell;
  node.hidden_size = hidden_size;
  node.direction = options.direction;
  node.recurrent_dropout = options.recurrent_dropout;
  node.projection_size = options.projection_size;
  node.delta = options.delta;
  node.skip = options.skip;
  node.banks = options.banks;
  node.idle = options.idle;
  node.predicted = options.predicted;
  node.inputs.insert(node.inputs.end(), options.start.begin(), options.start.end());
  const int64_t rows = InfoOf(cell).gates * std::max<int64_t>(hidden_size, 0);
  const float bound = 1.0f / std::sqrt(static_cast<float>(std::max<int64_t>(hidden_size, 1)));
  for (const RecurrentDirection& direction : DirectionsOf(node)) {
    graph_.weights[direction.weight_ih] = Uniform({rows, inputs}, bound);
    graph_.weights[direction.weight_hh] =
        Uniform({rows, std::max<int64_t>(StateSizeOf(node), 0)}, bound);
    graph_.weights[direction.bias_ih] = Uniform({rows}, bound);
    graph_.weights[direction.bias_hh] = Uniform({rows}, bound);
    if (!direction.weight_hr.empty()) {
      graph_.weights[direction.weight_hr] =
          Uniform({node.projection_size, std::max<int64_t>(hidden_size, 0)}, bound);
    }
    if (!direction.weight_peephole.empty()) {
      const int64_t peepholes = InfoOf(cell).peepholes * std::max<int64_t>(hidden_size, 0);
      Tensor& weight = graph_.weights[direction.weight_peephole] = Uniform({peepholes}, bound);
      for (float& value : weight.values) {
        if (InfoOf(cell).has_threshold) value = kLeastThreshold + std::abs(value);
      }
    }
    if (node.skip) {
      graph_.weights[direction.weight_skip] =
          Uniform({std::max<int64_t>(StateSizeOf(node), 0)}, bound);
      graph_.weights[direction.bias_skip] = Tensor({1}, {1.0f});
    }
    if (node.banks.has_value() && node.banks->size >= 1) {
      const int64_t banks = std::max<int64_t>(BankCountOf(node), 0);
      graph_.weights[direction.weight_banks_ih] = Uniform({banks, inputs}, bound);
      graph_.weights[direction.weight_banks_hh] =
          Uniform({banks, std::max<int64_t>(hidden_size, 0)}, bound);
      graph_.weights[direction.bias_banks] =
          Tensor({banks}, std::vector<float>(static_cast<size_t>(banks), 1.0f));
    }
    if (node.predicted.has_value() && SaturationOf(cell) != nullptr) {
      const int64_t size = node.predicted->size;
      const int64_t predicted = SaturationOf(cell)->sum_gates * hidden_size;
      graph_.weights[direction.weight_predict_ih] = Uniform({size, inputs}, bound);
      graph_.weights[direction.weight_predict_hh] = Uniform({size, StateSizeOf(node)}, bound);
      graph_.weights[direction.weight_predict] = Uniform({predicted, size}, 1.0f);
      graph_.weights[direction.bias_predict] = Uniform({predicted}, 1.0f);
    }
  }
  return *this;
}

GraphBuilder& GraphBuilder::EndC() {
  for (Node& node : graph_.nodes) {
    if (node.output != value_) continue;
    if (node.end_c.empty()) node.end_c = node.name + ".end_c";
    value_ = node.end_c;
    break;
  }
  return *this;
}

GraphBuilder& GraphBuilder::Gemm(int64_t outputs) {
  const int64_t inputs = FeaturesOf(value_);
  AddLinear(Append(Op::kGemm, "gemm").name, outputs, inputs);
  return *this;
}

GraphBuilder& GraphBuilder::TiedGemm(const std::string& embedding) {
  Node& node = Append(Op::kGemm, "gemm");
  node.tied = embedding;
  const auto shared = graph_.weights.find(WeightOf(node));
  if (shared == graph_.weights.end()) return *this;  // Finish will say what is wrong
  const std::vector<int64_t> shape = shared->second.shape;
  const float bound = 1.0f / std::sqrt(static_cast<float>(std::max<int64_t>(shape[1], 1)));
  shared->second = Uniform(shape, bound);
  graph_.weights[node.name + ".bias"] = Uniform({shape[0]}, bound);
  return *this;
}

GraphBuilder& GraphBuilder::Conv1d(int64_t outputs, Conv1dOptions options) {
  const int64_t inputs = FeaturesOf(value_);
  Node& node = Append(Op::kConv1d, "conv1d");
  node.kernel_size = options.kernel_size;
  node.dilation = options.dilation;
  AddLinear(node.name, outputs, std::max<int64_t>(options.kernel_size, 0) * inputs);
  return *this;
}

GraphBuilder& GraphBuilder::Embedding(int64_t features) {
  const int64_t ids = FeaturesOf(value_);
  Tensor weight({ids, features});
  for (float& value : weight.values) value = static_cast<float>(rng_->Normal());
  graph_.weights[Append(Op::kEmbedding, "embedding").name + ".weight"] = std::move(weight);
  return *this;
}

GraphBuilder& GraphBuilder::Dropout(double rate) {
  Append(Op::kDropout, "dropout").rate = rate;
  return *this;
}

GraphBuilder& GraphBuilder::Activation(Op op) {
  std::string kind = OpName(op);
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  Append(op, kind);
  return *this;
}

GraphBuilder& GraphBuilder::LastStep() {
  Append(Op::kLastStep, "last_step");
  return *this;
}

GraphBuilder& GraphBuilder::MeanOverTime() {
  Append(Op::kMeanOverTime, "mean_over_time");
  return *this;
}

GraphBuilder& GraphBuilder::LayerNorm(double epsilon) {
  const int64_t features = FeaturesOf(value_);
  Node& node = Append(Op::kLayerNorm, "layer_norm");
  node.epsilon = epsilon;
  const auto count = static_cast<size_t>(features);
  graph_.weights[node.name + ".weight"] = Tensor({features}, std::vector<float>(count, 1.0f));
  graph_.weights[node.name + ".bias"] = Tensor({features});
  return *this;
}

GraphBuilder& GraphBuilder::Slice(int64_t first, int64_t count) {
  Node& node = Append(Op::kSlice, "slice");
  node.first = first;
  node.count = count;
  return *this;
}

GraphBuilder& GraphBuilder::Glu() {
  const std::string both = value_;
  const int64_t half = FeaturesOf(both) / 2;
  const std::string gate = Slice(half, half).Activation(Op::kSigmoid).value();
  return From(both).Slice(0, half).Mul(gate);
}

GraphBuilder& GraphBuilder::Mul(std::string other_value) {
  Append(Op::kMul, "mul").inputs.push_back(std::move(other_value));
  return *this;
}

GraphBuilder& GraphBuilder::Add(std::string other_value) {
  Append(Op::kAdd, "add").inputs.push_back(std::move(other_value));
  return *this;
}

GraphBuilder& GraphBuilder::Concat(std::string other_value) {
  Append(Op::kConcat, "concat").inputs.push_back(std::move(other_value));
  return *this;
}

GraphBuilder& GraphBuilder::From(const std::string& value) {
  value_ = value;
  return *this;
}

Result<Graph> GraphBuilder::Finish() {
  graph_.outputs = {value_};
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph_));
  return graph_;
}

}  // namespace espalier
