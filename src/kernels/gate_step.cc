// gate_step_<cell> and reset_hidden_<cell>: the cells of cells/*.inl over vectors.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gate_step.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

#include "cells/all_cells.inl"

using D = hn::CappedTag<float, 16>;
constexpr size_t kLanes = hn::MaxLanes(D());
// Vectors side by side: 2 took 30 % less time than 1 on Zen 3 (LSTM, H = 80), 3 spill. With
// AVX-512's 32 registers 4 take 10 % less than 2 (Zen 4, H = 256).
constexpr size_t kPack = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

// K whole vectors, or the first `count` lanes of one: the memory side of a step.
template <size_t K>
struct Whole {
  using Math = SimdMath<D, K>;
  using V = typename Math::V;
  static HWY_INLINE V Load(const float* from) {
    V v;
    for (size_t k = 0; k < K; ++k) v.part[k] = hn::LoadU(D(), from + k * kLanes);
    return v;
  }
  static HWY_INLINE void Store(const V& v, float* to) {
    for (size_t k = 0; k < K; ++k) hn::StoreU(v.part[k], D(), to + k * kLanes);
  }
};
struct First {
  using Math = SimdMath<D, 1>;
  using V = Math::V;
  size_t count;
  HWY_INLINE V Load(const float* from) const { return {{LoadFirst(D(), from, count)}}; }
  HWY_INLINE void Store(const V& v, float* to) const { StoreFirst(v.part[0], D(), to, count); }
};

template <template <class> class Cell, CellKind kKind>
struct StepOp {
  const GateStepArgs& args;

  template <class Memory>
  HWY_INLINE void Run(size_t k, Memory memory) const {
    using V = typename Memory::V;
    constexpr size_t kGates = static_cast<size_t>(InfoOf(kKind).gates);
    constexpr bool kHasCellState = InfoOf(kKind).has_cell_state;
    V ax[kGates];
    V ah[kGates];
    for (size_t g = 0; g < kGates; ++g) {
      ax[g] = memory.Load(args.ax + g * args.gate_stride + k);
      ah[g] = memory.Load(args.ah + g * args.gate_stride + k);
    }
    CellState<V> in;
    in.h = memory.Load(args.h + k);
    in.c = kHasCellState ? memory.Load(args.c + k) : in.h;
    CellState<V> out = in;
    using TheCell = Cell<typename Memory::Math>;
    if constexpr (TheCell::kPeepholes) {
      constexpr size_t kPeepholes = static_cast<size_t>(InfoOf(kKind).peepholes);
      V p[kPeepholes];
      for (size_t i = 0; i < kPeepholes; ++i) {
        p[i] = memory.Load(args.peephole + i * args.peephole_stride + k);
      }
      TheCell::Step(typename Memory::Math(), ax, ah, p, in, &out);
    } else {
      TheCell::Step(typename Memory::Math(), ax, ah, in, &out);
    }
    memory.Store(out.h, args.h + k);
    if constexpr (kHasCellState) memory.Store(out.c, args.c + k);
  }
};

template <template <class> class Cell>
struct ResetOp {
  const GateStepArgs& args;
  float* reset_h;

  template <class Memory>
  HWY_INLINE void Run(size_t k, Memory memory) const {
    using V = typename Memory::V;
    const V ax = memory.Load(args.ax + k);
    const V ah = memory.Load(args.ah + k);
    const V h = memory.Load(args.h + k);
    memory.Store(Cell<typename Memory::Math>::ResetHidden(typename Memory::Math(), &ax, &ah, h),
                 reset_h + k);
  }
};

// Runs `op` over all units: packs, then pairs and single vectors, then the rest of one. Which of
// them a unit is in, and so how a layer is cut for threads, can show in the bits of a NaN and
// nowhere else: where two meet the instruction takes one operand's, and g++ chooses the order of a
// sum's operands and the form of a multiply-add in each loop (of inputs with a third of NaN, inf
// and 0 0.04 to 8 % of the units, all cells and targets, 2026-11). To fix it would take a look at
// each.
template <class Op>
HWY_INLINE void EachUnit(size_t hidden, Op op) {
  size_t k = 0;
  for (; k + kPack * kLanes <= hidden; k += kPack * kLanes) op.Run(k, Whole<kPack>());
  for (; k + 2 * kLanes <= hidden; k += 2 * kLanes) op.Run(k, Whole<2>());
  for (; k + kLanes <= hidden; k += kLanes) op.Run(k, Whole<1>());
  if (k < hidden) op.Run(k, First{hidden - k});
}

}  // namespace

#define ESPALIER_CELL(name, Class, ...)                                \
  void gate_step_##name(const GateStepArgs& args) {                    \
    EachUnit(args.hidden, StepOp<Class, CellKind::k##Class>{args});    \
  }                                                                    \
  void reset_hidden_##name(const GateStepArgs& args, float* reset_h) { \
    if constexpr (InfoOf(CellKind::k##Class).reset_before) {           \
      EachUnit(args.hidden, ResetOp<Class>{args, reset_h});            \
    }                                                                  \
  }
#include "cells/cells.inc"
#undef ESPALIER_CELL

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
