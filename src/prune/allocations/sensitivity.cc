// Sensitivity: spends the budget where a dropped weight costs least loss, by the losses that a scan
// measured with one tensor pruned at a time (`espalier sensitivity`).
//
// - Only the lower convex hull of a tensor's losses counts, since only then is spending step by
//   step the best there is; losses that fall while weights go are noise and cost nothing.
// - Beyond the last sparsity that was measured, the last slope goes on.
// - Every tensor keeps its floor.
#include <algorithm>
#include <cmath>

#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

// A pool's weights to drop until `last` of them are gone, at a cost of loss each.
struct Segment {
  size_t pool = 0;
  double last = 0.0;
  double cost = 0.0;
};

// The points from which the line to the next rises more slowly than to any later one.
std::vector<LossPoint> LowerHull(const std::vector<LossPoint>& points) {
  const auto slope = [](const LossPoint& a, const LossPoint& b) {
    return (b.loss - a.loss) / (b.sparsity - a.sparsity);
  };
  std::vector<LossPoint> hull;
  for (const LossPoint& point : points) {
    while (hull.size() >= 2 &&
           slope(hull[hull.size() - 2], hull.back()) >= slope(hull.back(), point)) {
      hull.pop_back();
    }
    hull.push_back(point);
  }
  return hull;
}

void AppendSegments(size_t pool, const Pool& of, std::vector<Segment>* segments) {
  const std::vector<LossPoint> hull = LowerHull(of.losses);
  const auto size = static_cast<double>(of.size);
  double cost = 0.0;
  for (size_t i = 0; i + 1 < hull.size(); ++i) {
    const double width = hull[i + 1].sparsity - hull[i].sparsity;
    cost = std::max(0.0, (hull[i + 1].loss - hull[i].loss) / (width * size));
    segments->push_back({pool, hull[i + 1].sparsity * size, cost});
  }
  segments->push_back({pool, size, cost});
}

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Segment> segments;
  std::vector<int64_t> counts;  // kept so far, at first all that are left
  std::vector<int64_t> floors;
  int64_t surplus = -TotalBudget(pools, budget);
  for (size_t i = 0; i < pools.size(); ++i) {
    AppendSegments(i, pools[i], &segments);
    counts.push_back(AliveCount(pools[i]));
    floors.push_back(FloorCount(pools[i], budget));
    surplus += counts.back();
  }
  std::stable_sort(segments.begin(), segments.end(),
                   [](const Segment& a, const Segment& b) { return a.cost < b.cost; });
  for (const Segment& segment : segments) {
    const auto stays = pools[segment.pool].size - static_cast<int64_t>(std::round(segment.last));
    const int64_t most = counts[segment.pool] - std::max(stays, floors[segment.pool]);
    const int64_t dropped = std::clamp<int64_t>(surplus, 0, std::max<int64_t>(most, 0));
    counts[segment.pool] -= dropped;
    surplus -= dropped;
  }
  return KeepCounts(pools, counts);
}

}  // namespace

const Allocation sensitivity = {
    "sensitivity",
    "drops where d loss / d weights, as measured on the lower hull of each tensor's losses, is "
    "least; each keeps at least its floor",
    "Han et al. 2015, arXiv:1506.02626 (the scan)",
    AllocationNeeds::kLosses,
    AllocationKind::kFlooredShares,
    Allocate};

}  // namespace espalier::allocations
