// Targeted dropout: only the pieces that magnitude would cut now, the share of each pool with the
// smallest weights, are dropped at random, so that what matters moves to the others. What stays is
// not scaled up, since what is dropped is to be nothing in the end.
#include <algorithm>

#include "prune/regularizer.h"

namespace espalier::regularizers {
namespace {

// 1 for the pieces that may be dropped.
std::vector<uint8_t> Targets(const RegularizerContext& context, std::span<const float> weights) {
  const Pieces& pieces = context.pieces;
  const std::vector<double> sizes = PieceSizes(pieces, weights);
  std::vector<std::vector<Piece>> pools(static_cast<size_t>(pieces.pools));
  for (size_t i = 0; i < pieces.count(); ++i) {
    pools[static_cast<size_t>(pieces.pool_of[i])].push_back({static_cast<float>(sizes[i])});
  }
  std::vector<Keep> keep;
  for (const std::vector<Piece>& pool : pools) {
    keep.push_back(
        KeepBest(pool, KeepBudget(context.spec.share, static_cast<int64_t>(pool.size()))));
  }
  std::vector<size_t> next(pools.size(), 0);
  std::vector<uint8_t> targets(pieces.count());
  for (size_t i = 0; i < pieces.count(); ++i) {
    const auto pool = static_cast<size_t>(pieces.pool_of[i]);
    targets[i] = keep[pool][next[pool]++] == 0;
  }
  return targets;
}

void Sample(const RegularizerContext& context, std::span<const float> /*parameters*/, Rng* rng,
            std::span<float> weights, std::vector<float>* noise) {
  const std::vector<uint8_t> targets = Targets(context, weights);
  noise->assign(targets.size(), 1.0f);
  for (size_t i = 0; i < targets.size(); ++i) {
    const bool drops =
        rng->Uniform() < context.strength;  // drawn for all: the same draws on resume
    if (drops && targets[i] != 0) (*noise)[i] = 0.0f;
  }
  MultiplyGates(context.pieces, *noise, weights);
}

void Pull(const RegularizerContext& context, std::span<const float> /*parameters*/,
          const RegularizerSample& sample, std::span<float> gradient,
          std::span<float> /*parameter_gradient*/) {
  MultiplyGates(context.pieces, sample.noise, gradient);
}

}  // namespace

const Regularizer targeted_dropout = {
    .name = "targeted_dropout",
    .formula =
        "w_G z_G, z_G = 0 with probability strength for the share with the smallest "
        "weights of each pool, else 1",
    .source = "Gomez et al. 2019, arXiv:1905.13678",
    .strength = StrengthKind::kRate,
    .speed = 0.0,
    .has_share = true,
    .sample = Sample,
    .pull = Pull};

}  // namespace espalier::regularizers
