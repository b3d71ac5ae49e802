#include "model/reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"
#include "cells/double_math.h"
#include "cells/saturation.h"

namespace espalier {
namespace {

#include "cells/all_cells.inl"

struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

// The products of a graph's matrices.
class Products {
 public:
  Products(const Graph& graph, const MatrixInputFn& on_input)
      : graph_(graph), on_input_(on_input) {}

  // out[r] = sum_c w[r, c] x[c] + b[r] for the rows of the range; bias "": 0. x is a copy for
  // `on_input`.
  void MatVec(const std::string& weight, const std::string& bias, RowRange rows,
              std::vector<double> x, double* out) const {
    if (on_input_) on_input_(weight, rows.first, x);
    const Tensor& w = graph_.weights.at(weight);
    const Tensor* b = bias.empty() ? nullptr : &graph_.weights.at(bias);
    const int64_t cols = w.dim(1);
    for (int64_t r = rows.first; r < rows.first + rows.count; ++r) {
      double sum = b == nullptr ? 0.0 : b->values[static_cast<size_t>(r)];
      for (int64_t c = 0; c < cols; ++c) {
        sum += static_cast<double>(w.values[static_cast<size_t>(r * cols + c)]) *
               x[static_cast<size_t>(c)];
      }
      out[r] = sum;
    }
  }

  // Element `index` of a vector.
  double At(const std::string& vector, int64_t index) const {
    return graph_.weights.at(vector).values[static_cast<size_t>(index)];
  }

