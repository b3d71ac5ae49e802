#include "prune/criterion.h"

#include "prune/find.h"

namespace espalier {

std::span<const StatisticsField> StatisticsFields() {
  static constexpr StatisticsField kFields[] = {
      {kNeedsWeight, &Statistics::weight, "weights"},
      {kNeedsGradient, &Statistics::gradient, "gradients"},
      {kNeedsSquaredGradient, &Statistics::squared_gradient, "squared gradients"},
      {kNeedsHessianGradient, &Statistics::hessian_gradient, "Hessian-gradient products"},
      {kNeedsInputPower, &Statistics::input_power, "powers of inputs"},
      {kNeedsInverseMoment, &Statistics::inverse_moment, "moments of inputs"},
      {kNeedsSpectrumGradient, &Statistics::spectrum_gradient, "gradients of the spectrum"},
      {kNeedsMovement, &Statistics::movement, "movements"},
      {kNeedsMomentum, &Statistics::momentum, "momenta"},
  };
  return kFields;
}

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
