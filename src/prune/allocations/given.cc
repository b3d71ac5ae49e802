// Given: each pool has its own sparsity, as the recipe lists them. On a ramp the budget asks for
// less than they add up to, and each then loses the same share of what it loses in the end.
#include <algorithm>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  double wanted = 0.0;
  double size = 0.0;
  for (const Pool& pool : pools) {
    wanted += pool.sparsity * static_cast<double>(pool.size);
    size += static_cast<double>(pool.size);
  }
  const double part = wanted > 0.0 ? budget.sparsity * size / wanted : 0.0;
  std::vector<int64_t> counts;
  for (const Pool& pool : pools)
    counts.push_back(KeepBudget(std::min(1.0, part * pool.sparsity), pool.size));
  return KeepCounts(pools, counts);
}

}  // namespace

const Allocation given = {"given",
                          "each tensor keeps n - floor(s_t n), s_t its own number in the recipe",
                          "Han et al. 2015, arXiv:1506.02626",
                          AllocationNeeds::kSparsities,
                          AllocationKind::kShares,
                          Allocate};

}  // namespace espalier::allocations
