// matvec_blocked_i8_<R>x<C>, matvec_diagonal_i8_<R>x<C>: y = W x + init over formats `blocked` and
// `diagonal` of type i8. x is rounded to 8 bits (kernels/quantize.h), sums are 32-bit whole
// numbers.
//
// One instruction multiplies 64 weights, four columns of 16 rows: two blocks of 8x4, four of 4x4 or
// 16x1, one of 8x8. Where blocks have fewer rows, rows have several sums, added at the end.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_blocked_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "formats/blocked.h"
#include "formats/diagonal.h"
#include "kernels/matmul_kernel.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// The bytes of x in columns col[0] to col[3] as a quad. Put together in a register: a load of bytes
// just stored would wait for them.
template <class X>
HWY_INLINE uint32_t GatherQuad(const X& x, const uint16_t* col) {
  static_assert(std::endian::native == std::endian::little);  // as the artifact
  return uint32_t{*x.at(col[0])} | uint32_t{*x.at(col[1])} << 8 | uint32_t{*x.at(col[2])} << 16 |
         uint32_t{*x.at(col[3])} << 24;
}

template <size_t R, size_t C>
class BlockedKernel {
 public:
  static void Run(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = BodyOf(matrix);
    tile.spec = {FormatId::k_blocked, R, C, WeightType::kI8};  // as constants
    Rows(ViewBlocked(tile), nullptr, ViewRowScales(matrix), args);
  }
  static void RunDiagonal(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = BodyOf(matrix);
    tile.spec = {FormatId::k_diagonal, R, C, WeightType::kI8};
    const DiagonalView w = ViewDiagonal(tile);
    Rows(ViewBlocked(w.rest), reinterpret_cast<const int8_t*>(w.diagonal), ViewRowScales(matrix),
         args);
  }

 private:
  // At once; a strip has a multiple of them.
  static constexpr size_t kBlocks = BlockedMultiple({FormatId::k_blocked, R, C, WeightType::kI8});
  static constexpr size_t kBlockBytes = R * C;
  static_assert(kBlocks * kBlockBytes == kQuadBytes);

  // x of `kBlocks` blocks.
  template <class X>
  static HWY_INLINE Quads QuadsOf(const X& x, const uint16_t* col) {
    if constexpr (C == 1) {
      return SameQuad(GatherQuad(x, col));
    } else if constexpr (R == 4) {
      return FourQuads({LoadQuad(x.at(col[0])), LoadQuad(x.at(col[1])), LoadQuad(x.at(col[2])),
                        LoadQuad(x.at(col[3]))});
    } else {
      return TwoQuads(LoadQuad(x.at(col[0])), LoadQuad(C == 8 ? x.at(col[0]) + 4 : x.at(col[1])));
    }
  }

  // A strip's part of the diagonal: weights[r] * x[(col + r) mod cols] to the sum of each row r.
  template <class X>
  static HWY_INLINE void AddDiagonal(const int8_t* weights, const X& x, size_t col, size_t cols,
                                     QuadSums* sums) {
    if (col + R <= cols) {
      AddRowProducts<R>(weights, x.at(col), sums);
      return;
    }
    uint8_t wrapped[R];
    for (size_t r = 0; r < R; ++r) wrapped[r] = *x.at((col + r) % cols);
    AddRowProducts<R>(weights, wrapped, sums);
  }

  // `diagonal` may be nullptr. kIsWhole: no row of the strip is past the last. X: QuantizedX or
  // QuantizedRows::Row.
  template <bool kIsWhole, class X>
  static HWY_INLINE void Strip(const BlockedView& w, const int8_t* diagonal,
                               const RowScales& scales, const float* init, const X& x, size_t strip,
                               float* y) {
    QuadSums sums = FirstSums<R>(scales.offset + strip * R);
    if constexpr (R >= 8) {
      if (diagonal != nullptr) {
        AddDiagonal(diagonal + strip * R, x, strip * R % w.cols, w.cols, &sums);
      }
    }
    const uint16_t* col = w.col + w.block_start[strip];
    const uint16_t* end = w.col + w.block_start[strip + 1];
    const auto* weights =
        reinterpret_cast<const int8_t*>(w.values) + w.block_start[strip] * kBlockBytes;
    for (; col < end; col += kBlocks, weights += kQuadBytes) {
      AddProducts(weights, QuadsOf(x, col), &sums);
    }
    StoreSums<R>(sums, scales, x.scale(), init, strip * R, kIsWhole ? SIZE_MAX : w.rows, y);
  }

  // One function for one x and one for several, as in matvec_slot_i8.cc.
  static HWY_NOINLINE void OneX(const BlockedView& w, const int8_t* diagonal,
                                const RowScales& scales, const MatMulArgs& args) {
    const size_t end = std::min(w.strips, args.end_group);
    const size_t whole = std::min(end, w.rows / R);
    QuantizedX<kMaxI8Cols> x;
    x.Set(args.x, w.cols, scales.x_scale);
    size_t strip = args.first_group;
    for (; strip < whole; ++strip) Strip<true>(w, diagonal, scales, args.init, x, strip, args.y);
    if (strip < end) Strip<false>(w, diagonal, scales, args.init, x, strip, args.y);
  }

  static HWY_NOINLINE void ManyX(const BlockedView& w, const int8_t* diagonal,
                                 const RowScales& scales, const MatMulArgs& args) {
    const size_t end = std::min(w.strips, args.end_group);
    using Row = QuantizedRows::Row;
    ForRowsOfX(args, w.cols, scales.x_scale, [&](const Row* x, size_t n, size_t count) HWY_ATTR {
      for (size_t strip = args.first_group; strip < end; ++strip) {
        for (size_t i = 0; i < count; ++i) {
          Strip<false>(w, diagonal, scales, args.init, x[i], strip,
                       args.y + (n + i) * args.y_stride);
        }
      }
    });
  }

  static void Rows(const BlockedView& w, const int8_t* diagonal, const RowScales& scales,
                   const MatMulArgs& args) {
    if (args.first_group >= std::min(w.strips, args.end_group)) return;
    if (args.count == 1) {
      OneX(w, diagonal, scales, args);
    } else {
      ManyX(w, diagonal, scales, args);
    }
  }
};

constexpr WeightType kI8 = WeightType::kI8;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_blocked, 4, 4, kI8}, "matvec_blocked_i8_4x4", BlockedKernel<4, 4>::Run},
    {{FormatId::k_blocked, 8, 4, kI8}, "matvec_blocked_i8_8x4", BlockedKernel<8, 4>::Run},
    {{FormatId::k_blocked, 8, 8, kI8}, "matvec_blocked_i8_8x8", BlockedKernel<8, 8>::Run},
    {{FormatId::k_blocked, 16, 1, kI8}, "matvec_blocked_i8_16x1", BlockedKernel<16, 1>::Run},
    {{FormatId::k_diagonal, 8, 4, kI8}, "matvec_diagonal_i8_8x4", BlockedKernel<8, 4>::RunDiagonal},
    {{FormatId::k_diagonal, 16, 1, kI8},
     "matvec_diagonal_i8_16x1",
     BlockedKernel<16, 1>::RunDiagonal},
};

}  // namespace

std::span<const MatMulKernel> matvec_blocked_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