 private:
  const Graph& graph_;
  const MatrixInputFn& on_input_;
};

// Of one sequence.
struct LayerState {
  std::vector<double> h;  // [H], or [P] with a projection
  std::vector<double> c;  // [H], or empty for a cell without
};

// Sends what has changed (graph.h, Delta), and has `values` be what was sent.
void Send(double threshold, int64_t bank, float* sent, std::vector<double>* values) {
  const auto size = static_cast<int64_t>(values->size());
  for (int64_t first = 0; first < size; first += bank) {
    bool is_due = false;
    for (int64_t i = first; i < std::min(first + bank, size); ++i) {
      const auto value = static_cast<float>((*values)[static_cast<size_t>(i)]);
      is_due |= !(std::abs(value - sent[i]) < static_cast<float>(threshold));  // NaN is
    }
    for (int64_t i = first; i < std::min(first + bank, size); ++i) {
      double& value = (*values)[static_cast<size_t>(i)];
      if (is_due) sent[i] = static_cast<float>(value);
      if (!is_due) value = sent[i];
    }
  }
}

// Puts what the predictor says in the place of the rows that it says (graph.h, PredictedRows).
void TakePredicted(const Products& products, const Node& node, const RecurrentDirection& direction,
                   const std::vector<double>& x, const std::vector<double>& h,
                   std::vector<double>* ax, std::vector<double>* ah) {
  if (!node.predicted.has_value()) return;
  const int64_t size = node.predicted->size;
  std::vector<double> from_x(static_cast<size_t>(size)), through(from_x.size());
  products.MatVec(direction.weight_predict_ih, "", {0, size}, x, from_x.data());
  products.MatVec(direction.weight_predict_hh, "", {0, size}, h, through.data());
  for (size_t i = 0; i < through.size(); ++i) through[i] += from_x[i];
  const Saturation& saturation = *SaturationOf(node.cell);
  const int64_t rows = saturation.sum_gates * node.hidden_size;
  std::vector<double> p(static_cast<size_t>(rows));
  products.MatVec(direction.weight_predict, direction.bias_predict, {0, rows}, through, p.data());
  const auto epsilon = static_cast<float>(node.predicted->epsilon);
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = static_cast<size_t>(r);
    const bool is_tanh = r / node.hidden_size == saturation.candidate;
    if (!(std::abs(static_cast<float>(p[row])) > SaturationLimit(epsilon, is_tanh))) continue;
    (*ax)[row] = p[row];
    (*ah)[row] = 0.0;
  }
}

// Makes the candidates 0 that are left out (graph.h, IdleCandidates).
void LeaveOutIdle(const Node& node, std::vector<double>* ax, std::vector<double>* ah) {
  if (!node.idle.has_value()) return;
  const Saturation& saturation = *SaturationOf(node.cell);
  const auto hidden = static_cast<size_t>(node.hidden_size);
  const size_t guard = static_cast<size_t>(saturation.guard) * hidden;
  const size_t candidate = static_cast<size_t>(saturation.candidate) * hidden;
  const float limit = SaturationLimit(static_cast<float>(node.idle->epsilon), false);
  for (size_t k = 0; k < hidden; ++k) {
    const auto sum = static_cast<float>((*ax)[guard + k] + (*ah)[guard + k]);
    if (sum * saturation.shut_sign > limit) (*ax)[candidate + k] = (*ah)[candidate + k] = 0.0;
  }
}

// One step of one sequence: replaces the state. The products read x and read_h.
template <class Cell>
void CellStep(const Products& products, const Node& node, const RecurrentDirection& direction,
              const std::vector<double>& x, const std::vector<double>& read_h, LayerState* state) {
  const CellInfo& info = InfoOf(node.cell);
  const auto hidden = static_cast<int64_t>(info.has_cell_state ? state->c.size() : state->h.size());
  const int64_t rows = info.gates * hidden;
  const int64_t h_rows = Cell::kResetBefore ? rows - hidden : rows;
  std::vector<double> ax(static_cast<size_t>(rows));
  std::vector<double> ah(static_cast<size_t>(rows));
  products.MatVec(direction.weight_ih, direction.bias_ih, {0, rows}, x, ax.data());
  products.MatVec(direction.weight_hh, direction.bias_hh, {0, h_rows}, read_h, ah.data());
  TakePredicted(products, node, direction, x, read_h, &ax, &ah);
  const DoubleMath m;
  const auto gather = [&](const std::vector<double>& from, int64_t unit, double* out) {
    for (int64_t g = 0; g < info.gates; ++g) out[g] = from[static_cast<size_t>(g * hidden + unit)];
  };
  double unit_ax[8];
  double unit_ah[8];
  std::vector<double> out_h(static_cast<size_t>(hidden));
  if constexpr (Cell::kResetBefore) {
    std::vector<double> reset_h(static_cast<size_t>(hidden));
    for (int64_t k = 0; k < hidden; ++k) {
      gather(ax, k, unit_ax);
      gather(ah, k, unit_ah);
      const auto unit = static_cast<size_t>(k);
      reset_h[unit] = Cell::ResetHidden(m, unit_ax, unit_ah, state->h[unit]);
    }
    products.MatVec(direction.weight_hh, direction.bias_hh, {h_rows, hidden}, reset_h, ah.data());
  }
  LeaveOutIdle(node, &ax, &ah);
  for (int64_t k = 0; k < hidden; ++k) {
    gather(ax, k, unit_ax);
    gather(ah, k, unit_ah);
    const auto unit = static_cast<size_t>(k);
    // A cell with c does not read h beside the products.
    const CellState<double> in = info.has_cell_state ? CellState<double>{0.0, state->c[unit]}
                                                     : CellState<double>{state->h[unit], 0.0};
    CellState<double> out{0.0, 0.0};
    if constexpr (Cell::kPeepholes) {
      double unit_p[8];
      for (int64_t g = 0; g < info.peepholes; ++g) {
        unit_p[g] = products.At(direction.weight_peephole, g * hidden + k);
      }
      Cell::Step(m, unit_ax, unit_ah, unit_p, in, &out);
    } else {
      Cell::Step(m, unit_ax, unit_ah, in, &out);
    }
    out_h[unit] = out.h;
    if (info.has_cell_state) state->c[unit] = out.c;
  }
  if (direction.weight_hr.empty()) {
    state->h = std::move(out_h);
    return;
  }
  const auto projected = static_cast<int64_t>(state->h.size());
  products.MatVec(direction.weight_hr, "", {0, projected}, out_h, state->h.data());
}

void CellStepOf(const Products& products, const Node& node, const RecurrentDirection& direction,
                const std::vector<double>& x, const std::vector<double>& read_h,
                LayerState* state) {
  switch (node.cell) {
#define ESPALIER_CELL(name, Class, ...)                                       \
  case CellKind::k##Class:                                                    \
    CellStep<Class<DoubleMath>>(products, node, direction, x, read_h, state); \
    return;
#include "cells/cells.inc"
#undef ESPALIER_CELL
  }
}

struct Run {
  const Products products;
  const Graph& graph;
  const Batch& batch;
  StateSet* states;
  std::map<std::string, Value> values;

