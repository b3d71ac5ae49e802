// The time of a step of networks that differ in their rules.
#ifndef ESPALIER_PIPELINE_THRESHOLD_TIMES_H_
#define ESPALIER_PIPELINE_THRESHOLD_TIMES_H_

#include <map>
#include <string>
#include <vector>

#include "pipeline/thresholds.h"
#include "runtime/dynamic.h"

namespace espalier {

struct TimedNetwork {
  const Artifact* artifact = nullptr;
  std::map<std::string, LayerRules> rules;  // by layer, in the place of the artifact's own
  Graph graph;                              // what it is verified against
};

// In turn, each verified first; see FindThresholds, whose options these are. Errors: kInternal for
// one that does not agree with its graph; kCancelled.
Result<std::vector<StepTimes>> TimeSteps(const std::vector<TimedNetwork>& networks,
                                         const Dataset& valid, const ThresholdOptions& options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_THRESHOLD_TIMES_H_
