#include "train/torch_executor.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace espalier {
namespace {

at::Tensor IndexTensor(const std::vector<int64_t>& values) {
  return at::tensor(at::ArrayRef<int64_t>(values), at::kLong);
}

// One forward run: the values so far and what is derived from the lengths, made when first needed.
class Execution {
 public:
  Execution(const Graph& graph, const TorchTensors& weights, const Batch& batch,
            TorchTensors* states, const ForwardOptions& options)
      : graph_(graph),
        weights_(weights),
        batch_(batch),
        states_(states),
        options_(options),
        packing_(PackingOf(batch.lengths, batch.steps)) {}

  TorchTensors Run() {
    const GraphInput& input = graph_.inputs[0];
    TorchTensors values;
    values[input.name] = InputTensor(input);
    for (const Node& node : graph_.nodes) values[node.output] = RunNode(node, values);
    values.erase(input.name);
    return values;
  }

 private:
  at::Tensor InputTensor(const GraphInput& input) const {
    if (input.type.element == Element::kI32) {
      return at::from_blob(const_cast<int32_t*>(batch_.ids.data()), {batch_.steps, batch_.size},
                           at::kInt);
    }
    return at::from_blob(const_cast<float*>(batch_.features.data()),
                         {batch_.steps, batch_.size, input.type.features}, at::kFloat);
  }

  at::Tensor RunNode(const Node& node, TorchTensors& values) {
    const at::Tensor& x = values.at(node.inputs[0]);
    switch (node.op) {
      case Op::kRecurrent: return Recurrent(node, &values);
      case Op::kGemm: return Linear(node, x);
      case Op::kConv1d: return Conv1d(node, x);
      case Op::kEmbedding: return at::embedding(weights_.at(node.name + ".weight"), x);
      case Op::kDropout: {
        const double rate = options_.dropout_rate.value_or(node.rate);
        if (options_.dropout == nullptr || rate == 0.0) return x;
        const int64_t features = x.size(-1);
        return x * DropoutFactors(x.numel() / features, features, rate, options_.dropout)
                       .view(x.sizes());
      }
      case Op::kRelu: return at::relu(x);
      case Op::kSigmoid: return at::sigmoid(x);
      case Op::kTanh: return at::tanh(x);
      case Op::kSoftmax: return at::softmax(x, -1);
      case Op::kConcat: return at::cat({x, values.at(node.inputs[1])}, -1);
      case Op::kAdd: return x + values.at(node.inputs[1]);
      case Op::kMul: return x * values.at(node.inputs[1]);
      case Op::kSlice: return x.narrow(-1, node.first, node.count);
      case Op::kLayerNorm:
        return at::layer_norm(x, {x.size(-1)}, weights_.at(node.name + ".weight"),
                              weights_.at(node.name + ".bias"), node.epsilon);
      case Op::kLastStep: return LastStep(node, x);
      case Op::kMeanOverTime: return MeanOverTime(node, x);
    }
    return {};
  }

  at::Tensor Linear(const Node& node, const at::Tensor& x) const {
    const at::Tensor& weight = weights_.at(WeightOf(node));
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return at::addmm(weights_.at(node.name + ".bias"), x.reshape({-1, weight.size(1)}), weight.t())
        .view(shape);
  }

  // The taps side by side are what its matrix reads.
  at::Tensor Conv1d(const Node& node, const at::Tensor& x) {
    if (node.kernel_size == 1) return Linear(node, x);
    const std::string name = node.name + ".past";
    const int64_t past_steps = PastSteps(node);
    const int64_t features = x.size(2);
    const at::Tensor past = State(name, past_steps * features)
                                .view({batch_.size, past_steps, features})
                                .transpose(0, 1);
    const at::Tensor steps = at::cat({past, x}, 0);  // [past_steps + T, B, I]
    if (states_ != nullptr) {
      std::vector<int64_t> rows;  // of each sequence, its last past_steps valid steps
      for (int64_t b = 0; b < batch_.size; ++b) {
        const int64_t length = batch_.lengths[static_cast<size_t>(b)];
        for (int64_t i = 0; i < past_steps; ++i) rows.push_back((length + i) * batch_.size + b);
      }
      (*states_)[name] = steps.reshape({-1, features})
                             .index_select(0, IndexTensor(rows))
                             .view({batch_.size, past_steps * features});
    }
    std::vector<at::Tensor> taps;
    for (int64_t k = 0; k < node.kernel_size; ++k) {
      taps.push_back(steps.narrow(0, k * node.dilation, batch_.steps));
    }
    return Linear(node, at::cat(taps, -1));
  }

  at::Tensor State(const std::string& name, int64_t width) const {
    return states_ != nullptr ? states_->at(name) : at::zeros({batch_.size, width});
  }

