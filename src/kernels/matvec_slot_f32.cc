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
    for (size_t strip = 0; strip < w.strips; ++strip) {
      for (size_t n = 0; n < args.count; ++n) Strip(w, args, strip, n);
    }
  }

 private:
  using D = hn::CappedTag<float, S>;
  using V = hn::Vec<D>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = S / kLanes;
  static constexpr size_t kChains = kVectors >= 4 ? 1 : 4 / kVectors;

  static HWY_INLINE void Slot(const SlotView& w, const float* x, size_t slot, V* sum) {
    const D d;
    const float* bank = x + w.bank[slot] * B;
    const uint8_t* index = w.index + slot * SlotIndexBytes(S, B);
    for (size_t v = 0; v < kVectors; ++v) {
      const V weight = hn::Load(d, w.values + slot * S + v * kLanes);
      sum[v] = hn::MulAdd(weight, LookupBank<B>(d, bank, index, v * kLanes), sum[v]);
    }
  }

  static HWY_INLINE void Strip(const SlotView& w, const MatMulArgs& args, size_t strip, size_t n) {
    const D d;
    const float* x = args.x + n * args.x_stride;
    const size_t first_row = strip * S;
    V sum[kChains][kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = first_row + v * kLanes;
      sum[0][v] = hn::Zero(d);
      if (args.init != nullptr && row < w.rows) {
        sum[0][v] = row + kLanes <= w.rows ? hn::LoadU(d, args.init + row)
                                           : LoadFirst(d, args.init + row, w.rows - row);
      }
      for (size_t k = 1; k < kChains; ++k) sum[k][v] = hn::Zero(d);
    }
    size_t slot = w.strip_start[strip];
    const size_t end = w.strip_start[strip + 1];
    for (; slot + kChains <= end; slot += kChains) {
      for (size_t k = 0; k < kChains; ++k) Slot(w, x, slot + k, sum[k]);
    }
    for (; slot < end; ++slot) Slot(w, x, slot, sum[0]);
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t row = first_row + v * kLanes;
      if (row >= w.rows) break;
      for (size_t k = 1; k < kChains; ++k) sum[0][v] = hn::Add(sum[0][v], sum[k][v]);
      float* y = args.y + n * args.y_stride + row;
      if (row + kLanes <= w.rows) {
        hn::StoreU(sum[0][v], d, y);
      } else {
        StoreFirst(sum[0][v], d, y, w.rows - row);
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
