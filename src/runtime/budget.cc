#include "runtime/budget.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "base/stopwatch.h"
#include "base/strings.h"
#include "runtime/session.h"

namespace espalier {
namespace {

constexpr float kLargestFactor = 1000.0f;
// Of the budget: a step that takes more raises, one that takes less lowers. Nearer to each other
// they would swing; a first share of 1 would raise only when it is too late.
constexpr double kRaiseAbove = 0.9;
constexpr double kLowerBelow = 0.6;
// Ten times as slowly as up.
constexpr float kLower = 0.98f;
// What a step is to take at most by its columns: less than what raises for the next ones, too.
constexpr double kForecastShare = 0.85;
constexpr int64_t kStepsOfMeans = 16;

}  // namespace

Status ValidateBudget(const BudgetOptions& options) {
  if (options.step_ns < 1) {
    return InvalidArgument(
        StrCat("budget: step_ns of at least 1 expected, ", options.step_ns, " found"));
  }
  if (!(options.most > 1.0f && options.most <= kLargestFactor)) {
    return InvalidArgument(
        StrCat("budget: most in (1, ", kLargestFactor, "] expected, ", options.most, " found"));
  }
  for (const float base : {options.base_x, options.base_h}) {
    if (base >= 0.0f && std::isfinite(base)) continue;
    return InvalidArgument(
        StrCat("budget: base_x and base_h of at least 0 expected, ", base, " found"));
  }
  return Ok();
}

void BudgetController::ResetCounters() {
  const BudgetReport before = report_;
  report_ = BudgetReport();
  report_.step_ns = before.step_ns;
  report_.factor = before.factor;
}

bool BudgetController::Update(int64_t count, int64_t elapsed_ns) noexcept {
  const int64_t step_ns = elapsed_ns / count;
  float& factor = report_.factor;
  report_.steps += count;
  report_.slowest_ns = std::max(report_.slowest_ns, step_ns);
  if (factor > 1.0f) report_.raised += count;
  if (step_ns > options_.step_ns) {
    report_.late += count;
    if (factor == options_.most || is_at_most_) report_.late_at_most += count;
  }
  const auto budget = static_cast<double>(options_.step_ns);
  const auto taken = static_cast<double>(step_ns);
  const float before = factor;
  if (taken > kRaiseAbove * budget) factor = std::min(options_.most, factor * kRaiseThresholds);
  if (taken < kLowerBelow * budget) factor = std::max(1.0f, factor * kLower);
  return factor != before;
}

void BudgetController::Begin(int64_t count, StepForecast* forecast) const noexcept {
  *forecast = StepForecast();
  forecast->base_x = options_.base_x;
  forecast->base_h = options_.base_h;
  forecast->is_on = is_on() && count == 1;
  forecast->may_raise = forecast->is_on && typical_ >= kStepsOfMeans;
  forecast->spare_ns = kForecastShare * static_cast<double>(options_.step_ns) - mean_ns_;
  forecast->factor = report_.factor;
  forecast->most = options_.most;
}

void BudgetController::End(const StepForecast& forecast, int64_t elapsed_ns) noexcept {
  is_at_most_ = forecast.is_at_most;
  if (forecast.has_raised) {
    ++report_.foreseen;
    if (!(forecast.factor > 1.0f)) ++report_.raised;
  }
  if (!forecast.is_on || !forecast.has_judged || !forecast.is_typical) return;
  // Another program that took the core says nothing of the next steps.
  constexpr double kMostOfMean = 2.0;
  const auto taken = static_cast<double>(elapsed_ns);
  AddToMean(typical_ == 0 ? taken : std::min(taken, kMostOfMean * mean_ns_), &mean_ns_);
  ++typical_;
}

float RaisedThreshold(float own, float base, float factor) {
  const float raised = own + (own > 0.0f ? own : base) * (factor - 1.0f);
  return std::min(raised, std::numeric_limits<float>::max());
}

int64_t BudgetController::NowNs() const noexcept {
  const Clock& clock = options_.clock;
  if (clock.now_ns != nullptr) return clock.now_ns(clock.context);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Result<int64_t> LeastStepNs(const Artifact& artifact, const SessionOptions& options) {
  constexpr int kSteps = 64;
  constexpr float kHigh = 1e30f;
  SessionOptions one = options;
  one.max_batch = one.max_steps = 1;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, one));
  for (size_t i = 0; i < session.dynamic_layers(); ++i) {
    const LayerActivity layer = session.Activity(i);
    LayerRules rules;
    if (layer.has_delta) rules.delta_x = rules.delta_h = kHigh;
    ESPALIER_RETURN_IF_ERROR(session.SetRules(layer.layer, rules));
  }
  const ValueType& input = artifact.graph().inputs[0].type;
  const bool is_ids = input.element == Element::kI32;
  const std::vector<float> features(is_ids ? 0 : static_cast<size_t>(input.features), 0.0f);
  const std::vector<int32_t> ids(is_ids ? 1 : 0, 0);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kSteps; ++i) {
    const Stopwatch watch;
    ESPALIER_RETURN_IF_ERROR(session.Run({1, 1, features, ids, {}}));
    if (i > 0) least = std::min(least, watch.ElapsedNs());  // the first multiplies everything
  }
  return static_cast<int64_t>(least);
}

}  // namespace espalier
