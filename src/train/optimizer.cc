#include "train/optimizer.h"

#include <cmath>

namespace espalier {
namespace {

void AdamStep(const OptimizerOptions& options, double rate, float scale,
              std::span<const float> gradient, std::span<float> weights, Optimizer::State* state) {
  const auto steps = static_cast<double>(state->steps);
  const double correction1 = 1.0 - std::pow(options.beta1, steps);
  const double correction2 = 1.0 - std::pow(options.beta2, steps);
  const auto beta1 = static_cast<float>(options.beta1);
  const auto beta2 = static_cast<float>(options.beta2);
  const auto epsilon = static_cast<float>(options.epsilon);
  const auto step_size = static_cast<float>(rate / correction1);
  const auto root_scale = static_cast<float>(1.0 / std::sqrt(correction2));
  float* first = state->first.data();
  float* second = state->second.data();
  const float* g = gradient.data();
  float* w = weights.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float gi = g[i] * scale;
    first[i] = beta1 * first[i] + (1.0f - beta1) * gi;
    second[i] = beta2 * second[i] + (1.0f - beta2) * gi * gi;
    w[i] -= step_size * first[i] / (std::sqrt(second[i]) * root_scale + epsilon);
  }
}

void SgdStep(const OptimizerOptions& options, double rate, float scale,
             std::span<const float> gradient, std::span<float> weights, Optimizer::State* state) {
  const auto momentum = static_cast<float>(options.momentum);
  const auto step_size = static_cast<float>(rate);
  // w -= rate * (direct g + through v), with v already renewed.
  const float direct = options.nesterov ? 1.0f : 0.0f;
  const float through = options.nesterov ? momentum : 1.0f;
  float* velocity = state->first.data();
  const float* g = gradient.data();
  float* w = weights.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float gi = g[i] * scale;
    velocity[i] = momentum * velocity[i] + gi;
    w[i] -= step_size * (direct * gi + through * velocity[i]);
  }
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, size_t size) : options_(options) {
  state_.first.assign(size, 0.0f);
  if (options.kind == OptimizerKind::kAdam) state_.second.assign(size, 0.0f);
}

void Optimizer::Step(double rate, double gradient_scale, std::span<const float> gradient,
                     std::span<float> weights) {
  ESPALIER_ASSERT(gradient.size() == state_.first.size() && weights.size() == gradient.size());
  ++state_.steps;
  const auto scale = static_cast<float>(gradient_scale);
  if (options_.kind == OptimizerKind::kAdam) {
    AdamStep(options_, rate, scale, gradient, weights, &state_);
  } else {
    SgdStep(options_, rate, scale, gradient, weights, &state_);
  }
}

void Optimizer::Mask(std::span<const float> keep) {
  for (std::vector<float>* moment : {&state_.first, &state_.second}) {
    for (size_t i = 0; i < moment->size(); ++i) (*moment)[i] *= keep[i];
  }
}

void DecayWeights(double rate, double decay, std::span<float> weights) {
  const auto factor = static_cast<float>(1.0 - rate * decay);
  for (float& weight : weights) weight *= factor;
}

double MaskedNorm(std::span<const float> keep, std::span<float> gradient) {
  // Eight sums, so that the compiler may use vectors without reordering one sum; doubles, since
  // the square of a large finite gradient may not fit a float.
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  const size_t size = gradient.size();
  for (size_t i = 0; i < keep.size(); ++i) gradient[i] *= keep[i];
  const size_t whole = size / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const auto g = static_cast<double>(gradient[i + lane]);
      sums[lane] += g * g;
    }
  }
  for (size_t i = whole; i < size; ++i) {
    const auto g = static_cast<double>(gradient[i]);
    sums[0] += g * g;
  }
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace espalier
