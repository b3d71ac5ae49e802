// One direction of a recurrent node over packed rows: the textual form of every cell, and
// libtorch's own where it has the cell.
#include "cells/saturation.h"
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
  // The step from 0 to 1 at a = b has the gradient of a triangle around it (Subramoney et al. 2023,
  // arXiv:2206.06178; Bellec et al. 2018, arXiv:1803.09574, for height and width).
  static V Event(const V& a, const V& b) {
    constexpr double kHeight = 0.7, kWidth = 0.5;
    const V above = a - b;
    const V slope =
        at::clamp_min(1.0 - above.detach().abs() / kWidth, 0.0) * (kHeight * a.detach());
    return a.masked_fill(at::le(a, b), 0.0) + slope * (above - above.detach());
  }
};

#include "cells/all_cells.inl"

// What goes from step to step. Undefined where there is none.
struct StepState {
  CellState<at::Tensor> cell;
  at::Tensor x_sent, h_sent, rest, gain;

  template <typename Visit>
  void Each(const Visit& visit) {
    for (at::Tensor* part : {&cell.h, &cell.c, &x_sent, &h_sent, &rest, &gain}) {
      if (part->defined()) visit(part);
    }
  }
};

// States of sequences that end early, in packed order: the longest sequences come first.
class EndStates {
 public:
  // Keeps the first `size` rows of *state going and puts the others aside.
  void Shrink(int64_t size, StepState* state) {
    if (state->cell.h.size(0) == size) return;
    StepState ended = *state;
    ended.Each([&](at::Tensor* part) { *part = part->narrow(0, size, part->size(0) - size); });
    state->Each([&](at::Tensor* part) { *part = part->narrow(0, 0, size); });
    ended_.push_back(std::move(ended));
  }
  StepState Join(StepState last) const {
    std::vector<std::vector<at::Tensor>> parts;
    last.Each([&](at::Tensor* part) { parts.push_back({*part}); });
    for (auto ended = ended_.rbegin(); ended != ended_.rend(); ++ended) {
      StepState state = *ended;
      size_t i = 0;
      state.Each([&](at::Tensor* part) { parts[i++].push_back(*part); });
    }
    size_t i = 0;
    last.Each([&](at::Tensor* part) { *part = at::cat(parts[i++], 0); });
    return last;
  }

 private:
  std::vector<StepState> ended_;
};

// Of a bank's features, that one of which a step decides: [n, N] to [n, N], each the bank's `join`.
template <class Join>
at::Tensor ByBank(const at::Tensor& features, int64_t bank, const Join& join) {
  if (bank == 1) return features;
  const int64_t size = features.size(1);
  const int64_t banks = (size + bank - 1) / bank;
  return join(at::constant_pad_nd(features, {0, banks * bank - size}).view({-1, banks, bank}))
      .repeat_interleave(bank, 1)
      .narrow(1, 0, size);
}

// What of x or h is sent (Delta).
struct Sending {
  at::Tensor sent;  // [n, N]; its gradient goes to the value where it was sent
  at::Tensor due;   // [n, N]: 1 where it was sent now and 0 where not; undefined without learning
};

// `threshold`: an element of StepRules::thresholds, or undefined for the one of the node, `fixed`.
// Learned, it gets the gradient of a sigmoid of width kWidth around it in the place of the step
// (straight-through: Bengio et al. 2013, arXiv:1308.3432), through what is read and through `due`.
// No other gradient goes that way.
Sending Send(const at::Tensor& values, const at::Tensor& sent, const at::Tensor& threshold,
             double fixed, int64_t bank) {
  constexpr double kWidth = 0.1;
  at::Tensor change, is_due;
  {
    const at::NoGradGuard no_gradient;
    change = (values - sent).abs();
    const at::Tensor is_small = threshold.defined() ? at::less(change, threshold)
                                                    : at::less(change, static_cast<float>(fixed));
    is_due = ByBank(is_small.logical_not(), bank, [](const at::Tensor& all) { return all.any(2); });
  }
  Sending sending{at::where(is_due, values, sent), {}};
  if (!threshold.defined()) return sending;
  {
    const at::NoGradGuard no_gradient;
    change = ByBank(change, bank, [](const at::Tensor& all) { return all.amax(2); });
    // A change that is not finite is sent whatever the threshold is.
    change = at::nan_to_num(change, 0.0, 0.0, 0.0);
  }
  const at::Tensor soft = at::sigmoid((change - threshold) / kWidth);
  const at::Tensor none = soft - soft.detach();  // 0, with the gradient
  sending.sent = sending.sent + none * at::nan_to_num((values - sent).detach(), 0.0, 0.0, 0.0);
  sending.due = is_due.to(at::kFloat) + none;
  return sending;
}

