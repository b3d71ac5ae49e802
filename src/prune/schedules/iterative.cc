#include <cmath>

#include "prune/schedule.h"

namespace espalier::schedules {
namespace {

// Each making of masks drops the same share of what is left.
double Sparsity(double progress, double initial, double final_sparsity) {
  const double left = std::pow((1.0 - final_sparsity) / (1.0 - initial), progress);
  return initial + (1.0 - initial) * (1.0 - left);
}

}  // namespace

const Schedule iterative = {
    "iterative", "1 - s_t = (1 - s_i) ((1 - s_f) / (1 - s_i))^((t - t0) / (n dt))",
    "Han et al. 2015, arXiv:1506.02626; Frankle and Carbin 2019, arXiv:1803.03635", Sparsity,
    /*ramps_thresholds=*/false};

}  // namespace espalier::schedules
