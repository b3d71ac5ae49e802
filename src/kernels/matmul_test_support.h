// Helpers of the tests of matrix kernels: x and y as the contract of MatMulArgs has them.
#ifndef ESPALIER_KERNELS_MATMUL_TEST_SUPPORT_H_
#define ESPALIER_KERNELS_MATMUL_TEST_SUPPORT_H_

#include <limits>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"

namespace espalier::testing {

inline constexpr float kInf = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kUntouched = 12345.0f;
inline constexpr size_t kPad = kPaddingBytes / sizeof(float);

// x or y: `count` rows of `width` floats on the heap, with what the contract says around them: NaN
// padding readable after each row of x, and y's bytes past `width` watched.
struct PaddedRows {
  size_t width, stride, count;
  std::vector<float> values;

  PaddedRows(size_t row_width, size_t row_count, float fill)
      : width(row_width),
        stride(row_width + kPad),
        count(row_count),
        values(stride * row_count, fill) {}
  float* row(size_t n) { return values.data() + n * stride; }
};

inline PaddedRows RandomX(size_t cols, size_t count, Rng* rng) {
  PaddedRows x(cols, count, kNan);
  for (size_t n = 0; n < count; ++n) {
    for (size_t c = 0; c < cols; ++c) x.row(n)[c] = static_cast<float>(rng->Normal());
  }
  return x;
}

inline MatMulArgs ArgsOf(PaddedRows* x, const std::vector<float>& init, PaddedRows* y) {
  MatMulArgs args;
  args.x = x->values.data();
  args.x_stride = x->stride;
  args.init = init.empty() ? nullptr : init.data();
  args.y = y->values.data();
  args.y_stride = y->stride;
  args.count = x->count;
  return args;
}

}  // namespace espalier::testing

#endif  // ESPALIER_KERNELS_MATMUL_TEST_SUPPORT_H_
