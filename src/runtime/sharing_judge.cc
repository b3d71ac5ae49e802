#include "runtime/sharing_judge.h"

#include <algorithm>

namespace espalier {
namespace {

// Orders the samples.
float MedianOf(float* samples, size_t count) {
  std::nth_element(samples, samples + count / 2, samples + count);
  return samples[count / 2];
}

}  // namespace

void SharingJudge::Took(int64_t ns, size_t rows) {
  ++runs_;
  missed_ = 0;
  ns_ += ns;
  if (phase_ == Phase::kRests) {
    if (runs_ < next_rest_ && ns_ < kMostRestNs) return;
    next_rest_ = std::min(2 * next_rest_, kMostRest);
    is_second_ = false;
    return Begin(shares_ ? Phase::kShared : Phase::kAlone);
  }
  const auto which = static_cast<size_t>(phase_);
  const bool is_warm = runs_ > kMostWarmUp || ns_ - ns > kWarmUpNs;  // before this run
  if (!is_warm) return;
  samples_[which][counts_[which]++] = static_cast<float>(ns) / static_cast<float>(rows);
  const size_t enough = ns_ < kPhaseNs ? kMostSamples : kFewSamples;
  if (counts_[which] < enough) return;
  if (is_second_) {
    return Rest(MedianOf(samples_[0], counts_[0]) < MedianOf(samples_[1], counts_[1]));
  }
  is_second_ = true;
  Begin(phase_ == Phase::kShared ? Phase::kAlone : Phase::kShared);
}

void SharingJudge::Missed() {
  if (++missed_ >= kMostMissed) Rest(false);
}

void SharingJudge::Begin(Phase phase) {
  phase_ = phase;
  runs_ = missed_ = 0;
  ns_ = 0;
  if (phase != Phase::kRests) counts_[static_cast<size_t>(phase)] = 0;
}

void SharingJudge::Rest(bool shares) {
  shares_ = shares;
  Begin(Phase::kRests);
}

}  // namespace espalier
