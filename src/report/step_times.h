// StepTimes: how long single steps take. Real time is lived by the slow ones: dynamic pruning is
// uneven, so a mean alone says little.
#ifndef ESPALIER_REPORT_STEP_TIMES_H_
#define ESPALIER_REPORT_STEP_TIMES_H_

#include <vector>

namespace espalier {

// In us.
struct StepTimes {
  double p50 = 0.0;
  double p95 = 0.0;
  double p99 = 0.0;
  double mean = 0.0;  // of all but the slowest 1 %: what other programs took of the core is there
};

// Of one time or more, each of one step.
StepTimes StepTimesOf(std::vector<double> us);

}  // namespace espalier

#endif  // ESPALIER_REPORT_STEP_TIMES_H_
