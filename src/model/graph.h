// Graph: the one representation of a network. A list of nodes over named values, in an order in
// which every value is made before it is used. A value is f32 or i32 with two symbolic dimensions,
// T (time) and B (batch), and a known feature count:
//   sequence  [T, B, F]    vector  [B, F]    ids  [T, B]
// There is no control flow. Each sequence b of a batch has a length in [0, T], and nothing valid (a
// step before it, a vector, a state) depends on what is past it. Recurrent writes 0 there, as ONNX
// and PyTorch's packed sequences do; other nodes compute on from whatever is there.
//
// Weights are in PyTorch's gate order and names, prefixed by the node's name:
//   Recurrent  <node>.weight_ih [G*H, I]  .weight_hh [G*H, H]  .bias_ih [G*H]  .bias_hh [G*H],
//              and the same with suffix "_reverse" for the reverse direction. With a projection
//              .weight_hr [P, H], and weight_hh is [G*H, P]; of a cell with peepholes
//              .weight_peephole [3*H], gates i f o; of one that skips .weight_skip [H] or [P] and
//              .bias_skip [1]; of one with N banks .weight_banks_ih [N, I], .weight_banks_hh [N, H]
//              and .bias_banks [N]; of one with predicted rows .weight_predict_ih [R, I],
//              .weight_predict_hh [R, H] or [R, P], .weight_predict [D*H, R] and .bias_predict
//              [D*H]
//   Gemm       <node>.weight [O, I]  .bias [O]; a tied one has no weight of its own but reads that
//   of
//              an Embedding, [V, F], as [O, I] (WeightOf)
//   Conv1d     <node>.weight [O, K*I]  .bias [O]: I columns a tap, the oldest step's first
//   Embedding  <node>.weight [V, F]
//   LayerNormalization  <node>.weight [F]  .bias [F]
//
// State is explicit (StatesOf): a graph runs a whole sequence at once, in chunks or step by step,
// and gives the same numbers, if each run starts from the state where the one before it ended. A
// reverse direction needs the whole sequence in one run, and so does a Recurrent node that starts
// from values of the graph: it has no state.
#ifndef ESPALIER_MODEL_GRAPH_H_
#define ESPALIER_MODEL_GRAPH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cells/cells.h"
#include "model/tensor.h"

namespace espalier {

enum class Op : uint8_t {
#define ESPALIER_OP(Enum, name) k##Enum,
#include "model/ops.inc"
#undef ESPALIER_OP
};

// ONNX's name, or ours where ONNX has none; static storage.
const char* OpName(Op op);

enum class Direction : uint8_t { kForward = 0, kReverse = 1, kBidirectional = 2 };

const char* DirectionName(Direction direction);  // "forward", "reverse", "bidirectional"

enum class Element : uint8_t { kF32 = 0, kI32 = 1 };
enum class Layout : uint8_t {
  kSequence = 0,  // [T, B, F]
  kVector = 1,    // [B, F]
};

// i32 values are ids: kSequence is [T, B], `features` is the number of ids, each in [0, features).
struct ValueType {
  Element element = Element::kF32;
  Layout layout = Layout::kSequence;
  int64_t features = 0;

  bool operator==(const ValueType&) const = default;
};

// e.g. "f32 [T, B, 28]".
std::string TypeString(const ValueType& type);

// Most features of a value.
inline constexpr int64_t kMostFeatures = int64_t{1} << 26;

// Of a LayerNormalization: below, 1 / sqrt(epsilon) of a row of equal features is near the end of
// f32, and below 1e-38 epsilon is 0 in f32.
inline constexpr double kLeastEpsilon = 1e-30;

// Most taps of a Conv1d, and most steps between two.
inline constexpr int64_t kMostConvSteps = int64_t{1} << 16;

// Delta updates of a Recurrent node (Neil et al. 2017, arXiv:1612.05571, section 3.2): its products
// read what was last *sent* of x and of h, and an element is sent at a step where it differs from
// that by at least a threshold:
//   sent[t] = |v[t] - sent[t-1]| < threshold ? sent[t-1] : v[t],   sent[-1] = 0
// (NaN is always sent.) So the error of what is read never reaches the threshold, and 0 is the
// plain cell. The rest of the step (the GRU's z * h, the LSTM's c) reads h itself. A runtime keeps
// W sent and adds to it only the columns that were sent. With a bank of n the features [k n, k n +
// n) are sent together, if one of them is to be sent. Compared in f32.
struct Delta {
  double x = 0.0, h = 0.0;  // thresholds, finite and >= 0
  int64_t bank = 1;         // in [1, kMostDeltaBank]

