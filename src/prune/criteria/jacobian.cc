#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// What changes the mean squared singular value of the recurrent Jacobian least goes. Gates, and
// weight_ih against weight_hh, live on scales of their own: `uniform` by gate.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = std::abs(statistics.spectrum_gradient[i] * statistics.weight[i]);
  }
}

}  // namespace

const Criterion jacobian = {"jacobian",
                            "S = |(dchi/dw) w|, chi = mean_t(|J_t^T v|^2) / H, J_t = dh_t/dh_{t-1}",
                            "Zhang and Stadie 2020, arXiv:1912.00120",
                            kNeedsWeight | kNeedsSpectrumGradient,
                            Grouping::kSum,
                            Score};

}  // namespace espalier::criteria
