// matvec_blocked_<type>_<R>x<C>, matvec_diagonal_<type>_<R>x<C>: y = W x + init over formats
// `blocked` and `diagonal`, weights in f32 or bf16, sums in f32. A strip's part of the diagonal is
// one multiply-add more, with x as it lies in memory.
//
// Four columns of a block lie side by side (formats/blocked.h): lanes are the four weights of each
// of some rows, their x is one load of four numbers, and a strip's sums are added by fours at its
// end. Blocks of one column have a lane a row, a broadcast of their x, and two sums in turn where
// vectors are long, so that latencies overlap. A strip's weights serve all rows of x while they are
// in the first-level cache.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_blocked.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>
#include <utility>

#include "formats/blocked.h"
#include "formats/diagonal.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// For each target:
//   SumsOfFours<n>(d, v)   lane j of block b (of 128 bits): the sum of the four lanes of block b of
//                          v[j], j < n
//   LoadFours(d, x, v)     what vector v has of x[0], x[1], x[2], x[3] again and again
#if HWY_TARGET == HWY_SCALAR

template <size_t n, class D, class V = hn::Vec<D>>
HWY_INLINE V SumsOfFours(D /*d*/, const V* v) {
  static_assert(n == 4);
  return hn::Add(hn::Add(v[0], v[1]), hn::Add(v[2], v[3]));
}
template <class D>
HWY_INLINE hn::Vec<D> LoadFours(D d, const float* x, size_t v) {
  return hn::LoadU(d, x + v % 4);
}

#else

template <size_t n, class D, class V = hn::Vec<D>>
HWY_INLINE V SumsOfFours(D d, const V* v) {
  if constexpr (n == 1) {
    const V halves = hn::Add(v[0], hn::Shuffle1032(v[0]));
    return hn::Add(halves, hn::Shuffle2301(halves));
  } else {
    const V first = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
    if constexpr (n == 2) {
      return hn::Add(first, hn::Shuffle1032(first));
    } else {
      static_assert(n == 4);
      const V second =
          hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3]));
      const hn::RepartitionToWide<hn::RebindToUnsigned<D>> d64;
      const auto a = hn::BitCast(d64, first);
      const auto b = hn::BitCast(d64, second);
      return hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, a, b)),
                     hn::BitCast(d, hn::InterleaveUpper(d64, a, b)));
    }
  }
}

template <class D>
HWY_INLINE hn::Vec<D> LoadFours(D d, const float* x, size_t /*v*/) {
  return hn::LoadDup128(d, x);
}

#endif

// The first kLanes lanes.
template <size_t kLanes, class D>
HWY_INLINE auto FirstLanes(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(d) > kLanes) {
    const hn::Half<D> half;
    return FirstLanes<kLanes>(half, hn::LowerHalf(half, v));
  } else {
    return v;
  }
}

template <typename W, size_t R, size_t C>
class BlockedKernel {
 public:
  static void Run(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = matrix;
    tile.spec = {FormatId::k_blocked, R, C, kTypeOf<W>};  // the same, as constants
    Strips(ViewBlocked(tile), nullptr, args);
  }
  static void RunDiagonal(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = matrix;
    tile.spec = {FormatId::k_diagonal, R, C, kTypeOf<W>};
    const DiagonalView w = ViewDiagonal(tile);
    Strips(ViewBlocked(w.rest), reinterpret_cast<const W*>(w.diagonal), args);
  }

 private:
  // Of results: a lane a row.
  using D = hn::CappedTag<float, R>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = R / kLanes;
  // Of sums: kWidth lanes a row, and as many columns at once.
  static constexpr size_t kWidth = C == 1 ? 1 : 4;
  using DSum = hn::CappedTag<float, kWidth * R>;
  using VSum = hn::Vec<DSum>;
  static constexpr size_t kSumLanes = hn::MaxLanes(DSum());
  static constexpr size_t kSums = kWidth * R / kSumLanes;
  static constexpr size_t kSteps = C / kWidth;  // of a block
  // Sums that blocks of a strip take in turn. Few: strips overlap, and short ones are many.
  static constexpr size_t kSets = C == 1 && kSums <= 2 ? 2 : 1;

