// What the thresholds of delta are in proportion to: a scale for x and h of each layer.
#ifndef ESPALIER_PIPELINE_THRESHOLD_SCALES_H_
#define ESPALIER_PIPELINE_THRESHOLD_SCALES_H_

#include <map>
#include <set>
#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "tasks/dataset.h"

namespace espalier {

struct Scale {
  double x = 1.0, h = 1.0;
};
using Scales = std::map<std::string, Scale>;  // by layer

// The root mean square of the changes from step to step, in some sequences of the split. Errors:
// RunReference's.
Result<Scales> ScalesOfChanges(const Graph& graph, const std::set<std::string>& layers,
                               const Dataset& valid);

// The thresholds that layers have. Errors: kInvalidArgument for one without any above 0.
Result<Scales> OwnScales(const Graph& graph, const std::set<std::string>& layers);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_THRESHOLD_SCALES_H_
