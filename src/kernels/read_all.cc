// read_all: reads every byte once, with full vectors and nothing else to do. How long it takes for
// as many bytes as a matrix has is the least that a kernel over that matrix can take.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/read_all.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

uint64_t read_all(const uint64_t* words, size_t count) {
  const hn::CappedTag<uint64_t, 8> d;
  const size_t lanes = hn::Lanes(d);
  auto sum0 = hn::Zero(d);
  auto sum1 = hn::Zero(d);
  auto sum2 = hn::Zero(d);
  auto sum3 = hn::Zero(d);
  for (size_t i = 0; i + 4 * lanes <= count; i += 4 * lanes) {
    sum0 = hn::Xor(sum0, hn::LoadU(d, words + i));
    sum1 = hn::Xor(sum1, hn::LoadU(d, words + i + lanes));
    sum2 = hn::Xor(sum2, hn::LoadU(d, words + i + 2 * lanes));
    sum3 = hn::Xor(sum3, hn::LoadU(d, words + i + 3 * lanes));
  }
  const auto sum = hn::Xor(hn::Xor(sum0, sum1), hn::Xor(sum2, sum3));
  return hn::GetLane(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
