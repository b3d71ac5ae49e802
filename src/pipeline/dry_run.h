// DryRun: does a recipe fit its network? Finds in a second what would otherwise end a run after
// hours of training.
#ifndef ESPALIER_PIPELINE_DRY_RUN_H_
#define ESPALIER_PIPELINE_DRY_RUN_H_

#include "base/status.h"
#include "pipeline/recipe.h"

namespace espalier {

// Builds the network with random weights and takes it through the prune and compact stages without
// training; reads no data. It stops, satisfied, after a stage that removes units by a ranking over
// all layers: how many stay in each only the trained weights say.
// Errors: what BuildNetwork, Evaluate and PruneNetwork say, with the key's path in front.
Status DryRun(const Recipe& recipe);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_DRY_RUN_H_
