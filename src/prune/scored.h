// What a criterion knows of the matrices that a plan cuts.
#ifndef ESPALIER_PRUNE_SCORED_H_
#define ESPALIER_PRUNE_SCORED_H_

#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "prune/plan.h"

namespace espalier {

// False where the criterion scores by the spectrum of J_t (train/spectrum.h), which does not depend
// on the weight: all but weight_ih, weight_hh and weight_hr of recurrent layers. Its saliency is 0
// for all, which ranks nothing; in the score of a hidden unit it counts as that.
bool IsScored(const Graph& graph, const Criterion& criterion, const std::string& weight);

// Does the criterion know something of all that the plan cuts, of hidden units by one matrix of
// each at least? Errors: kInvalidArgument, naming a weight, or the units of a layer, of which it
// does not.
Status CheckTargets(const Graph& graph, const Plan& plan, const Criterion& criterion);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_SCORED_H_
