#include "prune/allocation.h"

#include <algorithm>
#include <cmath>

#include "prune/find.h"

namespace espalier {
namespace {

// Lifts the best pieces of one pool, up to the floor, as many weights as its gates keep and at
// least one, above all that are not of this rank: by more than tiers differ.
void LiftFloor(double floor, const Pool& pool, int32_t above, std::span<Piece> pieces) {
  const auto weights =
      static_cast<int64_t>(std::ceil(floor * static_cast<double>(pool.size) - 1e-6));
  const Keep lifted = KeepBest(pieces, std::max(weights, pool.of_gates));
  if (std::find(lifted.begin(), lifted.end(), 1) == lifted.end()) {
    const size_t best = BestPiece(pieces);
    if (best < pieces.size()) pieces[best].tier += above;
    return;
  }
  for (size_t i = 0; i < lifted.size(); ++i) pieces[i].tier += lifted[i] * above;
}

}  // namespace

int64_t TotalBudget(std::span<const Pool> pools, const Budget& budget) {
  int64_t size = 0;
  for (const Pool& pool : pools) size += pool.size;
  return KeepBudget(budget.sparsity, size);
}

int64_t AliveCount(const Pool& pool) {
  int64_t alive = 0;
  for (const Piece& piece : pool.pieces) alive += piece.size;
  return alive;
}

int64_t FloorCount(const Pool& pool, const Budget& budget) {
  auto floor = static_cast<int64_t>(budget.floor * static_cast<double>(pool.size) + 1e-6);
  const size_t best = BestPiece(pool.pieces);
  if (best < pool.pieces.size()) floor = std::max<int64_t>(floor, pool.pieces[best].size);
  return std::min(std::max(floor, pool.of_gates), AliveCount(pool));
}

std::vector<Keep> KeepCounts(std::span<const Pool> pools, std::span<const int64_t> counts) {
  std::vector<Keep> keep;
  for (size_t i = 0; i < pools.size(); ++i) keep.push_back(KeepBest(pools[i].pieces, counts[i]));
  return keep;
}

std::vector<Keep> KeepRanked(std::span<const Pool> pools, const Budget& budget) {
  int32_t tiers = 1;
  for (const Pool& pool : pools) {
    for (const Piece& piece : pool.pieces) tiers = std::max(tiers, piece.tier + 1);
  }
  std::vector<Piece> pooled;
  for (const Pool& pool : pools) {
    const size_t first = pooled.size();
    pooled.insert(pooled.end(), pool.pieces.begin(), pool.pieces.end());
    LiftFloor(budget.floor, pool, tiers, std::span(pooled).subspan(first));
  }
  const Keep all = KeepBest(pooled, TotalBudget(pools, budget));
  std::vector<Keep> keep;
  auto next = all.begin();
  for (const Pool& pool : pools) {
    const auto end = next + static_cast<ptrdiff_t>(pool.pieces.size());
    keep.emplace_back(next, end);
    next = end;
  }
  return keep;
}

std::span<const Allocation* const> AllAllocations() {
  static constexpr const Allocation* kAll[] = {
#define ESPALIER_ALLOCATION(name) &allocations::name,
#include "prune/allocations/allocations.inc"
#undef ESPALIER_ALLOCATION
  };
  return kAll;
}

Result<const Allocation*> FindAllocation(const std::string& name) {
  return FindByName("allocation", name, AllAllocations());
}

}  // namespace espalier
