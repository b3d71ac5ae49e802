// matvec_slot_<type>_<S>x<B>: y = W x + init over format `slot`, weights in f32, f28 or bf16, sums
// in f32.
//
// A slot is one load of weights, one lookup in a bank of x and one multiply-add. The strips of a
// group run side by side, one sum each, so that their latencies overlap. A row's sum takes its
// weights in stored order, so the result for one x does not depend on how many there are.
//
// Zen 3, slot_8x8, [512, 128] at 10 %: 2.3 cycles a slot, of which the loop itself takes 2.0
// whether indices are nibbles, bytes or 32-bit lanes (1.4 without the permutation).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_slot.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/slot.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"
#include "kernels/slot_batch-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// One x, and where its last bank is read: from a copy where a whole bank would pass the readable
// padding after x.
template <size_t B>
class BankedX {
 public:
  void Set(const float* x, size_t cols) {
    x_ = x;
    if constexpr (kCopies) {
      last_col_ = (cols - 1) / B * B;
      std::copy_n(x + last_col_, cols - last_col_, last_);
    }
  }
  HWY_INLINE const float* bank(size_t first_col) const {
    if constexpr (kCopies) return first_col == last_col_ ? last_ : x_ + first_col;
    return x_ + first_col;
  }

 private:
  static constexpr bool kCopies = B * sizeof(float) > kPaddingBytes;
  const float* x_ = nullptr;
  size_t last_col_ = 0;
  HWY_ALIGN float last_[kCopies ? B : 1] = {};
};

template <typename W, size_t S, size_t B>
class SlotKernel {
 public:
  using Weight = W;
  static constexpr size_t kStripRows = S;
  static constexpr size_t kBankCols = B;
  static constexpr bool kBatches = SlotBatch<W, S, B>::kPays;
  using D = hn::CappedTag<float, S>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = S / kLanes;
  // Rows of x that share the weights and indices of a slot. With 8 sums 2 took 3 to 9 % less time
  // than 1 on Zen 3; 3 spill and took 15 % more.
  static constexpr size_t kMostRows = kVectors == 1 ? 2 : 1;

  // Rows [n, n + kRows) of x and y.
  template <size_t kRows>
  static HWY_INLINE void XRows(const SlotView& w, const MatMulArgs& args, size_t group, size_t n) {
    BankedX<B> x[kRows];
    for (size_t i = 0; i < kRows; ++i) x[i].Set(args.x + (n + i) * args.x_stride, w.cols);
    switch (w.StripsOf(group)) {
      case 1: Group<1>(w, args, x, group, n); break;
      case 2: Group<2>(w, args, x, group, n); break;
      case 3: Group<3>(w, args, x, group, n); break;
      default: Group<kSlotGroup>(w, args, x, group, n); break;
    }
  }

 private:
  static HWY_INLINE auto IndicesOf(D d, V weight, const uint8_t* index, size_t first_lane) {
    if constexpr (kTypeOf<W> == WeightType::kF28) {
      return CarriedIndices<B>(d, weight);
    } else {
      return BankIndices<B>(d, index, first_lane);
    }
  }

  // The strips of one group; one of them may be the last of the matrix, with fewer rows.
  template <size_t kStrips, size_t kRows>
  static HWY_INLINE void Group(const SlotView& w, const MatMulArgs& args,
                               const BankedX<B> (&x)[kRows], size_t group, size_t n) {
    const D d;
    const uint32_t* strips = w.strip + group * kSlotGroup;
    V sum[kRows][kStrips][kVectors];
    ESPALIER_UNROLL_4
    for (size_t k = 0; k < kStrips; ++k) {
      ESPALIER_UNROLL_4
      for (size_t v = 0; v < kVectors; ++v) {
        const size_t row = strips[k] * S + v * kLanes;
        sum[0][k][v] = args.init == nullptr ? hn::Zero(d) : LoadRows(d, args.init, row, w.rows);
        for (size_t i = 1; i < kRows; ++i) sum[i][k][v] = sum[0][k][v];
      }
    }
    const W* values = reinterpret_cast<const W*>(w.values);
    size_t slot = w.group_start[group] * kSlotGroup;
    const size_t end = slot + (w.group_start[group + 1] - w.group_start[group]) * kStrips;
    for (; slot < end; slot += kStrips) {
      ESPALIER_UNROLL_4
      for (size_t k = 0; k < kStrips; ++k) {
        const size_t bank_col = w.bank_col[slot + k];
        const uint8_t* index = w.index + (slot + k) * SlotIndexBytes(kTypeOf<W>, S, B);
        ESPALIER_UNROLL_4
        for (size_t v = 0; v < kVectors; ++v) {
          const V weight = LoadWeights(d, values + (slot + k) * S + v * kLanes);
          const auto lanes = IndicesOf(d, weight, index, v * kLanes);
          for (size_t i = 0; i < kRows; ++i) {
            const V found = LookupBank<B>(d, x[i].bank(bank_col), lanes);
            sum[i][k][v] = hn::MulAdd(weight, found, sum[i][k][v]);
          }
        }
      }
    }
    for (size_t i = 0; i < kRows; ++i) {
      float* y = args.y + (n + i) * args.y_stride;
      ESPALIER_UNROLL_4
      for (size_t k = 0; k < kStrips; ++k) {
        ESPALIER_UNROLL_4
        for (size_t v = 0; v < kVectors; ++v) {
          StoreRows(sum[i][k][v], d, y, strips[k] * S + v * kLanes, w.rows);
        }
      }
    }
  }
};

