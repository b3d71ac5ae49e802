// matvec_blocked_i8_8x4, matvec_diagonal_i8_8x4: y = W x + init over formats `blocked` and
// `diagonal` of type i8. x is rounded to 8 bits (kernels/quantize.h), sums are 32-bit whole
// numbers.
//
// A block is 8 rows of 4 weights, half of what one instruction multiplies: two blocks of a strip
// are taken at once, and their sums added at the end.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_blocked_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/blocked.h"
#include "formats/diagonal.h"
#include "kernels/matmul_kernel.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

constexpr size_t kRows = 8;
constexpr size_t kCols = 4;
constexpr size_t kBlockBytes = kRows * kCols;
static_assert(2 * kBlockBytes == kQuadBytes);

using X = QuantizedX<kMaxI8Cols>;

HWY_INLINE void TwoBlocks(const int8_t* weights, const X& x, const uint16_t* col, QuadSums* sums) {
  AddProducts(weights, TwoQuads(x.at(col[0]), x.at(col[1])), sums);
}

// A strip's part of the diagonal: weights[r] * x[(col + r) mod cols] to the sum of each row r.
HWY_INLINE void AddDiagonal(const int8_t* weights, const X& x, size_t col, size_t cols,
                            QuadSums* sums) {
  if (col + kRows <= cols) {
    AddRowProducts(weights, x.at(col), sums);
    return;
  }
  uint8_t wrapped[kRows];
  for (size_t r = 0; r < kRows; ++r) wrapped[r] = *x.at((col + r) % cols);
  AddRowProducts(weights, wrapped, sums);
}

// `diagonal` may be nullptr.
HWY_INLINE void Strip(const BlockedView& w, const int8_t* diagonal, const RowScales& scales,
                      const MatMulArgs& args, const X& x, size_t strip, float* y) {
  QuadSums sums[2] = {FirstHalfSums(scales.offset + strip * kRows), ZeroSums()};
  if (diagonal != nullptr) {
    const size_t row = strip * kRows;
    AddDiagonal(diagonal + row, x, row % w.cols, w.cols, &sums[1]);
  }
  const auto* weights = reinterpret_cast<const int8_t*>(w.values);
  size_t block = w.block_start[strip];
  const size_t end = w.block_start[strip + 1];
  for (; block + 4 <= end; block += 4) {
    TwoBlocks(weights + block * kBlockBytes, x, w.col + block, &sums[0]);
    TwoBlocks(weights + (block + 2) * kBlockBytes, x, w.col + block + 2, &sums[1]);
  }
  for (; block + 2 <= end; block += 2) {
    TwoBlocks(weights + block * kBlockBytes, x, w.col + block, &sums[0]);
  }
  if (block < end) {
    AddHalfProducts(weights + block * kBlockBytes, SameQuad(x.at(w.col[block])), &sums[1]);
  }
  StoreHalves(AddSums(sums[0], sums[1]), scales, x.scale(), args.init, strip * kRows, w.rows, y);
}

HWY_INLINE void Strips(const BlockedView& w, const int8_t* diagonal, const RowScales& scales,
                       const MatMulArgs& args) {
  const size_t end = std::min(w.strips, args.end_group);
  if (args.first_group >= end) return;
  X x;
  for (size_t n = 0; n < args.count; ++n) {
    x.Set(args.x + n * args.x_stride, w.cols, scales.x_scale);
    float* y = args.y + n * args.y_stride;
    for (size_t strip = args.first_group; strip < end; ++strip) {
      Strip(w, diagonal, scales, args, x, strip, y);
    }
  }
}

void Run(const EncodedView& matrix, const MatMulArgs& args) {
  EncodedView tile = BodyOf(matrix);
  tile.spec = {FormatId::k_blocked, kRows, kCols, WeightType::kI8};  // as constants
  Strips(ViewBlocked(tile), nullptr, ViewRowScales(matrix), args);
}

void RunDiagonal(const EncodedView& matrix, const MatMulArgs& args) {
  EncodedView tile = BodyOf(matrix);
  tile.spec = {FormatId::k_diagonal, kRows, kCols, WeightType::kI8};
  const DiagonalView w = ViewDiagonal(tile);
  Strips(ViewBlocked(w.rest), reinterpret_cast<const int8_t*>(w.diagonal), ViewRowScales(matrix),
         args);
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_blocked, kRows, kCols, WeightType::kI8}, "matvec_blocked_i8_8x4", Run},
    {{FormatId::k_diagonal, kRows, kCols, WeightType::kI8}, "matvec_diagonal_i8_8x4", RunDiagonal},
};

}  // namespace

std::span<const MatMulKernel> matvec_blocked_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
