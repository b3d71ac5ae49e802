#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Keep> keep;
  for (const Pool& pool : pools) {
    keep.push_back(KeepBest(pool.pieces, KeepBudget(budget.sparsity, pool.size)));
  }
  return keep;
}

}  // namespace

const Allocation uniform = {"uniform", "each tensor keeps n - floor(s n)",
                            "Zhu and Gupta 2017, arXiv:1710.01878", Allocate};

}  // namespace espalier::allocations
