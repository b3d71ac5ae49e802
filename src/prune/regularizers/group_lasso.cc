// Group lasso by gradient, and weights that came close to 0 set to it, as in the code of Wen et
// al.: with the pieces of `unit` their Intrinsic Sparse Structures. Adam divides gradients by their
// size, so weights that only this pulls on jump about 0 by the learning rate: with it take
// proximal_group_lasso, or a threshold above 0.
#include <cmath>

#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

constexpr double kSmoothing = 1e-8;  // in the root, so that the penalty has a slope at 0
constexpr float kZero = 1e-4f;       // weights below it are set to 0: larger cuts sooner

void Pull(const RegularizerContext& context, std::span<const float> /*parameters*/,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> /*parameter_gradient*/) {
  std::vector<double> slopes = PieceNorms(context.pieces, sample.weights);
  for (double& slope : slopes) slope = context.strength / std::sqrt(slope * slope + kSmoothing);
  for (const PieceMember& member : context.pieces.members) {
    double slope = 0.0;
    member.ForEachPiece([&](size_t piece) { slope += slopes[piece]; });
    gradient[member.element] +=
        static_cast<float>(slope * static_cast<double>(sample.weights[member.element]));
  }
}

void Project(const RegularizerContext& context, double /*rate*/, std::span<float> weights) {
  for (const PieceMember& member : context.pieces.members) {
    float& weight = weights[member.element];
    if (std::abs(weight) < kZero) weight = 0.0f;
  }
}

}  // namespace

const Regularizer group_lasso = {.name = "group_lasso",
                                 .formula = "loss + strength sum_G sqrt(|w_G|^2 + 1e-8)",
                                 .source =
                                     "Yuan and Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x; "
                                     "Wen et al. 2018, arXiv:1709.05027",
                                 .strength = StrengthKind::kPenalty,
                                 .speed = 0.0,
                                 .pull = Pull,
                                 .project = Project};

}  // namespace espalier::regularizers
