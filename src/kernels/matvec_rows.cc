// matvec_rows_<type>: y = W x + init over format `rows`, weights in f32 or bf16, sums in f32.
//
// A row's sum is kChains vectors, of which vector v of the columns goes to number v mod kChains;
// they are added in pairs, then their lanes, then init. That is the same for a row alone, for
// several rows at once, which share the loads of x, and for several x, which share the weights; so
// are the bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_rows.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <cstring>
#include <span>

#include "formats/rows.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

using D = hn::CappedTag<float, kAlignmentBytes / sizeof(float)>;
constexpr size_t kLanes = hn::MaxLanes(D());
using V = hn::Vec<D>;

// Of one row. A multiply-add takes 4 cycles and two can begin in each: 4 chains keep up with the L2
// cache, and two rows of them with the L1 cache. More would leave no registers for several x.
constexpr size_t kChains = 4;
// Rows per pass over a single x. [1024, 1024] takes about as long with 1, 2 and 4, and [256, 256]
// 3.8, 3.7 and 3.4 us, but the sums of 4 do not fit in 16 registers (AVX2, Zen 3, 2026-11).
constexpr size_t kTileRows = 2;
// x rows per tile of one row: their sums and one vector of weights fit in 16 registers. Tiles of 3
// rows by 4 x that took one chain after the other, in blocks of 512 columns, took 0.8 of the time
// with 16 x of 1024 columns, but 1.25 with 256, and 1.5 with 4 x from L3 (Zen 3, 2026-11).
constexpr size_t kTileCount = 3;

// init + the sum of the lanes of all chains.
HWY_INLINE float SumOf(const V* chain, const MatMulArgs& args, size_t row) {
  const V all = hn::Add(hn::Add(chain[0], chain[1]), hn::Add(chain[2], chain[3]));
  const float init = args.init == nullptr ? 0.0f : args.init[row];
  return init + hn::GetLane(hn::SumOfLanes(D(), all));
}

// The given rows of y rows [n, n + kCount). `next`: weights that are read after these; nullptr
// where there are none.
template <typename W, size_t kRows, size_t kCount>
HWY_INLINE void Tile(const RowsView& w, const MatMulArgs& args, const size_t (&rows)[kRows],
                     const W* const (&next)[kRows], size_t n) {
  const D d;
  V sum[kRows][kCount][kChains];
  const W* weights[kRows];
  const float* x[kCount];
  for (size_t r = 0; r < kRows; ++r) weights[r] = w.row<W>(rows[r]);
  for (size_t i = 0; i < kCount; ++i) x[i] = args.x + (n + i) * args.x_stride;
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kCount; ++i) {
      for (size_t k = 0; k < kChains; ++k) sum[r][i][k] = hn::Zero(d);
    }
  }

  // The next tile is asked for, if it is wanted: the hardware begins anew at each row. Without that
  // [4096, 1024] from L3 took twice as long in bf16 and 1.2 times in f32, and with a fixed distance
  // of 8 KB single rows took 1.3 times as long (AVX2, Zen 3, 2026-11).
  size_t ahead[kRows];  // from weights to next, or 0
  for (size_t r = 0; r < kRows; ++r) {
    const auto from = reinterpret_cast<uintptr_t>(weights[r]);
    ahead[r] = next[r] == nullptr ? 0 : reinterpret_cast<uintptr_t>(next[r]) - from;
  }
  size_t c = 0;
  for (; c + kChains * kLanes <= w.cols; c += kChains * kLanes) {
    if constexpr (kCount == 1) {
      for (size_t r = 0; r < kRows; ++r) {
        PrefetchAhead<kChains * kLanes * sizeof(W)>(weights[r] + c, ahead[r]);
      }
    }
    for (size_t k = 0; k < kChains; ++k) {
      V weight[kRows];
      for (size_t r = 0; r < kRows; ++r) weight[r] = LoadWeights(d, weights[r] + c + k * kLanes);
      for (size_t i = 0; i < kCount; ++i) {
        const V columns = hn::LoadU(d, x[i] + c + k * kLanes);
        for (size_t r = 0; r < kRows; ++r) {
          sum[r][i][k] = hn::MulAdd(weight[r], columns, sum[r][i][k]);
        }
      }
    }
  }
  // The last vectors, one a chain. What follows the last column of x may be NaN, which times a 0 of
  // W is NaN: LoadRows gives 0 there.
  for (size_t k = 0; k < kChains; ++k) {
    if (c + k * kLanes >= w.cols) break;
    for (size_t i = 0; i < kCount; ++i) {
      const V columns = LoadRows(d, x[i], c + k * kLanes, w.cols);
      for (size_t r = 0; r < kRows; ++r) {
        const V weight = LoadWeights(d, weights[r] + c + k * kLanes);
        sum[r][i][k] = hn::MulAdd(weight, columns, sum[r][i][k]);
      }
    }
  }

  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < kCount; ++i) {
      args.y[(n + i) * args.y_stride + rows[r]] = SumOf(sum[r][i], args, rows[r]);
    }
  }
}

// One row of all y rows; its weights are in the L1 cache after the first tile.
template <typename W>
HWY_INLINE void OneRow(const RowsView& w, const MatMulArgs& args, size_t row) {
  const size_t rows[1] = {row};
  const W* const none[1] = {nullptr};
  size_t n = 0;
  for (; n + kTileCount <= args.count; n += kTileCount) {
    Tile<W, 1, kTileCount>(w, args, rows, none, n);
  }
  static_assert(kTileCount == 3);
  if (n + 2 == args.count) Tile<W, 1, 2>(w, args, rows, none, n);
  if (n + 1 == args.count) Tile<W, 1, 1>(w, args, rows, none, n);
}

// The first row of [row, end) that is due; all are without MatMulArgs::due.
HWY_INLINE size_t NextDue(const MatMulArgs& args, size_t row, size_t end) {
  if (args.due == nullptr) return row;
  for (uint64_t eight = 0; row + sizeof(eight) <= end; row += sizeof(eight)) {
    std::memcpy(&eight, args.due + row, sizeof(eight));
    if (eight != 0) break;
  }
  while (row < end && args.due[row] == 0) ++row;
  return row;
}

template <typename W>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  const RowsView w = ViewRows(matrix);
  const size_t end = std::min(args.end_group, w.rows);
  static_assert(kTileRows == 2);
  const auto after = [&](size_t row) { return row < end ? NextDue(args, row + 1, end) : end; };
  const auto weights = [&](size_t row) { return row < end ? w.row<W>(row) : nullptr; };
  size_t row = NextDue(args, args.first_group, end);
  size_t second = after(row);
  while (args.count == 1 && second < end) {
    const size_t third = after(second);
    const size_t fourth = after(third);
    const size_t rows[2] = {row, second};
    const W* const next[2] = {weights(third), weights(fourth)};
    Tile<W, 2, 1>(w, args, rows, next, 0);
    row = third;
    second = fourth;
  }
  for (; row < end; row = after(row)) OneRow<W>(w, args, row);
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_rows, 0, 0}, "matvec_rows_f32", Run<float>},
    {{FormatId::k_rows, 0, 0, WeightType::kBf16}, "matvec_rows_bf16", Run<uint16_t>},
};

}  // namespace

std::span<const MatMulKernel> matvec_rows() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
