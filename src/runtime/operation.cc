#include "runtime/operation.h"

#include <algorithm>
#include <cstring>

namespace espalier {
namespace {

void CopyFloats(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

// Recurrent writes 0 past a sequence's length.
void ZeroPastLengths(const Operation& op, const RunContext& run) {
  const size_t hidden = op.recurrent.h.features;
  for (size_t b = 0; b < run.size; ++b) {
    for (auto t = static_cast<size_t>(run.lengths[b]); t < run.steps; ++t) {
      std::fill_n(op.out.row(t * run.size + b) + op.recurrent.out_offset, hidden, 0.0f);
    }
  }
}

// Step `s` of the first `active` sequences: at row s, or that far from the end if reverse.
// A sequence among them that has ended is multiplied along and then left as it is.
void RecurrentStep(const Operation& op, const RunContext& run, size_t s, size_t active) {
  const RecurrentLayer& layer = op.recurrent;
  const size_t hidden = layer.h.features;
  const auto row_of = [&](size_t b) {
    const size_t t = layer.reverse ? static_cast<size_t>(run.lengths[b]) - 1 - s : s;
    return t * run.size + b;
  };
  const auto is_live = [&](size_t b) { return static_cast<size_t>(run.lengths[b]) > s; };
  const auto args_of = [&](size_t b) -> GateStepArgs {
    float* c = layer.c.data == nullptr ? nullptr : layer.c.row(b);
    return {layer.ax.row(row_of(b)), layer.ah.row(b), hidden, layer.h.row(b), c, hidden};
  };
  layer.recurrent.Run(layer.h.data, layer.h.stride, layer.ah.data, layer.ah.stride, active);
  if (layer.reset_hidden != nullptr) {
    for (size_t b = 0; b < active; ++b) {
      if (is_live(b)) layer.reset_hidden(args_of(b), layer.reset_h.row(b));
    }
    float* last_gate = layer.ah.data + layer.recurrent.weight.rows;
    layer.candidate.Run(layer.reset_h.data, layer.reset_h.stride, last_gate, layer.ah.stride,
                        active);
  }
  for (size_t b = 0; b < active; ++b) {
    if (!is_live(b)) continue;
    layer.gate_step(args_of(b));
    CopyFloats(layer.h.row(b), hidden, op.out.row(row_of(b)) + layer.out_offset);
  }
}

void RunRecurrent(const Operation& op, const RunContext& run) {
  const RecurrentLayer& layer = op.recurrent;
  layer.input.Run(op.in.data, op.in.stride, layer.ax.data, layer.ax.stride,
                  run.max_length * run.size);
  ZeroPastLengths(op, run);
  size_t active = run.size;
  for (size_t s = 0; s < run.max_length; ++s) {
    // With lengths in descending order nothing is multiplied in vain.
    while (static_cast<size_t>(run.lengths[active - 1]) <= s) --active;
    RecurrentStep(op, run, s, active);
  }
}

void RunGemm(const Operation& op, const RunContext& run) {
  op.product.Run(op.in.data, op.in.stride, op.out.data, op.out.stride, run.RowsOf(op.in));
}

void RunEmbedding(const Operation& op, const RunContext& run) {
  const size_t features = op.out.features;
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    CopyFloats(op.table + static_cast<size_t>(run.ids[i]) * features, features, op.out.row(i));
  }
}

void RunActivation(const Operation& op, const RunContext& run) {
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    CopyFloats(op.in.row(i), op.in.features, op.out.row(i));
    op.activation(op.out.row(i), op.out.features);
  }
}

void RunConcat(const Operation& op, const RunContext& run) {
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    CopyFloats(op.in.row(i), op.in.features, op.out.row(i));
    CopyFloats(op.other.row(i), op.other.features, op.out.row(i) + op.in.features);
  }
}

void RunAdd(const Operation& op, const RunContext& run) {
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    const float* a = op.in.row(i);
    const float* b = op.other.row(i);
    float* out = op.out.row(i);
    for (size_t f = 0; f < op.out.features; ++f) out[f] = a[f] + b[f];
  }
}

void RunLastStep(const Operation& op, const RunContext& run) {
  for (size_t b = 0; b < run.size; ++b) {
    const auto length = static_cast<size_t>(run.lengths[b]);
    float* last = op.state.row(b);
    if (length > 0) CopyFloats(op.in.row((length - 1) * run.size + b), op.in.features, last);
    CopyFloats(last, op.in.features, op.out.row(b));
  }
}

void RunMeanOverTime(const Operation& op, const RunContext& run) {
  const size_t features = op.in.features;
  for (size_t b = 0; b < run.size; ++b) {
    const auto length = static_cast<size_t>(run.lengths[b]);
    float* sum = op.state.row(b);
    for (size_t t = 0; t < length; ++t) {
      const float* x = op.in.row(t * run.size + b);
      for (size_t f = 0; f < features; ++f) sum[f] += x[f];
    }
    float& count = *op.count.row(b);
    count += static_cast<float>(length);
    for (size_t f = 0; f < features; ++f) {
      op.out.row(b)[f] = count > 0.0f ? sum[f] / count : 0.0f;
    }
  }
}

}  // namespace

Operation::Fn OperationOf(Op op) {
  switch (op) {
    case Op::kRecurrent: return RunRecurrent;
    case Op::kGemm: return RunGemm;
    case Op::kEmbedding: return RunEmbedding;
    case Op::kRelu:
    case Op::kSigmoid:
    case Op::kTanh:
    case Op::kSoftmax: return RunActivation;
    case Op::kConcat: return RunConcat;
    case Op::kAdd: return RunAdd;
    case Op::kLastStep: return RunLastStep;
    case Op::kMeanOverTime: return RunMeanOverTime;
    case Op::kDropout: return nullptr;
  }
  return nullptr;
}

}  // namespace espalier
