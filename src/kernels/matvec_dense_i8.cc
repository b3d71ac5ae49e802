// matvec_dense_i8: y = W x + init over format `dense` of type i8. x is rounded to 8 bits
// (kernels/quantize.h), sums are 32-bit whole numbers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_dense_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/dense.h"
#include "kernels/matmul_kernel.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

static_assert(kDenseStripRows == kQuadRows);

// Strips per pass, and rows of x that share their weights: enough sums in flight.
constexpr size_t kMostStrips = 4;
constexpr size_t kMostRows = 4;

template <size_t kRows>
using XRows = QuantizedX<kMaxI8Cols / kRows>[kRows];

template <size_t kStrips, size_t kRows>
HWY_INLINE void Strips(const DenseView& w, const RowScales& scales, const MatMulArgs& args,
                       const XRows<kRows>& x, size_t strip, size_t n) {
  QuadSums sums[kRows][kStrips];
  const int8_t* weights[kStrips];
  for (size_t s = 0; s < kStrips; ++s) {
    weights[s] = w.strip<int8_t>(strip + s);
    for (size_t i = 0; i < kRows; ++i) {
      sums[i][s] = FirstSums(scales.offset + (strip + s) * kQuadRows);
    }
  }
  for (size_t col = 0; col < w.cols; col += 4) {
    for (size_t i = 0; i < kRows; ++i) {
      const Quads quad = SameQuad(x[i].at(col));
      for (size_t s = 0; s < kStrips; ++s) {
        AddProducts(weights[s] + col * kQuadRows, quad, &sums[i][s]);
      }
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t s = 0; s < kStrips; ++s) {
      StoreSums(sums[i][s], scales, x[i].scale(), args.init, (strip + s) * kQuadRows, w.rows,
                args.y + (n + i) * args.y_stride);
    }
  }
}

template <size_t kRows>
void Rows(const DenseView& w, const RowScales& scales, const MatMulArgs& args, size_t n) {
  XRows<kRows> x;
  for (size_t i = 0; i < kRows; ++i) {
    x[i].Set(args.x + (n + i) * args.x_stride, w.cols, scales.x_scale);
  }
  const size_t end = std::min(w.strips, args.end_group);
  size_t strip = args.first_group;
  for (; strip + kMostStrips <= end; strip += kMostStrips) {
    Strips<kMostStrips, kRows>(w, scales, args, x, strip, n);
  }
  for (; strip < end; ++strip) Strips<1, kRows>(w, scales, args, x, strip, n);
}

void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const DenseView w = ViewDense(BodyOf(matrix));
  const RowScales scales = ViewRowScales(matrix);
  size_t n = 0;
  if (w.cols <= size_t{kMaxI8Cols} / kMostRows) {
    for (; n + kMostRows <= args.count; n += kMostRows) Rows<kMostRows>(w, scales, args, n);
  }
  for (; n < args.count; ++n) Rows<1>(w, scales, args, n);
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_dense, 0, 0, WeightType::kI8}, "matvec_dense_i8", Run},
};

}  // namespace

std::span<const MatMulKernel> matvec_dense_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
