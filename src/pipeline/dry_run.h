// DryRun: does a recipe fit its network, and what will its stages cut and leave? Finds in a second
// what would otherwise end a run after hours of training.
#ifndef ESPALIER_PIPELINE_DRY_RUN_H_
#define ESPALIER_PIPELINE_DRY_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/recipe.h"

namespace espalier {

// How the counts of a plan stand to those of the trained network.
enum class Certainty : uint8_t {
  kExact,
  kAbout,   // of random weights: a ranking over several tensors goes by the trained ones
  kAtMost,  // how much goes besides, only the trained weights will say
};

// What a prune stage will cut of one pool (prune/pool.h).
struct PlannedPool {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
  // Of what the granularity counts (weights, or units); -1 if only the trained weights will say,
  // as under allocations that rank pools together.
  double sparsity = -1.0;
  bool is_least = false;    // as far as is known: stages before may have taken more
  bool is_largest = false;  // rows and cols are the most that may be left by then
};

// What a stage will do. All but kind, name and layers: of prune stages; counts also of the first
// stage and of compact stages.
struct PlannedStage {
  StageKind kind = StageKind::kTrain;
  std::string name;
  std::vector<std::string> layers;  // of thresholds stages: whose thresholds are looked for
  std::string granularity;
  std::string allocation;
  std::string per;
  double sparsity = 0.0;  // of all pools together; -1 if only the trained weights will say
  bool is_least = false;  // of any pool
  std::vector<PlannedPool> pools;
  // Of the whole network after the stage, -1 where nothing is said.
  Certainty certainty = Certainty::kExact;
  int64_t nonzeros = -1;       // parameters that are not 0
  int64_t multiply_adds = -1;  // a step, of one sequence, by weights that are not 0
  // Of its smallest encoding, in the formats and the type of weights of the next compile stage.
  int64_t bytes = -1;
};

// Builds the network with random weights and takes it through the stages without training; reads
// no data. Where only the trained weights say how many units stay in a layer, it goes on with the
// largest network that there can be: what does not fit that fits none.
// Returns all stages, first to last. Errors: what BuildNetwork, Evaluate and PruneNetwork say, with
// the key's path in front.
Result<std::vector<PlannedStage>> DryRun(const Recipe& recipe);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_DRY_RUN_H_
