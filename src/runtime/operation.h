// Operations: what a session's plan is made of. One per node (two for a bidirectional one), with
// every pointer and kernel resolved; running one neither allocates nor fails.
#ifndef ESPALIER_RUNTIME_OPERATION_H_
#define ESPALIER_RUNTIME_OPERATION_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>

#include "cells/saturation.h"
#include "formats/format.h"
#include "kernels/kernels.h"
#include "model/graph.h"
#include "runtime/dynamic.h"
#include "runtime/program.h"
#include "runtime/step_forecast.h"
#include "runtime/thread_team.h"

namespace espalier {

// Rows of `features` floats, `stride` apart: row t * B + b of a sequence, row b of a vector or a
// state.
struct RowBuffer {
  float* data = nullptr;
  size_t features = 0;
  size_t stride = 0;
  bool has_time = false;

  float* row(size_t index) const { return data + index * stride; }
};

// Where rows lie, of what is multiplied: small enough to be passed in registers. (A RowBuffer that
// a function returns is written word by word and read by vectors, which waits for the words.)
struct RowsAt {
  float* data = nullptr;
  size_t stride = 0;

  RowsAt() = default;
  RowsAt(float* first, size_t apart) : data(first), stride(apart) {}
  RowsAt(const RowBuffer& rows) : data(rows.data), stride(rows.stride) {}  // NOLINT

  float* row(size_t index) const { return data + index * stride; }
};

// What one Run works on.
struct RunContext {
  size_t steps = 0;                  // T
  size_t size = 0;                   // B
  size_t max_length = 0;             // largest of lengths
  const int32_t* lengths = nullptr;  // [B]
  const int32_t* ids = nullptr;      // [T, B], if the input is i32
  // Where sequence b has its state: row streams[b], or first_stream + b if there are no `streams`.
  const int32_t* streams = nullptr;
  size_t first_stream = 0;
  ThreadTeam* team = nullptr;  // nullptr: this thread does everything

  size_t RowsOf(const RowBuffer& buffer) const { return buffer.has_time ? steps * size : size; }
  float* StateOf(const RowBuffer& state, size_t b) const {
    return state.row(streams == nullptr ? first_stream + b : static_cast<size_t>(streams[b]));
  }
};

// Chunks of a shared product per thread: more let a late thread be made up for, fewer cost less: 20
// ns each, and where a kernel first rounds or gathers x (types and formats that do), that each
// time: in 16 chunks an LSTM-512 of type i8 took 1.4 times as long as in one.
inline size_t ChunksPerThread(const FormatSpec& spec) {
  return spec.type == WeightType::kI8 || spec.id == FormatId::k_compact ? 2 : 8;
}

// Rows of x that kernels take together where they read weights again for the next ones, or a
// multiple of that.
inline constexpr size_t kRowsTogether = 16;

// The fewest steps of `size` sequences that are whole kRowsTogether.
constexpr size_t WholeSteps(size_t size) { return kRowsTogether / std::gcd(kRowsTogether, size); }

// How many of `steps` steps of `size` sequences a product of at most `most_rows` >= size rows
// takes: all, or else whole kRowsTogether if there is room for them.
constexpr size_t StepsTogether(size_t most_rows, size_t size, size_t steps) {
  const size_t most = most_rows / size;
  const size_t whole = WholeSteps(size);
  if (steps <= most) return steps;
  return most < whole ? most : most / whole * whole;
}

// Weights that are read once a step. Where the caches near a core do not hold them all, steps go
// there and back, each in the other direction than the last, so that what was read last is read
// first: in one direction each part would push out the one that comes next. (Xeon of the fifth
// generation, 2 MB of L2, LSTM-1024 at 10 % in slot_64x16, 3.8 MB: 0.7 of the time; L2 alone:
// backward 3 to 8 % more.) Results are the same to the bit.
struct Turns {
  bool* backward = nullptr;  // the session's: the direction of the last step
  size_t most_bytes = 0;     // that go forward always

  // The direction of a step that reads so many bytes of weights, of such a type for most of them,
  // for `count` rows. Forward for many rows, for which reading is not what takes the time: kernels
  // of 8 bits round them all for each piece (LSTM-1024 of 16 streams: 1.06 times as long).
  bool Next(size_t weight_bytes, WeightType type, size_t count, const ThreadTeam* team) const {
    const size_t most_rows = type == WeightType::kI8 ? 1 : kRowsTogether;
    if (count > most_rows) return false;
    if (weight_bytes <= most_bytes * (team == nullptr ? 1 : team->size())) return false;
    *backward = !*backward;
    return *backward;
  }
};

// Chunk `chunk` of a loop of a team from the last of its thread's to the first.
constexpr size_t MirroredIn(size_t chunks_per_thread, size_t chunk) {
  const size_t place = chunk % chunks_per_thread;
  return chunk - place + (chunks_per_thread - 1 - place);
}

// One encoded matrix, its kernel and its bias.
struct Product {
  MatMulFn matmul = nullptr;
  EncodedView weight;
  const float* bias = nullptr;
  // Row groups that cut the matrix in chunks of equal work, [team->size() * ChunksPerThread + 1];
  // nullptr if it is not shared.
  const size_t* cuts = nullptr;