// *made where `gate` is 1, `old` where it is 0. Nothing to do for a state that is not there.
void Choose(const at::Tensor& gate, const at::Tensor& old, at::Tensor* made) {
  if (made->defined()) *made = gate * *made + (1.0 - gate) * old;
}

// 1 where a step is an update and 0 where not, with the gradient of 1 - rest.
at::Tensor UpdateOf(const at::Tensor& rest) {
  const at::Tensor gate = 1.0 - rest;
  const at::Tensor rounded = at::gt(rest.detach(), 0.5).logical_not().to(at::kFloat);
  return gate + (rounded - gate).detach();
}

// [n, N]: 1 where a bank runs and 0 where not (UnitBanks), with the gradient of the sigmoid of its
// score.
at::Tensor RunningBanks(const at::Tensor& scores, int64_t top) {
  at::Tensor runs;
  {
    const at::NoGradGuard no_gradient;
    if (top == 0) {
      runs = at::gt(scores, 0.0).logical_or(at::isnan(scores)).to(at::kFloat);
    } else {
      const at::Tensor order = std::get<1>(at::sort(scores, /*stable=*/true, 1, true));
      runs = at::zeros_like(scores).scatter(1, order.narrow(1, 0, top), 1.0);
    }
  }
  const at::Tensor gate = at::sigmoid(scores);
  return gate + (runs - gate).detach();
}

// [n, N] by bank to [n, H] by unit.
at::Tensor UnitsOf(const at::Tensor& banks, int64_t size, int64_t hidden) {
  return banks.unsqueeze(2)
      .expand({banks.size(0), banks.size(1), size})
      .reshape({banks.size(0), -1})
      .narrow(1, 0, hidden);
}

// The products of a cell.
template <class Cell>
class CellProducts {
 public:
  CellProducts(const CellInfo& info, const CellWeights& w, const StepRules& rules)
      : w_(w),
        rules_(rules),
        gates_(info.gates),
        hidden_(w.weight_ih.size(0) / info.gates),
        // Gates whose product reads h itself; the last of a reset-before cell reads r * h.
        direct_(Cell::kResetBefore ? info.gates - 1 : info.gates),
        weight_hh_(w.weight_hh.narrow(0, 0, direct_ * hidden_).t()),
        bias_hh_(w.bias_hh.narrow(0, 0, direct_ * hidden_)) {
    if constexpr (Cell::kPeepholes) peepholes_ = w.weight_peephole.chunk(info.peepholes);
  }

  at::Tensor Input(const at::Tensor& rows) const {
    return at::addmm(w_.bias_ih, rows, w_.weight_ih.t());
  }

  // What the predictor makes of x.
  at::Tensor PredictedInput(const at::Tensor& rows) const {
    const at::NoGradGuard no_gradient;
    return at::mm(rows, w_.weight_predict_ih.t());
  }

  // `read_h` is what the products read, ax = Input of the step, `predicted` = PredictedInput of it
  // if rows are predicted.
  CellState<at::Tensor> Step(const at::Tensor& ax_step, const at::Tensor& predicted,
                             const at::Tensor& read_h, const CellState<at::Tensor>& state) const {
    const TensorMath m;
    std::vector<at::Tensor> ax = ax_step.chunk(gates_, 1);
    std::vector<at::Tensor> ah = at::addmm(bias_hh_, read_h, weight_hh_).chunk(direct_, 1);
    if (rules_.predicted.has_value()) TakePredicted(predicted, read_h, &ax, &ah);
    if constexpr (Cell::kResetBefore) {
      const at::Tensor reset_h = Cell::ResetHidden(m, ax.data(), ah.data(), read_h);
      ah.push_back(at::addmm(w_.bias_hh.narrow(0, direct_ * hidden_, hidden_), reset_h,
                             w_.weight_hh.narrow(0, direct_ * hidden_, hidden_).t()));
    }
    if (rules_.idle.has_value()) LeaveOutIdle(&ax, &ah);
    CellState<at::Tensor> next;
    if constexpr (Cell::kPeepholes) {
      Cell::Step(m, ax.data(), ah.data(), peepholes_.data(), state, &next);
    } else {
      Cell::Step(m, ax.data(), ah.data(), state, &next);
    }
    if (w_.weight_hr.defined()) next.h = at::mm(next.h, w_.weight_hr.t());
    return next;
  }

