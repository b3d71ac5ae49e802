// What timing a product takes, for the tuner and MeasureCosts.
#ifndef ESPALIER_COMPILE_PRODUCT_H_
#define ESPALIER_COMPILE_PRODUCT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/rng.h"

namespace espalier {

inline constexpr int64_t kMaxCalls = 10000;

// Calls of a product that takes `ns`, for a sample that lasts about `sample_ns`.
inline int64_t CallsPerSample(double ns, double sample_ns) {
  return std::clamp(static_cast<int64_t>(sample_ns / std::max(1.0, ns)), int64_t{1}, kMaxCalls);
}

// `count` rows of `width` numbers, each aligned as kernels ask for.
struct Rows {
  size_t stride;
  AlignedBuffer<float> values;

  Rows(size_t count, size_t width)
      : stride(RoundUp(width, kAlignmentBytes / sizeof(float))), values(count * stride) {}
};

inline Rows RandomRows(size_t count, size_t width, Rng* rng) {
  Rows rows(count, width);
  for (float& value : rows.values) value = static_cast<float>(rng->Normal());
  return rows;
}

// Precondition: not empty.
inline double Median(std::vector<double> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

}  // namespace espalier

#endif  // ESPALIER_COMPILE_PRODUCT_H_
