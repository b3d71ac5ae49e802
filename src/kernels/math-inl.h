// Vector sigmoid, tanh and exp, and the math policy that compiles the cells for SIMD
// (cells/cells.h). Compiled once per target. Bounds against the exact value, tested in
// activations_test.cc:
//   Sigmoid  3 ULP where the result is normal; a result below FLT_MIN is 0; NaN stays NaN
//   Tanh     3 ULP; +-1 beyond |x| = 9.02; denormals come back exactly; -0 gives 0; NaN stays NaN
//   SigmoidTimesTanh  6 ULP where the result is above 2^-90; below that within 2^-90 of it
//   Exp      2 ULP for x <= 0; a result below FLT_MIN is 0; not for x > 88
//
// All are one polynomial: x = n ln2 + r with |r| <= ln2 / 2, and e^r - 1 = r + r^2 q(r), q of
// degree 4 through the Chebyshev nodes of that interval (error below 1e-8). Keeping e^r - 1, not
// e^r, makes tanh exact near 0 without a second branch. One division each: reciprocal estimate and
// Newton steps cost more than the 6 cycles of vdivps on Zen 3, and than its 512-bit form on Zen 4
// (a step of LSTM-128 1.00 -> 1.04 us).
#if defined(ESPALIER_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_MATH_INL_H_
#undef ESPALIER_KERNELS_MATH_INL_H_
#else
#define ESPALIER_KERNELS_MATH_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/hwy_compat-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class V>
struct ExpParts {
  V scale;     // 2^n; +inf for n = 128, 0 for n = -127
  V fraction;  // e^r - 1, in (-0.30, 0.42)
};

// e^x = scale * (1 + fraction). Precondition: -88.02 <= x <= 88.72 (n in [-127, 128]), or NaN,
// which fraction then is.
template <class D, class V>
HWY_INLINE ExpParts<V> SplitExp(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the sum.
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504f), magic);
  const V n = hn::Sub(shifted, magic);
  // ln2 in two parts, the first with so few bits that n times it is exact.
  V r = hn::NegMulAdd(n, hn::Set(d, 0.69140625f), x);
  r = hn::NegMulAdd(n, hn::Set(d, 1.7409306e-3f), r);
  V q = hn::MulAdd(r, hn::Set(d, 1.392692661e-3f), hn::Set(d, 8.363773874e-3f));
  q = hn::MulAdd(q, r, hn::Set(d, 4.166655011e-2f));
  q = hn::MulAdd(q, r, hn::Set(d, 1.666657338e-1f));
  q = hn::MulAdd(q, r, hn::Set(d, 0.5f));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
  const auto scale = hn::Add(exponent, hn::Set(di, 127 << 23));
  return {hn::BitCast(d, scale), hn::MulAdd(hn::Mul(r, r), q, r)};
}

// min(limit, x) and max(limit, x), NaN for a NaN in x.
template <class D, class V>
HWY_INLINE V AtMost(D d, float limit, V x) {
  return MinOrNan(d, hn::Set(d, limit), x);
}

template <class D, class V>
HWY_INLINE V AtLeast(D d, float limit, V x) {
  return MaxOrNan(d, hn::Set(d, limit), x);
}

// e^-x + 1; +inf at the upper end, so that the quotient reaches 0 there.
template <class D, class V>
HWY_INLINE V SigmoidDenominator(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const auto e = SplitExp(d, AtLeast(d, -87.0f, AtMost(d, 88.72f, hn::Neg(x))));
  return hn::MulAdd(e.scale, hn::Add(one, e.fraction), one);
}

template <class D, class V>
HWY_INLINE V Sigmoid(D d, V x) {
  return hn::Div(hn::Set(d, 1.0f), SigmoidDenominator(d, x));
}

// e^2x - 1
template <class D, class V>
HWY_INLINE V TanhNumerator(D d, V x) {
  const V clamped = AtLeast(d, -9.02f, AtMost(d, 9.02f, x));
  const auto e = SplitExp(d, hn::Add(clamped, clamped));
  return hn::MulAdd(e.scale, e.fraction, hn::Sub(e.scale, hn::Set(d, 1.0f)));
}

// (e^2x - 1) / (e^2x + 1)
template <class D, class V>
HWY_INLINE V Tanh(D d, V x) {
  const V numerator = TanhNumerator(d, x);
  return hn::Div(numerator, hn::Add(numerator, hn::Set(d, 2.0f)));
}

// By one division: (e^2y - 1) / ((e^-x + 1) (e^2y + 1)).
template <class D, class V>
HWY_INLINE V SigmoidTimesTanh(D d, V x, V y) {
  const V numerator = TanhNumerator(d, y);
  const V denominator = hn::Mul(SigmoidDenominator(d, x), hn::Add(numerator, hn::Set(d, 2.0f)));
  return hn::Div(numerator, denominator);
}

template <class D, class V>
HWY_INLINE V Exp(D d, V x) {
  const auto e = SplitExp(d, AtLeast(d, -88.0f, x));
  return hn::Mul(e.scale, hn::Add(hn::Set(d, 1.0f), e.fraction));
}

// K vectors that take every operation together. The chain from a gate's sum to h is some 150 cycles
// long, and one vector's instructions nearly fill a reorder buffer; two vectors side by side fill
// the gaps of each other.
template <class D, size_t K>
struct Pack {
  hn::Vec<D> part[K];
};

template <class D, size_t K>
struct SimdMath {
  using V = Pack<D, K>;
  static constexpr size_t kLanes = hn::MaxLanes(D()) * K;
  D d;

#define ESPALIER_EACH_PART(expression)                     \
  V out;                                                   \
  for (size_t k = 0; k < K; ++k) out.part[k] = expression; \
  return out
  HWY_INLINE V Add(const V& a, const V& b) const {
    ESPALIER_EACH_PART(hn::Add(a.part[k], b.part[k]));
  }
  HWY_INLINE V Sub(const V& a, const V& b) const {
    ESPALIER_EACH_PART(hn::Sub(a.part[k], b.part[k]));
  }
  HWY_INLINE V Mul(const V& a, const V& b) const {
    ESPALIER_EACH_PART(hn::Mul(a.part[k], b.part[k]));
  }
  HWY_INLINE V MulAdd(const V& a, const V& b, const V& c) const {
    ESPALIER_EACH_PART(hn::MulAdd(a.part[k], b.part[k], c.part[k]));
  }
  HWY_INLINE V Sigmoid(const V& a) const {
    ESPALIER_EACH_PART(HWY_NAMESPACE::Sigmoid(d, a.part[k]));
  }
  HWY_INLINE V Tanh(const V& a) const { ESPALIER_EACH_PART(HWY_NAMESPACE::Tanh(d, a.part[k])); }
  HWY_INLINE V SigmoidTimesTanh(const V& a, const V& b) const {
    ESPALIER_EACH_PART(HWY_NAMESPACE::SigmoidTimesTanh(d, a.part[k], b.part[k]));
  }
  HWY_INLINE V Relu(const V& a) const { ESPALIER_EACH_PART(AtLeast(d, 0.0f, a.part[k])); }
  HWY_INLINE V OneMinus(const V& a) const {
    ESPALIER_EACH_PART(hn::Sub(hn::Set(d, 1.0f), a.part[k]));
  }
  HWY_INLINE V Event(const V& a, const V& b) const {
    ESPALIER_EACH_PART(hn::IfThenZeroElse(hn::Le(a.part[k], b.part[k]), a.part[k]));
  }
#undef ESPALIER_EACH_PART
};

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_MATH_INL_H_