  float* StateRow(const std::string& name, int64_t sequence) {
    std::vector<float>& state = states->at(name);
    const size_t width = state.size() / static_cast<size_t>(batch.size);
    return state.data() + static_cast<size_t>(sequence) * width;
  }
};

// Whether this step of a sequence is an update (graph.h, Node::skip); if not, counts it.
bool IsUpdate(const RecurrentDirection& direction, int64_t b, Run* run) {
  if (direction.rest.empty()) return true;
  float& rest = *run->StateRow(direction.rest, b);
  if (!(rest > 0.5f)) return true;
  rest = std::max(0.0f, rest - *run->StateRow(direction.gain, b));
  return false;
}

// After an update.
void SetGain(const RecurrentDirection& direction, const std::vector<double>& h, int64_t b,
             Run* run) {
  if (direction.rest.empty()) return;
  double sum = run->products.At(direction.bias_skip, 0);
  for (size_t k = 0; k < h.size(); ++k) {
    sum += run->products.At(direction.weight_skip, static_cast<int64_t>(k)) * h[k];
  }
  const auto gain = static_cast<float>(DoubleMath().Sigmoid(sum));
  *run->StateRow(direction.gain, b) = gain;
  *run->StateRow(direction.rest, b) = 1.0f - gain;
}

// Which units a step runs (graph.h, UnitBanks); empty: all.
std::vector<bool> RunningUnits(const Node& node, const RecurrentDirection& direction,
                               const std::vector<double>& x, const std::vector<double>& h,
                               const Products& products) {
  if (!node.banks.has_value()) return {};
  const int64_t banks = BankCountOf(node);
  std::vector<double> from_x(static_cast<size_t>(banks)), from_h(from_x.size());
  products.MatVec(direction.weight_banks_ih, direction.bias_banks, {0, banks}, x, from_x.data());
  products.MatVec(direction.weight_banks_hh, "", {0, banks}, h, from_h.data());
  std::vector<float> score(from_x.size());
  for (size_t n = 0; n < score.size(); ++n) score[n] = static_cast<float>(from_x[n] + from_h[n]);
  const auto is_larger = [&](size_t a, size_t b) {
    if (std::isnan(score[a]) || std::isnan(score[b])) {
      return std::isnan(score[a]) && !std::isnan(score[b]);
    }
    return score[a] > score[b];
  };
  std::vector<size_t> order(score.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), is_larger);
  std::vector<bool> units(static_cast<size_t>(node.hidden_size));
  for (size_t i = 0; i < order.size(); ++i) {
    const auto top = static_cast<size_t>(node.banks->top);
    if (top > 0 ? i >= top : score[order[i]] <= 0.0f) continue;
    const auto size = static_cast<size_t>(node.banks->size);
    const size_t first = order[i] * size;
    std::fill(units.begin() + static_cast<ptrdiff_t>(first),
              units.begin() + static_cast<ptrdiff_t>(std::min(first + size, units.size())), true);
  }
  return units;
}

// One direction of a Recurrent node: the node's inputs, and where it writes, from column
// number * StateSizeOf on.
struct DirectionRun {
  const std::vector<const Value*>& in;
  Value* out = nullptr;
  Value* end_c = nullptr;  // if the graph reads it
  int64_t number = 0;
};

// Where the state of sequence b begins: as the graph says, or where the run before ended.
const float* StartOf(const DirectionRun& part, size_t input, const std::string& state, int64_t size,
                     int64_t b, Run* run) {
  if (part.in.size() == 1) return run->StateRow(state, b);
  return part.in[input]->row(0, b) + part.number * size;
}

// One step of sequence b that is not skipped.
void Update(const Node& node, const RecurrentDirection& direction, const float* row, int64_t b,
            LayerState* state, Run* run) {
  const int64_t inputs = run->graph.weights.at(direction.weight_ih).dim(1);
  std::vector<double> x(row, row + inputs);
  std::vector<double> read_h = state->h;
  if (const auto& delta = node.delta; delta.has_value()) {
    Send(delta->x, delta->bank, run->StateRow(direction.x_sent, b), &x);
    Send(delta->h, delta->bank, run->StateRow(direction.h_sent, b), &read_h);
  }
  const LayerState before = *state;
  const std::vector<bool> runs = RunningUnits(node, direction, x, before.h, run->products);
  CellStepOf(run->products, node, direction, x, read_h, state);
  for (size_t k = 0; k < runs.size(); ++k) {
    if (runs[k]) continue;
    state->h[k] = before.h[k];
    if (!before.c.empty()) state->c[k] = before.c[k];
  }
  SetGain(direction, state->h, b, run);
}

