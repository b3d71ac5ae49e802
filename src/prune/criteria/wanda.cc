#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// z is what the weight multiplies. The paper compares weights within a row: granularity `bank` with
// banks as wide as the matrix.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = std::abs(statistics.weight[i]) * std::sqrt(statistics.input_power[i]);
  }
}

}  // namespace

const Criterion wanda = {"wanda",
                         "S = |w| sqrt(mean_t(z_t^2))",
                         "Sun et al. 2024, arXiv:2306.11695",
                         kNeedsWeight | kNeedsInputPower,
                         Grouping::kNorm,
                         Score};

}  // namespace espalier::criteria
