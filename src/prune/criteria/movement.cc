#include <algorithm>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// Weights that training moves away from 0 stay. Wants `masks: soft`, so that those that were
// dropped move on and can come back.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  std::copy(statistics.movement.begin(), statistics.movement.end(), saliency.begin());
}

}  // namespace

const Criterion movement = {"movement",
                            "S = -sum_t(rate_t g_t w_t)",
                            "Sanh et al. 2020, arXiv:2005.07683",
                            kNeedsMovement,
                            Grouping::kSum,
                            Score};

}  // namespace espalier::criteria
