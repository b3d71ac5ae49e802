// matvec_dense_<type>, matvec_compact_<type>: y = W x + init over formats `dense` and `compact`,
// weights in f32 or bf16, sums in f32.
//
// One row of y is one chain of multiply-adds over the columns in order, whatever the tile, so that
// the result for one x does not depend on how many there are. A single x takes several strips at
// once, to have enough chains to hide the latency; several x take one strip at a time and read its
// weights once per tile of columns. `compact` is `dense` between gathering x and spreading y.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_dense.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/dense.h"
#include "kernels/compact.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

using D = hn::CappedTag<float, kDenseStripRows>;
constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kVectors = kDenseStripRows / kLanes;  // of one column of a strip

// x rows per tile: the sums of a tile, its weights and one broadcast fit in the registers.
constexpr size_t kTileCount = kVectors == 1 ? 12 : kVectors == 2 ? 6 : kVectors == 4 ? 2 : 1;
// Strips per pass over a single x: 8 sums hide 4 cycles of latency at two multiply-adds a cycle.
constexpr size_t kTileStrips = kVectors == 1 ? 8 : kVectors == 2 ? 4 : kVectors == 4 ? 2 : 1;

using V = hn::Vec<D>;

// Strips [strip, strip + kStrips) of y rows [n, n + kCount).
template <typename W, size_t kStrips, size_t kCount>
HWY_INLINE void Tile(const DenseView& w, const MatMulArgs& args, size_t strip, size_t n) {
  const D d;
  V sum[kStrips][kCount][kVectors];
  for (size_t s = 0; s < kStrips; ++s) {
    const size_t first_row = (strip + s) * kDenseStripRows;
    for (size_t v = 0; v < kVectors; ++v) {
      const V init = args.init == nullptr ? hn::Zero(d)
                                          : LoadRows(d, args.init, first_row + v * kLanes, w.rows);
      for (size_t i = 0; i < kCount; ++i) sum[s][i][v] = init;
    }
  }
  const W* weights[kStrips];
  for (size_t s = 0; s < kStrips; ++s) weights[s] = w.strip<W>(strip + s);
  const float* x[kCount];
  for (size_t i = 0; i < kCount; ++i) x[i] = args.x + (n + i) * args.x_stride;

  for (size_t c = 0; c < w.cols; ++c) {
    // Weights outside, x inside: one broadcast at a time is live, else the sums spill.
    V weight[kStrips][kVectors];
    for (size_t s = 0; s < kStrips; ++s) {
      for (size_t v = 0; v < kVectors; ++v) {
        weight[s][v] = LoadWeights(d, weights[s] + c * kDenseStripRows + v * kLanes);
      }
    }
    for (size_t i = 0; i < kCount; ++i) {
      const V column = hn::Set(d, x[i][c]);
      for (size_t s = 0; s < kStrips; ++s) {
        for (size_t v = 0; v < kVectors; ++v) {
          sum[s][i][v] = hn::MulAdd(weight[s][v], column, sum[s][i][v]);
        }
      }
    }
  }

  for (size_t s = 0; s < kStrips; ++s) {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = (strip + s) * kDenseStripRows + v * kLanes;
      for (size_t i = 0; i < kCount; ++i) {
        StoreRows(sum[s][i][v], d, args.y + (n + i) * args.y_stride, row, w.rows);
      }
    }
  }
}

// Strips [strip, end) of one x row, kStrips at a time and then fewer.
template <typename W, size_t kStrips>
HWY_INLINE void OneRow(const DenseView& w, const MatMulArgs& args, size_t strip, size_t end) {
  for (; strip + kStrips <= end; strip += kStrips) Tile<W, kStrips, 1>(w, args, strip, 0);
  if constexpr (kStrips > 1) OneRow<W, kStrips / 2>(w, args, strip, end);
}

// One strip of the last x rows: fewer than kTileCount of them.
template <typename W, size_t kCount>
HWY_INLINE void LastRows(const DenseView& w, const MatMulArgs& args, size_t strip, size_t n) {
  if (args.count - n == kCount) {
    Tile<W, 1, kCount>(w, args, strip, n);
  } else if constexpr (kCount > 1) {
    LastRows<W, kCount - 1>(w, args, strip, n);
  }
}

template <typename W>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const DenseView w = ViewDense(matrix);
  const size_t end = std::min(args.end_group, w.strips);
  if (args.count == 1) {
    OneRow<W, kTileStrips>(w, args, args.first_group, end);
    return;
  }
  for (size_t strip = args.first_group; strip < end; ++strip) {
    size_t n = 0;
    for (; n + kTileCount <= args.count; n += kTileCount) Tile<W, 1, kTileCount>(w, args, strip, n);
    if constexpr (kTileCount > 1) LastRows<W, kTileCount - 1>(w, args, strip, n);
  }
}

template <typename W>
void RunCompact(const EncodedView& matrix, const MatMulArgs& args) {
  constexpr size_t kPad = kPaddingBytes / sizeof(float);
  constexpr size_t kMostFloats = CompactMaxCols(kTypeOf<W>) + kPad;
  const CompactView w = ViewCompact(matrix);
  const CompactRange range = RangeOf(w, matrix.rows, args);
  HWY_ALIGN float x[kMostFloats];
  HWY_ALIGN float sums[kTileCount * kPortionRows + kPad];
  const size_t stride = w.col_count + kPad;
  const size_t most = std::min(kTileCount, kMostFloats / stride);
  for (size_t n = 0; n < args.count; n += most) {
    const size_t count = std::min(most, args.count - n);
    for (size_t i = 0; i < count; ++i) {
      const float* whole_x = args.x + (n + i) * args.x_stride;
      for (size_t c = 0; c < w.col_count; ++c) x[i * stride + c] = whole_x[w.col[c]];
      StartRows(args.init, range, args.y + (n + i) * args.y_stride);
    }
    for (size_t first = range.first; first < range.end; first += kPortionRows) {
      Run<W>(PortionOf(w, range, first), {x, stride, nullptr, sums, kPortionRows, count});
      for (size_t i = 0; i < count; ++i) {
        SpreadRows(PortionRows(w, range, first), sums + i * kPortionRows,
                   args.y + (n + i) * args.y_stride);
      }
    }
  }
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_dense, 0, 0}, "matvec_dense_f32", Run<float>},
    {{FormatId::k_dense, 0, 0, WeightType::kBf16}, "matvec_dense_bf16", Run<uint16_t>},
    {{FormatId::k_compact, 0, 0}, "matvec_compact_f32", RunCompact<float>},
    {{FormatId::k_compact, 0, 0, WeightType::kBf16}, "matvec_compact_bf16", RunCompact<uint16_t>},
};

}  // namespace

std::span<const MatMulKernel> matvec_dense() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
