// What layers with dynamic pruning did, for the run record: counters, and step by step.
#ifndef ESPALIER_PIPELINE_ACTIVITY_H_
#define ESPALIER_PIPELINE_ACTIVITY_H_

#include <vector>

#include "artifact/artifact.h"
#include "base/status.h"
#include "report/run_record.h"
#include "runtime/session.h"
#include "tasks/dataset.h"

namespace espalier {

// Without a map.
ActivityRecord RecordOf(const LayerActivity& activity);

// Runs one sequence of the data set, one of median length, step by step through the artifact with
// its own rules, and adds to each record what its layer did at each of the first kMostMapSteps
// steps. Seen from outside: a session's x_sent and h_sent change where a column was sent, so one
// that was sent without having changed, as with a threshold of 0, is not seen. Nothing is added for
// a network that cannot stream. Preconditions: the artifact fits the data set; the records are of
// its session's layers, in their order. Errors: what Session says.
inline constexpr int64_t kMostMapSteps = 256;
Status AddActivityMaps(const Artifact& artifact, const Dataset& dataset,
                       const SessionOptions& session_options, std::vector<ActivityRecord>* records);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_ACTIVITY_H_
