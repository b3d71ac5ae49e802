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
// Up within a few steps, since each of them may be late: 10 from 1 to 8. Down ten times as slowly.
constexpr float kRaise = 1.25f;
constexpr float kLower = 0.98f;

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
    if (factor == options_.most) report_.late_at_most += count;
  }
  const auto budget = static_cast<double>(options_.step_ns);
  const auto taken = static_cast<double>(step_ns);
  const float before = factor;
  if (taken > kRaiseAbove * budget) factor = std::min(options_.most, factor * kRaise);
  if (taken < kLowerBelow * budget) factor = std::max(1.0f, factor * kLower);
  return factor != before;
}

float BudgetController::Raised(float own, float base) const {
  const float raised = own + (own > 0.0f ? own : base) * (report_.factor - 1.0f);
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
