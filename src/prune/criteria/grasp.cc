#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The paper removes where -(H g) w, the change of the gradient's norm, is largest. Made for weights
// as drawn; on recurrent networks it was found to be worse than random (Zhang and Stadie 2020,
// arXiv:1912.00120).
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = statistics.hessian_gradient[i] * statistics.weight[i];
  }
}

}  // namespace

const Criterion grasp = {"grasp",
                         "S = (H g) w, by its value",
                         "Wang et al. 2020, arXiv:2002.07376",
                         kNeedsWeight | kNeedsHessianGradient,
                         Grouping::kSum,
                         Score};

}  // namespace espalier::criteria
