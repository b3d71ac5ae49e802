#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The first-order change of the loss when the weight goes, -g w, by its size; that of a piece is
// the size of the sum, so that weights that make up for each other count little.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = statistics.gradient[i] * statistics.weight[i];
  }
}

}  // namespace

const Criterion taylor = {"taylor",
                          "S = g w, by its size",
                          "Molchanov et al. 2017, arXiv:1611.06440",
                          kNeedsWeight | kNeedsGradient,
                          Grouping::kSignedSum,
                          Score};

}  // namespace espalier::criteria
