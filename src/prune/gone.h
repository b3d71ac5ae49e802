// What is gone already of what a plan cuts.
#ifndef ESPALIER_PRUNE_GONE_H_
#define ESPALIER_PRUNE_GONE_H_

#include <vector>

#include "model/graph.h"
#include "prune/plan.h"

namespace espalier {

// Of each pool of the plan's cut, the share that is 0 in `graph`, or for "unit" of units that
// influence nothing (FindDeadUnits); in [0, 1]. Precondition: the plan is one for the graph.
std::vector<double> SharesGone(const Graph& graph, const Plan& plan);

// Of all pools together.
double ShareGone(const Graph& graph, const Plan& plan);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_GONE_H_