  bool operator==(const Delta&) const = default;
};
inline constexpr int64_t kMostDeltaBank = 256;

// Banks of units of a Recurrent node, of which a step runs those that it asks for itself
// (conditional computation: Bengio et al. 2015, arXiv:1511.06297, section 3; in time, Jernite et
// al. 2017, arXiv:1611.06188, where the leading units run):
//   score = weight_banks_ih x + bias_banks + weight_banks_hh h     [N], N = ceil(H / size)
// with the h of the step before. Bank n has the units [n size, n size + size) and runs where
// score[n] > 0 or, with a `top` of k, where it is among the k largest (of equal ones the first).
// NaN is larger than any number. The units of a bank that does not run keep their h and c.
struct UnitBanks {
  int64_t size = 32;  // in [1, H]
  int64_t top = 0;    // in [0, N]; 0: by the sign of the score

  bool operator==(const UnitBanks&) const = default;
};

// Candidates of a Recurrent node that are left out since their gate lets nothing of them in
// (gate-guided; cells/saturation.h): at a step where the guard (LSTM i, GRU 1 - z) of a unit is
// within `epsilon` of 0, by f32 of its sum, the candidate (g, n) of that unit is 0, and its rows of
// weight_ih and weight_hh are not read. So what the step writes to c, or to h of a GRU, is less
// than epsilon away. 0 leaves none out. (A related one: Silfa et al. 2019, Neuron-level fuzzy
// memoization in RNNs, MICRO.)
struct IdleCandidates {
  double epsilon = 0.0;  // in [0, 0.5]

  bool operator==(const IdleCandidates&) const = default;
};

// Rows of a Recurrent node that a small predictor says (dual-module inference: Liu et al. 2020,
// PMLR 119:6205; cells/saturation.h): of the D gates that see only the sum of both products,
//   p = weight_predict (weight_predict_ih x + weight_predict_hh h) + bias_predict    [D*H]
// stands in the place of W_ih x + b_ih + W_hh h + b_hh of a row where, by f32 of p, its gate would
// be within `epsilon` of an end. 0 leaves none out. Compiled, the predictor's matrices are rounded
// to 8 bits.
struct PredictedRows {
  int64_t size = 16;     // R, what the predictor goes through; in [1, min(D*H, I + H)] (or I + P)
  double epsilon = 0.0;  // in [0, 0.5]

  bool operator==(const PredictedRows&) const = default;
};
inline constexpr int64_t kMostPredictorSize = int64_t{1} << 24;  // of any layer

struct Node {
  std::string name;  // unique; the prefix of its weights' names
  Op op = Op::kGemm;
  std::vector<std::string> inputs;  // names of graph inputs or other nodes' outputs
  std::string output;               // unique value name

  // Recurrent only. inputs[0] is a sequence. With more inputs the node starts from them, vectors of
  // the graph: inputs[1] is h, [B, D*P] or [B, D*H], forward first, and for a cell with c inputs[2]
  // is c, [B, D*H].
  CellKind cell = CellKind::kLstmCell;
  Direction direction = Direction::kForward;
  int64_t hidden_size = 0;  // H; the output has H features, or 2 H (forward first) if bidirectional
  // Training only: the share of hidden-state units dropped, one mask per sequence kept over time
  // (Gal and Ghahramani 2016, arXiv:1512.05287). In [0, 1).
  double recurrent_dropout = 0.0;
  // P, of a cell with c; 0: none. h = W_hr (o * tanh(c)) has P features, and with it what weight_hh
  // reads and the output (Sak et al. 2014, arXiv:1402.1128, section 2.2, without the non-recurrent
  // projection; PyTorch's proj_size).
  int64_t projection_size = 0;
  // Name of a second value that the node makes, of a cell with c: c at the end of the run, [B,
  // D*H], forward first: what a decoder starts from. A sequence without a step ends where it
  // starts.
  // "": none.
  std::string end_c;

