// How kernels of type i8 round x: the one definition, in scalars. The vector form is in
// kernels/quantized_x-inl.h and gives the same numbers.
#ifndef ESPALIER_KERNELS_QUANTIZE_H_
#define ESPALIER_KERNELS_QUANTIZE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace espalier {

inline constexpr float kLargestQ = 127.0f;
// An x whose largest size is below this counts as 0: its scale would be denormal.
inline constexpr float kSmallestX = 0x1p-100f;

// The factors between x and q: q = round(x * inverse), clipped to [-127, 127]; x is about q *
// scale. `largest`: the largest |x[c]|, which sets the scale if x_scale (formats/row_scales.h) is
// 0. Infinity or NaN in x makes the scale NaN, and so every y of that x.
struct XScale {
  float scale;
  float inverse;

  XScale(float largest, float x_scale) {
    if (!(largest <= std::numeric_limits<float>::max())) {
      scale = std::numeric_limits<float>::quiet_NaN();
      inverse = 0.0f;
    } else if (x_scale > 0.0f) {
      scale = x_scale;
      inverse = 1.0f / x_scale;
    } else if (largest < kSmallestX) {
      scale = inverse = 0.0f;
    } else {
      scale = largest / kLargestQ;
      inverse = kLargestQ / largest;
    }
  }
};

// What a kernel's sum of whole numbers stands for. The row's scale comes first: a sum is 0 or 1 to
// 2^31 and a scale that is not 0 is 2^-126 to kMostRowScale, so that only the last product, which
// may have to be, can be too large or too small for a float.
inline float ScaledSum(float sum, float row_scale, float x_scale) {
  return sum * row_scale * x_scale;
}

// Writes q[0, count) and returns the scale. Ties go to the even number.
inline float QuantizeX(const float* x, size_t count, float x_scale, int8_t* q) {
  float largest = 0.0f;
  for (size_t i = 0; i < count; ++i) {
    if (!(std::abs(x[i]) <= largest)) largest = std::abs(x[i]);  // NaN stays
    if (std::isnan(largest)) break;
  }
  const XScale by(largest, x_scale);
  for (size_t i = 0; i < count; ++i) {
    const float number = by.inverse == 0.0f ? 0.0f : std::nearbyint(x[i] * by.inverse);
    q[i] = static_cast<int8_t>(std::clamp(number, -kLargestQ, kLargestQ));
  }
  return by.scale;
}

// x as a kernel of type i8 sees it: in f32, rounded, times the scale.
inline void RoundX(float x_scale, std::span<double> x) {
  std::vector<float> values(x.begin(), x.end());
  std::vector<int8_t> q(x.size());
  const double scale = QuantizeX(values.data(), values.size(), x_scale, q.data());
  for (size_t i = 0; i < x.size(); ++i) x[i] = q[i] * scale;
}

}  // namespace espalier

#endif  // ESPALIER_KERNELS_QUANTIZE_H_
