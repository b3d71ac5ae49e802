// LAMP: layer-adaptive magnitude scores, which tell how much of what is left of a tensor a weight
// is. The best weight of every tensor has 1.
//
// - Among equal saliencies the lower index counts as the larger, as everywhere in a ranking.
// - A piece of n weights counts n times in the sum, and its score is for each of them; n = 1 is the
//   paper's.
// - Of criteria with signs, pieces at or below 0 keep their saliency, below all others.
#include <algorithm>
#include <numeric>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

void Rescore(std::vector<Piece>* pieces) {
  std::vector<size_t> order(pieces->size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const Piece& x = (*pieces)[a];
    const Piece& y = (*pieces)[b];
    return x.tier != y.tier ? x.tier > y.tier : x.score > y.score;
  });
  double sum = 0.0;
  for (const size_t i : order) {
    Piece& piece = (*pieces)[i];
    if (piece.score <= 0.0f) continue;
    const double squared = static_cast<double>(piece.score) * piece.score;
    sum += squared * piece.size;
    piece.score = static_cast<float>(squared / sum);
  }
}

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Pool> rescored(pools.begin(), pools.end());
  for (Pool& pool : rescored) Rescore(&pool.pieces);
  return KeepRanked(rescored, budget);
}

}  // namespace

const Allocation lamp = {
    "lamp",
    "one ranking by S_u^2 / sum over v >= u of S_v^2, v of the same tensor; each keeps at least "
    "its floor",
    "Lee et al. 2021, arXiv:2010.07611",
    AllocationNeeds::kNothing,
    AllocationKind::kRanking,
    Allocate};

}  // namespace espalier::allocations
