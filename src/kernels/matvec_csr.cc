// matvec_csr_f32: y = W x + init over format `csr`.
//
// Scalar on purpose: on Zen 3 a gather of 8 takes as long as 8 scalar loads and multiply-adds. Four
// sums per row hide the latency.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_csr.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/csr.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE float RowSum(const CsrView& w, size_t row, const float* x, float init) {
  float sum[4] = {init, 0.0f, 0.0f, 0.0f};
  size_t i = w.row_start[row];
  const size_t end = w.row_start[row + 1];
  for (; i + 4 <= end; i += 4) {
    for (size_t k = 0; k < 4; ++k) sum[k] += w.values[i + k] * x[w.col[i + k]];
  }
  for (; i < end; ++i) sum[0] += w.values[i] * x[w.col[i]];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const CsrView w = ViewCsr(matrix);
  const size_t groups = (w.rows + kCsrGroupRows - 1) / kCsrGroupRows;
  const size_t end = std::min(w.rows, std::min(args.end_group, groups) * kCsrGroupRows);
  for (size_t row = args.first_group * kCsrGroupRows; row < end; ++row) {
    const float init = args.init == nullptr ? 0.0f : args.init[row];
    for (size_t n = 0; n < args.count; ++n) {
      args.y[n * args.y_stride + row] = RowSum(w, row, args.x + n * args.x_stride, init);
    }
  }
}

constexpr MatMulKernel kKernels[] = {{{FormatId::k_csr, 0, 0}, "matvec_csr_f32", Run}};

}  // namespace

std::span<const MatMulKernel> matvec_csr() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
