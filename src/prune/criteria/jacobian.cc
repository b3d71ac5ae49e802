#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// What changes the mean squared singular value of the recurrent Jacobian least goes. Gates, and
// weight_ih against weight_hh, live on scales of their own: `uniform` by gate.
//
// Of a hidden unit it is the sum of S over all that goes with it: its rows of weight_ih and
// weight_hh, its column of weight_hh, and the columns of the next layers' weight_ih that read it,
// each by the chi of its own layer and direction; with a projection weight_hr, too. By the triangle
// inequality that is a bound of the first-order change of the sum of all chi when the unit goes. No
// chi depends on what else reads the unit (a Gemm), or makes it (a Conv1d, an Embedding): each step
// starts from x, h and c as they are. Those matrices count 0 (scored.h).
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
