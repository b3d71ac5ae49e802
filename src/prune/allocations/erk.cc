// Erdos-Renyi: a tensor's density is proportional to (rows + cols) / (rows cols), so that large
// ones are sparser. Where that passes what a tensor has, or falls below its floor, it gets that,
// and the others share the rest: the total is exact. ("Kernel", the K of the name, matters only for
// convolutions.)
#include <algorithm>
#include <cmath>
#include <numeric>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

struct Share {
  double weight = 0.0;  // what the pool keeps at epsilon = 1
  int64_t least = 0;
  int64_t most = 0;

  double At(double epsilon) const {
    return std::clamp(epsilon * weight, static_cast<double>(least), static_cast<double>(most));
  }
};

// The epsilon at which the shares add up to `total`, from below. 100 halvings are more than a
// double has bits.
double Solve(const std::vector<Share>& shares, double total) {
  double high = 0.0;
  for (const Share& share : shares) {
    high = std::max(high, static_cast<double>(share.most) / share.weight);
  }
  double low = 0.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    double sum = 0.0;
    for (const Share& share : shares) sum += share.At(middle);
    (sum <= total ? low : high) = middle;
  }
  return low;
}

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Share> shares;
  for (const Pool& pool : pools) {
    const double density = static_cast<double>(pool.rows + pool.cols) /
                           (static_cast<double>(pool.rows) * static_cast<double>(pool.cols));
    shares.push_back(
        {density * static_cast<double>(pool.size), FloorCount(pool, budget), AliveCount(pool)});
  }
  int64_t left = TotalBudget(pools, budget);
  const double epsilon = Solve(shares, static_cast<double>(left));
  std::vector<int64_t> counts;
  for (const Share& share : shares) {
    counts.push_back(static_cast<int64_t>(share.At(epsilon)));
    left -= counts.back();
  }
  // What rounding down left over, one weight each, goes where most was lost.
  std::vector<size_t> order(pools.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto lost = [&](size_t i) {
    return shares[i].At(epsilon) - static_cast<double>(counts[i]);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return lost(a) > lost(b); });
  for (const size_t i : order) {
    if (left <= 0 || counts[i] >= shares[i].most) continue;
    ++counts[i];
    --left;
  }
  return KeepCounts(pools, counts);
}

}  // namespace

const Allocation erk = {
    "erk",
    "each tensor's density = e (rows + cols) / (rows cols), at most 1; e by the budget",
    "Mocanu et al. 2018, arXiv:1707.04780; Evci et al. 2020, arXiv:1911.11134",
    AllocationNeeds::kNothing,
    AllocationKind::kFlooredShares,
    Allocate};

}  // namespace espalier::allocations
