// One direction of a recurrent node over packed rows: the textual form of every cell, and
// libtorch's own where it has the cell.
#include "cells/cells.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

// The math policy over tensors. See cells/cells.h.
struct TensorMath {
  using V = at::Tensor;
  static V Add(const V& a, const V& b) { return a + b; }
  static V Sub(const V& a, const V& b) { return a - b; }
  static V Mul(const V& a, const V& b) { return a * b; }
  static V MulAdd(const V& a, const V& b, const V& c) { return at::addcmul(c, a, b); }
  static V Sigmoid(const V& a) { return at::sigmoid(a); }
  static V Tanh(const V& a) { return at::tanh(a); }
  static V SigmoidTimesTanh(const V& a, const V& b) { return Sigmoid(a) * Tanh(b); }
  static V Relu(const V& a) { return at::relu(a); }
  static V OneMinus(const V& a) { return 1.0 - a; }
};

#include "cells/all_cells.inl"

// States of sequences that end early, in packed order: the longest sequences come first.
class EndStates {
 public:
  // Keeps the first `size` rows of *state going and puts the others aside.
  void Shrink(int64_t size, at::Tensor* state) {
    if (!state->defined() || state->size(0) == size) return;
    ended_.push_back(state->narrow(0, size, state->size(0) - size));
    *state = state->narrow(0, 0, size);
  }
  at::Tensor Join(const at::Tensor& last) const {
    if (ended_.empty()) return last;
    std::vector<at::Tensor> parts = {last};
    parts.insert(parts.end(), ended_.rbegin(), ended_.rend());
    return at::cat(parts, 0);
  }

 private:
  std::vector<at::Tensor> ended_;
};

template <class Cell>
CellRun RunTextual(const CellInfo& info, const CellWeights& w, const CellRun& start,
                   const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  const TensorMath m;
  const int64_t gates = info.gates;
  const int64_t hidden = w.weight_ih.size(0) / gates;
  // Gates whose product reads h itself; the last one of a reset-before cell reads r * h.
  const int64_t direct = Cell::kResetBefore ? gates - 1 : gates;
  const at::Tensor weight_hh = w.weight_hh.narrow(0, 0, direct * hidden).t();
  const at::Tensor bias_hh = w.bias_hh.narrow(0, 0, direct * hidden);
  // split, not narrow at each step: its backward joins the steps once, narrow's would fill [N, G*H]
  // with zeros at each.
  const std::vector<at::Tensor> ax_steps =
      at::addmm(w.bias_ih, start.rows, w.weight_ih.t()).split_with_sizes(step_sizes);
  std::vector<at::Tensor> peepholes;
  if constexpr (Cell::kPeepholes) peepholes = w.weight_peephole.chunk(info.peepholes);
  CellState<at::Tensor> state{start.h, start.c};
  EndStates ended_h, ended_c;
  std::vector<at::Tensor> outputs;
  for (size_t step = 0; step < step_sizes.size(); ++step) {
    const int64_t size = step_sizes[step];
    ended_h.Shrink(size, &state.h);
    ended_c.Shrink(size, &state.c);
    const at::Tensor h = dropout.defined() ? state.h * dropout.narrow(0, 0, size) : state.h;
    const std::vector<at::Tensor> ax = ax_steps[step].chunk(gates, 1);
    std::vector<at::Tensor> ah = at::addmm(bias_hh, h, weight_hh).chunk(direct, 1);
    if constexpr (Cell::kResetBefore) {
      const at::Tensor reset_h = Cell::ResetHidden(m, ax.data(), ah.data(), h);
      ah.push_back(at::addmm(w.bias_hh.narrow(0, direct * hidden, hidden), reset_h,
                             w.weight_hh.narrow(0, direct * hidden, hidden).t()));
    }
    CellState<at::Tensor> next;
    if constexpr (Cell::kPeepholes) {
      Cell::Step(m, ax.data(), ah.data(), peepholes.data(), state, &next);
    } else {
      Cell::Step(m, ax.data(), ah.data(), state, &next);
    }
    if (w.weight_hr.defined()) next.h = at::mm(next.h, w.weight_hr.t());
    state = next;
    outputs.push_back(state.h);
  }
  return {at::cat(outputs, 0), ended_h.Join(state.h),
          state.c.defined() ? ended_c.Join(state.c) : at::Tensor()};
}

}  // namespace

CellWeights CellWeightsOf(const RecurrentDirection& direction, const TorchTensors& weights) {
  const auto optional = [&](const std::string& name) {
    return name.empty() ? at::Tensor() : weights.at(name);
  };
  return {weights.at(direction.weight_ih), weights.at(direction.weight_hh),
          weights.at(direction.bias_ih),   weights.at(direction.bias_hh),
          optional(direction.weight_hr),   optional(direction.weight_peephole)};
}

CellRun RunCellTextual(CellKind cell, const CellWeights& weights, const CellRun& start,
                       const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  switch (cell) {
#define ESPALIER_CELL(name, Class, ...) \
  case CellKind::k##Class:              \
    return RunTextual<Class<TensorMath>>(InfoOf(cell), weights, start, step_sizes, dropout);
#include "cells/cells.inc"
#undef ESPALIER_CELL
  }
  return {};
}

CellRun RunCellFused(CellKind cell, const CellWeights& w, const CellRun& start,
                     const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  if (w.weight_hr.defined()) return RunCellTextual(cell, w, start, step_sizes, dropout);
  if (cell == CellKind::kLstmCell) return RunLstm(w, start, step_sizes, dropout);
  // libtorch's own forms for equal lengths; its packed ones are slower than the textual form, as
  // their backward narrows at each step.
  const bool is_full = step_sizes.front() == step_sizes.back();
  if (!is_full || dropout.defined()) return RunCellTextual(cell, w, start, step_sizes, dropout);
  const std::vector<at::Tensor> params = {w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh};
  const auto steps = static_cast<int64_t>(step_sizes.size());
  const at::Tensor x = start.rows.view({steps, step_sizes.front(), start.rows.size(1)});
  const auto run = [&](const auto& library_form) -> CellRun {
    constexpr bool kHasBiases = true, kTrain = true, kBidirectional = false, kBatchFirst = false;
    constexpr int64_t kLayers = 1;
    constexpr double kDropout = 0.0;
    const auto [out, end_h] = library_form(x, start.h.unsqueeze(0), params, kHasBiases, kLayers,
                                           kDropout, kTrain, kBidirectional, kBatchFirst);
    return {out.reshape({start.rows.size(0), out.size(2)}), end_h.squeeze(0), at::Tensor()};
  };
  // Overloaded names cannot be passed as they are.
  if (cell == CellKind::kGruCell) return run([](auto&&... a) { return at::gru(a...); });
  if (cell == CellKind::kRnnTanhCell) return run([](auto&&... a) { return at::rnn_tanh(a...); });
  if (cell == CellKind::kRnnReluCell) return run([](auto&&... a) { return at::rnn_relu(a...); });
  return RunCellTextual(cell, w, start, step_sizes, dropout);
}

}  // namespace espalier
