#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The squared change of the row's outputs when the weight goes and the others of its row make up
// for it as well as they can, which `reconstruct` lets them do.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = 0.5f * statistics.weight[i] * statistics.weight[i] * statistics.inverse_moment[i];
  }
}

}  // namespace

const Criterion obs = {"obs",
                       "S = 1/2 w^2 / [H^-1]_cc, H = mean_t(z_t z_t^T) + 0.01 mean(diag) I",
                       "Hassibi and Stork 1993; Frantar and Alistarh 2023, arXiv:2301.00774",
                       kNeedsWeight | kNeedsInverseMoment,
                       Grouping::kSum,
                       Score};

}  // namespace espalier::criteria
