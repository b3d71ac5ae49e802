// Metric: what a task is measured by. The one place that knows which of two values is better and
// how a value is printed.
#ifndef ESPALIER_TASKS_METRIC_H_
#define ESPALIER_TASKS_METRIC_H_

#include <cstdint>
#include <string_view>

namespace espalier {

struct Metric {
  enum class Better : uint8_t { kLarger, kSmaller };

  const char* name = "";  // in run records and reports
  Better better = Better::kLarger;
  // A share in [0, 1], printed in percent, whose changes are points; else any number.
  bool is_share = false;
  // What is predicted are numbers and no class: a data set has targets in the place of labels.
  bool is_regression = false;
  int decimals = 2;  // that a person reads: of the percentage, if it is a share

  bool operator==(const Metric& other) const { return std::string_view(name) == other.name; }
};

// The share of right predictions.
inline constexpr Metric kAccuracy = {"accuracy", Metric::Better::kLarger, true};
// exp of the mean cross-entropy in nats: among how many equally likely classes the network is in
// doubt. At least 1.
inline constexpr Metric kPerplexity = {"perplexity", Metric::Better::kSmaller, false};
// The mean squared error of a regression, over all numbers of all targets.
inline constexpr Metric kMeanSquaredError = {"mse", Metric::Better::kSmaller, false, true, 4};

// The area under the ROC curve of two classes: how likely the network gives the second class more
// than the first to a sequence of the second and one of the first, drawn at random. 0.5 says
// nothing.
inline constexpr Metric kAuroc = {"auroc", Metric::Better::kLarger, false, false, 4};

// The metric of a run record, or nullptr for a name that is none of ours.
inline const Metric* FindMetric(std::string_view name) {
  for (const Metric* metric : {&kAccuracy, &kPerplexity, &kMeanSquaredError, &kAuroc}) {
    if (name == metric->name) return metric;
  }
  return nullptr;
}

// Is `value` better than `other`? NaN is never better.
inline bool IsBetter(const Metric& metric, double value, double other) {
  return metric.better == Metric::Better::kLarger ? value > other : value < other;
}

// Is `value` worse than `other` by more than a person minds: half a point of a share, 1 % of
// another metric?
inline bool IsClearlyWorse(const Metric& metric, double value, double other) {
  const double gap = metric.better == Metric::Better::kLarger ? other - value : value - other;
  return gap > (metric.is_share ? 0.005 : 0.01 * (other < 0.0 ? -other : other));
}

}  // namespace espalier

#endif  // ESPALIER_TASKS_METRIC_H_
