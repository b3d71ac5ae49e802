#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The second-order change of the loss where it is flat, its Hessian by the diagonal of the
// empirical Fisher information: gradients of single sequences, squared before they are averaged. Of
// what goes as a whole it is the gradient by one factor of all its weights that is squared, S_G =
// 1/2 mean_n((sum over G of g_n w)^2): what they do in the same sequence adds up first (Theis et
// al. 2018, there of a feature map). So it is for hidden units, and by the number of weights for
// pieces that are the same whatever the saliencies: blocks, rows, columns, gate rows. Slots, banks
// and the like are made of saliencies, so they have the mean of those of their weights.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] =
        0.5f * statistics.squared_gradient[i] * statistics.weight[i] * statistics.weight[i];
  }
}

}  // namespace

const Criterion fisher = {
    "fisher",
    "S = 1/2 mean_n(g_n^2) w^2",
    "LeCun et al. 1989 (Optimal Brain Damage); Theis et al. 2018, arXiv:1801.05787",
    kNeedsWeight | kNeedsSquaredGradient,
    Grouping::kSquaredSum,
    Score};

}  // namespace espalier::criteria