 private:
  // What is predicted is a constant: no gradient goes to the predictor, or to what it stands for.
  void TakePredicted(const at::Tensor& from_x, const at::Tensor& h, std::vector<at::Tensor>* ax,
                     std::vector<at::Tensor>* ah) const {
    const Saturation& saturation = *SaturationOf(rules_.cell);
    std::vector<at::Tensor> p;
    {
      const at::NoGradGuard no_gradient;
      const at::Tensor through = at::addmm(from_x, h, w_.weight_predict_hh.t());
      p = at::addmm(w_.bias_predict, through, w_.weight_predict.t()).chunk(saturation.sum_gates, 1);
    }
    const auto epsilon = static_cast<float>(rules_.predicted->epsilon);
    for (size_t g = 0; g < p.size(); ++g) {
      const bool is_tanh = static_cast<int64_t>(g) == saturation.candidate;
      const at::Tensor is_predicted = at::gt(p[g].abs(), SaturationLimit(epsilon, is_tanh));
      (*ax)[g] = at::where(is_predicted, p[g], (*ax)[g]);
      (*ah)[g] = (*ah)[g].masked_fill(is_predicted, 0.0);
    }
  }

  void LeaveOutIdle(std::vector<at::Tensor>* ax, std::vector<at::Tensor>* ah) const {
    const Saturation& saturation = *SaturationOf(rules_.cell);
    const auto guard = static_cast<size_t>(saturation.guard);
    const auto candidate = static_cast<size_t>(saturation.candidate);
    at::Tensor is_idle;
    {
      const at::NoGradGuard no_gradient;
      is_idle = at::gt(((*ax)[guard] + (*ah)[guard]) * saturation.shut_sign,
                       SaturationLimit(static_cast<float>(rules_.idle->epsilon), false));
    }
    (*ax)[candidate] = (*ax)[candidate].masked_fill(is_idle, 0.0);
    (*ah)[candidate] = (*ah)[candidate].masked_fill(is_idle, 0.0);
  }

  const CellWeights& w_;
  const StepRules& rules_;
  const int64_t gates_;
  const int64_t hidden_;
  const int64_t direct_;
  const at::Tensor weight_hh_, bias_hh_;
  std::vector<at::Tensor> peepholes_;
};