// The weights of lanes [lane, lane + lanes of D) of a wide slot, and those of 16 lanes further on.
template <class D>
struct TwoParts {
  hn::Vec<D> first, second;
};
template <class D, typename W>  // f32, f28
HWY_INLINE TwoParts<D> LoadTwoParts(D d, const W* slot, size_t lane) {
  return {LoadWeights(d, slot + lane), LoadWeights(d, slot + lane + 16)};
}
// An f32 of a bf16 is its bits with 16 of 0 below (formats/slot.h). Spreading them to 32 bits
// instead, and then a shift each, took 1.3 times as long with AVX-512 on a Xeon of the fifth
// generation; x rounded to bf16 for vdpbf16ps, two slots at a time, 0.99 to 1.03 times: that has
// half of the multiply-adds of FMA a cycle there.
template <class D>
HWY_INLINE TwoParts<D> LoadTwoParts(D d, const uint16_t* slot, size_t lane) {
  const hn::RebindToUnsigned<D> d32;
  const size_t place = SlotWeightPlace(kWideStripRows, WeightType::kBf16, lane);
  const auto both = hn::Load(d32, reinterpret_cast<const uint32_t*>(slot + place));
  return {hn::BitCast(d, hn::ShiftLeft<16>(both)),
          hn::BitCast(d, hn::And(both, hn::Set(d32, 0xffff0000u)))};
}

// Strips of 64 rows: their vectors share each slot's bank of x, which is then read once.
template <typename W, size_t kCols>
class WideSlotKernel {
 public:
  static constexpr size_t S = kWideStripRows;
  static constexpr size_t B = kCols;
  using Weight = W;
  static constexpr size_t kStripRows = S;
  static constexpr size_t kBankCols = B;
  static constexpr bool kBatches = SlotBatch<W, S, B>::kPays && HWY_TARGET > HWY_AVX3;
  using D = hn::CappedTag<float, 16>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  // A word holds the indices of the same lane in 4 parts of the strip.
  static constexpr size_t kParts = S / 16;
  static constexpr size_t kVectors = 16 / kLanes;  // of a part
  static constexpr size_t kMostRows = HWY_TARGET <= HWY_AVX3 ? 4 : 1;

  static HWY_INLINE auto IndicesOf(D d, V weight, const uint8_t* index, size_t first_lane) {
    if constexpr (kTypeOf<W> == WeightType::kF28) {
      return CarriedIndices<B>(d, weight);
    } else {
      return WideIndices(d, index, first_lane);
    }
  }

  template <size_t kRows>
  static HWY_INLINE void XRows(const SlotView& w, const MatMulArgs& args, size_t group, size_t n) {
    const D d;
    const size_t first_row = w.strip[group] * S;
    V sum[kRows][kParts][kVectors];
    ESPALIER_UNROLL_4
    for (size_t p = 0; p < kParts; ++p) {
      ESPALIER_UNROLL_4
      for (size_t v = 0; v < kVectors; ++v) {
        const size_t row = first_row + p * 16 + v * kLanes;
        sum[0][p][v] = args.init == nullptr ? hn::Zero(d) : LoadRows(d, args.init, row, w.rows);
        for (size_t i = 1; i < kRows; ++i) sum[i][p][v] = sum[0][p][v];
      }
    }
    const W* values = reinterpret_cast<const W*>(w.values);
    const float* x = args.x + n * args.x_stride;
    for (size_t slot = w.group_start[group]; slot < w.group_start[group + 1]; ++slot) {
      const W* weights = values + slot * S;
      constexpr size_t kIndexBytes = SlotIndexBytes(kTypeOf<W>, S, B);
      const uint8_t* index = w.index + slot * kIndexBytes;
      PrefetchAhead<S * sizeof(W)>(weights, kPrefetchBytes);
      PrefetchAhead<kIndexBytes>(index, kPrefetchBytes / (2 * sizeof(W)));
      decltype(LoadBank<B>(d, x)) bank[kRows];
      for (size_t i = 0; i < kRows; ++i) {
        bank[i] = LoadBank<B>(d, x + i * args.x_stride + w.bank_col[slot]);
      }
      ESPALIER_UNROLL_4
      for (size_t p = 0; p < kParts; p += 2) {
        ESPALIER_UNROLL_4
        for (size_t v = 0; v < kVectors; ++v) {
          const size_t lane = p * 16 + v * kLanes;
          const TwoParts<D> weight = LoadTwoParts(d, weights, lane);
          const auto first = IndicesOf(d, weight.first, index, lane);
          const auto second = IndicesOf(d, weight.second, index, lane + 16);
          for (size_t i = 0; i < kRows; ++i) {
            V(&s)[kParts][kVectors] = sum[i];
            s[p][v] = hn::MulAdd(weight.first, LookupLoaded<B>(d, bank[i], first), s[p][v]);
            s[p + 1][v] =
                hn::MulAdd(weight.second, LookupLoaded<B>(d, bank[i], second), s[p + 1][v]);
          }
        }
      }
    }
    for (size_t i = 0; i < kRows; ++i) {
      float* y = args.y + (n + i) * args.y_stride;
      ESPALIER_UNROLL_4
      for (size_t p = 0; p < kParts; ++p) {
        ESPALIER_UNROLL_4
        for (size_t v = 0; v < kVectors; ++v) {
          StoreRows(sum[i][p][v], d, y, first_row + p * 16 + v * kLanes, w.rows);
        }
      }
    }
  }
};

