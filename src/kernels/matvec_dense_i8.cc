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

using X = QuantizedRows::Row;

// Rows [n, n + kRows) of y; `x`: from row n on.
template <size_t kStrips, size_t kRows>
HWY_INLINE void Strips(const DenseView& w, const RowScales& scales, const MatMulArgs& args,
                       const X* x, size_t strip, size_t n) {
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

template <size_t kStrips>
HWY_INLINE void AllRows(const DenseView& w, const RowScales& scales, const MatMulArgs& args,
                        const X* x, size_t count, size_t strip, size_t n) {
  size_t i = 0;
  for (; i + kMostRows <= count; i += kMostRows) {
    Strips<kStrips, kMostRows>(w, scales, args, x + i, strip, n + i);
  }
  for (; i < count; ++i) Strips<kStrips, 1>(w, scales, args, x + i, strip, n + i);
}

// Of `count` rows of y from n on: some strips meet all rows of x before the next.
HWY_NOINLINE void AllStrips(const DenseView& w, const RowScales& scales, const MatMulArgs& args,
                            const X* x, size_t count, size_t n) {
  const size_t end = std::min(w.strips, args.end_group);
  size_t strip = args.first_group;
  for (; strip + kMostStrips <= end; strip += kMostStrips) {
    AllRows<kMostStrips>(w, scales, args, x, count, strip, n);
  }
  for (; strip < end; ++strip) AllRows<1>(w, scales, args, x, count, strip, n);
}

void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const DenseView w = ViewDense(BodyOf(matrix));
  const RowScales scales = ViewRowScales(matrix);
  ForRowsOfX(args, w.cols, scales.x_scale, [&](const X* x, size_t n, size_t count) HWY_ATTR {
    AllStrips(w, scales, args, x, count, n);
  });
}

// A portion of rows that are left, for `count` rows of y from n on.
HWY_NOINLINE void CompactPortion(const CompactView& w, const CompactRange& range, size_t first,
                                 const RowScales& scales, const MatMulArgs& args, const X* x,
                                 size_t count, size_t n) {
  const std::span<const uint32_t> rows = PortionRows(w, range, first);
  alignas(kAlignmentBytes) float scale[kPortionRows] = {};
  alignas(kAlignmentBytes) int32_t offset[kPortionRows] = {};
  for (size_t r = 0; r < rows.size(); ++r) {
    scale[r] = scales.scale[rows[r]];
    offset[r] = scales.offset[rows[r]];
  }
  const DenseView portion = ViewDense(PortionOf(w, range, first));
  float sums[kMostRows * kPortionRows];
  for (size_t i = 0; i < count; i += kMostRows) {
    const size_t some = std::min(kMostRows, count - i);
    AllStrips(portion, {scales.x_scale, scale, offset},
              {nullptr, 0, nullptr, sums, kPortionRows, some}, x + i, some, 0);
    for (size_t k = 0; k < some; ++k) {
      SpreadRows(rows, sums + k * kPortionRows, args.y + (n + i + k) * args.y_stride);
    }
  }
}

void RunCompact(const EncodedView& matrix, const MatMulArgs& args) {
  const CompactView w = ViewCompact(BodyOf(matrix));
  const CompactRange range = RangeOf(w, matrix.rows, args);
  const RowScales scales = ViewRowScales(matrix);
  const size_t room = QuantizedRows::RoomFor(w.col_count);
  QuantizedRows x;
  for (size_t n = 0; n < args.count; n += room) {
    const size_t count = std::min(room, args.count - n);
    x.SetGathered(args.x + n * args.x_stride, args.x_stride, count,
                  static_cast<size_t>(matrix.cols), scales.x_scale, {w.col, w.col_count});
    for (size_t i = 0; i < count; ++i) {
      float* y = args.y + (n + i) * args.y_stride;
      StartRows(args.init, range, y);
      // NaN is in every row's result, also where no weight is.
      const float x_scale = x.row(i)->scale();
      if (std::isnan(x_scale)) std::fill(y + range.first_row, y + range.end_row, x_scale);
    }
    for (size_t first = range.first; first < range.end; first += kPortionRows) {
      CompactPortion(w, range, first, scales, args, x.row(0), count, n);
    }
  }
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
