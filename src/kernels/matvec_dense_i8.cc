// matvec_dense_i8, matvec_compact_i8: y = W x + init over formats `dense` and `compact` of type i8.
// x is rounded to 8 bits (kernels/quantize.h), sums are 32-bit whole numbers.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_dense_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <span>

#include "formats/dense.h"
#include "kernels/compact.h"
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
  // Whole numbers: a sum can be several chains, so that their latency is hidden.
  constexpr size_t kChains = kStrips * kRows < 4 ? 4 / (kStrips * kRows) : 1;
  QuadSums sums[kChains][kRows][kStrips];
  const int8_t* weights[kStrips];
  for (size_t s = 0; s < kStrips; ++s) {
    weights[s] = w.strip<int8_t>(strip + s);
    for (size_t i = 0; i < kRows; ++i) {
      sums[0][i][s] = FirstSums(scales.offset + (strip + s) * kQuadRows);
      for (size_t k = 1; k < kChains; ++k) sums[k][i][s] = ZeroSums();
    }
  }
  const auto add_quad = [&](size_t col, QuadSums(&to)[kRows][kStrips]) HWY_ATTR {
    for (size_t i = 0; i < kRows; ++i) {
      const Quads quad = SameQuad(LoadQuad(x[i].at(col)));
      for (size_t s = 0; s < kStrips; ++s) {
        AddProducts(weights[s] + col * kQuadRows, quad, &to[i][s]);
      }
    }
  };
  size_t col = 0;
  for (; col + 4 * kChains <= w.cols; col += 4 * kChains) {
    for (size_t k = 0; k < kChains; ++k) add_quad(col + 4 * k, sums[k]);
  }
  for (; col < w.cols; col += 4) add_quad(col, sums[0]);
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t s = 0; s < kStrips; ++s) {
      for (size_t k = 1; k < kChains; ++k) sums[0][i][s] = AddSums(sums[0][i][s], sums[k][i][s]);
      StoreSums(sums[0][i][s], scales, x[i].scale(), args.init, (strip + s) * kQuadRows, w.rows,
                args.y + (n + i) * args.y_stride);
    }
  }
}

template <size_t kRows>
void AllStrips(const DenseView& w, const RowScales& scales, const MatMulArgs& args,
               const XRows<kRows>& x, size_t n) {
  const size_t end = std::min(w.strips, args.end_group);
  size_t strip = args.first_group;
  for (; strip + kMostStrips <= end; strip += kMostStrips) {
    Strips<kMostStrips, kRows>(w, scales, args, x, strip, n);
  }
  for (; strip < end; ++strip) Strips<1, kRows>(w, scales, args, x, strip, n);
}

template <size_t kRows>
void Rows(const DenseView& w, const RowScales& scales, const MatMulArgs& args, size_t n) {
  XRows<kRows> x;
  for (size_t i = 0; i < kRows; ++i) {
    x[i].Set(args.x + (n + i) * args.x_stride, w.cols, scales.x_scale);
  }
  AllStrips<kRows>(w, scales, args, x, n);
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

template <size_t kRows>
void CompactRows(const EncodedView& matrix, const MatMulArgs& args, size_t n) {
  const CompactView w = ViewCompact(BodyOf(matrix));
  const CompactRange range = RangeOf(w, matrix.rows, args);
  const RowScales scales = ViewRowScales(matrix);
  XRows<kRows> x;
  for (size_t i = 0; i < kRows; ++i) {
    x[i].SetGathered(args.x + (n + i) * args.x_stride, static_cast<size_t>(matrix.cols),
                     scales.x_scale, {w.col, w.col_count});
    float* y = args.y + (n + i) * args.y_stride;
    StartRows(args.init, range, y);
    // NaN is in every row's result, also where no weight is.
    if (std::isnan(x[i].scale())) std::fill(y + range.first_row, y + range.end_row, x[i].scale());
  }
  for (size_t first = range.first; first < range.end; first += kPortionRows) {
    const std::span<const uint32_t> rows = PortionRows(w, range, first);
    alignas(kAlignmentBytes) float scale[kPortionRows] = {};
    alignas(kAlignmentBytes) int32_t offset[kPortionRows] = {};
    for (size_t r = 0; r < rows.size(); ++r) {
      scale[r] = scales.scale[rows[r]];
      offset[r] = scales.offset[rows[r]];
    }
    float sums[kRows * kPortionRows];
    AllStrips<kRows>(ViewDense(PortionOf(w, range, first)), {scales.x_scale, scale, offset},
                     {nullptr, 0, nullptr, sums, kPortionRows, kRows}, x, 0);
    for (size_t i = 0; i < kRows; ++i) {
      SpreadRows(rows, sums + i * kPortionRows, args.y + (n + i) * args.y_stride);
    }
  }
}

void RunCompact(const EncodedView& matrix, const MatMulArgs& args) {
  size_t n = 0;
  if (ViewCompact(BodyOf(matrix)).col_count <= size_t{kMaxI8Cols} / kMostRows) {
    for (; n + kMostRows <= args.count; n += kMostRows) CompactRows<kMostRows>(matrix, args, n);
  }
  for (; n < args.count; ++n) CompactRows<1>(matrix, args, n);
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_dense, 0, 0, WeightType::kI8}, "matvec_dense_i8", Run},
    {{FormatId::k_compact, 0, 0, WeightType::kI8}, "matvec_compact_i8", RunCompact},
};

}  // namespace

std::span<const MatMulKernel> matvec_dense_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
