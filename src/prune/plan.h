// Plan and masks: the four questions (criterion, granularity, allocation, schedule) put together
// for one graph. Everything here is a function of its arguments and the seed.
#ifndef ESPALIER_PRUNE_PLAN_H_
#define ESPALIER_PRUNE_PLAN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "prune/allocation.h"
#include "prune/coupling.h"
#include "prune/criterion.h"
#include "prune/cut.h"
#include "prune/granularity.h"

namespace espalier {

// The sparsity of the pools that a pattern matches: by the name of a weight, or of one gate of it,
// e.g. "lstm0.weight_hh[f]".
struct SparsityOfPattern {
  std::string pattern;
  double sparsity = 0.0;  // in [0, 1)

  bool operator==(const SparsityOfPattern&) const = default;
};

// What a user asks for; all by name, as in a recipe.
struct PruneSpec {
  std::string criterion = "magnitude";
  std::string granularity = "element";
  std::string allocation = "uniform";
  // "tensor" or "gate": what is one pool, that is, has one share under "uniform", one floor, one
  // place in a ranking. Nothing: as PerOf.
  std::string per;
  // In [0, 1): zeros / size of the chosen weights, or for "unit" removed units / all units.
  double sparsity = 0.9;
  // For allocation "threshold" only: the score below which a piece goes, >= 0. Without it each pool
  // gets the one that cuts `sparsity` of it as it is when the plan is made.
  std::optional<double> threshold;
  // Instead of `sparsity` and `weights`: each tensor's, or each gate's ("x[f]" implies per gate).
  // The allocation is then "given".
  std::vector<SparsityOfPattern> sparsities;
  // For allocation "sensitivity": what a scan measured, by pool.
  std::map<std::string, std::vector<LossPoint>> losses;
  // Patterns over weight names (* any run, ? any one), e.g. "*.weight_hh", "lstm0.*", or of gates,
  // "lstm0.weight_hh[f]" (implies per gate): what is of other gates stays as it is. Empty: every
  // matrix of every Recurrent node, or all that the granularity cuts. For "unit": a node takes
  // part, in both directions, if one of its matrices matches.
  std::vector<std::string> weights;
  // Least share of each pool (tensor, gate, layer) that is kept under allocations that rank or
  // weigh pools against each other; in [0, 1].
  double floor = 0.01;
  int64_t multiple = 1;  // "unit" only: each layer keeps a multiple of this many units
  uint64_t seed = 1;
};

// A spec that was checked against a graph.
struct Plan {
  const Criterion* criterion = nullptr;
  GranularitySpec granularity;
  const Allocation* allocation = nullptr;
  Per per = Per::kTensor;
  double sparsity = 0.0;  // of all pools together; under allocation threshold not known: 0
  double floor = 0.0;
  int64_t multiple = 1;
  uint64_t seed = 1;

  struct Target {
    std::string name;
    int64_t rows = 0;
    int64_t cols = 0;
    bool is_scored = true;  // false: what the criterion says of all its weights is 0 (scored.h)
  };
  // The matrices to score: those that are pruned, or for "unit" all that a candidate unit is part
  // of.
  std::vector<Target> targets;

  // What competes with what. For "unit" only the pools, whose sizes count units.
  Cut cut;

  // Where the criterion scores pieces as wholes (ScoresGroups), not "unit": by target, [rows,
  // cols], the piece of each weight, -1 for none; and how many there are.
  std::map<std::string, std::vector<int32_t>> group_of;
  int32_t groups = 0;

  // "unit" only.
  Coupling coupling;
  std::vector<uint8_t> unit_layers;  // [layers]: 1 = its units may go
};

// What the spec says, or if that is nothing, gate where a pattern names one, else tensor. Errors:
// kInvalidArgument for another name, and for tensor beside such a pattern, naming it.
Result<Per> PerOf(const PruneSpec& spec);

// Errors: kInvalidArgument for an unknown name (with the nearest), a value out of range, a pattern
// that matches nothing, two that match the same, a tile that does not fit (naming the weight and
// the nearest that fits), a sparsity at which a pool would die or a floor that it cannot keep
// (naming it); kUnsupported if there is nothing that can be removed, with the reason.
Result<Plan> MakePlan(const Graph& graph, const PruneSpec& spec);

// Errors: kInvalidArgument, naming the one sparsity at which the granularity can end, if `sparsity`
// is another.
Status CheckFixedSparsity(const GranularitySpec& granularity, double sparsity);

// Whether the plan asks for scores and not for counts.
inline bool HasThresholds(const Plan& plan) {
  return plan.allocation->needs == AllocationNeeds::kThresholds;
}

// Whether StatisticsSet::squared_group_gradient scores: the criterion squares sums, and which
// weights go together does not follow from what they are worth.
bool ScoresGroups(const Plan& plan);

// The sum of `values` over each group of ScoresGroups, of units its size; what
// squared_group_gradient is made of. values: by weight, [rows, cols]; one that is not there counts
// 0.
std::vector<float> SumsOfGroups(const Plan& plan, const SaliencySet& values);

// What `criterion` says of every target that is scored. `seed`: for one that draws. Errors: as
// MakeMasks.
Result<SaliencySet> SaliencyOfAll(const Plan& plan, const Criterion& criterion, uint64_t seed,
                                  const StatisticsSet& statistics);

// What the plan's own criterion says of every target; where it scores groups, of each weight its
// group's score by the weights that `alive` leaves of it, so that their mean is that. Not for
// "unit". Errors: as MakeMasks.
Result<SaliencySet> SaliencyOfPlan(const Plan& plan, const StatisticsSet& statistics,
                                   const MaskSet& alive);

// The masks at `amount`: a sparsity (absolute, in [0, 1)), or if HasThresholds the share of the
// thresholds that is in force, in [0, 1]. `statistics` must hold every target with what the
// criterion needs. `previous` ({} at first) are masks that were in force; the result keeps only
// what they keep. element, slot: one mask a target, and those of `previous` for other weights.
// unit: one for each weight and bias that a removed unit is part of, and those of `previous`.
// Exactly KeepBudget(amount, size) weights are kept if the granularity is element; else the most
// whole pieces, best first, that do not exceed it; fewer if `previous` keeps fewer.
// Errors: kInvalidArgument for a missing statistic, a wrong size, or a saliency that is not finite.
Result<MaskSet> MakeMasks(const Plan& plan, double amount, const StatisticsSet& statistics,
                          const MaskSet& previous);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PLAN_H_
