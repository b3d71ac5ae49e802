#include "prune/gone.h"

#include <algorithm>

#include "prune/compact.h"
#include "prune/units.h"

namespace espalier {

std::vector<double> SharesGone(const Graph& graph, const Plan& plan) {
  std::vector<double> shares;
  if (plan.granularity.kind->extent == Extent::kUnits) {
    const Keep alive = FindDeadUnits(graph, plan.coupling);
    for (const auto& groups : GroupsOfPools(plan.coupling, plan.unit_layers)) {
      const auto gone = std::count_if(groups.begin(), groups.end(), [&](int32_t group) {
        return alive[static_cast<size_t>(group)] == 0;
      });
      shares.push_back(
          groups.empty() ? 0.0 : static_cast<double>(gone) / static_cast<double>(groups.size()));
    }
    return shares;
  }
  SaliencySet equal;
  MaskSet masks;
  for (const Plan::Target& target : plan.targets) {
    const Tensor& weight = graph.weights.at(target.name);
    equal[target.name].assign(weight.size(), 1.0f);
    masks[target.name] = MaskOfNonzeros(weight);
  }
  for (const Pool& pool : PoolsOf(plan.cut, Grouping::kNorm, equal, masks)) {
    shares.push_back(1.0 - static_cast<double>(AliveCount(pool)) / static_cast<double>(pool.size));
  }
  return shares;
}

double ShareGone(const Graph& graph, const Plan& plan) {
  const std::vector<double> shares = SharesGone(graph, plan);
  double gone = 0.0, size = 0.0;
  for (size_t i = 0; i < shares.size(); ++i) {
    gone += shares[i] * static_cast<double>(plan.cut.pools[i].size);
    size += static_cast<double>(plan.cut.pools[i].size);
  }
  return gone / size;
}

}  // namespace espalier