  // diagonal: [strips, R] (formats/diagonal.h), or nullptr.
  static HWY_INLINE void Strips(const BlockedView& w, const W* diagonal, const MatMulArgs& args) {
    if (w.cols < C) {
      NarrowStrips(w, diagonal, args);
    } else if (args.count == 1) {
      SomeStrips<true>(w, diagonal, args);
    } else {
      SomeStrips<false>(w, diagonal, args);
    }
  }

  // Of a matrix narrower than a block.
  static HWY_NOINLINE void NarrowStrips(const BlockedView& w, const W* diagonal, MatMulArgs args) {
    const size_t count = std::exchange(args.count, 1);
    for (size_t n = 0; n < count; ++n, args.x += args.x_stride, args.y += args.y_stride) {
      MatMulArgs padded = args;
      float x[C] = {};
      std::copy_n(args.x, w.cols, x);
      padded.x = x;
      SomeStrips<true>(w, diagonal, padded);
    }
  }

  template <bool kIsOneX>
  static HWY_INLINE void SomeStrips(const BlockedView& w, const W* diagonal,
                                    const MatMulArgs& args) {
    const size_t end = std::min(args.end_group, w.strips);
    const size_t whole = std::min(end, w.rows / R);
    size_t strip = args.first_group;
    for (; strip < whole; ++strip) Rows<kIsOneX, true>(w, diagonal, args, strip);
    if (strip < end) Rows<kIsOneX, false>(w, diagonal, args, strip);
  }

  // kIsWhole: no row of the strip is past the last.
  template <bool kIsOneX, bool kIsWhole>
  static HWY_INLINE void Rows(const BlockedView& w, const W* diagonal, const MatMulArgs& args,
                              size_t strip) {
    const D d;
    const size_t rows = kIsWhole ? SIZE_MAX : w.rows;
    const size_t count = kIsOneX ? 1 : args.count;
    for (size_t n = 0; n < count; ++n) {
      const float* x = args.x + n * args.x_stride;
      V sum[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        sum[v] = args.init == nullptr ? hn::Zero(d)
                                      : LoadRows(d, args.init, strip * R + v * kLanes, rows);
      }
      if (diagonal != nullptr) AddDiagonal(diagonal, strip * R, x, w.cols, sum);
      AddBlocks(w, strip, x, sum);
      for (size_t v = 0; v < kVectors; ++v) {
        StoreRows(sum[v], d, args.y + n * args.y_stride, strip * R + v * kLanes, rows);
      }
    }
  }

  // Adds diagonal[row] * x[row mod cols] to the rows of the strip that begins at first_row.
  static HWY_INLINE void AddDiagonal(const W* diagonal, size_t first_row, const float* x,
                                     size_t cols, V (&start)[kVectors]) {
    const D d;
    const size_t col = first_row % cols;
    HWY_ALIGN float wrapped[R];
    const float* on_diagonal = x + col;
    if (col + R > cols) {
      for (size_t r = 0; r < R; ++r) wrapped[r] = x[(col + r) % cols];
      on_diagonal = wrapped;
    }
    for (size_t v = 0; v < kVectors; ++v) {
      const V weight = LoadWeights(d, diagonal + first_row + v * kLanes);
      start[v] = hn::MulAdd(weight, hn::LoadU(d, on_diagonal + v * kLanes), start[v]);
    }
  }

  static HWY_INLINE void AddBlock(const W* values, const float* x, VSum (&sum)[kSums]) {
    const DSum d;
    for (size_t step = 0; step < kSteps; ++step, values += kWidth * R, x += kWidth) {
      for (size_t v = 0; v < kSums; ++v) {
        const VSum their_x = kWidth == 1 ? hn::Set(d, *x) : LoadFours(d, x, v);
        sum[v] = hn::MulAdd(LoadWeights(d, values + v * kSumLanes), their_x, sum[v]);
      }
    }
  }