template <class Cell>
CellRun RunTextual(const StepRules& rules, const CellWeights& w, const CellRun& start,
                   const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  const CellProducts<Cell> products(InfoOf(rules.cell), w, rules);
  const auto& delta = rules.delta;
  StepState state{{start.h, start.c}, start.x_sent, start.h_sent, start.rest, start.gain};
  // All at once, if what is read of x does not depend on h. split, not narrow at each step: its
  // backward joins the steps once, narrow's would fill [N, G*H] with zeros at each.
  const bool reads_at_once = !delta.has_value();
  const std::vector<at::Tensor> inputs =
      (reads_at_once ? products.Input(start.rows) : start.rows).split_with_sizes(step_sizes);
  const auto& banks = rules.banks;
  std::vector<at::Tensor> bank_inputs;
  if (banks.has_value()) {
    bank_inputs =
        at::addmm(w.bias_banks, start.rows, w.weight_banks_ih.t()).split_with_sizes(step_sizes);
  }
  std::vector<at::Tensor> predicted_inputs(step_sizes.size());
  if (rules.predicted.has_value()) {
    predicted_inputs = products.PredictedInput(start.rows).split_with_sizes(step_sizes);
  }
  at::Tensor threshold_x, threshold_h;
  if (rules.thresholds.defined()) {
    threshold_x = rules.thresholds.select(0, 0);
    threshold_h = rules.thresholds.select(0, 1);
  }
  EndStates ended;
  std::vector<at::Tensor> outputs, updates, sends;
  for (size_t step = 0; step < step_sizes.size(); ++step) {
    const int64_t size = step_sizes[step];
    ended.Shrink(size, &state);
    StepState next = state;
    at::Tensor ax = inputs[step];
    at::Tensor read_h = state.cell.h;
    at::Tensor due;
    if (delta.has_value()) {
      const Sending x = Send(ax, state.x_sent, threshold_x, delta->x, delta->bank);
      const Sending h = Send(read_h, state.h_sent, threshold_h, delta->h, delta->bank);
      next.x_sent = x.sent;
      next.h_sent = h.sent;
      if (x.due.defined()) due = at::cat({x.due, h.due}, 1).mean(1, /*keepdim=*/true);
      ax = products.Input(next.x_sent);
      read_h = next.h_sent;
    }
    if (dropout.defined()) read_h = read_h * dropout.narrow(0, 0, size);
    next.cell = products.Step(ax, predicted_inputs[step], read_h, state.cell);
    at::Tensor share;  // of the layer that is updated
    if (banks.has_value()) {
      const at::Tensor runs = RunningBanks(
          at::addmm(bank_inputs[step], state.cell.h, w.weight_banks_hh.t()), banks->top);
      const at::Tensor units = UnitsOf(runs, banks->size, state.cell.h.size(1));
      Choose(units, state.cell.h, &next.cell.h);
      Choose(units, state.cell.c, &next.cell.c);
      if (banks->top == 0) share = runs.mean(1, /*keepdim=*/true);
    }
    if (rules.skip) {
      const at::Tensor update = UpdateOf(state.rest);
      const at::Tensor skip = 1.0 - update;
      Choose(update, state.cell.h, &next.cell.h);
      Choose(update, state.cell.c, &next.cell.c);
      Choose(update, state.x_sent, &next.x_sent);
      Choose(update, state.h_sent, &next.h_sent);
      share = share.defined() ? update * share : update;
      if (due.defined()) due = update.detach() * due;
      const at::Tensor gain =
          at::sigmoid(at::addmv(w.bias_skip, next.cell.h, w.weight_skip)).unsqueeze(1);
      next.gain = update * gain + skip * state.gain;
      next.rest =
          update * (1.0 - next.gain) + skip * (state.rest - at::minimum(next.gain, state.rest));
    }
    if (rules.chooses_share()) updates.push_back(share);
    if (due.defined()) sends.push_back(due);
    state = std::move(next);
    outputs.push_back(state.cell.h);
  }
  StepState end = ended.Join(state);
  CellRun run{at::cat(outputs, 0), end.cell.h, end.cell.c, end.x_sent,
              end.h_sent,          end.rest,   end.gain};
  if (rules.chooses_share()) run.updates = at::cat(updates, 0);
  if (!sends.empty()) run.sends = at::cat(sends, 0);
  return run;
}

}  // namespace

std::string ThresholdsName(const Node& node) { return node.name + "/delta"; }

CellWeights CellWeightsOf(const RecurrentDirection& direction, const TorchTensors& weights) {
  const auto optional = [&](const std::string& name) {
    return name.empty() ? at::Tensor() : weights.at(name);
  };
  return {weights.at(direction.weight_ih),       weights.at(direction.weight_hh),
          weights.at(direction.bias_ih),         weights.at(direction.bias_hh),
          optional(direction.weight_hr),         optional(direction.weight_peephole),
          optional(direction.weight_skip),       optional(direction.bias_skip),
          optional(direction.weight_banks_ih),   optional(direction.weight_banks_hh),
          optional(direction.bias_banks),        optional(direction.weight_predict_ih),
          optional(direction.weight_predict_hh), optional(direction.weight_predict),
          optional(direction.bias_predict)};
}

CellRun RunCellTextual(const StepRules& rules, const CellWeights& weights, const CellRun& start,
                       const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  switch (rules.cell) {
#define ESPALIER_CELL(name, Class, ...) \
  case CellKind::k##Class:              \
    return RunTextual<Class<TensorMath>>(rules, weights, start, step_sizes, dropout);
#include "cells/cells.inc"
#undef ESPALIER_CELL
  }
  return {};
}

CellRun RunCellFused(const StepRules& rules, const CellWeights& w, const CellRun& start,
                     const std::vector<int64_t>& step_sizes, const at::Tensor& dropout) {
  const CellKind cell = rules.cell;
  const bool is_plain = !w.weight_hr.defined() && !rules.delta.has_value() && !rules.leaves_out();
  if (!is_plain) return RunCellTextual(rules, w, start, step_sizes, dropout);
  if (cell == CellKind::kLstmCell) return RunLstm(w, start, step_sizes, dropout);
  // libtorch's own forms for equal lengths; its packed ones are slower than the textual form, as
  // their backward narrows at each step.
  const bool is_full = step_sizes.front() == step_sizes.back();
  if (!is_full || dropout.defined()) return RunCellTextual(rules, w, start, step_sizes, dropout);
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
  return RunCellTextual(rules, w, start, step_sizes, dropout);
}

}  // namespace espalier