  at::Tensor Recurrent(const Node& node, TorchTensors* values) {
    std::vector<at::Tensor> parts, end_c;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      // Its part of the values that the node starts from.
      std::vector<at::Tensor> start;
      for (size_t i = 1; i < node.inputs.size(); ++i) {
        const int64_t size = i == 1 ? StateSizeOf(node) : node.hidden_size;
        start.push_back(
            values->at(node.inputs[i]).narrow(1, static_cast<int64_t>(parts.size()) * size, size));
      }
      parts.push_back(RunDirection(node, direction, values->at(node.inputs[0]), start, &end_c));
    }
    if (!node.end_c.empty()) (*values)[node.end_c] = at::cat(end_c, -1);
    return parts.size() == 1 ? parts[0] : at::cat(parts, -1);
  }

  // Appends c at the end, of all sequences, to *end_c if the graph reads it.
  at::Tensor RunDirection(const Node& node, const RecurrentDirection& direction,
                          const at::Tensor& x, const std::vector<at::Tensor>& values,
                          std::vector<at::Tensor>* end_c) {
    const int64_t width = StateSizeOf(node);
    const int64_t count = static_cast<int64_t>(packing_.order.size());
    const auto start_of = [&](size_t input, const std::string& name, int64_t size) {
      return values.empty() ? State(name, size) : values[input];
    };
    const bool has_c = !direction.c.empty();
    const at::Tensor start_h = start_of(0, direction.h, width);
    const at::Tensor start_c = has_c ? start_of(1, direction.c, node.hidden_size) : at::Tensor();
    if (count == 0) {
      if (!node.end_c.empty()) end_c->push_back(start_c);
      return at::zeros({batch_.steps, batch_.size, width});
    }
    const CellWeights weights = CellWeightsOf(direction, weights_);
    const at::Tensor order = IndexTensor(packing_.order);
    const auto packed = [&](const at::Tensor& all) {
      return packing_.is_full || !all.defined() ? all : all.index_select(0, order);
    };
    // Those of delta and skipped updates, which the executor keeps as they are named.
    const auto own = [&](const std::string& name, int64_t size) {
      return name.empty() ? at::Tensor() : State(name, size);
    };
    const at::Tensor x_sent = own(direction.x_sent, x.size(2));
    const at::Tensor h_sent = own(direction.h_sent, width);
    const at::Tensor rest = own(direction.rest, 1);
    const at::Tensor gain = own(direction.gain, 1);
    const CellRun start{Pack(x, direction.reverse),
                        packed(start_h),
                        packed(start_c),
                        packed(x_sent),
                        packed(h_sent),
                        packed(rest),
                        packed(gain)};
    at::Tensor dropout;
    if (options_.dropout != nullptr && node.recurrent_dropout > 0.0) {
      dropout = DropoutFactors(count, width, node.recurrent_dropout, options_.dropout);
    }
    const auto run = options_.path == CellPath::kFused ? RunCellFused : RunCellTextual;
    StepRules rules{node.cell, node.delta, node.skip, node.banks, node.idle, node.predicted};
    const auto thresholds = weights_.find(ThresholdsName(node));
    if (thresholds != weights_.end()) rules.thresholds = thresholds->second;
    const CellRun end = run(rules, weights, start, packing_.step_sizes, dropout);
    if (options_.updates != nullptr && rules.chooses_share()) {
      options_.updates->push_back(end.updates);
    }
    if (options_.sends != nullptr && end.sends.defined()) options_.sends->push_back(end.sends);
    // Sequences without a step end where they start.
    const auto end_of = [&](const at::Tensor& all, const at::Tensor& packed_end) {
      return packing_.is_full ? packed_end : all.index_copy(0, order, packed_end);
    };
    if (!node.end_c.empty()) end_c->push_back(end_of(start_c, end.c));
    if (states_ != nullptr && values.empty()) {
      states_->at(direction.h) = end_of(start_h, end.h);
      if (has_c) states_->at(direction.c) = end_of(start_c, end.c);
      if (node.delta.has_value()) {
        states_->at(direction.x_sent) = end_of(x_sent, end.x_sent);
        states_->at(direction.h_sent) = end_of(h_sent, end.h_sent);
      }
      if (node.skip) {
        states_->at(direction.rest) = end_of(rest, end.rest);
        states_->at(direction.gain) = end_of(gain, end.gain);
      }
    }
    return Unpack(end.rows, direction.reverse);
  }

  // Row of the batch, t * B + b, of each packed row.
  const at::Tensor& RowIndex(bool reverse) {
    at::Tensor& index = row_index_[reverse ? 1 : 0];
    if (index.defined()) return index;
    std::vector<int64_t> rows;
    for (size_t t = 0; t < packing_.step_sizes.size(); ++t) {
      for (int64_t i = 0; i < packing_.step_sizes[t]; ++i) {
        const int64_t b = packing_.order[static_cast<size_t>(i)];
        const int64_t length = batch_.lengths[static_cast<size_t>(b)];
        const int64_t step = static_cast<int64_t>(t);
        rows.push_back((reverse ? length - 1 - step : step) * batch_.size + b);
      }
    }
    index = IndexTensor(rows);
    return index;
  }