  // Adds the sums of each row to `start`.
  static HWY_INLINE void AddRows(const VSum (&sum)[kSums], V (&start)[kVectors]) {
    for (size_t v = 0; v < kVectors; ++v) {
      if constexpr (kWidth == 1) {
        start[v] = hn::Add(start[v], sum[v]);
      } else {
        // Row r of the vector's is in lane r / kBlocks of block r mod kBlocks.
        constexpr size_t kBlocks = kSumLanes / 4;
        constexpr size_t kOf = kSums / kVectors;
        const DSum d;
        VSum rows = SumsOfFours<kOf>(d, sum + v * kOf);
        if constexpr (kBlocks > 1) {
          HWY_ALIGN int32_t lane[kSumLanes];
          for (size_t r = 0; r < kSumLanes; ++r) {
            lane[r] = static_cast<int32_t>(4 * (r % kBlocks) + r / kBlocks);
          }
          rows = hn::TableLookupLanes(rows, hn::SetTableIndices(d, lane));
        }
        start[v] = hn::Add(start[v], FirstLanes<kLanes>(d, rows));
      }
    }
  }

  // Adds the products of the strip's blocks to the rows' sums.
  static HWY_INLINE void AddBlocks(const BlockedView& w, size_t strip, const float* x,
                                   V (&start)[kVectors]) {
    VSum sum[kSets][kSums];
    for (auto& set : sum) {
      for (VSum& v : set) v = hn::Zero(DSum());
    }
    const uint16_t* col = w.col + w.block_start[strip];
    const uint16_t* end = w.col + w.block_start[strip + 1];
    const W* values = reinterpret_cast<const W*>(w.values) + w.block_start[strip] * R * C;
    if constexpr (kSets > 1) {
      for (; col + kSets <= end; col += kSets) {
        for (size_t s = 0; s < kSets; ++s, values += R * C) AddBlock(values, x + col[s], sum[s]);
      }
    }
    for (; col < end; ++col, values += R * C) AddBlock(values, x + *col, sum[0]);
    for (size_t s = 1; s < kSets; ++s) {
      for (size_t v = 0; v < kSums; ++v) sum[0][v] = hn::Add(sum[0][v], sum[s][v]);
    }
    AddRows(sum[0], start);
  }
};

constexpr WeightType kBf16 = WeightType::kBf16;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_blocked, 4, 4}, "matvec_blocked_f32_4x4", BlockedKernel<float, 4, 4>::Run},
    {{FormatId::k_blocked, 8, 4}, "matvec_blocked_f32_8x4", BlockedKernel<float, 8, 4>::Run},
    {{FormatId::k_blocked, 8, 8}, "matvec_blocked_f32_8x8", BlockedKernel<float, 8, 8>::Run},
    {{FormatId::k_blocked, 16, 1}, "matvec_blocked_f32_16x1", BlockedKernel<float, 16, 1>::Run},
    {{FormatId::k_blocked, 4, 4, kBf16},
     "matvec_blocked_bf16_4x4",
     BlockedKernel<uint16_t, 4, 4>::Run},
    {{FormatId::k_blocked, 8, 4, kBf16},
     "matvec_blocked_bf16_8x4",
     BlockedKernel<uint16_t, 8, 4>::Run},
    {{FormatId::k_blocked, 8, 8, kBf16},
     "matvec_blocked_bf16_8x8",
     BlockedKernel<uint16_t, 8, 8>::Run},
    {{FormatId::k_blocked, 16, 1, kBf16},
     "matvec_blocked_bf16_16x1",
     BlockedKernel<uint16_t, 16, 1>::Run},
    {{FormatId::k_diagonal, 8, 4},
     "matvec_diagonal_f32_8x4",
     BlockedKernel<float, 8, 4>::RunDiagonal},
    {{FormatId::k_diagonal, 16, 1},
     "matvec_diagonal_f32_16x1",
     BlockedKernel<float, 16, 1>::RunDiagonal},
    {{FormatId::k_diagonal, 8, 4, kBf16},
     "matvec_diagonal_bf16_8x4",
     BlockedKernel<uint16_t, 8, 4>::RunDiagonal},
    {{FormatId::k_diagonal, 16, 1, kBf16},
     "matvec_diagonal_bf16_16x1",
     BlockedKernel<uint16_t, 16, 1>::RunDiagonal},
};

}  // namespace

std::span<const MatMulKernel> matvec_blocked() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
