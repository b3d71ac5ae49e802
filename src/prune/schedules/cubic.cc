#include "prune/schedule.h"

namespace espalier::schedules {
namespace {

// Fast while much is redundant, slow near the end.
double Sparsity(double progress, double initial, double final_sparsity) {
  const double left = 1.0 - progress;
  return final_sparsity + (initial - final_sparsity) * left * left * left;
}

}  // namespace

const Schedule cubic = {"cubic", "s_t = s_f + (s_i - s_f) (1 - (t - t0) / (n dt))^3",
                        "Zhu and Gupta 2017, arXiv:1710.01878, eq. 1", Sparsity,
                        /*ramps_thresholds=*/true};

}  // namespace espalier::schedules
