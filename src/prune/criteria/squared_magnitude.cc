#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The mean of a piece ranks pieces of one size as the sum of squares of the paper does.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = statistics.weight[i] * statistics.weight[i];
  }
}

}  // namespace

const Criterion squared_magnitude = {
    "squared_magnitude", "S = w^2",      "Valin and Skoglund 2019, arXiv:1810.11846",
    kNeedsWeight,        Grouping::kSum, Score};

}  // namespace espalier::criteria
