// matvec_nm_i8_<S>x<M>[x<N>]: y = W x + init over format `nm` of type i8. x is rounded to 8 bits
// (kernels/quantize.h), sums are 32-bit whole numbers.
//
// Four weights of each row, of 4 / N banks, are a quad: one lookup by bytes and one instruction
// that multiplies and adds (nm_quads-inl.h). Strips run side by side and share the bytes of x;
// several x share a strip's weights and indices. On Zen 4, [512, 128] takes 0.56, 0.29 and 0.19 us
// in 16x4x2, 16x8x2 and 16x16x2 (f32: 1.50, 0.72 and 0.38; dense i8: 0.76), [4096, 1024] 33, 19
// and 8.1 (206, 71 and 30; 67); with AVX2 alone 0.86, 0.47 and 0.34 (1.33, 0.74 and 0.60; 1.23)
// (2026-11).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_nm_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/nm.h"
#include "kernels/matmul_kernel.h"
#include "kernels/nm_quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// Strips of one x, or x of one strip, at a time: enough sums in flight.
constexpr size_t kMost = 4;

template <size_t M, size_t N>
class NmI8Kernel {
 public:
  static void Run(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = BodyOf(matrix);
    tile.spec = {FormatId::k_nm, kQuadRows, M, WeightType::kI8, N};  // as constants
    const NmView w = ViewNm(tile);
    const RowScales scales = ViewRowScales(matrix);
    if (args.first_group >= std::min(args.end_group, w.strips)) return;
    ForRowsOfX(args, w.cols, scales.x_scale, [&](const X* x, size_t n, size_t count) HWY_ATTR {
      AllStrips(w, scales, args, x, count, n);
    });
  }

 private:
  using X = QuantizedRows::Row;

  // Of `count` rows of y from n on, `x` from there: some strips meet all rows of x before the next.
  static HWY_NOINLINE void AllStrips(const NmView& w, const RowScales& scales,
                                     const MatMulArgs& args, const X* x, size_t count, size_t n) {
    const size_t end = std::min(args.end_group, w.strips);
    size_t strip = args.first_group;
    const size_t whole = count / kMost * kMost;  // taken kMost at a time, strip by strip
    for (; strip < end; strip += kMost) {
      const size_t strips = std::min(kMost, end - strip);
      for (size_t s = 0; s < strips; ++s) {
        for (size_t i = 0; i < whole; i += kMost) {
          Strips<1, kMost>(w, scales, args, x + i, strip + s, n + i);
        }
      }
      for (size_t i = whole; i < count; ++i) {
        if (strips == kMost) {
          Strips<kMost, 1>(w, scales, args, x + i, strip, n + i);
          continue;
        }
        for (size_t s = 0; s < strips; ++s) {
          Strips<1, 1>(w, scales, args, x + i, strip + s, n + i);
        }
      }
    }
  }

  template <size_t kStrips, size_t kRows>
  static HWY_INLINE void Strips(const NmView& w, const RowScales& scales, const MatMulArgs& args,
                                const X* x, size_t strip, size_t n) {
    const size_t quads = w.slots_per_strip() / 4;
    QuadSums sums[kRows][kStrips];
    const int8_t* weights[kStrips];
    const uint8_t* index[kStrips];
    for (size_t s = 0; s < kStrips; ++s) {
      const size_t first_quad = (strip + s) * quads;
      weights[s] = reinterpret_cast<const int8_t*>(w.values) + first_quad * kQuadBytes;
      index[s] = w.index + first_quad * kNmIndexBytes<M>;
      for (size_t i = 0; i < kRows; ++i) {
        sums[i][s] = FirstSums(scales.offset + (strip + s) * kQuadRows);
      }
    }
    for (size_t quad = 0; quad < quads; ++quad) {
      for (size_t s = 0; s < kStrips; ++s) {
        const Quads places = LoadPlaces<M, N>(index[s] + quad * kNmIndexBytes<M>);
        for (size_t i = 0; i < kRows; ++i) {
          const auto span = LoadSpan<M, N>(x[i].at(quad * kSpanCols<M, N>));
          AddProducts(weights[s] + quad * kQuadBytes, LookupSpan<M, N>(span, places), &sums[i][s]);
        }
      }
    }
    for (size_t i = 0; i < kRows; ++i) {
      for (size_t s = 0; s < kStrips; ++s) {
        StoreSums(sums[i][s], scales, x[i].scale(), args.init, (strip + s) * kQuadRows, w.rows,
                  args.y + (n + i) * args.y_stride);
      }
    }
  }
};

constexpr WeightType kI8 = WeightType::kI8;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_nm, 16, 4, kI8, 2}, "matvec_nm_i8_16x4x2", NmI8Kernel<4, 2>::Run},
    {{FormatId::k_nm, 16, 8, kI8, 2}, "matvec_nm_i8_16x8x2", NmI8Kernel<8, 2>::Run},
    {{FormatId::k_nm, 16, 16, kI8, 2}, "matvec_nm_i8_16x16x2", NmI8Kernel<16, 2>::Run},
    {{FormatId::k_nm, 16, 4, kI8, 1}, "matvec_nm_i8_16x4", NmI8Kernel<4, 1>::Run},
    {{FormatId::k_nm, 16, 8, kI8, 1}, "matvec_nm_i8_16x8", NmI8Kernel<8, 1>::Run},
    {{FormatId::k_nm, 16, 16, kI8, 1}, "matvec_nm_i8_16x16", NmI8Kernel<16, 1>::Run},
    {{FormatId::k_nm, 16, 8, kI8, 4}, "matvec_nm_i8_16x8x4", NmI8Kernel<8, 4>::Run},
    {{FormatId::k_nm, 16, 16, kI8, 4}, "matvec_nm_i8_16x16x4", NmI8Kernel<16, 4>::Run},
};

}  // namespace

std::span<const MatMulKernel> matvec_nm_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
