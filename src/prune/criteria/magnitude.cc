#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) saliency[i] = std::abs(statistics.weight[i]);
}

}  // namespace

const Criterion magnitude = {"magnitude",  "S = |w|",       "Han et al. 2015, arXiv:1506.02626",
                             kNeedsWeight, Grouping::kNorm, Score};

}  // namespace espalier::criteria