  // Not of a cell that resets before the product, nor of a node that starts from values.
  std::optional<Delta> delta;

  // Skips updates (Campos et al. 2018, arXiv:1708.06834, section 3): a step of a sequence in which
  // `rest` is more than 0.5 leaves h and c as they are and reads nothing of x. In another, after h
  // is made,
  //   gain = sigmoid(weight_skip . h + bias_skip)   rest = 1 - gain
  // and in a skipped one rest = max(0, rest - gain); rest and gain are 0 at the start of a
  // sequence, so that its first step is one of the others. (The paper's update gate is 1 - rest.)
  // Not of a node that starts from values.
  bool skip = false;

  // Of a cell that multiplies h, without a projection and without delta, and not of a node that
  // starts from values. In a step that is skipped no bank runs.
  std::optional<UnitBanks> banks;

  // Both of a cell that SaturationOf knows, without delta and without banks, and not of a node that
  // starts from values.
  std::optional<IdleCandidates> idle;
  std::optional<PredictedRows> predicted;

  // Conv1d only: y[t] = b + sum_k W[:, k*I : (k+1)*I] x[t - (K-1-k)*D], K taps that lie D steps
  // apart: causal, so T stays T. Steps before the first are those of the state. Both in
  // [1, kMostConvSteps], K*D*I at most 2^24.
  int64_t kernel_size = 1;  // K
  int64_t dilation = 1;     // D

  // Gemm only: the name of an Embedding before it whose weight it reads, so that O is V and I is F
  // (Press and Wolf 2017, arXiv:1608.05859; Inan et al. 2017, arXiv:1611.01462); "": its own.
  std::string tied;

  // Dropout only: the share of elements dropped while training, in [0, 1).
  double rate = 0.0;

  // LayerNormalization only: y = (x - mean) / sqrt(variance + epsilon) * weight + bias, mean and
  // variance (over F, not F - 1) of the features of one row (Ba et al. 2016, arXiv:1607.06450,
  // section 3). In [kLeastEpsilon, 1].
  double epsilon = 1e-5;

  // Slice only: the features [first, first + count).
  int64_t first = 0;
  int64_t count = 0;

  bool operator==(const Node&) const = default;
};

struct GraphInput {
  std::string name;
  ValueType type;

  bool operator==(const GraphInput&) const = default;
};

struct Graph {
  std::string name;
  std::vector<GraphInput> inputs;
  std::vector<Node> nodes;
  std::vector<std::string> outputs;  // value names
  TensorStore weights;

  bool operator==(const Graph&) const = default;
};

// One piece of state: per sequence, `width` floats, 0 at the start of a sequence.
//   Recurrent     "<node>.h" [B, H] (or [B, P]), LSTM also "<node>.c" [B, H]; "_reverse" for that
//                 direction. None if the node starts from values of the graph. With delta
//                 also "<node>.x_sent" [B, I] and "<node>.h_sent" [B, H] (or [B, P]); of one that
//                 skips "<node>.rest" and "<node>.gain" [B, 1]
//   LastStep      "<node>.last" [B, F]: what it returns if no step is valid
//   MeanOverTime  "<node>.sum" [B, F], "<node>.count" [B, 1]
//   Conv1d        "<node>.past" [B, (K-1)*D*I]: the last inputs, oldest first; none if K is 1
struct StateSpec {
  std::string name;
  int64_t width = 0;

