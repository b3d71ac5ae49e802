// Learned thresholds: each pool learns below which size its pieces go. The gate is a step; its
// gradient is that of a sigmoid (straight-through). Sizes are root mean squares of a piece's
// weights, v_G, in units of those that the pool began with, so that pools learn alike.
#include <algorithm>
#include <cmath>

#include "cells/double_math.h"
#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

constexpr double kTemperature = 0.1;  // larger: pieces further from the threshold move it

size_t ParameterCount(const Pieces& pieces) { return static_cast<size_t>(pieces.pools); }

void Start(const RegularizerContext& /*context*/, std::span<const float> /*weights*/,
           std::span<float> parameters) {
  std::fill(parameters.begin(), parameters.end(), 0.0f);
}

std::vector<double> RelativeSizes(const RegularizerContext& context,
                                  std::span<const float> weights) {
  std::vector<double> sizes = PieceSizes(context.pieces, weights);
  for (size_t i = 0; i < sizes.size(); ++i) {
    sizes[i] /= context.spreads[static_cast<size_t>(context.pieces.pool_of[i])];
  }
  return sizes;
}

// What a piece is above its threshold.
double MarginOf(const Pieces& pieces, size_t piece, double size,
                std::span<const float> parameters) {
  return size - static_cast<double>(parameters[static_cast<size_t>(pieces.pool_of[piece])]);
}

std::vector<float> GatesOf(const RegularizerContext& context, std::span<const float> weights,
                           std::span<const float> parameters) {
  const std::vector<double> sizes = RelativeSizes(context, weights);
  std::vector<float> gates;
  for (size_t i = 0; i < sizes.size(); ++i) {
    gates.push_back(MarginOf(context.pieces, i, sizes[i], parameters) >= 0.0 ? 1.0f : 0.0f);
  }
  return gates;
}

void Sample(const RegularizerContext& context, std::span<const float> parameters, Rng* /*rng*/,
            std::span<float> weights, std::vector<float>* noise) {
  *noise = GatesOf(context, weights, parameters);
  MultiplyGates(context.pieces, *noise, weights);
}

void Pull(const RegularizerContext& context, std::span<const float> parameters,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> parameter_gradient) {
  const Pieces& pieces = context.pieces;
  const std::vector<double> sizes = RelativeSizes(context, sample.weights);
  std::vector<double> by_gate = GateGradients(pieces, sample.weights, gradient);
  std::fill(parameter_gradient.begin(), parameter_gradient.end(), 0.0f);
  std::vector<double> by_size(pieces.count());  // d loss / d v_G, over 2-norm for the chain below
  for (size_t i = 0; i < pieces.count(); ++i) {
    const auto pool = static_cast<size_t>(pieces.pool_of[i]);
    const double s = DoubleMath::Sigmoid(MarginOf(pieces, i, sizes[i], parameters) / kTemperature);
    const double by_margin =
        (by_gate[i] + context.strength * sizes[i]) * s * (1.0 - s) / kTemperature;
    parameter_gradient[pool] -= static_cast<float>(by_margin);
    const double slope = by_margin + context.strength * static_cast<double>(sample.noise[i]);
    // v = sqrt(sum w^2 / n) / spread, so dv/dw = w / (n spread^2 v).
    const double spread = context.spreads[pool];
    by_size[i] = sizes[i] > 0.0 ? slope / (pieces.sizes[i] * spread * spread * sizes[i]) : 0.0;
  }
  MultiplyGates(pieces, sample.noise, gradient);
  for (const PieceMember& member : pieces.members) {
    double slope = 0.0;
    member.ForEachPiece([&](size_t piece) { slope += by_size[piece]; });
    gradient[member.element] +=
        static_cast<float>(slope * static_cast<double>(sample.weights[member.element]));
  }
}

void Fold(const RegularizerContext& context, std::span<const float> parameters,
          std::span<float> weights) {
  const std::vector<float> gates = GatesOf(context, weights, parameters);
  ClosePieces(context.pieces, gates, weights);
}

}  // namespace

const Regularizer learned_threshold = {
    .name = "learned_threshold",
    .formula =
        "w_G r_G, r_G = [v_G >= tau], v_G = size of w_G by that of its pool at the start, "
        "slope of r_G that of sigmoid((v_G - tau) / 0.1); loss + strength sum_G r_G v_G",
    .source = "Azarian et al. 2020, arXiv:2003.00075; Fedorov et al. 2020, arXiv:2005.11138",
    .strength = StrengthKind::kPenalty,
    .speed = 1.0,
    .parameter_count = ParameterCount,
    .start = Start,
    .sample = Sample,
    .pull = Pull,
    .fold = Fold};

}  // namespace espalier::regularizers
