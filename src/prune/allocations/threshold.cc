// Threshold: how much goes is not given but follows from the weights. With a threshold of 0 exactly
// those pieces go whose weights are all 0, which is how a regularizer (regularizer.h) leaves what
// it learned to do without.
#include <algorithm>
#include <cmath>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Keep> keep;
  for (const Pool& pool : pools) {
    const double floor = budget.floor * static_cast<double>(pool.size);
    Keep kept = KeepBest(pool.pieces, static_cast<int64_t>(std::ceil(floor - 1e-6)));
    const double threshold = budget.threshold_share * pool.threshold;
    for (size_t i = 0; i < kept.size(); ++i) {
      const float score = pool.pieces[i].score;
      if (score > 0.0f && static_cast<double>(score) >= threshold) kept[i] = 1;
    }
    keep.push_back(std::move(kept));
  }
  return keep;
}

}  // namespace

const Allocation threshold = {"threshold",
                              "each piece stays whose score is above 0 and at least the threshold; "
                              "each tensor keeps at least its floor",
                              "Narang et al. 2017, arXiv:1704.05119",
                              AllocationNeeds::kThresholds,
                              AllocationKind::kRanking,
                              Allocate};

}  // namespace espalier::allocations
