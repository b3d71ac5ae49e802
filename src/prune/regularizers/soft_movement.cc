// Soft movement pruning: each piece has a score, whose gate is a step; the scores of those that
// training moves away from 0 rise, and the penalty pulls all of them down, so that how many go is
// learned, not asked for. Gradients pass both steps straight through: the score gets that of its
// gate, and weights that are masked move on with that of what stands in their place.
#include <algorithm>
#include <cmath>

#include "cells/double_math.h"
#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

constexpr double kThreshold = 0.1;  // of the paper; scores begin at 0, whose sigmoid is 0.5

size_t ParameterCount(const Pieces& pieces) { return pieces.count(); }

void Start(const RegularizerContext& /*context*/, std::span<const float> /*weights*/,
           std::span<float> parameters) {
  std::fill(parameters.begin(), parameters.end(), 0.0f);
}

std::vector<float> GatesOf(std::span<const float> scores) {
  std::vector<float> gates;
  for (const float score : scores) {
    gates.push_back(DoubleMath::Sigmoid(static_cast<double>(score)) > kThreshold ? 1.0f : 0.0f);
  }
  return gates;
}

void Sample(const RegularizerContext& context, std::span<const float> parameters, Rng* /*rng*/,
            std::span<float> weights, std::vector<float>* /*noise*/) {
  MultiplyGates(context.pieces, GatesOf(parameters), weights);
}

void Pull(const RegularizerContext& context, std::span<const float> parameters,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> parameter_gradient) {
  const std::vector<double> by_gate = GateGradients(context.pieces, sample.weights, gradient);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const double s = DoubleMath::Sigmoid(static_cast<double>(parameters[i]));
    parameter_gradient[i] = static_cast<float>(by_gate[i] + context.strength * s * (1.0 - s));
  }
}

void Fold(const RegularizerContext& context, std::span<const float> parameters,
          std::span<float> weights) {
  ClosePieces(context.pieces, GatesOf(parameters), weights);
}

}  // namespace

const Regularizer soft_movement = {
    .name = "soft_movement",
    .formula =
        "w_G r_G, r_G = [sigmoid(S_G) > 0.1], slope of r_G by S_G and of w_G r_G by w_G 1; "
        "loss + strength sum_G sigmoid(S_G)",
    .source = "Sanh et al. 2020, arXiv:2005.07683, section 3 and appendix A",
    .strength = StrengthKind::kPenalty,
    .speed = 10.0,
    .parameter_count = ParameterCount,
    .start = Start,
    .sample = Sample,
    .pull = Pull,
    .fold = Fold};

}  // namespace espalier::regularizers