// All rows of x: as many as pay in batches, the rest side by side. A group meets many of them
// before the next, so that its weights come once from where they are.
template <class Kernel>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  using W = typename Kernel::Weight;
  using Batch = SlotBatch<W, Kernel::kStripRows, Kernel::kBankCols>;
  EncodedView tile = matrix;
  tile.spec = {FormatId::k_slot, Kernel::kStripRows, Kernel::kBankCols, kTypeOf<W>};  // constants
  const SlotView w = ViewSlot(tile);
  size_t n = 0;
  if constexpr (Kernel::kBatches) {
    while (w.cols <= Batch::kMostCols && args.count - n >= Batch::kFewestRows) {
      const size_t rows = std::min(args.count - n, Batch::kRows);
      Batch::Run(w, args, n, rows);
      n += rows;
    }
  }
  constexpr size_t kMostRows = Kernel::kMostRows;
  constexpr size_t kRowsAtOnce = 64;  // of x, which the caches hold
  const size_t end_group = std::min(args.end_group, w.groups);
  for (; n < args.count; n += kRowsAtOnce) {
    const size_t end = std::min(args.count, n + kRowsAtOnce);
    for (size_t group = args.first_group; group < end_group; ++group) {
      size_t i = n;
      for (; i + kMostRows <= end; i += kMostRows) {
        Kernel::template XRows<kMostRows>(w, args, group, i);
      }
      for (; i < end; ++i) Kernel::template XRows<1>(w, args, group, i);
    }
  }
}

constexpr WeightType kBf16 = WeightType::kBf16, kF28 = WeightType::kF28;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_slot, 8, 8}, "matvec_slot_f32_8x8", Run<SlotKernel<float, 8, 8>>},
    {{FormatId::k_slot, 8, 16}, "matvec_slot_f32_8x16", Run<SlotKernel<float, 8, 16>>},
    {{FormatId::k_slot, 16, 16}, "matvec_slot_f32_16x16", Run<SlotKernel<float, 16, 16>>},
    {{FormatId::k_slot, 16, 32}, "matvec_slot_f32_16x32", Run<SlotKernel<float, 16, 32>>},
    {{FormatId::k_slot, 64, 16}, "matvec_slot_f32_64x16", Run<WideSlotKernel<float, 16>>},
    {{FormatId::k_slot, 64, 8}, "matvec_slot_f32_64x8", Run<WideSlotKernel<float, 8>>},
    {{FormatId::k_slot, 8, 8, kBf16}, "matvec_slot_bf16_8x8", Run<SlotKernel<uint16_t, 8, 8>>},
    {{FormatId::k_slot, 16, 16, kBf16},
     "matvec_slot_bf16_16x16",
     Run<SlotKernel<uint16_t, 16, 16>>},
    {{FormatId::k_slot, 64, 16, kBf16},
     "matvec_slot_bf16_64x16",
     Run<WideSlotKernel<uint16_t, 16>>},
    {{FormatId::k_slot, 8, 8, kF28}, "matvec_slot_f28_8x8", Run<SlotKernel<F28, 8, 8>>},
    {{FormatId::k_slot, 16, 16, kF28}, "matvec_slot_f28_16x16", Run<SlotKernel<F28, 16, 16>>},
    {{FormatId::k_slot, 64, 16, kF28}, "matvec_slot_f28_64x16", Run<WideSlotKernel<F28, 16>>},
    {{FormatId::k_slot, 64, 8, kF28}, "matvec_slot_f28_64x8", Run<WideSlotKernel<F28, 8>>},
};

}  // namespace

std::span<const MatMulKernel> matvec_slot() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
