// matvec_nm_<type>_<S>x<M>[x<N>]: y = W x + init over format `nm`, weights in f32 or bf16, sums in
// f32.
//
// Lanes are rows. Every strip has a slot for each bank and each of its N weights, so strips run
// side by side with no count to look at and share the broadcast of a bank of x; with M = 4 the
// lookup is a permutation inside 128 bits. Several x share a strip's weights and indices. A row of
// y is one chain of multiply-adds in stored order, so the result for one x does not depend on how
// many there are.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_nm.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/nm.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

constexpr size_t kStripRows = 16;

template <typename W, size_t M, size_t N>
class NmKernel {
 public:
  static void Run(const EncodedView& matrix, const MatMulArgs& args) {
    EncodedView tile = matrix;
    tile.spec = {FormatId::k_nm, kStripRows, M, kTypeOf<W>, N};  // the same, as constants
    const NmView w = ViewNm(tile);
    const size_t end = std::min(args.end_group, w.strips);
    if (args.count == 1) {
      OneRow<kMost>(w, args, args.first_group, end);
      return;
    }
    for (size_t strip = args.first_group; strip < end; ++strip) AllRows<kMost>(w, args, strip, 0);
  }

 private:
  using D = hn::CappedTag<float, kStripRows>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = kStripRows / kLanes;
  // Strips of one x, or x of one strip, at a time: 8 sums hide 4 cycles of latency at two
  // multiply-adds a cycle.
  static constexpr size_t kMost = kVectors >= 8 ? 1 : 8 / kVectors;

  // Strips [strip, strip + kStrips) of y rows [n, n + kCount).
  template <size_t kStrips, size_t kCount>
  static HWY_INLINE void Tile(const NmView& w, const MatMulArgs& args, size_t strip, size_t n) {
    const D d;
    V sum[kStrips][kCount][kVectors];
    const W* values[kStrips];
    const uint8_t* index[kStrips];
    for (size_t s = 0; s < kStrips; ++s) {
      const size_t first_slot = (strip + s) * w.slots_per_strip();
      values[s] = reinterpret_cast<const W*>(w.values) + first_slot * kStripRows;
      index[s] = w.index + first_slot * kIndexBytes;
      for (size_t v = 0; v < kVectors; ++v) {
        const size_t row = (strip + s) * kStripRows + v * kLanes;
        const V init = args.init == nullptr ? hn::Zero(d) : LoadRows(d, args.init, row, w.rows);
        for (size_t i = 0; i < kCount; ++i) sum[s][i][v] = init;
      }
    }
    const float* x[kCount];
    for (size_t i = 0; i < kCount; ++i) x[i] = args.x + (n + i) * args.x_stride;

    for (size_t bank = 0; bank < w.banks; ++bank) {
      for (size_t j = 0; j < N; ++j) {
        const size_t slot = bank * N + j;
        for (size_t s = 0; s < kStrips; ++s) {
          for (size_t v = 0; v < kVectors; ++v) {
            const V weight = LoadWeights(d, values[s] + slot * kStripRows + v * kLanes);
            const auto lanes = BankIndices<M>(d, index[s] + slot * kIndexBytes, v * kLanes);
            for (size_t i = 0; i < kCount; ++i) {
              const V found = LookupBank<M>(d, x[i] + bank * M, lanes);
              sum[s][i][v] = hn::MulAdd(weight, found, sum[s][i][v]);
            }
          }
        }
      }
    }

    for (size_t s = 0; s < kStrips; ++s) {
      for (size_t v = 0; v < kVectors; ++v) {
        const size_t row = (strip + s) * kStripRows + v * kLanes;
        for (size_t i = 0; i < kCount; ++i) {
          StoreRows(sum[s][i][v], d, args.y + (n + i) * args.y_stride, row, w.rows);
        }
      }
    }
  }

  // Strips [strip, end) of one x, kStrips at a time and then fewer.
  template <size_t kStrips>
  static HWY_INLINE void OneRow(const NmView& w, const MatMulArgs& args, size_t strip, size_t end) {
    for (; strip + kStrips <= end; strip += kStrips) Tile<kStrips, 1>(w, args, strip, 0);
    if constexpr (kStrips > 1) OneRow<kStrips / 2>(w, args, strip, end);
  }

  // One strip of the x from n on, kCount at a time and then fewer.
  template <size_t kCount>
  static HWY_INLINE void AllRows(const NmView& w, const MatMulArgs& args, size_t strip, size_t n) {
    for (; n + kCount <= args.count; n += kCount) Tile<1, kCount>(w, args, strip, n);
    if constexpr (kCount > 1) AllRows<kCount / 2>(w, args, strip, n);
  }

  static constexpr size_t kIndexBytes = NmIndexBytes(kStripRows, M);
  // A bank is read whole, so past the last columns of x.
  static_assert(M * sizeof(float) <= kPaddingBytes);
};

constexpr WeightType kF32 = WeightType::kF32;
constexpr WeightType kBf16 = WeightType::kBf16;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_nm, 16, 4, kF32, 2}, "matvec_nm_f32_16x4x2", NmKernel<float, 4, 2>::Run},
    {{FormatId::k_nm, 16, 8, kF32, 2}, "matvec_nm_f32_16x8x2", NmKernel<float, 8, 2>::Run},
    {{FormatId::k_nm, 16, 16, kF32, 2}, "matvec_nm_f32_16x16x2", NmKernel<float, 16, 2>::Run},
    {{FormatId::k_nm, 16, 4, kF32, 1}, "matvec_nm_f32_16x4", NmKernel<float, 4, 1>::Run},
    {{FormatId::k_nm, 16, 8, kF32, 1}, "matvec_nm_f32_16x8", NmKernel<float, 8, 1>::Run},
    {{FormatId::k_nm, 16, 16, kF32, 1}, "matvec_nm_f32_16x16", NmKernel<float, 16, 1>::Run},
    {{FormatId::k_nm, 16, 8, kF32, 4}, "matvec_nm_f32_16x8x4", NmKernel<float, 8, 4>::Run},
    {{FormatId::k_nm, 16, 16, kF32, 4}, "matvec_nm_f32_16x16x4", NmKernel<float, 16, 4>::Run},
    {{FormatId::k_nm, 16, 4, kBf16, 2}, "matvec_nm_bf16_16x4x2", NmKernel<uint16_t, 4, 2>::Run},
    {{FormatId::k_nm, 16, 8, kBf16, 2}, "matvec_nm_bf16_16x8x2", NmKernel<uint16_t, 8, 2>::Run},
    {{FormatId::k_nm, 16, 16, kBf16, 2}, "matvec_nm_bf16_16x16x2", NmKernel<uint16_t, 16, 2>::Run},
    {{FormatId::k_nm, 16, 4, kBf16, 1}, "matvec_nm_bf16_16x4", NmKernel<uint16_t, 4, 1>::Run},
    {{FormatId::k_nm, 16, 8, kBf16, 1}, "matvec_nm_bf16_16x8", NmKernel<uint16_t, 8, 1>::Run},
    {{FormatId::k_nm, 16, 16, kBf16, 1}, "matvec_nm_bf16_16x16", NmKernel<uint16_t, 16, 1>::Run},
    {{FormatId::k_nm, 16, 8, kBf16, 4}, "matvec_nm_bf16_16x8x4", NmKernel<uint16_t, 8, 4>::Run},
    {{FormatId::k_nm, 16, 16, kBf16, 4}, "matvec_nm_bf16_16x16x4", NmKernel<uint16_t, 16, 4>::Run},
};

}  // namespace

std::span<const MatMulKernel> matvec_nm() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
