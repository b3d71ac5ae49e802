#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The paper divides by the sum over the network, which changes no rank. Made for weights as drawn;
// with trained ones it is `taylor` whose pieces add up sizes.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = std::abs(statistics.gradient[i] * statistics.weight[i]);
  }
}

}  // namespace

const Criterion snip = {
    "snip",         "S = |g w|", "Lee et al. 2019, arXiv:1810.02340", kNeedsWeight | kNeedsGradient,
    Grouping::kSum, Score};

}  // namespace espalier::criteria
