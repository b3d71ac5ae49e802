// matvec_blocked_<type>_<R>x<C>, matvec_diagonal_<type>_<R>x<C>: y = W x + init over formats
// `blocked` and `diagonal`, weights in f32 or bf16, sums in f32. A strip's part of the diagonal is
// one multiply-add more, with x as it lies in memory.
//
// Lanes are rows: a column of a block is one multiply-add with a broadcast of its x. Each column of
// a block has a sum of its own, and blocks take sets of sums in turn, so that latencies overlap. A
// strip's weights serve all rows of x while they are in the first-level cache.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_blocked.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/blocked.h"
#include "formats/diagonal.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

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
  using D = hn::CappedTag<float, R>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = R / kLanes;
  // Sets of sums: 8 vectors hide 4 cycles of latency at two multiply-adds a cycle.
  static constexpr size_t kSets = std::max<size_t>(1, 8 / (C * kVectors));
  using Sums = V[kSets][C][kVectors];

  // diagonal: [strips, R] (formats/diagonal.h), or nullptr.
  static HWY_INLINE void Strips(const BlockedView& w, const W* diagonal, const MatMulArgs& args) {
    const size_t end = std::min(args.end_group, w.strips);
    for (size_t strip = args.first_group; strip < end; ++strip) {
      for (size_t n = 0; n < args.count; ++n) {
        const float* x = args.x + n * args.x_stride;
        V start[kVectors];
        Start(w, strip, args.init, start);
        if (diagonal != nullptr) AddDiagonal(diagonal, strip * R, x, w.cols, start);
        float padded[C] = {};
        if (w.cols < C) {
          std::copy_n(x, w.cols, padded);
          x = padded;
        }
        Strip(w, strip, x, start, args.y + n * args.y_stride);
      }
    }
  }

  static HWY_INLINE void Start(const BlockedView& w, size_t strip, const float* init,
                               V (&start)[kVectors]) {
    const D d;
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = strip * R + v * kLanes;
      start[v] = init == nullptr ? hn::Zero(d) : LoadRows(d, init, row, w.rows);
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

  static HWY_INLINE void Block(const BlockedView& w, size_t block, const float* x,
                               V (&sum)[C][kVectors]) {
    const D d;
    const W* values = reinterpret_cast<const W*>(w.values) + block * R * C;
    const float* bank = x + w.col[block];
    for (size_t c = 0; c < C; ++c) {
      const V column = hn::Set(d, bank[c]);
      for (size_t v = 0; v < kVectors; ++v) {
        const V weight = LoadWeights(d, values + c * R + v * kLanes);
        sum[c][v] = hn::MulAdd(weight, column, sum[c][v]);
      }
    }
  }

  static HWY_INLINE void Strip(const BlockedView& w, size_t strip, const float* x,
                               const V (&start)[kVectors], float* y) {
    const D d;
    Sums sum;
    for (auto& set : sum) {
      for (auto& column : set) {
        for (V& v : column) v = hn::Zero(d);
      }
    }
    size_t block = w.block_start[strip];
    const size_t end = w.block_start[strip + 1];
    for (; block + kSets <= end; block += kSets) {
      for (size_t s = 0; s < kSets; ++s) Block(w, block + s, x, sum[s]);
    }
    for (; block < end; ++block) Block(w, block, x, sum[0]);
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = strip * R + v * kLanes;
      V total = start[v];
      for (auto& set : sum) {
        for (auto& column : set) total = hn::Add(total, column[v]);
      }
      StoreRows(total, d, y, row, w.rows);
    }
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
