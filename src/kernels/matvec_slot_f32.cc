// matvec_slot_f32_<S>x<B>: y = W x + init over format `slot`.
//
// A slot is one load of weights, one lookup in a bank of x and one multiply-add. Slots of a strip
// are dealt in turn to `kChains` sums, to hide the latency; which one depends on the slot's place
// in the strip only, so the result for one x does not depend on how many there are.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_slot_f32.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/slot.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

template <size_t S, size_t B>
class SlotKernel {
 public:
  static void Run(const EncodedView& matrix, const MatMulArgs& args) {
    const SlotView w = ViewSlot(matrix);
    for (size_t group = 0; group < w.groups; ++group) {
      for (size_t n = 0; n < args.count; ++n) {
        switch (w.StripsOf(group)) {
          case 1: Group<1>(w, args, group, n); break;
          case 2: Group<2>(w, args, group, n); break;
          case 3: Group<3>(w, args, group, n); break;
          default: Group<kSlotGroup>(w, args, group, n);
        }
      }
    }
  }

 private:
  using D = hn::CappedTag<float, S>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = S / kLanes;

  template <size_t kStrips>
  static HWY_INLINE void Group(const SlotView& w, const MatMulArgs& args, size_t group, size_t n) {
    const D d;
    const float* x = args.x + n * args.x_stride;
    V sum[kStrips][kVectors];
    size_t first_row[kStrips];
    for (size_t k = 0; k < kStrips; ++k) {
      first_row[k] = w.strip[group * kSlotGroup + k] * S;
      for (size_t v = 0; v < kVectors; ++v) {
        sum[k][v] = args.init == nullptr
                        ? hn::Zero(d)
                        : LoadRows(d, args.init, first_row[k] + v * kLanes, w.rows);
      }
    }
    size_t slot = w.group_start[group] * kSlotGroup;
    const size_t rounds = w.group_start[group + 1] - w.group_start[group];
    for (size_t round = 0; round < rounds; ++round, slot += kStrips) {
      for (size_t k = 0; k < kStrips; ++k) {
        const float* bank = x + w.bank_col[slot + k];
        const uint8_t* index = w.index + (slot + k) * SlotIndexBytes(S, B);
        for (size_t v = 0; v < kVectors; ++v) {
          const V weight = hn::Load(d, w.values + (slot + k) * S + v * kLanes);
          sum[k][v] = hn::MulAdd(weight, LookupBank<B>(d, bank, index, v * kLanes), sum[k][v]);
        }
      }
    }
    float* y = args.y + n * args.y_stride;
    for (size_t k = 0; k < kStrips; ++k) {
      for (size_t v = 0; v < kVectors; ++v) {
        StoreRows(sum[k][v], d, y, first_row[k] + v * kLanes, w.rows);
      }
    }
  }
};

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_slot, 8, 8}, "matvec_slot_f32_8x8", SlotKernel<8, 8>::Run},
    {{FormatId::k_slot, 8, 16}, "matvec_slot_f32_8x16", SlotKernel<8, 16>::Run},
    {{FormatId::k_slot, 16, 16}, "matvec_slot_f32_16x16", SlotKernel<16, 16>::Run},
    {{FormatId::k_slot, 16, 32}, "matvec_slot_f32_16x32", SlotKernel<16, 32>::Run},
};

}  // namespace

std::span<const MatMulKernel> matvec_slot_f32() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
