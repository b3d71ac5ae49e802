// matvec_dense_<type>, matvec_compact_<type>: y = W x + init over formats `dense` and `compact`,
// weights in f32 or bf16, sums in f32.
//
// One row of y is one chain of multiply-adds over the columns in order, whatever the tile, so that
// the result for one x does not depend on how many there are. Few x take several strips at once,
// to have enough chains to hide the latency; many take as many strips as the registers hold, in
// tiles of x of equal size, so that the weights of these strips come once from where they are.
// `compact` is `dense` between gathering x and spreading y.
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
// Strips per pass over `count` rows of x. 8 sums hide 4 cycles of latency at two multiply-adds a
// cycle; 32 registers hold 24, so that a broadcast serves two strips and more, and loads do not
// bound the rest.
constexpr size_t StripsOf(size_t count) {
  constexpr size_t kSums = kVectors == 1 ? 24 : 8;
  const size_t most = kSums / (count * kVectors);
  return most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
}

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

// Strips [strip, end) of kCount x rows, kStrips at a time and then fewer.
template <typename W, size_t kStrips, size_t kCount>
HWY_INLINE void Strips(const DenseView& w, const MatMulArgs& args, size_t strip, size_t end,
                       size_t n) {
  for (; strip + kStrips <= end; strip += kStrips) Tile<W, kStrips, kCount>(w, args, strip, n);
  if constexpr (kStrips > 1) Strips<W, kStrips / 2, kCount>(w, args, strip, end, n);
}

// The same of `count` rows, at most kMost.
template <typename W, size_t kMost>
HWY_INLINE void Rows(const DenseView& w, const MatMulArgs& args, size_t strip, size_t end, size_t n,
                     size_t count) {
  if (count == kMost) {
    Strips<W, StripsOf(kMost), kMost>(w, args, strip, end, n);
  } else if constexpr (kMost > 1) {
    Rows<W, kMost - 1>(w, args, strip, end, n, count);
  }
}

template <typename W>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const DenseView w = ViewDense(matrix);
  const size_t end = std::min(args.end_group, w.strips);
  if (args.count <= kTileCount) {
    Rows<W, kTileCount>(w, args, args.first_group, end, 0, args.count);
    return;
  }
  // Tiles of as many rows as each other, or one more: few would wait for their own sums.
  const size_t tiles = (args.count + kTileCount - 1) / kTileCount;
  constexpr size_t kStrips = StripsOf(kTileCount);
  for (size_t strip = args.first_group; strip < end; strip += kStrips) {
    for (size_t tile = 0; tile < tiles; ++tile) {
      const size_t n = args.count * tile / tiles;
      Rows<W, kTileCount>(w, args, strip, std::min(strip + kStrips, end), n,
                          args.count * (tile + 1) / tiles - n);
    }
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
