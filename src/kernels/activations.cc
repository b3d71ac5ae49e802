// activation_<name>: elementwise functions over a row, and softmax.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activations.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

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
struct ScaleOp {
  float factor;
  HWY_INLINE V Apply(D d, V x) const { return hn::Mul(x, hn::Set(d, factor)); }
};

// The first `count` lanes of v, the others of `rest`.
HWY_INLINE V FirstOf(D d, V v, size_t count, V rest) {
  return hn::IfThenElse(hn::FirstN(d, count), v, rest);
}

float Largest(const float* values, size_t count) {
  const D d;
  V largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) largest = hn::Max(hn::LoadU(d, values + i), largest);
  if (i < count) {
    const V last = FirstOf(d, LoadFirst(d, values + i, count - i), count - i, largest);
    largest = hn::Max(last, largest);
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// values[i] = e^(values[i] - subtrahend). Returns their sum.
float ExpOfDifferences(float* values, size_t count, float subtrahend) {
  const D d;
  const V less = hn::Set(d, subtrahend);
  V sum = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V y = Exp(d, hn::Sub(hn::LoadU(d, values + i), less));
    sum = hn::Add(sum, y);
    hn::StoreU(y, d, values + i);
  }
  if (i < count) {
    const V y = Exp(d, hn::Sub(LoadFirst(d, values + i, count - i), less));
    sum = hn::Add(sum, FirstOf(d, y, count - i, hn::Zero(d)));
    StoreFirst(y, d, values + i, count - i);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

}  // namespace

void activation_relu(float* values, size_t count) { Each(values, count, ReluOp()); }
void activation_sigmoid(float* values, size_t count) { Each(values, count, SigmoidOp()); }
void activation_tanh(float* values, size_t count) { Each(values, count, TanhOp()); }

// e^(x - max) / sum. A NaN or +inf in the row makes all of it NaN, whether or not it is the max.
void activation_softmax(float* values, size_t count) {
  const float sum = ExpOfDifferences(values, count, Largest(values, count));
  Each(values, count, ScaleOp{1.0f / sum});
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