void RunDirection(const Node& node, const RecurrentDirection& direction, const DirectionRun& part,
                  Run* run) {
  const Value& in = *part.in[0];
  const int64_t hidden = node.hidden_size;
  const int64_t width = StateSizeOf(node);
  const bool has_c = !direction.c.empty();
  for (int64_t b = 0; b < in.size; ++b) {
    const float* h_start = StartOf(part, 1, direction.h, width, b, run);
    const float* c_start = has_c ? StartOf(part, 2, direction.c, hidden, b, run) : nullptr;
    LayerState state;
    state.h.assign(h_start, h_start + width);
    if (has_c) state.c.assign(c_start, c_start + hidden);
    const int64_t length = run->batch.lengths[static_cast<size_t>(b)];
    for (int64_t s = 0; s < length; ++s) {
      const int64_t t = direction.reverse ? length - 1 - s : s;
      if (IsUpdate(direction, b, run)) Update(node, direction, in.row(t, b), b, &state, run);
      std::copy(state.h.begin(), state.h.end(), part.out->row(t, b) + part.number * width);
    }
    if (part.end_c != nullptr) {
      std::copy(state.c.begin(), state.c.end(), part.end_c->row(0, b) + part.number * hidden);
    }
    if (StartsFromValues(node)) continue;
    std::copy(state.h.begin(), state.h.end(), run->StateRow(direction.h, b));
    if (has_c) std::copy(state.c.begin(), state.c.end(), run->StateRow(direction.c, b));
  }
}

void RunGemm(const Products& products, const Node& node, const Value& in, Value* out) {
  std::vector<double> y(static_cast<size_t>(out->type.features));
  for (int64_t i = 0; i < in.steps * in.size; ++i) {
    const float* row = in.row(0, i);
    const std::vector<double> x(row, row + in.type.features);
    products.MatVec(WeightOf(node), node.name + ".bias", {0, out->type.features}, x, y.data());
    std::copy(y.begin(), y.end(), out->row(0, i));
  }
}

// A Gemm over windows of the past steps and this run's.
void RunConv1d(const Node& node, const Value& in, Run* run, Value* out) {
  const int64_t features = in.type.features;
  const int64_t past_steps = PastSteps(node);
  std::vector<double> y(static_cast<size_t>(out->type.features));
  for (int64_t b = 0; b < in.size; ++b) {
    std::vector<float> steps;  // [past_steps + T, F]
    float* past = past_steps > 0 ? run->StateRow(node.name + ".past", b) : nullptr;
    steps.insert(steps.end(), past, past + past_steps * features);
    for (int64_t t = 0; t < in.steps; ++t) {
      steps.insert(steps.end(), in.row(t, b), in.row(t, b) + features);
    }
    for (int64_t t = 0; t < in.steps; ++t) {
      std::vector<double> window;
      for (int64_t k = 0; k < node.kernel_size; ++k) {
        const auto tap = steps.begin() + (t + k * node.dilation) * features;
        window.insert(window.end(), tap, tap + features);
      }
      run->products.MatVec(node.name + ".weight", node.name + ".bias", {0, out->type.features},
                           window, y.data());
      std::copy(y.begin(), y.end(), out->row(t, b));
    }
    const int64_t length = run->batch.lengths[static_cast<size_t>(b)];
    std::copy_n(steps.begin() + length * features, past_steps * features, past);
  }
}

void RunEmbedding(const Graph& graph, const Node& node, const Batch& batch, Value* out) {
  const Tensor& w = graph.weights.at(node.name + ".weight");
  for (int64_t i = 0; i < out->steps * out->size; ++i) {
    const float* row = w.values.data() + batch.ids[static_cast<size_t>(i)] * w.dim(1);
    std::copy(row, row + w.dim(1), out->row(0, i));
  }
}

void RunActivation(Op op, const Value& in, Value* out) {
  const DoubleMath m;
  std::transform(in.values.begin(), in.values.end(), out->values.begin(), [&](float x) {
    if (op == Op::kRelu) return static_cast<float>(m.Relu(x));
    if (op == Op::kSigmoid) return static_cast<float>(m.Sigmoid(x));
    if (op == Op::kTanh) return static_cast<float>(m.Tanh(x));
    return x;  // Dropout
  });
}