  at::Tensor Pack(const at::Tensor& x, bool reverse) {
    if (packing_.is_full) return (reverse ? x.flip(0) : x).reshape({-1, x.size(2)});
    return x.reshape({-1, x.size(2)}).index_select(0, RowIndex(reverse));
  }

  // Inverse of Pack; 0 past the lengths.
  at::Tensor Unpack(const at::Tensor& rows, bool reverse) {
    const std::vector<int64_t> shape = {batch_.steps, batch_.size, rows.size(1)};
    if (packing_.is_full) return reverse ? rows.view(shape).flip(0) : rows.view(shape);
    return at::zeros({batch_.steps * batch_.size, rows.size(1)})
        .index_copy(0, RowIndex(reverse), rows)
        .view(shape);
  }

  at::Tensor LastStep(const Node& node, const at::Tensor& x) {
    const std::string name = node.name + ".last";
    at::Tensor last;
    if (packing_.is_full) {
      last = x.select(0, batch_.steps - 1);
    } else {
      last = State(name, x.size(2));
      if (!packing_.order.empty()) {
        std::vector<int64_t> rows;
        for (const int64_t b : packing_.order) {
          rows.push_back((batch_.lengths[static_cast<size_t>(b)] - 1) * batch_.size + b);
        }
        last = last.index_copy(0, IndexTensor(packing_.order),
                               x.reshape({-1, x.size(2)}).index_select(0, IndexTensor(rows)));
      }
    }
    if (states_ != nullptr) (*states_)[name] = last;
    return last;
  }

  at::Tensor MeanOverTime(const Node& node, const at::Tensor& x) {
    const at::Tensor lengths =
        at::tensor(at::ArrayRef<int32_t>(batch_.lengths), at::kInt).view({-1, 1});
    // where, not a product: what is past a length may be anything, NaN too.
    const at::Tensor valid =
        (at::arange(batch_.steps, at::kInt).view({-1, 1}) < lengths.view({1, -1})).unsqueeze(2);
    at::Tensor sum = (packing_.is_full ? x : at::where(valid, x, at::zeros({1}))).sum(0);
    at::Tensor count = lengths.to(at::kFloat);
    if (states_ != nullptr) {
      sum = sum + states_->at(node.name + ".sum");
      count = count + states_->at(node.name + ".count");
      (*states_)[node.name + ".sum"] = sum;
      (*states_)[node.name + ".count"] = count;
    }
    return sum / count.clamp_min(1.0);  // without a step the sum is 0
  }

  const Graph& graph_;
  const TorchTensors& weights_;
  const Batch& batch_;
  TorchTensors* states_;
  const ForwardOptions& options_;
  const Packing packing_;
  at::Tensor row_index_[2];
};

}  // namespace

Packing PackingOf(const std::vector<int32_t>& lengths, int64_t steps) {
  Packing packing;
  for (size_t b = 0; b < lengths.size(); ++b) {
    if (lengths[b] > 0) packing.order.push_back(static_cast<int64_t>(b));
  }
  std::stable_sort(packing.order.begin(), packing.order.end(), [&](int64_t a, int64_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  size_t going = packing.order.size();
  for (int64_t t = 0; t < steps; ++t) {
    while (going > 0 && lengths[static_cast<size_t>(packing.order[going - 1])] <= t) --going;
    if (going == 0) break;
    packing.step_sizes.push_back(static_cast<int64_t>(going));
  }
  packing.is_full = steps > 0 && going == lengths.size();
  return packing;
}

at::Tensor DropoutFactors(int64_t rows, int64_t cols, double rate, Rng* rng) {
  at::Tensor factors = at::empty({rows, cols});
  float* out = factors.data_ptr<float>();
  const float kept = static_cast<float>(1.0 / (1.0 - rate));
  const auto threshold = static_cast<uint32_t>(rate * 0x1.0p32);
  const int64_t count = factors.numel();
  for (int64_t i = 0; i < count; i += 2) {  // one draw serves two elements
    const uint64_t draw = rng->Next();
    out[i] = static_cast<uint32_t>(draw) < threshold ? 0.0f : kept;
    if (i + 1 < count) out[i + 1] = static_cast<uint32_t>(draw >> 32) < threshold ? 0.0f : kept;
  }
  return factors;
}

TorchTensors Forward(const Graph& graph, const TorchTensors& weights, const Batch& batch,
                     TorchTensors* states, const ForwardOptions& options) {
  return Execution(graph, weights, batch, states, options).Run();
}

}  // namespace espalier
