// A time budget for the steps of one stream: where a step takes too long, the thresholds of layers
// with delta are raised, so that the next ones send fewer columns; when there is time again they
// come down, in the end to what they were. Where the network was timed when it was compiled, a step
// that would take too long by its columns raises them for itself before it multiplies.
//   threshold = own + base * (factor - 1),  base = own > 0 ? own : BudgetOptions::base_x, base_h
// A factor of 1 is the network as it was compiled, or as Session::SetRules said.
#ifndef ESPALIER_RUNTIME_BUDGET_H_
#define ESPALIER_RUNTIME_BUDGET_H_

#include <cstdint>

#include "artifact/artifact.h"
#include "base/status.h"
#include "runtime/step_forecast.h"

namespace espalier {

struct SessionOptions;

// Nanoseconds since some moment, never less than before.
struct Clock {
  int64_t (*now_ns)(void* context) = nullptr;  // nullptr: the steady clock
  void* context = nullptr;
};

struct BudgetOptions {
  int64_t step_ns = 0;   // that a step may take, at least 1
  float most = 8.0f;     // largest factor, in (1, 1000]
  float base_x = 0.05f;  // of thresholds of 0, at least 0: what a factor of 2 makes of them
  float base_h = 0.05f;
  Clock clock;
};

// Since the budget was set or counters were set to 0.
struct BudgetReport {
  int64_t step_ns = 0;  // 0: no budget
  float factor = 1.0f;  // now
  int64_t steps = 0;
  int64_t raised = 0;        // of these, with thresholds above the rules
  int64_t foreseen = 0;      // of these, raised for a step that would have been late
  int64_t late = 0;          // that took longer than step_ns
  int64_t late_at_most = 0;  // of these, with the largest factor: nothing was left to raise
  int64_t slowest_ns = 0;
};

// Up within a few steps, since each of them may be late: 10 from 1 to 8.
inline constexpr float kRaiseThresholds = 1.25f;
float RaisedThreshold(float own, float base, float factor);

// The state machine, without a clock.
class BudgetController {
 public:
  BudgetController() = default;  // no budget
  // Precondition: ValidateBudget(options).
  explicit BudgetController(const BudgetOptions& options) : options_(options) {
    report_.step_ns = options.step_ns;
  }

  bool is_on() const { return options_.step_ns > 0; }
  const BudgetReport& report() const { return report_; }
  void ResetCounters();

  // `count` >= 1 steps took elapsed_ns together. Returns whether the factor is another now.
  bool Update(int64_t count, int64_t elapsed_ns) noexcept;

  // Before `count` steps, and after them, before Update.
  void Begin(int64_t count, StepForecast* forecast) const noexcept;
  void End(const StepForecast& forecast, int64_t elapsed_ns) noexcept;

  float ThresholdOfX(float own) const {
    return RaisedThreshold(own, options_.base_x, report_.factor);
  }
  float ThresholdOfH(float own) const {
    return RaisedThreshold(own, options_.base_h, report_.factor);
  }
  int64_t NowNs() const noexcept;

 private:
  BudgetOptions options_;
  BudgetReport report_;
  double mean_ns_ = 0.0;     // of typical single steps
  int64_t typical_ = 0;      // how many there were
  bool is_at_most_ = false;  // the last step was too long with the highest
};

// Errors: kInvalidArgument, naming the field and the value.
Status ValidateBudget(const BudgetOptions& options);

// The least that a step of one stream takes here, in nanoseconds: the shortest of 64 steps with
// thresholds so high that nothing is sent and no step is skipped. A budget below cannot be kept.
// Errors: as Session::Create.
Result<int64_t> LeastStepNs(const Artifact& artifact, const SessionOptions& options);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_BUDGET_H_
