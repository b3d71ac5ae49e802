// Kernels: the arithmetic of the engine, one table of functions per instruction set ("target"),
// compiled from one source through Highway. A session takes one table when it is made and calls
// through it; nothing here allocates, locks, fails or keeps state.
#ifndef ESPALIER_KERNELS_KERNELS_H_
#define ESPALIER_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cells/cells.h"
#include "formats/format.h"

namespace espalier {

// For n < count:  y[n, r] = init[r] + sum_c W[r, c] x[n, c],  for the rows r of the row groups
// [first_group, end_group) of W (format.h); an end past the last group means the last. With a
// `due`, of format `rows` only, for those of them where due[group] is not 0. x: `count` rows of
// `cols` floats, x_stride floats apart; y: the same with `rows` and y_stride. init: [rows], or
// nullptr for 0. x and y do not overlap. Every x and y row has kPaddingBytes readable bytes after
// it; no other y is written, and none past `rows`. The result for one n does not depend, to the
// bit, on `count`, on the other rows or on the groups that are computed with it. NaN and infinity
// spread as IEEE 754 says through every stored weight, stored zeros included (format.h). Takes up
// to 80 KB of stack.
struct MatMulArgs {
  const float* x = nullptr;
  size_t x_stride = 0;
  const float* init = nullptr;
  float* y = nullptr;
  size_t y_stride = 0;
  size_t count = 0;
  size_t first_group = 0;
  size_t end_group = SIZE_MAX;
  const uint8_t* due = nullptr;  // [groups]
};
// Precondition: Validate(w) passed, and w.spec is one the function was looked up for.
using MatMulFn = void (*)(const EncodedView& w, const MatMulArgs& args);

// y[r] += sum_i W[r, cols[i]] d[i] for i < count and all rows r. y has kPaddingBytes readable bytes
// after it; none past its rows is written. Returns the number of weights that were multiplied.
struct AddColumnsArgs {
  const int32_t* cols = nullptr;  // each in [0, W.cols)
  const float* d = nullptr;
  size_t count = 0;
  float* y = nullptr;
};
// Precondition: as MatMulFn.
using AddColumnsFn = size_t (*)(const EncodedView& w, const AddColumnsArgs& args);

// Sends what has changed of `size` values (model/graph.h, Delta): replaces those of `sent`, and
// writes to `cols` and `d` which they are, ascending, and by how much they changed. Returns how
// many. Of more than `most` it need not say which: `cols` and `d` are then of no meaning. They have
// room for `size` and 16 more, which may be written. `values` and `sent` have kPaddingBytes after
// them, of which those of `sent` may be written as they are.
struct SendArgs {
  const float* values = nullptr;
  float* sent = nullptr;
  size_t size = 0;
  float threshold = 0.0f;
  size_t bank = 1;
  size_t most = 0;
  int32_t* cols = nullptr;
  float* d = nullptr;
};
using SendFn = size_t (*)(const SendArgs& args);

// What stands in the place of rows that are left out (model/graph.h, IdleCandidates and
// PredictedRows): of each k where |a| > limit, or with a `b` where (a + b) * sign > limit (NaN is
// never), ax becomes a, or with a `b` 0, and ah becomes 0. Returns how many there were. With a
// `due` each other k has its due[k] set to 1. ax and ah do not overlap a and b.
struct StandInArgs {
  const float* a = nullptr;  // [size], as all of them
  const float* b = nullptr;  // or nullptr
  float sign = 1.0f;         // 1 or -1
  float limit = 0.0f;
  float* ax = nullptr;
  float* ah = nullptr;
  size_t size = 0;
  uint8_t* due = nullptr;  // [size], each 0 or 1; or nullptr
};
using StandInFn = size_t (*)(const StandInArgs& args);

// One step of `hidden` units of one sequence: ax = W_ih x + b_ih and ah = W_hh h + b_hh, both
// [G, H] in gate order with `gate_stride` floats between gates; h (and c) are read and replaced.
// `peephole`: [CellInfo::peepholes, H] with `peephole_stride` floats between, of a cell with some.
struct GateStepArgs {
  const float* ax = nullptr;
  const float* ah = nullptr;
  size_t gate_stride = 0;
  float* h = nullptr;
  float* c = nullptr;  // nullptr where the cell has none
  size_t hidden = 0;
  const float* peephole = nullptr;
  size_t peephole_stride = 0;
};
using GateStepFn = void (*)(const GateStepArgs& args);
// reset_h[k] = r[k] * h[k] (cells with reset_before only).
using ResetHiddenFn = void (*)(const GateStepArgs& args, float* reset_h);

// In place over `count` floats; softmax over one row.
using ActivationFn = void (*)(float* values, size_t count);

// sum_k a[k] b[k] for k < count, in f32, of which nothing past `count` is read.
using DotFn = float (*)(const float* a, const float* b, size_t count);

// Reads `count` words once, as fast as the target can; the result depends on all of them. The time
// is the least that a kernel over as many bytes can take.
using ReadAllFn = uint64_t (*)(const uint64_t* words, size_t count);

struct KernelTable {
  const char* target;  // Highway's name, e.g. "AVX3_ZEN4", "AVX2", "SSE4", "EMU128" (portable)
  // nullptr if this target has no kernel for the format and tile (the slow generic one of the
  // format always exists, so it never is for a spec of AllFormats()).
  MatMulFn (*find_matmul)(const FormatSpec& spec);
  // e.g. "matvec_slot_f32_8x16"; the name printed by inspect and kept in an artifact.
  const char* (*matmul_name)(const FormatSpec& spec);
  GateStepFn gate_step[kCellCount];
  ResetHiddenFn reset_hidden[kCellCount];  // nullptr where the cell has none
  ActivationFn relu;
  ActivationFn sigmoid;  // both with the ULP bound stated in kernels/math-inl.h
  ActivationFn tanh;
  ActivationFn softmax;
  DotFn dot;
  ReadAllFn read_all;
  AddColumnsFn (*find_add_columns)(const FormatSpec& spec);  // nullptr but for `columns`
  SendFn send_changes;
  StandInFn stand_in;
};

// The tables that this CPU can run, best first; the last is the portable one. Static storage.
std::vector<const KernelTable*> AvailableKernels();
// By name, "" for the best. Errors: kInvalidArgument, naming the ones there are.
Result<const KernelTable*> FindKernels(const std::string& target);

}  // namespace espalier

#endif  // ESPALIER_KERNELS_KERNELS_H_
