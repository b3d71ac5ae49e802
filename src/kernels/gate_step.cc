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

#include "cells/gru.inl"
#include "cells/gru_reset_before.inl"
#include "cells/lstm.inl"
#include "cells/rnn_relu.inl"
#include "cells/rnn_tanh.inl"

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr size_t kLanes = hn::MaxLanes(D());

// Whole vectors, and the first `count` lanes of the last one: the memory side of a step.
struct Whole {
  HWY_INLINE V Load(D d, const float* from) const { return hn::LoadU(d, from); }
  HWY_INLINE void Store(V v, D d, float* to) const { hn::StoreU(v, d, to); }
};
struct First {
  size_t count;
  HWY_INLINE V Load(D d, const float* from) const { return LoadFirst(d, from, count); }
  HWY_INLINE void Store(V v, D d, float* to) const { StoreFirst(v, d, to, count); }
};

template <class Cell, CellKind kKind, class Memory>
HWY_INLINE void StepVector(const GateStepArgs& args, size_t k, Memory memory) {
  constexpr size_t kGates = static_cast<size_t>(InfoOf(kKind).gates);
  constexpr bool kHasCellState = InfoOf(kKind).has_cell_state;
  const D d;
  V ax[kGates];
  V ah[kGates];
  for (size_t g = 0; g < kGates; ++g) {
    ax[g] = memory.Load(d, args.ax + g * args.gate_stride + k);
    ah[g] = memory.Load(d, args.ah + g * args.gate_stride + k);
  }
  CellState<V> in{memory.Load(d, args.h + k), hn::Zero(d)};
  if constexpr (kHasCellState) in.c = memory.Load(d, args.c + k);
  CellState<V> out = in;
  Cell::Step(SimdMath<D>(), ax, ah, in, &out);
  memory.Store(out.h, d, args.h + k);
  if constexpr (kHasCellState) memory.Store(out.c, d, args.c + k);
}

template <class Cell, CellKind kKind>
HWY_INLINE void StepAll(const GateStepArgs& args) {
  size_t k = 0;
  for (; k + kLanes <= args.hidden; k += kLanes) StepVector<Cell, kKind>(args, k, Whole());
  if (k < args.hidden) StepVector<Cell, kKind>(args, k, First{args.hidden - k});
}

template <class Cell, class Memory>
HWY_INLINE void ResetVector(const GateStepArgs& args, size_t k, float* reset_h, Memory memory) {
  const D d;
  const V ax = memory.Load(d, args.ax + k);
  const V ah = memory.Load(d, args.ah + k);
  const V h = memory.Load(d, args.h + k);
  memory.Store(Cell::ResetHidden(SimdMath<D>(), &ax, &ah, h), d, reset_h + k);
}

template <class Cell>
HWY_INLINE void ResetAll(const GateStepArgs& args, float* reset_h) {
  if constexpr (Cell::kResetBefore) {
    size_t k = 0;
    for (; k + kLanes <= args.hidden; k += kLanes) ResetVector<Cell>(args, k, reset_h, Whole());
    if (k < args.hidden) ResetVector<Cell>(args, k, reset_h, First{args.hidden - k});
  }
}

}  // namespace

#define ESPALIER_CELL(name, Class)                                     \
  void gate_step_##name(const GateStepArgs& args) {                    \
    StepAll<Class<SimdMath<D>>, CellKind::k##Class>(args);             \
  }                                                                    \
  void reset_hidden_##name(const GateStepArgs& args, float* reset_h) { \
    ResetAll<Class<SimdMath<D>>>(args, reset_h);                       \
  }
#include "cells/cells.inc"
#undef ESPALIER_CELL

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
