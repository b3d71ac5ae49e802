// matvec_dense_<type>, matvec_compact_<type>: y = W x + init over formats `dense` and `compact`,
// weights in f32 or bf16, sums in f32.
//
// One row of y is one chain of multiply-adds over the columns in order, whatever the tile, so that
// the result for one x does not depend on how many there are. Few x take several strips at once,
// to have enough chains to hide the latency; many take as many strips as the registers hold, in
// tiles of x of equal size, so that the weights of these strips come once from where they are.
// Matrices of few rows (a classifier's head) have not enough strips: there a row is 2, 4 or 8
// chains, as the number of all its strips says, over every 2nd, 4th or 8th column.
// `compact` is `dense` between gathering x and spreading y.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_dense.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <bit>
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

// Of a matrix of so many strips in all: with each chain of as many strips as that, 8 sums.
constexpr size_t ChainsOf(size_t strips) {
  return std::max<size_t>(1, 8 / kVectors / std::bit_floor(strips));
}
// x rows per tile of several chains: 8 sums for each.
constexpr size_t kFewCount = kVectors == 1 ? 3 : 1;

using V = hn::Vec<D>;

// Strips [strip, strip + kStrips) of y rows [n, n + kCount).
template <typename W, size_t kStrips, size_t kCount, size_t kChains = 1>
HWY_INLINE void Tile(const DenseView& w, const MatMulArgs& args, size_t strip, size_t n) {
  const D d;
  V sum[kChains][kStrips][kCount][kVectors];
  for (size_t s = 0; s < kStrips; ++s) {
    const size_t first_row = (strip + s) * kDenseStripRows;
    for (size_t v = 0; v < kVectors; ++v) {
      const V init = args.init == nullptr ? hn::Zero(d)
                                          : LoadRows(d, args.init, first_row + v * kLanes, w.rows);
      for (size_t i = 0; i < kCount; ++i) {
        sum[0][s][i][v] = init;
        for (size_t k = 1; k < kChains; ++k) sum[k][s][i][v] = hn::Zero(d);
      }
    }
  }
  const W* weights[kStrips];
  for (size_t s = 0; s < kStrips; ++s) weights[s] = w.strip<W>(strip + s);
  const float* x[kCount];
  for (size_t i = 0; i < kCount; ++i) x[i] = args.x + (n + i) * args.x_stride;

  const auto add_column = [&](size_t c, V(&to)[kStrips][kCount][kVectors]) HWY_ATTR {
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
          to[s][i][v] = hn::MulAdd(weight[s][v], column, to[s][i][v]);
        }
      }
    }
  };
  size_t c = 0;
  for (; c + kChains <= w.cols; c += kChains) {
    for (size_t k = 0; k < kChains; ++k) add_column(c + k, sum[k]);
  }
  for (; c < w.cols; ++c) add_column(c, sum[0]);

  for (size_t s = 0; s < kStrips; ++s) {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = (strip + s) * kDenseStripRows + v * kLanes;
      for (size_t i = 0; i < kCount; ++i) {
        for (size_t half = kChains / 2; half > 0; half /= 2) {
          for (size_t k = 0; k < half; ++k) {
            sum[k][s][i][v] = hn::Add(sum[k][s][i][v], sum[k + half][s][i][v]);
          }
        }
        StoreRows(sum[0][s][i][v], d, args.y + (n + i) * args.y_stride, row, w.rows);
      }
    }
  }
}

// Strips [strip, end) of kCount x rows, kStrips at a time and then fewer.
template <typename W, size_t kStrips, size_t kCount, size_t kChains = 1>
HWY_INLINE void Strips(const DenseView& w, const MatMulArgs& args, size_t strip, size_t end,
                       size_t n) {
  for (; strip + kStrips <= end; strip += kStrips) {
    Tile<W, kStrips, kCount, kChains>(w, args, strip, n);
  }
  if constexpr (kStrips > 1) Strips<W, kStrips / 2, kCount, kChains>(w, args, strip, end, n);
}

