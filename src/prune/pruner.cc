#include "prune/pruner.h"

#include <utility>

#include "base/strings.h"
#include "prune/exchange.h"
#include "prune/scored.h"

namespace espalier {

Status CheckSchedule(const Plan& plan, const ScheduleSpec& schedule) {
  ESPALIER_RETURN_IF_ERROR(ValidateSchedule(schedule, plan.sparsity));
  ESPALIER_ASSIGN_OR_RETURN(const Schedule* kind, FindSchedule(schedule.name));
  if (!HasThresholds(plan) || kind->ramps_thresholds) return Ok();
  return InvalidArgument(
      StrCat("schedule.name: one that ramps thresholds expected under allocation threshold, ",
             kind->name, " found"));
}

Result<Pruner> Pruner::Create(const Graph& graph, const PruneSpec& spec,
                              const ScheduleSpec& schedule, MaskSet masks) {
  ESPALIER_ASSIGN_OR_RETURN(Plan plan, MakePlan(graph, spec));
  ESPALIER_RETURN_IF_ERROR(CheckSchedule(plan, schedule));
  for (const auto& [name, mask] : masks) {
    const auto it = graph.weights.find(name);
    if (it == graph.weights.end() || it->second.shape != mask.shape) {
      return InvalidArgument(StrCat("mask '", name, "': ",
                                    it == graph.weights.end()
                                        ? "no such weight"
                                        : ShapeString(it->second.shape) + " expected",
                                    ", ", ShapeString(mask.shape), " found"));
    }
  }
  Pruner pruner(std::move(plan), schedule, std::move(masks));
  pruner.needs_ = pruner.plan_.criterion->needs;
  if (ScoresGroups(pruner.plan_)) pruner.needs_ |= kNeedsGroupGradient;
  const bool cuts_at_once = schedule.begin == 0 && pruner.AmountAt(0) > 0.0;
  if ((pruner.needs_ & kNeedsTraining) != 0 && cuts_at_once) {
    return InvalidArgument(StrCat("criterion ", spec.criterion,
                                  ": a schedule that cuts after the first step expected, since it "
                                  "looks at past steps, one that begins with sparsity ",
                                  pruner.AmountAt(0), " at step 0 found"));
  }
  if (schedule.regrow.criterion.empty()) return pruner;
  const Granularity& granularity = *pruner.plan_.granularity.kind;
  if (granularity.extent != Extent::kWeight || granularity.fixed_sparsity != nullptr ||
      granularity.is_balanced) {
    return InvalidArgument(
        StrCat("schedule.regrow: a granularity within one weight that can end at any "
               "sparsity and keeps no balance expected, ",
               granularity.name, " found"));
  }
  if (HasThresholds(pruner.plan_)) {
    return InvalidArgument(
        StrCat("schedule.regrow: an allocation of shares expected, since what comes back is 0, ",
               spec.allocation, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(pruner.regrow_, FindCriterion(schedule.regrow.criterion));
  const Status fits = CheckTargets(graph, pruner.plan_, *pruner.regrow_);
  ESPALIER_RETURN_IF_ERROR(fits.WithContext("schedule.regrow"));
  const auto asks_for_it = [](const Criterion& criterion) {
    return (criterion.needs & (kNeedsWeight | kNeedsMovement)) != 0;
  };
  if (asks_for_it(*pruner.regrow_)) {
    std::vector<std::string> able;
    for (const Criterion* each : AllCriteria()) {
      if (!asks_for_it(*each)) able.emplace_back(each->name);
    }
    return InvalidArgument(
        StrCat("schedule.regrow: a criterion that does not ask for the weight, "
               "which is 0, expected (",
               StrJoin(able, ", "), "), ", pruner.regrow_->name, " found"));
  }
  if (schedule.begin == schedule.end) {
    return InvalidArgument(
        StrCat("schedule.regrow: a schedule that makes masks more than once expected, one that "
               "begins and ends at step ",
               schedule.end, " found"));
  }
  pruner.needs_ |= pruner.regrow_->needs;
  return pruner;
}

Result<MaskSet> Pruner::MasksAt(int64_t step, const StatisticsSet& statistics) const {
  const double amount = AmountAt(step);
  if (schedule_.masks == MaskMode::kSoft) return MakeMasks(plan_, amount, statistics, fixed_);
  const double share = last_step_ < 0 ? 0.0 : RegrowShareAt(schedule_, step);
  ESPALIER_ASSIGN_OR_RETURN(MaskSet masks, MakeMasks(plan_, amount, statistics, masks_));
  if (share == 0.0) return masks;
  const uint64_t seed = plan_.seed + static_cast<uint64_t>(step + 1) * 0x9e3779b97f4a7c15u;
  return ExchangeMasks(plan_, amount, *regrow_, share, seed, statistics, fixed_, masks);
}

Result<bool> Pruner::Update(int64_t step, const StatisticsSet& statistics) {
  if (!IsDue(step)) return false;
  ESPALIER_ASSIGN_OR_RETURN(MaskSet masks, MasksAt(step, statistics));
  last_step_ = step;
  const bool changed = masks != masks_;
  masks_ = std::move(masks);
  return changed;
}

void Pruner::Restore(MaskSet masks, int64_t last_step) {
  masks_ = std::move(masks);
  last_step_ = last_step;
}

}  // namespace espalier
