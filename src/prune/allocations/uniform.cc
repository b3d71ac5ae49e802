#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<int64_t> counts;
  for (const Pool& pool : pools) counts.push_back(KeepBudget(budget.sparsity, pool.size));
  return KeepCounts(pools, counts);
}

}  // namespace

const Allocation uniform = {"uniform",
                            "each tensor keeps n - floor(s n)",
                            "Zhu and Gupta 2017, arXiv:1710.01878",
                            AllocationNeeds::kNothing,
                            AllocationKind::kShares,
                            Allocate};

}  // namespace espalier::allocations
