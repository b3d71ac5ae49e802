// matvec_csr_<type>: y = W x + init over format `csr`, weights in f32 or bf16, sums in f32; of type
// i8, x is rounded to 8 bits (kernels/quantize.h) and sums are 32-bit whole numbers.
//
// Scalar on purpose: on Zen 3 a gather of 8 takes as long as 8 scalar loads and multiply-adds. Four
// sums per row hide the latency. Smaller types are for the bytes, not for the speed: on Zen 4, a
// matrix [512, 128] at 10 % takes 2.9 us in f32, 3.3 in bf16 and 3.2 in i8, [4096, 1024] 162, 206
// and 196 (2026-11).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_csr.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>
#include <type_traits>

#include "formats/csr.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// W: how a weight is stored; X and Sum: float, or whole numbers.
template <typename W, typename X, typename Sum>
HWY_INLINE Sum RowSum(const CsrView& w, size_t row, const X* x, Sum first) {
  const W* values = reinterpret_cast<const W*>(w.values);
  Sum sum[4] = {first, 0, 0, 0};
  size_t i = w.row_start[row];
  const size_t end = w.row_start[row + 1];
  for (; i + 4 <= end; i += 4) {
    for (size_t k = 0; k < 4; ++k) sum[k] += WeightOf(values[i + k]) * x[w.col[i + k]];
  }
  for (; i < end; ++i) sum[0] += WeightOf(values[i]) * x[w.col[i]];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

struct RowRange {
  size_t first, end;

  RowRange(const CsrView& w, const MatMulArgs& args) {
    const size_t groups = (w.rows + kCsrGroupRows - 1) / kCsrGroupRows;
    first = args.first_group * kCsrGroupRows;
    end = std::min(w.rows, std::min(args.end_group, groups) * kCsrGroupRows);
  }
};

template <typename W>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const CsrView w = ViewCsr(matrix);
  const RowRange rows(w, args);
  for (size_t row = rows.first; row < rows.end; ++row) {
    const float init = args.init == nullptr ? 0.0f : args.init[row];
    for (size_t n = 0; n < args.count; ++n) {
      args.y[n * args.y_stride + row] = RowSum<W>(w, row, args.x + n * args.x_stride, init);
    }
  }
}

void RunI8(const EncodedView& matrix, const MatMulArgs& args) {
  using Number = std::conditional_t<kXBias == 0, int8_t, uint8_t>;  // of x
  const CsrView w = ViewCsr(BodyOf(matrix));
  const RowScales scales = ViewRowScales(matrix);
  const RowRange rows(w, args);
  if (rows.first >= rows.end) return;
  using X = QuantizedRows::Row;
  ForRowsOfX(args, w.cols, scales.x_scale, [&](const X* x, size_t n, size_t count) HWY_ATTR {
    for (size_t row = rows.first; row < rows.end; ++row) {
      const int32_t first = kXBias == 0 ? 0 : scales.offset[row];
      const float init = args.init == nullptr ? 0.0f : args.init[row];
      for (size_t i = 0; i < count; ++i) {
        const auto* numbers = reinterpret_cast<const Number*>(x[i].at(0));
        const int32_t sum = RowSum<int8_t>(w, row, numbers, first);
        args.y[(n + i) * args.y_stride + row] =
            init + ScaledSum(static_cast<float>(sum), scales.scale[row], x[i].scale());
      }
    }
  });
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_csr, 0, 0, WeightType::kF32}, "matvec_csr_f32", Run<float>},
    {{FormatId::k_csr, 0, 0, WeightType::kBf16}, "matvec_csr_bf16", Run<uint16_t>},
    {{FormatId::k_csr, 0, 0, WeightType::kI8}, "matvec_csr_i8", RunI8},
};

}  // namespace

std::span<const MatMulKernel> matvec_csr() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
