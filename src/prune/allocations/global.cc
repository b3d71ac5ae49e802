#include <algorithm>
#include <cmath>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

// Lifts the best pieces of one pool, up to the floor and at least one, above all other pieces.
void LiftFloor(double floor, int64_t size, std::span<Piece> pieces) {
  const Keep lifted =
      KeepBest(pieces, static_cast<int64_t>(std::ceil(floor * static_cast<double>(size) - 1e-6)));
  if (std::find(lifted.begin(), lifted.end(), 1) == lifted.end()) {
    const auto best =
        std::max_element(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
          return a.tier != b.tier ? a.tier < b.tier : a.score < b.score;
        });
    if (best != pieces.end()) ++best->tier;
    return;
  }
  for (size_t i = 0; i < lifted.size(); ++i) pieces[i].tier += lifted[i];
}

// The floor comes first, but never exceeds the whole budget.
std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Piece> pooled;
  int64_t size = 0;
  for (const Pool& pool : pools) {
    const size_t first = pooled.size();
    pooled.insert(pooled.end(), pool.pieces.begin(), pool.pieces.end());
    LiftFloor(budget.floor, pool.size, std::span(pooled).subspan(first));
    size += pool.size;
  }
  const Keep all = KeepBest(pooled, KeepBudget(budget.sparsity, size));
  std::vector<Keep> keep;
  auto next = all.begin();
  for (const Pool& pool : pools) {
    const auto end = next + static_cast<ptrdiff_t>(pool.pieces.size());
    keep.emplace_back(next, end);
    next = end;
  }
  return keep;
}

}  // namespace

const Allocation global = {"global", "one ranking over all tensors; each keeps at least its floor",
                           "See et al. 2016, arXiv:1606.09274 (class-blind)", Allocate};

}  // namespace espalier::allocations
