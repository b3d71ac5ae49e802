#include "prune/schedule.h"

namespace espalier::schedules {
namespace {

double Sparsity(double /*progress*/, double /*initial*/, double final_sparsity) {
  return final_sparsity;
}

}  // namespace

const Schedule one_shot = {"one_shot", "s_t = s_f from t0 on", "Han et al. 2015, arXiv:1506.02626",
                           Sparsity, /*ramps_thresholds=*/true};

}  // namespace espalier::schedules
