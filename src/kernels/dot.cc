// dot: the sum of products of two vectors, for what is one row and no matrix.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dot.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

float dot(const float* a, const float* b, size_t count) {
  const hn::CappedTag<float, 16> d;
  constexpr size_t kLanes = hn::MaxLanes(d);
  constexpr size_t kChains = 4;  // as in matvec_rows.cc
  hn::Vec<decltype(d)> sum[kChains];
  for (auto& chain : sum) chain = hn::Zero(d);
  size_t i = 0;
  for (; i + kChains * kLanes <= count; i += kChains * kLanes) {
    for (size_t k = 0; k < kChains; ++k) {
      const size_t at = i + k * kLanes;
      sum[k] = hn::MulAdd(hn::LoadU(d, a + at), hn::LoadU(d, b + at), sum[k]);
    }
  }
  for (size_t k = 0; k < kChains && i < count; ++k, i += kLanes) {
    sum[k] = hn::MulAdd(LoadRows(d, a, i, count), LoadRows(d, b, i, count), sum[k]);
  }
  const auto all = hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]));
  return hn::GetLane(hn::SumOfLanes(d, all));
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
