// stand_in: what stands in the place of rows that are left out (model/graph.h, IdleCandidates and
// PredictedRows).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/stand_in.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

using D = hn::CappedTag<float, 16>;
constexpr size_t kLanes = hn::MaxLanes(D());
static_assert(std::endian::native == std::endian::little);  // byte i of a word is lane i

// Sets to 1 those of kLanes bytes whose lanes are not in the mask.
HWY_INLINE void SetOthers(hn::Mask<D> is_out, uint8_t* due) {
  constexpr size_t kAtOnce = kLanes < 8 ? kLanes : 8;
  uint8_t bits[8] = {};
  hn::StoreMaskBits(D(), is_out, bits);
  for (size_t first = 0; first < kLanes; first += kAtOnce) {
    // Bit i of them becomes bit 7 of byte i, by way of the one of its own of that byte.
    const uint64_t spread =
        (uint64_t{static_cast<uint8_t>(~bits[first / 8])} * 0x0101010101010101u) &
        0x8040201008040201u;
    const uint64_t ones = (spread + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
    uint64_t before = 0;
    std::memcpy(&before, due + first, kAtOnce);
    before |= ones;
    std::memcpy(due + first, &before, kAtOnce);
  }
}

// The vectors before the last whole one's end. What is added to `a` is `b`, or nothing.
template <bool kHasB, bool kStands>
size_t Vectors(const StandInArgs& args) {
  const D d;
  const hn::RebindToSigned<D> di;
  const auto limit = hn::Set(d, args.limit);
  const auto sign = hn::Set(d, args.sign);
  auto counts = hn::Zero(di);
  for (size_t k = 0; k + kLanes <= args.size; k += kLanes) {
    const auto a = hn::LoadU(d, args.a + k);
    const auto sum = kHasB ? hn::Mul(hn::Add(a, hn::LoadU(d, args.b + k)), sign) : hn::Abs(a);
    const auto is_out = hn::Gt(sum, limit);  // NaN is not
    if (args.due != nullptr) SetOthers(is_out, args.due + k);
    if (hn::AllFalse(d, is_out)) continue;
    const auto stands = kStands ? a : hn::Zero(d);
    hn::StoreU(hn::IfThenElse(is_out, stands, hn::LoadU(d, args.ax + k)), d, args.ax + k);
    hn::StoreU(hn::IfThenZeroElse(is_out, hn::LoadU(d, args.ah + k)), d, args.ah + k);
    counts = hn::Sub(counts, hn::VecFromMask(di, hn::RebindMask(di, is_out)));  // -1 where it is
  }
  return static_cast<size_t>(hn::GetLane(hn::SumOfLanes(di, counts)));
}

}  // namespace

size_t stand_in(const StandInArgs& args) {
  const bool has_b = args.b != nullptr;
  size_t count = has_b ? Vectors<true, false>(args) : Vectors<false, true>(args);
  for (size_t k = args.size / kLanes * kLanes; k < args.size; ++k) {
    const float sum = has_b ? (args.a[k] + args.b[k]) * args.sign : std::abs(args.a[k]);
    if (!(sum > args.limit)) {
      if (args.due != nullptr) args.due[k] = 1;
      continue;
    }
    args.ax[k] = has_b ? 0.0f : args.a[k];
    args.ah[k] = 0.0f;
    ++count;
  }
  return count;
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
