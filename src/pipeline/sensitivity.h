// Sensitivity: what each tensor (or gate) costs to prune alone. One pool at a time is cut to a few
// sparsities while all others stay dense, nothing is fine-tuned, and the network is evaluated on
// the validation split. `espalier sensitivity` prints and writes it; allocation `sensitivity` reads
// it (prune/allocations/sensitivity.cc).
#ifndef ESPALIER_PIPELINE_SENSITIVITY_H_
#define ESPALIER_PIPELINE_SENSITIVITY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "prune/plan.h"
#include "report/sensitivity.h"
#include "tasks/dataset.h"

namespace espalier {

struct SensitivityOptions {
  PruneSpec prune;  // criterion, granularity, per, weights, seed; the rest is not read
  // Ascending, in (0, 1). Of a granularity with one sparsity, those below it and it are used.
  std::vector<double> sparsities = {0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98};
  int threads = 1;
  // Told before each evaluation; returns false to stop.
  std::function<bool(const std::string& pool, double sparsity, int64_t done, int64_t total)>
      progress;
};

// Errors: MakePlan's, Evaluate's; kInvalidArgument for sparsities that are out of range or order,
// or a criterion that needs more than the weights; kUnsupported for the units of one direction
// alone; kCancelled if `progress` asks.
Result<SensitivityScan> ScanSensitivity(const Graph& graph, const Dataset& valid,
                                        const SensitivityOptions& options);

// The curves as allocation `sensitivity` wants them.
std::map<std::string, std::vector<LossPoint>> LossesOf(const SensitivityScan& scan);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_SENSITIVITY_H_
