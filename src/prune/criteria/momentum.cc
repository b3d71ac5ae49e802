#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// For `regrow`: what would move most comes back.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = std::abs(statistics.momentum[i]);
  }
}

}  // namespace

const Criterion momentum = {"momentum",
                            "S = |m|, m = mean of dL/dw over the last steps",
                            "Dettmers and Zettlemoyer 2019, arXiv:1907.04840 (SNFS)",
                            kNeedsMomentum,
                            Grouping::kNorm,
                            Score};

}  // namespace espalier::criteria