  // Whether `count` rows are multiplied by the team, chunk by chunk.
  bool IsShared(const ThreadTeam* team, size_t count) const;
  // For `count` rows, on the team if that pays; `backward`: from the last row groups to the first.
  void Run(ThreadTeam* team, RowsAt x, RowsAt y, size_t count, bool backward = false) const;
};

// Whether a product of `count` rows with so many bytes of weights takes less time on two threads
// than on one.
bool PaysToShare(size_t weight_bytes, size_t count);

// A product with what was sent, kept in a row of G * H floats for each stream.
struct DeltaProduct {
  Product plain;        // W sent + b, anew
  EncodedView columns;  // the same W by columns
  AddColumnsFn add = nullptr;
  size_t most_columns = 0;  // more are slower to add than all of it is to multiply anew
  // By what was measured, or 0: of adding a column, and of all of it. With a budget the mean of
  // what steps took by them.
  double column_ns = 0.0, plain_ns = 0.0;
  double* mean_ns = nullptr;
  size_t plain_multiply_adds = 0;
};

// A product of a layer with banks.
struct BankProduct {
  Product plain;
  size_t groups = 0;  // row groups
  // [groups, BankLayer::words]: the banks that have rows in a group, one a bit.
  const uint64_t* banks_of_group = nullptr;
  size_t multiply_adds = 0;  // of all of it
};

// Of a layer whose steps choose banks of units: model/graph.h, UnitBanks.
struct BankLayer {
  size_t count = 0;  // N; 0: none
  size_t size = 0;
  size_t top = 0;
  size_t units = 0;          // H
  size_t words = 0;          // of 64 bits, one a bank
  Product score_x, score_h;  // scores from x and from h
  size_t multiply_adds = 0;  // of both
  BankProduct input, recurrent;
  RowBuffer scores, scores_h;  // scratch of B rows of N
  uint64_t* runs = nullptr;    // scratch: [B, words], and a row for the union of them
  uint32_t* order = nullptr;   // scratch: [N]
};

struct GroupRange {
  size_t first = 0, end = 0;
};

// A product of a layer that leaves out rows.
struct RowProduct {
  Product plain;
  size_t groups = 0;  // row groups
  // [rows]: the group of each row; nullptr: the row itself is the group.
  const uint32_t* group_of_row = nullptr;
  const GroupRange* gate_groups = nullptr;  // of each gate that it has rows of: where these are
  size_t multiply_adds = 0;
  uint8_t* done = nullptr;  // scratch: [groups], whether a step has multiplied them
};

// SaturationLimit of the epsilons in force, which takes a logarithm: kept from step to step.
struct SaturationLimits {
  float idle_epsilon = -1.0f, predicted_epsilon = -1.0f;  // those of the limits
  float idle = 0.0f, sigmoid = 0.0f, tanh = 0.0f;
};

// Of a layer that leaves out rows of gates that saturate: model/graph.h, IdleCandidates and
// PredictedRows.
struct SaturationLayer {
  const Saturation* gates = nullptr;  // nullptr: none
  bool has_idle = false;
  size_t units = 0;  // H
  size_t rows = 0;   // G*H
  StandInFn stand_in = nullptr;
  Product predict_x, predict_h;  // to what the predictor goes through; no matmul: no predictor
  Product predict;               // [D*H] of it
  size_t predictor_multiply_adds = 0;
  RowProduct input, recurrent, candidate;   // candidate: if the cell resets before
  RowBuffer through_x, through, predicted;  // scratch of B rows
  float** ax = nullptr;                     // scratch: the input products of B sequences
  uint8_t* due_rows = nullptr;              // scratch: [G*H], whether a sequence needs a row
  uint8_t* due_groups = nullptr;            // scratch: as many as a product has, or H
  // Of all rows the share that a step has to leave out, for looking for them to pay.
  double least_left_out = 0.0;
  SaturationLimits* limits = nullptr;
};

// Dynamic pruning of one direction of a Recurrent node: model/graph.h, Delta, Node::skip,
// UnitBanks, IdleCandidates, PredictedRows.
struct DynamicLayer {
  std::string_view node;
  bool reverse = false;
  LayerRules* rules = nullptr;  // in force
  LayerRules* own = nullptr;    // as compiled, or as set
  LayerCounters* counters = nullptr;
  // Whether steps may be plain that could not gain by the rules (rest.h), in the whole plan; and
  // how many are the first time: less than 1 after as many steps as take it there, each four times
  // as much.
  const bool* rests = nullptr;
  float first_rest = 1.0f, most_rest = 8.0f;
  bool never_gains = false;          // nor can any step
  StepForecast* forecast = nullptr;  // the plan's
  size_t streams = 0;
  RowBuffer pace;                  // a row a stream: Pace
  size_t plain_multiply_adds = 0;  // of both products of a step
  uint32_t* sequences = nullptr;   // scratch of B
  // Whether making input products of many steps together pays, by the steps before, of which there
  // are none at first.
  bool* tries_ahead = nullptr;
  bool starts_ahead = true;
  RowBuffer gathered_x;                // scratch of B rows of x
  const float* weight_skip = nullptr;  // [H] or [P]
  float bias_skip = 0.0f;
  DotFn dot = nullptr;
  RowBuffer rest, gain;  // states of what skips
  BankLayer banks;
  SaturationLayer saturation;
  bool has_delta = false;
  size_t bank = 1;
  SendFn send = nullptr;
  int32_t* columns = nullptr;  // scratch: what was sent, and by how much it changed
  float* changes = nullptr;
  float* sent_before = nullptr;  // scratch: what was sent before a step that tries thresholds
  // Scratch of max_ax_rows rows: what was sent of x, of steps whose input products are made
  // together. Empty where there is one step at a time.
  RowBuffer sent_ahead;
  const float** input_rows = nullptr;  // scratch: of each of B sequences, W_ih sent + b
  DeltaProduct input, recurrent;
  RowBuffer x_sent, h_sent;  // states
  // A row a stream: W sent + b, of no meaning at an age (Pace) of 0.
  RowBuffer input_memory, recurrent_memory;
};

// The row groups of one matrix that are one part's.
struct PartGroups {
  static constexpr size_t kMostRanges = 8;  // one a gate, in slots in each half of the units
  GroupRange ranges[kMostRanges];
  size_t count = 0;
};

// How the threads of a team share the units of a layer (unit_parts.h).
struct UnitParts {
  size_t count = 0;  // 0: they do not; else per_thread for each of them
  size_t per_thread = 0;
  const size_t* units = nullptr;      // [count + 1]: those of part p are [units[p], units[p + 1])
  const PartGroups* input = nullptr;  // [count], of weight_ih
  const PartGroups* recurrent = nullptr;  // [count], of weight_hh
};

// One direction of a Recurrent node.
struct RecurrentLayer {
  bool reverse = false;
  Product input;       // weight_ih, of as many steps at once as `ax` has rows for
  Product recurrent;   // weight_hh, of all gates or, if the cell resets before, of all but the last
  Product candidate;   // the last gate of weight_hh, if the cell resets before
  Product projection;  // weight_hr; matmul is nullptr without
  GateStepFn gate_step = nullptr;
  ResetHiddenFn reset_hidden = nullptr;  // nullptr unless the cell resets before
  const float* peephole = nullptr;       // [3*units], or nullptr
  size_t units = 0;                      // H
  RowBuffer h;                           // state; of a layer that starts from values scratch of
  RowBuffer c;                           // B rows. c may be empty
  bool starts_from_values = false;
  RowBuffer start_h, start_c;  // values that it starts from
  RowBuffer end_c;             // the value that c becomes at the end, or empty
  size_t number = 0;           // of the direction: where its part of these values is
  RowBuffer cell_h;            // scratch of B rows of H: what is projected
  RowBuffer projected;         // scratch of B rows of P
  RowBuffer ax;                // scratch of max_ax_rows rows
  size_t max_ax_rows = 0;      // at least B; if reverse, T * B
  RowBuffer ah;                // scratch of B rows
  RowBuffer reset_h;           // scratch of B rows
  UnitParts parts;
  RowBuffer next_h;                       // scratch of B rows; of a layer with parts
  RowBuffer gathered;                     // scratch of B rows of h; empty if they are in order
  size_t out_offset = 0;                  // first feature in the output
  const DynamicLayer* dynamic = nullptr;  // nullptr: no rules
};

// The windows that a Conv1d multiplies, a few rows at a time.
struct WindowRows {
  RowBuffer rows;  // scratch of max_rows rows
  size_t max_rows = 0;
  size_t dilation = 1;
};

struct Operation {
  using Fn = void (*)(const Operation& op, const RunContext& run);

  Fn run = nullptr;
  RowBuffer in;
  RowBuffer other;  // second input of Add, Mul and Concat
  RowBuffer out;
  Product product;                    // Gemm, Conv1d
  WindowRows windows;                 // Conv1d
  const float* table = nullptr;       // Embedding: [V, F], or nullptr to read rows of the matrix
  EncodedView matrix;                 // Embedding: [V, F]
  ReadRowFn read_row = nullptr;       // of `matrix`
  ActivationFn activation = nullptr;  // Relu, Sigmoid, Tanh, Softmax
  RowBuffer state;                    // LastStep: last; MeanOverTime: sum; Conv1d: past
  RowBuffer count;                    // MeanOverTime
  LayerNormArgs norm;                 // LayerNorm
  size_t first = 0;                   // Slice
  Turns turns;                        // Recurrent, Gemm
  RecurrentLayer recurrent;
};

// The function that runs a node of this op; nullptr for Dropout, whose output is its input.
Operation::Fn OperationOf(Op op);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_OPERATION_H_
