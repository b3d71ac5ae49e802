#include "prune/pruner.h"

#include <utility>

#include "base/strings.h"

namespace espalier {

Result<Pruner> Pruner::Create(const Graph& graph, const PruneSpec& spec,
                              const ScheduleSpec& schedule, MaskSet masks) {
  ESPALIER_ASSIGN_OR_RETURN(Plan plan, MakePlan(graph, spec));
  ESPALIER_RETURN_IF_ERROR(ValidateSchedule(schedule, spec.sparsity));
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
  return Pruner(std::move(plan), schedule, std::move(masks));
}

Result<bool> Pruner::Update(int64_t step, const StatisticsSet& statistics) {
  if (!IsDue(step)) return false;
  ESPALIER_ASSIGN_OR_RETURN(MaskSet masks, MakeMasks(plan_, SparsityAt(step), statistics, masks_));
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
