// Group lasso by its proximal step: pieces whose norm falls below rate * strength become exactly 0.
// Where pieces do not overlap that is the proximal operator. Where they do (the units of a
// recurrent matrix) a weight is shrunk by the factors of both of its pieces, with the norms of
// before the step, so that a piece that goes goes whole.
#include <algorithm>

#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

void Project(const RegularizerContext& context, double rate, std::span<float> weights) {
  std::vector<double> factors = PieceNorms(context.pieces, weights);
  for (double& factor : factors) {
    factor = factor > 0.0 ? std::max(0.0, 1.0 - rate * context.strength / factor) : 0.0;
  }
  for (const PieceMember& member : context.pieces.members) {
    double factor = 1.0;
    member.ForEachPiece([&](size_t piece) { factor *= factors[piece]; });
    float& weight = weights[member.element];
    weight = static_cast<float>(static_cast<double>(weight) * factor);
  }
}

}  // namespace

const Regularizer proximal_group_lasso = {
    .name = "proximal_group_lasso",
    .formula = "after each step w_G max(0, 1 - rate strength / |w_G|)",
    .source = "Parikh and Boyd 2014, doi:10.1561/2400000003",
    .strength = StrengthKind::kPenalty,
    .speed = 0.0,
    .project = Project};

}  // namespace espalier::regularizers
