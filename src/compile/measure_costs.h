// MeasureCosts: the CostTable of the machine this runs on.
#ifndef ESPALIER_COMPILE_MEASURE_COSTS_H_
#define ESPALIER_COMPILE_MEASURE_COSTS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compile/cost_table.h"

namespace espalier {

struct MeasureCostsOptions {
  std::string cpu;                  // CostTable::cpu
  std::string target;               // an instruction set of AvailableKernels(), "" for the best
  std::vector<FormatSpec> formats;  // empty for AllFormats(); dense f32 is always one of them
  int repetitions = 7;              // timed samples of each; the least: other work can only add
  uint64_t seed = 1;                // of the matrices
  std::function<double()> now_ns;   // empty for the time that the thread has run
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(double share)> on_progress;  // in [0, 1], after each matrix
};

// Times products with 1 and with 16 rows of x over matrices of 8 to 2048 rows and columns, of which
// 1/256, 1/16 and all is not 0: 20 s for all formats with AVX-512. Errors: kInvalidArgument for
// options; kCancelled.
Result<CostTable> MeasureCosts(const MeasureCostsOptions& options);

}  // namespace espalier

#endif  // ESPALIER_COMPILE_MEASURE_COSTS_H_
