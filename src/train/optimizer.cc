#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

namespace espalier {

Optimizer::Optimizer(const OptimizerOptions& options, size_t size) : options_(options) {
  state_.first.assign(size, 0.0f);
  if (options.kind != OptimizerKind::kSgd) state_.second.assign(size, 0.0f);
}

void Optimizer::Step(double rate, double gradient_scale, std::span<const float> gradient,
                     std::span<float> weights) {
  ESPALIER_ASSERT(gradient.size() == state_.first.size() && weights.size() == gradient.size());
  ++state_.steps;
  const auto scale = static_cast<float>(gradient_scale);
  switch (options_.kind) {
    case OptimizerKind::kAdam: return AdamStep(rate, scale, gradient, weights);
    case OptimizerKind::kSgd: return SgdStep(rate, scale, gradient, weights);
    case OptimizerKind::kAsgd: return AsgdStep(rate, scale, gradient, weights);
  }
}

void Optimizer::AdamStep(double rate, float scale, std::span<const float> gradient,
                         std::span<float> weights) {
  const auto steps = static_cast<double>(state_.steps);
  const double correction1 = 1.0 - std::pow(options_.beta1, steps);
  const double correction2 = 1.0 - std::pow(options_.beta2, steps);
  const auto beta1 = static_cast<float>(options_.beta1);
  const auto beta2 = static_cast<float>(options_.beta2);
  const auto epsilon = static_cast<float>(options_.epsilon);
  const auto step_size = static_cast<float>(rate / correction1);
  const auto root_scale = static_cast<float>(1.0 / std::sqrt(correction2));
  float* first = state_.first.data();
  float* second = state_.second.data();
  const float* g = gradient.data();
  float* w = weights.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float gi = g[i] * scale;
    first[i] = beta1 * first[i] + (1.0f - beta1) * gi;
    second[i] = beta2 * second[i] + (1.0f - beta2) * gi * gi;
    w[i] -= step_size * first[i] / (std::sqrt(second[i]) * root_scale + epsilon);
  }
}

void Optimizer::SgdStep(double rate, float scale, std::span<const float> gradient,
                        std::span<float> weights) {
  const auto momentum = static_cast<float>(options_.momentum);
  const auto step_size = static_cast<float>(rate);
  // w -= rate * (direct g + through v), with v already renewed.
  const float direct = options_.nesterov ? 1.0f : 0.0f;
  const float through = options_.nesterov ? momentum : 1.0f;
  float* velocity = state_.first.data();
  const float* g = gradient.data();
  float* w = weights.data();
  for (size_t i = 0; i < weights.size(); ++i) {
    const float gi = g[i] * scale;
    velocity[i] = momentum * velocity[i] + gi;
    w[i] -= step_size * (direct * gi + through * velocity[i]);
  }
}

void Optimizer::AsgdStep(double rate, float scale, std::span<const float> gradient,
                         std::span<float> weights) {
  const auto step_size = static_cast<float>(rate) * scale;
  for (size_t i = 0; i < weights.size(); ++i) weights[i] -= step_size * gradient[i];
}

void Optimizer::Accumulate(std::span<const float> weights) {
  if (!state_.averages) return;
  for (size_t i = 0; i < weights.size(); ++i) {
    float& average = state_.first[i];
    float& count = state_.second[i];
    if (weights[i] == 0.0f) {  // dropped
      average = count = 0.0f;
      continue;
    }
    count += 1.0f;
    average += (weights[i] - average) / count;
  }
}

void Optimizer::RestartAverages() {
  if (!state_.averages) return;
  std::fill(state_.first.begin(), state_.first.end(), 0.0f);
  std::fill(state_.second.begin(), state_.second.end(), 0.0f);
}

void Optimizer::Average(std::span<float> weights) const {
  if (!state_.averages) return;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (state_.second[i] > 0.0f) weights[i] = state_.first[i];
  }
}

void Optimizer::Mask(std::span<const float> keep) {
  for (std::vector<float>* moment : {&state_.first, &state_.second}) {
    for (size_t i = 0; i < moment->size(); ++i) (*moment)[i] *= keep[i];
  }
}

bool IsTimeToAverage(const OptimizerOptions& options, std::span<const TrainEpoch> epochs) {
  const auto after = static_cast<size_t>(options.average_after);
  if (options.kind != OptimizerKind::kAsgd || epochs.size() <= after + 1) return false;
  double least = epochs[0].valid_loss;
  for (const TrainEpoch& epoch : epochs.first(epochs.size() - 1 - after)) {
    least = std::min(least, epoch.valid_loss);
  }
  return epochs.back().valid_loss > least;
}

void DecayWeights(double rate, double decay, std::span<float> weights) {
  const auto factor = static_cast<float>(1.0 - rate * decay);
  for (float& weight : weights) weight *= factor;
}

double Norm(std::span<const float> values) {
  // Eight sums, so that the compiler may use vectors without reordering one sum; doubles, since
  // the square of a large finite float may not fit a float.
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      sums[lane] += value * value;
    }
  }
  for (size_t i = whole; i < values.size(); ++i) {
    const auto value = static_cast<double>(values[i]);
    sums[0] += value * value;
  }
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

double MaskedNorm(std::span<const float> keep, std::span<float> gradient) {
  for (size_t i = 0; i < keep.size(); ++i) gradient[i] *= keep[i];
  return Norm(gradient);
}

}  // namespace espalier