  bool operator==(const StateSpec&) const = default;
};

// One direction of a Recurrent node and the full names of its weights and states.
struct RecurrentDirection {
  bool reverse = false;
  std::string weight_ih, weight_hh, bias_ih, bias_hh;
  std::string weight_hr;                                     // "" without a projection
  std::string weight_peephole;                               // "" where the cell has none
  std::string weight_skip, bias_skip;                        // "" unless the node skips
  std::string weight_banks_ih, weight_banks_hh, bias_banks;  // "" without banks
  std::string weight_predict_ih, weight_predict_hh;          // "" without predicted rows
  std::string weight_predict, bias_predict;
  std::string h, c;            // state names; c is "" where the cell has none
  std::string x_sent, h_sent;  // state names; "" without delta
  std::string rest, gain;      // state names; "" unless the node skips
};

// Forward first. Precondition: node.op is kRecurrent.
std::vector<RecurrentDirection> DirectionsOf(const Node& node);

// Features of h, of one direction: P with a projection, else H. Precondition: as DirectionsOf.
inline int64_t StateSizeOf(const Node& node) {
  return node.projection_size > 0 ? node.projection_size : node.hidden_size;
}

// N of a node with banks.
inline int64_t BankCountOf(const Node& node) {
  return (node.hidden_size + node.banks->size - 1) / node.banks->size;
}

// The name of the matrix that a Gemm, Conv1d or Embedding reads. Precondition: node is one.
inline std::string WeightOf(const Node& node) {
  return (node.tied.empty() ? node.name : node.tied) + ".weight";
}

// Whether a Recurrent node starts from values of the graph.
inline bool StartsFromValues(const Node& node) {
  return node.op == Op::kRecurrent && node.inputs.size() > 1;
}

// The types of all values. Errors: kInvalidArgument for an unknown or doubly defined name, a wrong
// count of inputs, or types that do not fit, e.g.
// "lstm0.weight_hh: 512x128 expected, 512x120 found".
Result<std::map<std::string, ValueType>> InferTypes(const Graph& graph);

// The shapes that the nodes expect of their weights, by weight name. Reads the shapes of Gemm,
// Conv1d and Embedding weights (which say how wide the output is) and no values. Errors: as
// InferTypes.
Result<std::map<std::string, std::vector<int64_t>>> InferWeightShapes(const Graph& graph);

// Everything that a Graph promises: InferTypes passes, exactly the expected weights exist with the
// expected shapes, every weight is finite, outputs exist.
Status ValidateGraph(const Graph& graph);

// Steps before the first that a Conv1d reads: (K-1) * D. Precondition: node.op is kConv1d.
inline int64_t PastSteps(const Node& node) { return (node.kernel_size - 1) * node.dilation; }

// In node order. Precondition: ValidateGraph(graph) passes.
std::vector<StateSpec> StatesOf(const Graph& graph);

// True if no node needs the whole sequence at once, so that chunks and single steps are possible.
bool IsStreamable(const Graph& graph);

// Whether a Recurrent node has a rule: delta, skip, banks, idle or predicted.
bool IsDynamic(const Node& node);
// True if a node has one: rounding may then make an executor send or skip what another does not.
bool IsDynamic(const Graph& graph);

// Names of the weights that the pruner may cut: all matrices, no biases and nothing that chooses
// banks or predicts rows.
std::vector<std::string> PrunableWeights(const Graph& graph);

// nullptr if there is none.
const Node* FindNode(const Graph& graph, const std::string& name);
// The node that owns a weight of this name, or nullptr. An Embedding owns a weight that is tied.
const Node* FindOwner(const Graph& graph, const std::string& weight_name);

// Whether a node reads this matrix as a product, W x, and not only rows of it: all do but the
// weight of an Embedding that no Gemm is tied to.
bool IsMultiplied(const Graph& graph, const std::string& weight_name);

// Whether a weight is of what predicts rows: a constant to training.
bool IsPredictor(const Graph& graph, const std::string& weight_name);

// How many gates the rows of a weight are of: those of weight_ih and weight_hh; 0: of none.
// Precondition: `owner` is its owner.
int64_t GatesOfWeight(const Node& owner, const std::string& weight_name);

// Multiply-adds of one step of one sequence, if every stored weight costs one (`kDense`) or only
// those that are not 0 (`kNonzeros`). Nodes without time count once as well; biases do not count.
enum class Count { kDense, kNonzeros };
uint64_t MultiplyAddsPerStep(const Graph& graph, Count count);
// Number of weights and biases.
uint64_t ParameterCount(const Graph& graph, Count count);

}  // namespace espalier

#endif  // ESPALIER_MODEL_GRAPH_H_
