// Structured dropout: whole pieces are dropped for a batch, so that the network survives when they
// go for good. Of a hidden unit all columns that read it are dropped, its own recurrent ones and
// those of every consumer; recurrent_dropout of a layer drops only what weight_hh reads.
#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

void Sample(const RegularizerContext& context, std::span<const float> /*parameters*/, Rng* rng,
            std::span<float> weights, std::vector<float>* noise) {
  const auto kept = static_cast<float>(1.0 / (1.0 - context.strength));
  noise->resize(context.pieces.count());
  for (float& gate : *noise) gate = rng->Uniform() < context.strength ? 0.0f : kept;
  MultiplyGates(context.pieces, *noise, weights);
}

void Pull(const RegularizerContext& context, std::span<const float> /*parameters*/,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> /*parameter_gradient*/) {
  MultiplyGates(context.pieces, sample.noise, gradient);
}

}  // namespace

const Regularizer dropout = {
    .name = "dropout",
    .formula = "w_G z_G / (1 - strength), z_G = 0 with probability strength, else 1",
    .source = "Fan et al. 2020, arXiv:1909.11556",
    .strength = StrengthKind::kRate,
    .speed = 0.0,
    .sample = Sample,
    .pull = Pull};

}  // namespace espalier::regularizers
