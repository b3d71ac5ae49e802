// Pruner: a plan, a schedule and the masks in force; what a training loop drives.
//   ESPALIER_ASSIGN_OR_RETURN(Pruner pruner, Pruner::Create(graph, spec, schedule, {}));
//   for (step...) {
//     if (pruner.IsDue(step)) {
//       ESPALIER_ASSIGN_OR_RETURN(const bool changed, pruner.Update(step, statistics));
//       if (changed) ... mask weights, gradients, momenta by pruner.masks() from here on
//     }
//     ... optimiser step
//   }
#ifndef ESPALIER_PRUNE_PRUNER_H_
#define ESPALIER_PRUNE_PRUNER_H_

#include <cstdint>

#include "base/status.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "prune/criterion.h"
#include "prune/plan.h"
#include "prune/schedule.h"

namespace espalier {

// Does the schedule fit the plan? Errors: ValidateSchedule's; kInvalidArgument for one that ramps
// no thresholds, if the plan has them.
Status CheckSchedule(const Plan& plan, const ScheduleSpec& schedule);

class Pruner {
 public:
  // `masks`: those already in force, {} for none; they stay in force.
  // Errors: MakePlan's, CheckSchedule's; kInvalidArgument if a mask fits no weight, or if the
  // schedule regrows and pieces span weights, are balanced or end at one sparsity only, shares are
  // not what is asked for, or what comes back is ranked by its weight, which is 0; or if the
  // criterion looks at past steps and the schedule cuts before there are any.
  static Result<Pruner> Create(const Graph& graph, const PruneSpec& spec,
                               const ScheduleSpec& schedule, MaskSet masks);

  const Plan& plan() const { return plan_; }
  const ScheduleSpec& schedule() const { return schedule_; }

  // What Update must be given of every target.
  Needs needs() const { return needs_; }

  // True if Update(step, ...) would make new masks: gather plan().targets' statistics only then.
  bool IsDue(int64_t step) const { return espalier::IsDue(schedule_, last_step_, step); }
  // What MakeMasks is asked for at `step`: a sparsity, or a share of the thresholds.
  double AmountAt(int64_t step) const {
    return HasThresholds(plan_) ? ThresholdShareAt(schedule_, step)
                                : SparsityAt(schedule_, plan_.sparsity, step);
  }

  // Makes the masks of `step` if they are due; true if they changed. Errors: MakeMasks'; the masks
  // in force stay.
  Result<bool> Update(int64_t step, const StatisticsSet& statistics);

  // By full name; names weights that are pruned, and for units also biases. What is not named is
  // not masked.
  const MaskSet& masks() const { return masks_; }
  // The last step that made masks, -1 for none; with masks() this is all the state there is.
  int64_t last_step() const { return last_step_; }
  // Goes on from a checkpoint: what masks() and last_step() were.
  void Restore(MaskSet masks, int64_t last_step);

 private:
  Pruner(Plan plan, ScheduleSpec schedule, MaskSet masks)
      : plan_(std::move(plan)), schedule_(std::move(schedule)), fixed_(masks), masks_(masks) {}

  Result<MaskSet> MasksAt(int64_t step, const StatisticsSet& statistics) const;

  Plan plan_;
  ScheduleSpec schedule_;
  const Criterion* regrow_ = nullptr;  // nullptr: none
  Needs needs_ = kNeedsNothing;
  MaskSet fixed_;  // in force from the start
  MaskSet masks_;
  int64_t last_step_ = -1;
};

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PRUNER_H_
