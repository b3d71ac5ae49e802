// Operations: what a session's plan is made of. One per node (two for a bidirectional one), with
// every pointer and kernel resolved; running one neither allocates nor fails.
#ifndef ESPALIER_RUNTIME_OPERATION_H_
#define ESPALIER_RUNTIME_OPERATION_H_

#include <cstddef>
#include <cstdint>

#include "formats/format.h"
#include "kernels/kernels.h"
#include "model/graph.h"

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

// What one Run works on.
struct RunContext {
  size_t steps = 0;                  // T
  size_t size = 0;                   // B
  size_t max_length = 0;             // largest of lengths
  const int32_t* lengths = nullptr;  // [B]
  const int32_t* ids = nullptr;      // [T, B], if the input is i32

  size_t RowsOf(const RowBuffer& buffer) const { return buffer.has_time ? steps * size : size; }
};

// One encoded matrix, its kernel and its bias.
struct Product {
  MatMulFn matmul = nullptr;
  EncodedView weight;
  const float* bias = nullptr;

  void Run(const float* x, size_t x_stride, float* y, size_t y_stride, size_t count) const {
    matmul(weight, {x, x_stride, bias, y, y_stride, count});
  }
};

// One direction of a Recurrent node.
struct RecurrentLayer {
  bool reverse = false;
  Product input;      // weight_ih, of all steps at once
  Product recurrent;  // weight_hh, of all gates or, if the cell resets before, of all but the last
  Product candidate;  // the last gate of weight_hh, if the cell resets before
  GateStepFn gate_step = nullptr;
  ResetHiddenFn reset_hidden = nullptr;  // nullptr unless the cell resets before
  RowBuffer h;                           // state
  RowBuffer c;                           // state, or empty
  RowBuffer ax;                          // scratch of T * B rows
  RowBuffer ah;                          // scratch of B rows
  RowBuffer reset_h;                     // scratch of B rows
  size_t out_offset = 0;                 // first feature in the output
};

struct Operation {
  using Fn = void (*)(const Operation& op, const RunContext& run);

  Fn run = nullptr;
  RowBuffer in;
  RowBuffer other;  // second input of Add and Concat
  RowBuffer out;
  Product product;                    // Gemm
  const float* table = nullptr;       // Embedding: [V, F]
  ActivationFn activation = nullptr;  // Relu, Sigmoid, Tanh, Softmax
  RowBuffer state;                    // LastStep: last; MeanOverTime: sum
  RowBuffer count;                    // MeanOverTime
  RecurrentLayer recurrent;
};

// The function that runs a node of this op; nullptr for Dropout, whose output is its input.
Operation::Fn OperationOf(Op op);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_OPERATION_H_
