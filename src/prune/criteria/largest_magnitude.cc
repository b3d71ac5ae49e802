#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) saliency[i] = std::abs(statistics.weight[i]);
}

}  // namespace

const Criterion largest_magnitude = {"largest_magnitude",
                                     "S = |w|, of a piece the largest",
                                     "Narang et al. 2017, arXiv:1711.02782",
                                     kNeedsWeight,
                                     Grouping::kLargest,
                                     Score};

}  // namespace espalier::criteria
