#include "prune/criterion.h"

#include "prune/find.h"

namespace espalier {

StatisticsSet StatisticsOf(const TensorStore& weights) {
  StatisticsSet statistics;
  for (const auto& [name, tensor] : weights) statistics[name].weight = tensor.values;
  return statistics;
}

std::span<const Criterion* const> AllCriteria() {
  static constexpr const Criterion* kAll[] = {
#define ESPALIER_CRITERION(name) &criteria::name,
#include "prune/criteria/criteria.inc"
#undef ESPALIER_CRITERION
  };
  return kAll;
}

Result<const Criterion*> FindCriterion(const std::string& name) {
  return FindByName("criterion", name, AllCriteria());
}

}  // namespace espalier