void RunSoftmax(const Value& in, Value* out) {
  const int64_t features = in.type.features;
  for (int64_t i = 0; i < in.steps * in.size; ++i) {
    const float* x = in.row(0, i);
    const double peak = *std::max_element(x, x + features);
    double sum = 0.0;
    for (int64_t f = 0; f < features; ++f) sum += std::exp(x[f] - peak);
    for (int64_t f = 0; f < features; ++f) {
      out->row(0, i)[f] = static_cast<float>(std::exp(x[f] - peak) / sum);
    }
  }
}

void RunLayerNorm(const Graph& graph, const Node& node, const Value& in, Value* out) {
  const std::vector<float>& weight = graph.weights.at(node.name + ".weight").values;
  const std::vector<float>& bias = graph.weights.at(node.name + ".bias").values;
  const auto features = static_cast<size_t>(in.type.features);
  for (int64_t i = 0; i < in.steps * in.size; ++i) {
    const float* x = in.row(0, i);
    double mean = 0.0;
    for (size_t f = 0; f < features; ++f) mean += x[f];
    mean /= static_cast<double>(features);
    double variance = 0.0;
    for (size_t f = 0; f < features; ++f) variance += (x[f] - mean) * (x[f] - mean);
    variance /= static_cast<double>(features);
    for (size_t f = 0; f < features; ++f) {
      const double normal = (x[f] - mean) / std::sqrt(variance + node.epsilon);
      out->row(0, i)[f] = static_cast<float>(normal * weight[f] + bias[f]);
    }
  }
}

void RunSlice(const Node& node, const Value& in, Value* out) {
  for (int64_t i = 0; i < in.steps * in.size; ++i) {
    std::copy_n(in.row(0, i) + node.first, node.count, out->row(0, i));
  }
}

void RunPair(Op op, const Value& a, const Value& b, Value* out) {
  for (int64_t i = 0; i < a.steps * a.size; ++i) {
    float* row = out->row(0, i);
    std::copy(a.row(0, i), a.row(0, i) + a.type.features, row);
    if (op == Op::kConcat) {
      std::copy(b.row(0, i), b.row(0, i) + b.type.features, row + a.type.features);
    } else {
      for (int64_t f = 0; f < a.type.features; ++f) {
        row[f] = op == Op::kMul ? row[f] * b.row(0, i)[f] : row[f] + b.row(0, i)[f];
      }
    }
  }
}

void RunLastStep(const Node& node, const Value& in, Run* run, Value* out) {
  for (int64_t b = 0; b < in.size; ++b) {
    float* last = run->StateRow(node.name + ".last", b);
    const int64_t length = run->batch.lengths[static_cast<size_t>(b)];
    if (length > 0) std::copy_n(in.row(length - 1, b), in.type.features, last);
    std::copy_n(last, in.type.features, out->row(0, b));
  }
}

void RunMeanOverTime(const Node& node, const Value& in, Run* run, Value* out) {
  for (int64_t b = 0; b < in.size; ++b) {
    float* sum = run->StateRow(node.name + ".sum", b);
    float* count = run->StateRow(node.name + ".count", b);
    const int64_t length = run->batch.lengths[static_cast<size_t>(b)];
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t f = 0; f < in.type.features; ++f) sum[f] += in.row(t, b)[f];
    }
    *count += static_cast<float>(length);
    for (int64_t f = 0; f < in.type.features; ++f) {
      out->row(0, b)[f] = *count > 0.0f ? sum[f] / *count : 0.0f;
    }
  }
}

void RunNode(const Node& node, const std::vector<const Value*>& in, Run* run, Value* out) {
  switch (node.op) {
    case Op::kRecurrent: {
      DirectionRun part{in, out, node.end_c.empty() ? nullptr : &run->values.at(node.end_c), 0};
      for (const RecurrentDirection& direction : DirectionsOf(node)) {
        RunDirection(node, direction, part, run);
        ++part.number;
      }
      return;
    }
    case Op::kGemm: return RunGemm(run->products, node, *in[0], out);
    case Op::kConv1d: return RunConv1d(node, *in[0], run, out);
    case Op::kEmbedding: return RunEmbedding(run->graph, node, run->batch, out);
    case Op::kDropout:
    case Op::kRelu:
    case Op::kSigmoid:
    case Op::kTanh: return RunActivation(node.op, *in[0], out);
    case Op::kSoftmax: return RunSoftmax(*in[0], out);
    case Op::kLayerNorm: return RunLayerNorm(run->graph, node, *in[0], out);
    case Op::kSlice: return RunSlice(node, *in[0], out);
    case Op::kConcat:
    case Op::kMul:
    case Op::kAdd: return RunPair(node.op, *in[0], *in[1], out);
    case Op::kLastStep: return RunLastStep(node, *in[0], run, out);
    case Op::kMeanOverTime: return RunMeanOverTime(node, *in[0], run, out);
  }
}

