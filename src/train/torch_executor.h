// The autograd executor: runs a Graph over tensors with gradients. The only header with torch in
// it; internal to this room, whose other headers have none (a file that includes it costs 10 s to
// compile).
#ifndef ESPALIER_TRAIN_TORCH_EXECUTOR_H_
#define ESPALIER_TRAIN_TORCH_EXECUTOR_H_

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"

namespace espalier {

using TorchTensors = std::map<std::string, at::Tensor>;

enum class CellPath : uint8_t {
  kFused,    // the fast form where there is one
  kTextual,  // cells/*.inl over at::Tensor: every cell, the oracle of the fused form
};

struct ForwardOptions {
  CellPath path = CellPath::kFused;
  // Draws the dropout masks while training; nullptr: dropout and recurrent dropout do nothing.
  Rng* dropout = nullptr;
  // If set, gets for each direction that skips or has banks, but for a `top`, [N, 1] over its valid
  // steps: the share of the banks that ran, or without 1 for an update, and 0 for a skip; with the
  // gradient of the paper's update gate (straight-through: Campos et al. 2018, arXiv:1708.06834,
  // section 3.1) and of the sigmoids of the banks' scores.
  std::vector<at::Tensor>* updates = nullptr;
  // If set, gets for each direction whose node has thresholds among the weights (ThresholdsName),
  // [N, 1] over its valid steps: the share of the features of x and h that were sent, 0 at a step
  // that was skipped, with the gradient that the thresholds get (DueOf in torch_recurrent.cc).
  std::vector<at::Tensor>* sends = nullptr;
  // Of all Dropout nodes, in the place of their own.
  std::optional<double> dropout_rate{};
};

// The name under which `weights` may hold the thresholds of a node with delta, [2]: of x and h.
// They then stand in the place of the node's own, and get a gradient.
std::string ThresholdsName(const Node& node);

// Runs `graph` on `batch` with `weights` (by name, shapes as in graph.weights) and returns every
// value by name, f32 [T, B, F] or [B, F]. `states` ([B, width] by StateSpec::name) holds the start
// states and is replaced by the end states; nullptr: starts from 0 and the end is dropped. The
// batch is not copied: it must live as long as the returned values. Preconditions (the caller
// checks): ValidateGraph and ValidateBatch pass. May throw c10::Error.
TorchTensors Forward(const Graph& graph, const TorchTensors& weights, const Batch& batch,
                     TorchTensors* states, const ForwardOptions& options);

// The rows of a batch of sequences without padding, as in PyTorch's packed sequences: sequences in
// order of falling length, step by step, so that the sequences of a step are a prefix of those of
// the step before it.
struct Packing {
  std::vector<int64_t> step_sizes;  // sequences at each step, falling, none 0
  std::vector<int64_t> order;       // [step_sizes[0]]: sequence in the batch of each packed one
  bool is_full = false;             // all lengths are T: packed rows are the batch's rows
};
Packing PackingOf(const std::vector<int32_t>& lengths, int64_t steps);

// One direction of a recurrent node over packed rows. N rows in all, n sequences.
struct CellWeights {
  at::Tensor weight_ih, weight_hh, bias_ih, bias_hh;
  at::Tensor weight_hr = {}, weight_peephole = {};  // undefined where the layer has none
  at::Tensor weight_skip = {}, bias_skip = {};
  at::Tensor weight_banks_ih = {}, weight_banks_hh = {}, bias_banks = {};
  at::Tensor weight_predict_ih = {}, weight_predict_hh = {}, weight_predict = {}, bias_predict = {};
};
struct CellRun {
  at::Tensor rows;  // in: [N, I]; out: [N, H], or [N, P] with a projection
  at::Tensor h, c;  // in: start, out: end states [n, H], h [n, P] with a projection; c undefined
                    // without a cell state
  // States of delta and of skipped updates (model/graph.h); undefined without.
  at::Tensor x_sent = {}, h_sent = {}, rest = {}, gain = {};
  at::Tensor updates = {};  // out: see ForwardOptions; undefined if nothing is left out
  at::Tensor sends = {};    // out: see ForwardOptions; undefined without StepRules::thresholds
};
// What a step does beside the cell: model/graph.h.
struct StepRules {
  CellKind cell = CellKind::kLstmCell;
  std::optional<Delta> delta = {};
  bool skip = false;
  std::optional<UnitBanks> banks = {};
  std::optional<IdleCandidates> idle = {};
  std::optional<PredictedRows> predicted = {};
  at::Tensor thresholds = {};  // [2], those of delta, if they are learned

  bool leaves_out() const { return skip || banks || idle || predicted; }
  // Whether it says itself how much it leaves out.
  bool chooses_share() const { return skip || (banks.has_value() && banks->top == 0); }
};
// `dropout`: as h, factors of the hidden state where weight_hh reads it, or undefined. (The
// interpolation of a GRU sees the hidden state itself.)
// The weights of a direction from all of a graph's.
CellWeights CellWeightsOf(const RecurrentDirection& direction, const TorchTensors& weights);
CellRun RunCellTextual(const StepRules& rules, const CellWeights& weights, const CellRun& start,
                       const std::vector<int64_t>& step_sizes, const at::Tensor& dropout);
CellRun RunCellFused(const StepRules& rules, const CellWeights& weights, const CellRun& start,
                     const std::vector<int64_t>& step_sizes, const at::Tensor& dropout);

// The fused form of CellKind::kLstmCell without a projection.
CellRun RunLstm(const CellWeights& weights, const CellRun& start,
                const std::vector<int64_t>& step_sizes, const at::Tensor& dropout);

// [rows, cols] of factors 0 (with probability rate) or 1 / (1 - rate).
at::Tensor DropoutFactors(int64_t rows, int64_t cols, double rate, Rng* rng);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_TORCH_EXECUTOR_H_
