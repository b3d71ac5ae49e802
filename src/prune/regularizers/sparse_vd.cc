// Sparse variational dropout. For single weights the posterior is N(w, sigma^2) with the weight as
// its mean. For larger pieces a group variable z_G with posterior N(m_G, sigma_G^2), shared by the
// piece, multiplies its weights: three of them, over element, gate_row and unit, are the levels of
// Lobacheva et al. 2018, which share the paper's form. All have log-uniform priors. Noise is drawn
// once a batch, so it is tied over time.
#include <algorithm>
#include <cmath>

#include "cells/double_math.h"
#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

constexpr double kPrune = 3.0;    // of ln alpha, as in the paper: pieces beyond it are noise
constexpr double kClip = 8.0;     // of ln alpha: beyond it the penalty has no slope, as 1 / w grows
constexpr float kStart = -10.0f;  // of ln sigma^2 of a weight
constexpr float kGroupStart = -8.0f;  // of ln sigma_G^2, where m_G = 1

double LogAlpha(float log_variance, float mean) {
  const double m = static_cast<double>(mean);
  return static_cast<double>(log_variance) - std::log(m * m + 1e-30);
}

// d KL / d ln alpha, KL = k1 - k1 sigmoid(k2 + k3 ln alpha) + 1/2 ln(1 + 1 / alpha) (eq. 14).
double Slope(double log_alpha) {
  constexpr double k1 = 0.63576, k2 = 1.87320, k3 = 1.48695;
  if (log_alpha >= kClip) return 0.0;
  const double s = DoubleMath::Sigmoid(k2 + k3 * log_alpha);
  return -k1 * k3 * s * (1.0 - s) - 0.5 * DoubleMath::Sigmoid(-log_alpha);
}

// Single weights: [pieces] ln sigma^2. Else [pieces] ln sigma_G^2, then [pieces] m_G.
size_t ParameterCount(const Pieces& pieces) {
  return pieces.is_single ? pieces.count() : 2 * pieces.count();
}

void Start(const RegularizerContext& context, std::span<const float> /*weights*/,
           std::span<float> parameters) {
  const bool is_single = context.pieces.is_single;
  std::fill(parameters.begin(), parameters.end(), is_single ? kStart : kGroupStart);
  if (is_single) return;
  const std::span<float> means = parameters.subspan(context.pieces.count());
  std::fill(means.begin(), means.end(), 1.0f);
}

// noise: [pieces] sigma epsilon, and for groups then [pieces] z_G = m_G + sigma_G epsilon.
void Sample(const RegularizerContext& context, std::span<const float> parameters, Rng* rng,
            std::span<float> weights, std::vector<float>* noise) {
  const Pieces& pieces = context.pieces;
  const size_t count = pieces.count();
  noise->resize(parameters.size());
  for (size_t i = 0; i < count; ++i) {
    (*noise)[i] =
        static_cast<float>(std::exp(0.5 * static_cast<double>(parameters[i])) * rng->Normal());
  }
  if (pieces.is_single) {
    for (size_t i = 0; i < count; ++i) weights[pieces.members[i].element] += (*noise)[i];
    return;
  }
  for (size_t i = 0; i < count; ++i) (*noise)[count + i] = parameters[count + i] + (*noise)[i];
  MultiplyGates(pieces, std::span(*noise).subspan(count), weights);
}

// The means' and the variances' share of the penalty, of one posterior.
void AddPenalty(double strength, float log_variance, float mean, float* mean_gradient,
                float* variance_gradient) {
  const double slope = strength * Slope(LogAlpha(log_variance, mean));
  if (slope == 0.0) return;
  *variance_gradient += static_cast<float>(slope);
  *mean_gradient += static_cast<float>(-2.0 * slope / static_cast<double>(mean));
}

void Pull(const RegularizerContext& context, std::span<const float> parameters,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> parameter_gradient) {
  const Pieces& pieces = context.pieces;
  const size_t count = pieces.count();
  const double strength = context.strength / context.sequences;
  if (pieces.is_single) {
    for (size_t i = 0; i < count; ++i) {
      const uint32_t element = pieces.members[i].element;
      parameter_gradient[i] = 0.5f * gradient[element] * sample.noise[i];
      AddPenalty(strength, parameters[i], sample.weights[element], &gradient[element],
                 &parameter_gradient[i]);
    }
    return;
  }
  const std::vector<double> by_gate = GateGradients(pieces, sample.weights, gradient);
  for (size_t i = 0; i < count; ++i) {
    parameter_gradient[i] =
        static_cast<float>(0.5 * by_gate[i] * static_cast<double>(sample.noise[i]));
    parameter_gradient[count + i] = static_cast<float>(by_gate[i]);
    AddPenalty(strength, parameters[i], parameters[count + i], &parameter_gradient[count + i],
               &parameter_gradient[i]);
  }
  MultiplyGates(pieces, sample.noise.subspan(count), gradient);
}

void Fold(const RegularizerContext& context, std::span<const float> parameters,
          std::span<float> weights) {
  const Pieces& pieces = context.pieces;
  const size_t count = pieces.count();
  std::vector<float> gates(count);
  for (size_t i = 0; i < count; ++i) {
    const float mean =
        pieces.is_single ? weights[pieces.members[i].element] : parameters[count + i];
    const bool stays = LogAlpha(parameters[i], mean) <= kPrune;
    gates[i] = !stays ? 0.0f : pieces.is_single ? 1.0f : mean;
  }
  MultiplyGates(pieces, gates, weights);
  ClosePieces(pieces, gates, weights);
}

}  // namespace

const Regularizer sparse_vd = {
    .name = "sparse_vd",
    .formula =
        "w + sigma e, or w_G (m_G + sigma_G e), e normal; loss + strength / N sum KL(alpha), "
        "alpha = sigma^2 / w^2 or sigma_G^2 / m_G^2; gone if ln alpha > 3",
    .source =
        "Molchanov et al. 2017, arXiv:1701.05369, eq. 14; Lobacheva et al. 2018, "
        "arXiv:1812.05692",
    .strength = StrengthKind::kPenalty,
    .speed = 10.0,
    .parameter_count = ParameterCount,
    .start = Start,
    .sample = Sample,
    .pull = Pull,
    .fold = Fold};

}  // namespace espalier::regularizers