// A strip of y rows [n, n + kCount), one chain after the other, to the bit as Tile has it.
template <typename W, size_t kCount>
HWY_INLINE void ChainByChain(const DenseView& w, const MatMulArgs& args, size_t strip, size_t n,
                             size_t chains) {
  const D d;
  const W* weights = w.strip<W>(strip);
  const float* x[kCount];
  for (size_t i = 0; i < kCount; ++i) x[i] = args.x + (n + i) * args.x_stride;
  V sum[ChainsOf(1)][kCount][kVectors];
  const size_t whole = w.cols / chains * chains;
  for (size_t k = 0; k < chains; ++k) {
    V part[kCount][kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = strip * kDenseStripRows + v * kLanes;
      const V init =
          k > 0 || args.init == nullptr ? hn::Zero(d) : LoadRows(d, args.init, row, w.rows);
      for (size_t i = 0; i < kCount; ++i) part[i][v] = init;
    }
    const auto add_column = [&](size_t c) HWY_ATTR {
      V weight[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        weight[v] = LoadWeights(d, weights + c * kDenseStripRows + v * kLanes);
      }
      for (size_t i = 0; i < kCount; ++i) {
        const V column = hn::Set(d, x[i][c]);
        for (size_t v = 0; v < kVectors; ++v)
          part[i][v] = hn::MulAdd(weight[v], column, part[i][v]);
      }
    };
    for (size_t c = k; c < whole; c += chains) add_column(c);
    for (size_t c = whole; k == 0 && c < w.cols; ++c) add_column(c);
    for (size_t i = 0; i < kCount; ++i) {
      for (size_t v = 0; v < kVectors; ++v) sum[k][i][v] = part[i][v];
    }
  }
  for (size_t i = 0; i < kCount; ++i) {
    for (size_t v = 0; v < kVectors; ++v) {
      for (size_t half = chains / 2; half > 0; half /= 2) {
        for (size_t k = 0; k < half; ++k) sum[k][i][v] = hn::Add(sum[k][i][v], sum[k + half][i][v]);
      }
      StoreRows(sum[0][i][v], d, args.y + (n + i) * args.y_stride,
                strip * kDenseStripRows + v * kLanes, w.rows);
    }
  }
}

// The rows from `n` on of the product, in `chains` of kChains or fewer; more than 1.
template <typename W, size_t kChains>
HWY_INLINE void FewStrips(const DenseView& w, const MatMulArgs& args, size_t chains, size_t n) {
  if (chains == kChains) {
    constexpr size_t kStrips = 8 / kVectors / kChains;
    const size_t end = std::min(args.end_group, w.strips);
    for (; n + kFewCount <= args.count; n += kFewCount) {
      Strips<W, kStrips, kFewCount, kChains>(w, args, args.first_group, end, n);
    }
    if constexpr (kFewCount > 1) {
      for (; n < args.count; ++n) {
        Strips<W, kStrips, 1, kChains>(w, args, args.first_group, end, n);
      }
    }
  } else if constexpr (kChains > 2) {
    FewStrips<W, kChains / 2>(w, args, chains, n);
  }
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

// A row is one chain.
template <typename W>
void ManyStrips(const EncodedView& matrix, const MatMulArgs& args) {
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

// Not inlined: what it keeps on the stack is not beside what `compact` does.
template <typename W>
HWY_NOINLINE void FewRows(const DenseView& w, const MatMulArgs& args, size_t chains) {
  const size_t end = std::min(args.end_group, w.strips);
  size_t n = 0;
  for (; n + kTileCount <= args.count; n += kTileCount) {
    for (size_t strip = args.first_group; strip < end; ++strip) {
      ChainByChain<W, kTileCount>(w, args, strip, n, chains);
    }
  }
  FewStrips<W, ChainsOf(1)>(w, args, chains, n);
}

template <typename W>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  if constexpr (ChainsOf(1) > 1) {
    const DenseView w = ViewDense(matrix);
    const size_t chains = ChainsOf(w.strips);
    if (chains > 1) return FewRows<W>(w, args, chains);
  }
  ManyStrips<W>(matrix, args);
}

// As many x at once as there is room for, up to kCompactRows: a portion's weights meet all of them
// before those of the next.
template <typename W>
void RunCompact(const EncodedView& matrix, const MatMulArgs& args) {
  constexpr size_t kCompactRows = 16;
  constexpr size_t kPad = kPaddingBytes / sizeof(float);
  constexpr size_t kMostFloats = CompactMaxCols(kTypeOf<W>) + kPad;
  const CompactView w = ViewCompact(matrix);
  const CompactRange range = RangeOf(w, matrix.rows, args);
  HWY_ALIGN float x[kMostFloats];
  HWY_ALIGN float sums[kCompactRows * kPortionRows + kPad];
  const size_t stride = w.col_count + kPad;
  const size_t most = std::min(kCompactRows, kMostFloats / stride);
  for (size_t n = 0; n < args.count; n += most) {
    const size_t count = std::min(most, args.count - n);
    for (size_t i = 0; i < count; ++i) {
      const float* whole_x = args.x + (n + i) * args.x_stride;
      for (size_t c = 0; c < w.col_count; ++c) x[i * stride + c] = whole_x[w.col[c]];
      StartRows(args.init, range, args.y + (n + i) * args.y_stride);
    }
    for (size_t first = range.first; first < range.end; first += kPortionRows) {
      ManyStrips<W>(PortionOf(w, range, first), {x, stride, nullptr, sums, kPortionRows, count});
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
