// The ramp of Narang et al.: slow at first, then one and a half times as steep. Theirs ramps a
// threshold: take it with allocation `threshold`.
#include "prune/schedule.h"

namespace espalier::schedules {
namespace {

// The paper's epsilon, with its slopes theta up to the middle of the ramp and phi = 1.5 theta from
// there on, so that it ends at 1: theta = 2 / (2 (1/2) + 3 (1/2)) = 0.8.
double Value(double progress, double initial, double final_value) {
  const double share = progress < 0.5 ? 0.8 * progress : 1.2 * progress - 0.2;
  return initial + (final_value - initial) * share;
}

}  // namespace

const Schedule two_slopes = {
    "two_slopes", "s_t = s_i + (s_f - s_i) max(0.8 x, 1.2 x - 0.2), x = (t - t0) / (n dt)",
    "Narang et al. 2017, arXiv:1704.05119", Value, /*ramps_thresholds=*/true};

}  // namespace espalier::schedules
