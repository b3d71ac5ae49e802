// activation_<name>: elementwise functions over a row, and softmax.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activations.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <limits>

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr size_t kLanes = hn::MaxLanes(D());

template <class Op>
HWY_INLINE void Each(float* values, size_t count, Op op) {
  const D d;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(op.Apply(d, hn::LoadU(d, values + i)), d, values + i);
  }
  if (i < count) {
    StoreFirst(op.Apply(d, LoadFirst(d, values + i, count - i)), d, values + i, count - i);
  }
}

// Functors, not lambdas: a lambda does not inherit the target's instruction set from its function.
struct ReluOp {
  HWY_INLINE V Apply(D d, V x) const { return AtLeast(d, 0.0f, x); }
};
struct SigmoidOp {
  HWY_INLINE V Apply(D d, V x) const { return Sigmoid(d, x); }
};
struct TanhOp {
  HWY_INLINE V Apply(D d, V x) const { return Tanh(d, x); }
};
struct ExpOfDifferenceOp {
  float subtrahend;
  HWY_INLINE V Apply(D d, V x) const { return Exp(d, hn::Sub(x, hn::Set(d, subtrahend))); }
};
struct ScaleOp {
  float factor;
  HWY_INLINE V Apply(D d, V x) const { return hn::Mul(x, hn::Set(d, factor)); }
};

}  // namespace

void activation_relu(float* values, size_t count) { Each(values, count, ReluOp()); }
void activation_sigmoid(float* values, size_t count) { Each(values, count, SigmoidOp()); }
void activation_tanh(float* values, size_t count) { Each(values, count, TanhOp()); }

// e^(x - max) / sum. A NaN or +inf in the row makes all of it NaN.
void activation_softmax(float* values, size_t count) {
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < count; ++i) largest = std::max(largest, values[i]);  // skips NaN
  Each(values, count, ExpOfDifferenceOp{largest});
  float sum = 0.0f;
  for (size_t i = 0; i < count; ++i) sum += values[i];
  Each(values, count, ScaleOp{1.0f / sum});
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