Status ValidateStates(const Graph& graph, int64_t batch_size, const StateSet& states) {
  for (const StateSpec& spec : StatesOf(graph)) {
    const auto it = states.find(spec.name);
    const int64_t expected = spec.width * batch_size;
    if (it == states.end() || static_cast<int64_t>(it->second.size()) != expected) {
      return InvalidArgument(StrCat("state '", spec.name, "': ", batch_size, "x", spec.width,
                                    " elements expected, ",
                                    it == states.end() ? size_t{0} : it->second.size(), " found"));
    }
  }
  return Ok();
}

}  // namespace

StateSet ZeroStates(const Graph& graph, int64_t batch_size) {
  StateSet states;
  for (const StateSpec& spec : StatesOf(graph)) {
    states[spec.name].assign(static_cast<size_t>(spec.width * batch_size), 0.0f);
  }
  return states;
}

Status ValidateBatch(const Graph& graph, const Batch& batch) {
  if (graph.inputs.size() != 1) {
    return Unsupported(
        StrCat("graph '", graph.name, "': 1 input expected, ", graph.inputs.size(), " found"));
  }
  const GraphInput& input = graph.inputs[0];
  if (batch.steps < 0 || batch.size < 1) {
    return InvalidArgument(StrCat("batch: T >= 0 and B >= 1 expected, T = ", batch.steps,
                                  " and B = ", batch.size, " found"));
  }
  const bool is_ids = input.type.element == Element::kI32;
  const int64_t expected = batch.steps * batch.size * (is_ids ? 1 : input.type.features);
  const size_t found = is_ids ? batch.ids.size() : batch.features.size();
  if (static_cast<int64_t>(found) != expected) {
    return InvalidArgument(StrCat("input '", input.name, "': ", expected, " elements expected for ",
                                  TypeString(input.type), " with T = ", batch.steps,
                                  " and B = ", batch.size, ", ", found, " found"));
  }
  if (static_cast<int64_t>(batch.lengths.size()) != batch.size) {
    return InvalidArgument(
        StrCat("lengths: ", batch.size, " expected, ", batch.lengths.size(), " found"));
  }
  for (size_t b = 0; b < batch.lengths.size(); ++b) {
    if (batch.lengths[b] < 0 || batch.lengths[b] > batch.steps) {
      return InvalidArgument(StrCat("lengths[", b, "]: 0 to T = ", batch.steps, " expected, ",
                                    batch.lengths[b], " found"));
    }
  }
  for (size_t i = 0; i < batch.ids.size(); ++i) {
    if (batch.ids[i] < 0 || batch.ids[i] >= input.type.features) {
      return InvalidArgument(StrCat("input '", input.name, "': ids in [0, ", input.type.features,
                                    ") expected, ", batch.ids[i], " found at element ", i));
    }
  }
  return Ok();
}

Result<std::map<std::string, Value>> RunReference(const Graph& graph, const Batch& batch,
                                                  StateSet* states, const MatrixInputFn& on_input) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  ESPALIER_RETURN_IF_ERROR(ValidateBatch(graph, batch));
  ESPALIER_RETURN_IF_ERROR(ValidateStates(graph, batch.size, *states));
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));
  Run run{Products(graph, on_input), graph, batch, states, {}};
  const GraphInput& input = graph.inputs[0];
  run.values[input.name] = Value{input.type, batch.steps, batch.size, batch.features};
  const auto make = [&](const std::string& name) {
    Value value;
    value.type = types.at(name);
    value.steps = value.type.layout == Layout::kSequence ? batch.steps : 1;
    value.size = batch.size;
    value.values.assign(static_cast<size_t>(value.steps * value.size * value.type.features), 0.0f);
    return &(run.values[name] = std::move(value));
  };
  for (const Node& node : graph.nodes) {
    std::vector<const Value*> in;
    for (const std::string& name : node.inputs) in.push_back(&run.values.at(name));
    if (!node.end_c.empty()) make(node.end_c);
    RunNode(node, in, &run, make(node.output));
  }
  run.values.erase(input.name);
  return std::move(run.values);
}

}  // namespace espalier
