// What every room must know of a cell without its arithmetic: name, gates, states.
//
// A cell's equations are written once, in cells/<name>.inl, as a template over a *math policy* M:
//   M::V                        a value: one float, one SIMD vector, or one at::Tensor
//   m.Add(a,b) m.Sub(a,b) m.Mul(a,b) m.MulAdd(a,b,c) = a*b+c
//   m.Sigmoid(a) m.Tanh(a) m.Relu(a) m.OneMinus(a)
//   m.SigmoidTimesTanh(a,b)     sigmoid(a) * tanh(b), which may take one division instead of two
//   m.Event(a,b)                0 where a <= b, or else a (so NaN stays)
// and compiled three ways: scalar (model/reference.cc, the oracle), per SIMD target
// (kernels/gate_step.cc) and over tensors (train/). Each class has
//   static void Step(const M& m, const V* ax, const V* ah, const State<V>& in, State<V>* out)
// where ax[g] = (W_ih x + b_ih)[gate g], ah[g] = (W_hh h + b_hh)[gate g], in gate order. A cell
// with kResetBefore also has
//   static V ResetHidden(const M& m, const V* ax, const V* ah, const V& h)
// whose result r * h replaces h in the last gate's product before Step is called. The Step of a
// cell with kPeepholes has `const V* p` after ah: weights [CellInfo::peepholes], one set a unit.
#ifndef ESPALIER_CELLS_CELLS_H_
#define ESPALIER_CELLS_CELLS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace espalier {

// What a cell carries from step to step: h, and for the LSTM also c.
template <typename V>
struct CellState {
  V h;
  V c;  // unused unless CellInfo::has_cell_state
};

enum class CellKind : uint8_t {
#define ESPALIER_CELL(name, Class, ...) k##Class,
#include "cells/cells.inc"
#undef ESPALIER_CELL
};

struct CellInfo {
  CellKind kind;
  std::string_view name;        // in recipes, on the command line, in files
  std::string_view onnx_op;     // "LSTM", "GRU" or "RNN"; "" if ONNX has none (onnx_scan.h)
  int64_t gates;                // G: weight_ih is [G*H, I], weight_hh [G*H, H]
  std::string_view gate_names;  // one letter a gate, in stacking order (PyTorch's)
  bool has_cell_state;          // c beside h
  bool reset_before;            // the last gate multiplies r * h, not h
  int64_t peepholes;            // weight_peephole is [peepholes * H], each times a c; 0: none
  bool has_threshold;           // the only one is no factor of c but what c must exceed
  bool sums_apart;              // some gate does not see W x and W h (W (r * h)) as one sum
};

inline constexpr CellInfo kCells[] = {
#define ESPALIER_CELL(name, Class, ...) {CellKind::k##Class, #name, __VA_ARGS__},
#include "cells/cells.inc"
#undef ESPALIER_CELL
};
inline constexpr size_t kCellCount = sizeof(kCells) / sizeof(kCells[0]);

constexpr const CellInfo& InfoOf(CellKind kind) { return kCells[static_cast<size_t>(kind)]; }

// nullptr if no cell has that name.
constexpr const CellInfo* FindCell(std::string_view name) {
  for (const CellInfo& info : kCells) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

}  // namespace espalier

#endif  // ESPALIER_CELLS_CELLS_H_
