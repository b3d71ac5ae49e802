// read_all: reads every byte once, with full vectors and nothing else to do. How long it takes for
// as many bytes as a matrix has is the least that a kernel over that matrix can take.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/read_all.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

// Of fewer bytes, which lie in the nearest caches, asking ahead takes more than it spares.
constexpr size_t kLeastAhead = size_t{256} << 10;

template <bool kAsksAhead>
uint64_t Read(const uint64_t* words, size_t count) {
  const hn::CappedTag<uint64_t, 8> d;
  constexpr size_t kLanes = hn::MaxLanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  for (size_t i = 0; i + 4 * kLanes <= count; i += 4 * kLanes) {
    if constexpr (kAsksAhead) {
      PrefetchAhead<4 * kLanes * sizeof(uint64_t)>(words + i, kPrefetchBytes);
    }
    sum0 = hn::Xor(sum0, hn::LoadU(d, words + i));
    sum1 = hn::Xor(sum1, hn::LoadU(d, words + i + kLanes));
    sum2 = hn::Xor(sum2, hn::LoadU(d, words + i + 2 * kLanes));
    sum3 = hn::Xor(sum3, hn::LoadU(d, words + i + 3 * kLanes));
  }
  const auto sum = hn::Xor(hn::Xor(sum0, sum1), hn::Xor(sum2, sum3));
  return hn::GetLane(sum);
}

}  // namespace

uint64_t read_all(const uint64_t* words, size_t count) {
  return count * sizeof(uint64_t) < kLeastAhead ? Read<false>(words, count)
                                                : Read<true>(words, count);
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
