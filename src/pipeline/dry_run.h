// DryRun: does a recipe fit its network, and what will its prune stages cut? Finds in a second what
// would otherwise end a run after hours of training.
#ifndef ESPALIER_PIPELINE_DRY_RUN_H_
#define ESPALIER_PIPELINE_DRY_RUN_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/recipe.h"

namespace espalier {

// What a prune stage will cut of one pool (prune/pool.h).
struct PlannedPool {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  // Of what the granularity counts (weights, or units); -1 if only the trained weights will say,
  // as under allocations that rank pools together.
  double sparsity = -1.0;
};

struct PlannedStage {
  std::string name;
  std::string granularity;
  std::string allocation;
  std::string per;
  double sparsity = 0.0;  // of all pools together; -1 if only the trained weights will say
  std::vector<PlannedPool> pools;
  // Of the whole network after the stage, -1 where the sparsity is. Under allocations that rank
  // pools together they are those of random weights: about those of trained ones.
  int64_t nonzeros = -1;       // parameters that are not 0
  int64_t multiply_adds = -1;  // a step, of one sequence, by weights that are not 0
  // Of its smallest encoding, in the formats and the type of weights of the next compile stage.
  int64_t bytes = -1;
};

// Builds the network with random weights and takes it through the prune and compact stages without
// training; reads no data. How many units a ranking over all layers leaves in each only the trained
// weights say: after such a stage it goes on with what does not depend on shapes.
// Returns the prune stages, first to last. Errors: what BuildNetwork, Evaluate and PruneNetwork
// say, with the key's path in front.
Result<std::vector<PlannedStage>> DryRun(const Recipe& recipe);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_DRY_RUN_H_
