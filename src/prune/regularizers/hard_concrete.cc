// L0 regularization by hard-concrete gates, one for each piece: its noise is drawn once a batch, or
// for each sequence (TrainOptions::noise_draws), and so is the same over all steps of a sequence.
// Two of them, over input_feature and unit, are the neuron selection of Wen et al. 2019
// (arXiv:1906.06847).
#include <algorithm>
#include <cmath>

#include "cells/double_math.h"
#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

// Of the paper: how far the stretched gate reaches past 0 and 1, and the temperature.
constexpr double kGamma = -0.1;
constexpr double kZeta = 1.1;
constexpr double kBeta = 2.0 / 3.0;

double Stretch(double s) { return s * (kZeta - kGamma) + kGamma; }

size_t ParameterCount(const Pieces& pieces) { return pieces.count(); }

// ln alpha, at which the gate of the folded network has just come to 1: nothing changes at first.
void Start(const RegularizerContext& /*context*/, std::span<const float> /*weights*/,
           std::span<float> parameters) {
  const double open = (1.0 - kGamma) / (kZeta - kGamma);
  std::fill(parameters.begin(), parameters.end(),
            static_cast<float>(std::log(open / (1.0 - open)) + 1e-3));
}

// noise: [pieces] gates, and then [pieces] their derivatives by ln alpha.
void Sample(const RegularizerContext& context, std::span<const float> parameters, Rng* rng,
            std::span<float> weights, std::vector<float>* noise) {
  const size_t count = context.pieces.count();
  noise->resize(2 * count);
  for (size_t i = 0; i < count; ++i) {
    const double u = std::clamp(rng->Uniform(), 1e-12, 1.0 - 1e-12);
    const double s = DoubleMath::Sigmoid(
        (std::log(u) - std::log1p(-u) + static_cast<double>(parameters[i])) / kBeta);
    const double stretched = Stretch(s);
    const bool is_inside = stretched > 0.0 && stretched < 1.0;
    (*noise)[i] = static_cast<float>(std::clamp(stretched, 0.0, 1.0));
    (*noise)[count + i] =
        is_inside ? static_cast<float>((kZeta - kGamma) * s * (1.0 - s) / kBeta) : 0.0f;
  }
  MultiplyGates(context.pieces, std::span(*noise).first(count), weights);
}

void Pull(const RegularizerContext& context, std::span<const float> parameters,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> parameter_gradient) {
  const size_t count = context.pieces.count();
  const std::vector<double> by_gate = GateGradients(context.pieces, sample.weights, gradient);
  const double shift = kBeta * std::log(-kGamma / kZeta);
  for (size_t i = 0; i < count; ++i) {
    const double open = DoubleMath::Sigmoid(static_cast<double>(parameters[i]) - shift);
    parameter_gradient[i] =
        static_cast<float>(by_gate[i] * static_cast<double>(sample.noise[count + i]) +
                           context.strength * open * (1.0 - open));
  }
  MultiplyGates(context.pieces, sample.noise.first(count), gradient);
}

void Fold(const RegularizerContext& context, std::span<const float> parameters,
          std::span<float> weights) {
  std::vector<float> gates;
  for (const float log_alpha : parameters) {
    gates.push_back(static_cast<float>(
        std::clamp(Stretch(DoubleMath::Sigmoid(static_cast<double>(log_alpha))), 0.0, 1.0)));
  }
  MultiplyGates(context.pieces, gates, weights);
  ClosePieces(context.pieces, gates, weights);
}

}  // namespace

const Regularizer hard_concrete = {
    .name = "hard_concrete",
    .formula =
        "w_G z_G, z_G = clip(1.2 sigmoid((ln u - ln(1 - u) + a_G) / b) - 0.1, 0, 1), b = 2/3; "
        "loss + strength sum_G sigmoid(a_G - b ln(0.1 / 1.1))",
    .source = "Louizos et al. 2018, arXiv:1712.01312, eqs. 10 to 13",
    .strength = StrengthKind::kPenalty,
    .speed = 10.0,
    .parameter_count = ParameterCount,
    .start = Start,
    .sample = Sample,
    .pull = Pull,
    .fold = Fold};

}  // namespace espalier::regularizers
