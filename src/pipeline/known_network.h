// KnownNetwork: what is known before any training of the network between two stages of a recipe.
// Most stages say themselves how much goes; where only trained weights do, bounds are carried on.
// Internal to DryRun.
#ifndef ESPALIER_PIPELINE_KNOWN_NETWORK_H_
#define ESPALIER_PIPELINE_KNOWN_NETWORK_H_

#include <cstdint>
#include <set>
#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "pipeline/dry_run.h"
#include "pipeline/recipe.h"

namespace espalier {

struct KnownNetwork {
  // With random weights: the largest network that there can be. What is 0 in it is 0 for sure, but
  // for the `unsure` weights.
  Graph graph;
  Certainty certainty = Certainty::kExact;  // of its counts
  bool has_open_shapes = false;             // layers may have fewer units than in `graph`
  bool has_cut_weights = false;  // not whole units alone, so that units may have died by the way
  std::set<std::string> open;    // weights of which more may be gone than in `graph`
  std::set<std::string> unsure;  // weights of which less may be gone, by their zeros
  std::set<std::string>
      ranked;  // of the unsure ones: together they have as many zeros as in `graph`
  // Pools of units over which a ranking has taken `gone_units`, and not been compacted since.
  std::set<std::string> ranked_units;
  int64_t gone_units = 0;
};

// Plans the stage for `known`, and makes that what is known after it. Does not fill the counts of
// what is left. Errors: MakePlan's; Pruner::Create's; CheckSchedule's; PruneNetwork's;
// kInvalidArgument for a sparsity below what is gone by then, and for what does not fit even the
// largest network that there can be.
Result<PlannedStage> PlanPrune(const StageSpec& stage, KnownNetwork* known);

// The same of the other stages that change what is there. Errors: CompactNetwork's.
Status PlanCompact(KnownNetwork* known);
void PlanTrain(const StageSpec& stage, KnownNetwork* known);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_KNOWN_NETWORK_H_
