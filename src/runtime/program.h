// Program: the graph of an artifact with every name turned into a place, so that sessions and pools
// are made from it without a search, and without an allocation (Session::InitAt).
#ifndef ESPALIER_RUNTIME_PROGRAM_H_
#define ESPALIER_RUNTIME_PROGRAM_H_

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "artifact/artifact.h"
#include "base/log.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "model/graph.h"

namespace espalier {

struct ProgramValue {
  size_t features = 0;  // 0 for an i32 input, which is read where the caller has it
  bool has_time = false;
  bool is_output = false;
};

// One encoded matrix and the rows of its bias, both where the artifact has them.
struct ProgramProduct {
  const ArtifactMatrix* matrix = nullptr;
  const float* bias = nullptr;  // [rows], or nullptr for 0
};

// One direction of a Recurrent node.
struct ProgramLayer {
  bool reverse = false;
  ProgramProduct input, recurrent;
  ProgramProduct
      recurrent_plain;        // for steps at rest, or nothing: then `recurrent` is for them, too
  ProgramProduct candidate;   // the last gate of weight_hh, if the cell resets before
  ProgramProduct projection;  // weight_hr, without a bias, or nothing
  const float* peephole = nullptr;  // [3*H], or nullptr
  size_t units = 0;                 // H
  size_t width = 0;                 // of h: P with a projection, else H
  size_t h = 0;  // index in Artifact::states; c, if the cell has one, is the next. Not used by a
                 // node that starts from values
  std::string_view node;  // its name
  bool has_delta = false;
  Delta delta;
  ProgramProduct input_columns, recurrent_columns;  // by columns; without delta nothing
  size_t x_sent = 0;                                // index of the state; h_sent is the next
  const float* weight_skip = nullptr;               // [H] or [P], or nullptr
  float bias_skip = 0.0f;
  size_t rest = 0;  // index of the state; gain is the next
  bool has_banks = false;
  UnitBanks banks;
  ProgramProduct bank_input, bank_recurrent;  // scores; the second has no bias
  bool has_idle = false;
  IdleCandidates idle;
  bool has_predicted = false;
  PredictedRows predicted;
  ProgramProduct predict_input, predict_recurrent;  // without a bias
  ProgramProduct predict;

  bool saturates() const { return has_idle || has_predicted; }
  bool is_dynamic() const {
    return has_delta || weight_skip != nullptr || has_banks || saturates();
  }
};

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias
struct LayerNormArgs {
  const float* weight = nullptr;  // [F], as bias
  const float* bias = nullptr;
  float epsilon = 0.0f;
};

struct ProgramNode {
  Op op = Op::kGemm;
  CellKind cell = CellKind::kLstmCell;
  size_t in = 0, other = 0, out = 0;  // values
  bool starts_from_values = false;    // Recurrent: h from `other`, c from `start_c`
  size_t start_c = 0;
  bool has_end_c = false;  // Recurrent: c at the end is the value `end_c`
  size_t end_c = 0;
  ProgramProduct product;  // Gemm, Conv1d; Embedding: its table
  size_t dilation = 1;     // Conv1d
  LayerNormArgs norm;      // LayerNorm
  size_t first = 0;        // Slice
  ProgramLayer layers[2];
  size_t layer_count = 0;
  size_t state = 0;  // LastStep: last; MeanOverTime: sum, and count is the next; Conv1d: past
};

struct Program {
  const GraphInput* input = nullptr;
  std::span<const StateSpec> states;
  std::vector<ProgramValue> values;  // the input is the first
  // No Dropout: its output is its input. A Conv1d has more than one tap: with one it is a Gemm.
  std::vector<ProgramNode> nodes;
  std::vector<size_t> outputs;              // values, in the order of Graph::outputs
  size_t hidden = 0;                        // largest hidden size, or projection of one
  size_t gate_rows = 0;                     // largest gates * hidden size
  std::vector<const KernelTable*> kernels;  // of this CPU, best first
  size_t near_cache_bytes = 0;              // of this CPU; see Turns (operation.h)

  // `artifact` must outlive the program and all that is made from it; it may be moved.
  // Errors: kUnsupported for a graph with other than one input, or an i32 output; kOutOfMemory.
  static Result<Program> Of(const Artifact& artifact);

  // By name, "" for the best. Errors: kInvalidArgument, naming the ones there are.
  Result<const KernelTable*> KernelsFor(std::string_view target) const;
};

// Calls visit(product) for every product of the program but those by columns.
template <typename Visit>
void EachProduct(const Program& program, const Visit& visit) {
  for (const ProgramNode& node : program.nodes) {
    if (node.op == Op::kGemm || node.op == Op::kConv1d) visit(node.product);
    for (const ProgramLayer& layer : std::span(node.layers, node.layer_count)) {
      visit(layer.input);
      visit(layer.recurrent);
      if (layer.recurrent_plain.matrix != nullptr) visit(layer.recurrent_plain);
      if (layer.candidate.matrix != nullptr) visit(layer.candidate);
      if (layer.projection.matrix != nullptr) visit(layer.projection);
      if (layer.has_banks) visit(layer.bank_input);
      if (layer.has_banks) visit(layer.bank_recurrent);
      if (!layer.has_predicted) continue;
      visit(layer.predict_input);
      visit(layer.predict_recurrent);
      visit(layer.predict);
    }
  }
}

// Calls visit(node, layer).
template <typename Visit>
void EachLayer(const Program& program, const Visit& visit) {
  for (const ProgramNode& node : program.nodes) {
    for (const ProgramLayer& layer : std::span(node.layers, node.layer_count)) visit(node, layer);
  }
}

size_t CountDynamicLayers(const Program& program);

// At debug level: which kernel serves which matrix.
void LogKernels(const Program& program, const KernelTable& kernels, const LogSink& log);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_PROGRAM_H_
