#include "runtime/operation.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/recurrent.h"

namespace espalier {
namespace {

void CopyFloats(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

void RunGemm(const Operation& op, const RunContext& run) {
  const EncodedView& weight = op.product.weight;
  const size_t count = run.RowsOf(op.in);
  op.product.Run(run.team, op.in, op.out, count,
                 op.turns.Next(weight.bytes.size(), weight.spec.type, count, run.team));
}

// Windows of the rows [first, first + count) of a Conv1d, tap by tap: where a tap reads a step of
// this run, consecutive rows read consecutive rows, so that only those before it take a division.
// Zen 4, 3 taps of 64 inputs, 128 outputs, T = 100: 1 to 6 ns a row more than a Gemm of 192 inputs,
// which takes 350 ns in slot_16x16 at 10 % and 1100 ns in dense. As many rows at a time as fit in
// the L1 cache instead of ScratchRows (runtime/plan.cc) gained nothing in slots and lost in dense.
void GatherWindows(const Operation& op, const RunContext& run, size_t first, size_t count) {
  const size_t features = op.in.features;
  const size_t past_steps = op.state.features / features;
  const auto step_back = [&](size_t index, size_t back) -> const float* {
    if (index >= back * run.size) return op.in.row(index - back * run.size);
    const size_t past_step = past_steps + index / run.size - back;
    return run.StateOf(op.state, index % run.size) + past_step * features;
  };
  const RowBuffer& windows = op.windows.rows;
  for (size_t tap = 0; tap * features < windows.features; ++tap) {
    const size_t back = past_steps - tap * op.windows.dilation;
    for (size_t i = 0; i < count; ++i) {
      CopyFloats(step_back(first + i, back), features, windows.row(i) + tap * features);
    }
  }
}

// Appends the valid steps of sequence b to what its state holds, which drops as many in front. In
// runs of one step all of the state moves: 0.2 us for the 64 steps of D = 32.
void KeepPast(const Operation& op, const RunContext& run, size_t b) {
  const size_t features = op.in.features;
  const size_t past_steps = op.state.features / features;
  const auto length = static_cast<size_t>(run.lengths[b]);
  const size_t added = std::min(length, past_steps);
  float* past = run.StateOf(op.state, b);
  std::memmove(past, past + added * features, (past_steps - added) * features * sizeof(float));
  for (size_t i = 0; i < added; ++i) {
    CopyFloats(op.in.row((length - added + i) * run.size + b), features,
               past + (past_steps - added + i) * features);
  }
}

void RunConv1d(const Operation& op, const RunContext& run) {
  const RowBuffer& windows = op.windows.rows;
  const size_t total = run.RowsOf(op.in);
  for (size_t first = 0; first < total; first += op.windows.max_rows) {
    const size_t count = std::min(op.windows.max_rows, total - first);
    GatherWindows(op, run, first, count);
    RowBuffer out = op.out;
    out.data = op.out.row(first);
    op.product.Run(run.team, windows, out, count);
  }
  for (size_t b = 0; b < run.size; ++b) KeepPast(op, run, b);
}

void RunEmbedding(const Operation& op, const RunContext& run) {
  const size_t features = op.out.features;
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    if (op.table == nullptr) {
      op.read_row(op.matrix, run.ids[i], op.out.row(i));
    } else {
      CopyFloats(op.table + static_cast<size_t>(run.ids[i]) * features, features, op.out.row(i));
    }
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

void RunSlice(const Operation& op, const RunContext& run) {
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    CopyFloats(op.in.row(i) + op.first, op.out.features, op.out.row(i));
  }
}

// sum_f of(x[f]), in sums side by side, which compilers turn into vectors and which lose less.
template <typename Of>
float SumOf(const float* x, size_t count, const Of& of) {
  constexpr size_t kSums = 16;
  float sums[kSums] = {};
  size_t f = 0;
  for (; f + kSums <= count; f += kSums) {
    for (size_t i = 0; i < kSums; ++i) sums[i] += of(x[f + i]);
  }
  for (; f < count; ++f) sums[f % kSums] += of(x[f]);
  for (size_t half = kSums / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

void RunLayerNorm(const Operation& op, const RunContext& run) {
  const size_t features = op.in.features;
  const auto count = static_cast<float>(features);
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    const float* x = op.in.row(i);
    float* y = op.out.row(i);
    const float mean = SumOf(x, features, [](float v) { return v; }) / count;
    const float variance =
        SumOf(x, features, [mean](float v) { return (v - mean) * (v - mean); }) / count;
    const float scale = 1.0f / std::sqrt(variance + op.norm.epsilon);
    for (size_t f = 0; f < features; ++f) {
      y[f] = (x[f] - mean) * scale * op.norm.weight[f] + op.norm.bias[f];
    }
  }
}

void RunMul(const Operation& op, const RunContext& run) {
  for (size_t i = 0; i < run.RowsOf(op.out); ++i) {
    const float* a = op.in.row(i);
    const float* b = op.other.row(i);
    float* out = op.out.row(i);
    for (size_t f = 0; f < op.out.features; ++f) out[f] = a[f] * b[f];
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
    float* last = run.StateOf(op.state, b);
    if (length > 0) CopyFloats(op.in.row((length - 1) * run.size + b), op.in.features, last);
    CopyFloats(last, op.in.features, op.out.row(b));
  }
}

void RunMeanOverTime(const Operation& op, const RunContext& run) {
  const size_t features = op.in.features;
  for (size_t b = 0; b < run.size; ++b) {
    const auto length = static_cast<size_t>(run.lengths[b]);
    float* sum = run.StateOf(op.state, b);
    for (size_t t = 0; t < length; ++t) {
      const float* x = op.in.row(t * run.size + b);
      for (size_t f = 0; f < features; ++f) sum[f] += x[f];
    }
    float& count = *run.StateOf(op.count, b);
    count += static_cast<float>(length);
    const float share = count > 0.0f ? 1.0f / count : 0.0f;  // dividing each took 0.1 us for 256
    float* mean = op.out.row(b);
    for (size_t f = 0; f < features; ++f) mean[f] = sum[f] * share;
  }
}

}  // namespace

bool PaysToShare(size_t weight_bytes, size_t count) {
  // Measured: docs/measured/speed-threads.md, "How are steps shared?".
  constexpr size_t kLeastBytes = size_t{192} << 10;
  return weight_bytes * count >= kLeastBytes;
}

bool Product::IsShared(const ThreadTeam* team, size_t count) const {
  return team != nullptr && cuts != nullptr && PaysToShare(weight.bytes.size(), count);
}

void Product::Run(ThreadTeam* team, RowsAt x, RowsAt y, size_t count, bool backward) const {
  MatMulArgs args{x.data, x.stride, bias, y.data, y.stride, count};
  const auto multiply = [&](size_t first_group, size_t end_group) {
    if (first_group == end_group) return;
    MatMulArgs part = args;
    part.first_group = first_group;
    part.end_group = end_group;
    matmul(weight, part);
  };
  if (IsShared(team, count)) {
    const size_t per_thread = ChunksPerThread(weight.spec);
    team->For(per_thread, [&](size_t chunk) {
      if (backward) chunk = MirroredIn(per_thread, chunk);
      multiply(cuts[chunk], cuts[chunk + 1]);
    });
    return;
  }
  if (!backward) {
    matmul(weight, args);
    return;
  }
  // Large enough that a call costs nothing, small beside any cache behind the first.
  constexpr size_t kPieceBytes = size_t{128} << 10;
  const size_t pieces = weight.bytes.size() / kPieceBytes + 1;
  const size_t groups = RowGroups(weight);
  for (size_t piece = pieces; piece > 0; --piece) {
    multiply((piece - 1) * groups / pieces, piece * groups / pieces);
  }
}

Operation::Fn OperationOf(Op op) {
  switch (op) {
    case Op::kRecurrent: return RunRecurrent;
    case Op::kGemm: return RunGemm;
    case Op::kConv1d: return RunConv1d;
    case Op::kEmbedding: return RunEmbedding;
    case Op::kRelu:
    case Op::kSigmoid:
    case Op::kTanh:
    case Op::kSoftmax: return RunActivation;
    case Op::kConcat: return RunConcat;
    case Op::kAdd: return RunAdd;
    case Op::kMul: return RunMul;
    case Op::kSlice: return RunSlice;
    case Op::kLayerNorm: return RunLayerNorm;
    case Op::kLastStep: return RunLastStep;
    case Op::kMeanOverTime: return RunMeanOverTime;
    case Op::kDropout: return nullptr;
  }
  return nullptr;
}

}  // namespace espalier
