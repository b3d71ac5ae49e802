// What a step of one stream may still take under a time budget (budget.h), before its products are
// made: layers with delta know by then how many columns they would send, and how long adding one
// took when the network was compiled.
#ifndef ESPALIER_RUNTIME_STEP_FORECAST_H_
#define ESPALIER_RUNTIME_STEP_FORECAST_H_

namespace espalier {

struct StepForecast {
  bool is_on = false;      // there is a budget, and this is a single step
  bool may_raise = false;  // and as many were seen as means need
  // Of the budget, over a mean step, less what products of this step take over their means.
  double spare_ns = 0.0;
  float factor = 1.0f;                 // of thresholds, in force
  float most = 1.0f;                   // that it may become in a step
  float base_x = 0.0f, base_h = 0.0f;  // BudgetOptions
  // Of this step: whether thresholds were raised for it, whether a product was judged, and whether
  // all were that were made: none anew whatever that takes.
  bool has_raised = false, has_judged = false, is_typical = true;
  bool is_at_most = false;  // it would take too long with the highest
};

// Means go by the last 10 or so.
inline void AddToMean(double value, double* mean) {
  constexpr double kShare = 0.1;
  *mean = *mean == 0.0 ? value : *mean + kShare * (value - *mean);
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_STEP_FORECAST_H_
