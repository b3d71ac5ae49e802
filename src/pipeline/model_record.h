// ModelRecord: what the run record keeps of one network.
#ifndef ESPALIER_PIPELINE_MODEL_RECORD_H_
#define ESPALIER_PIPELINE_MODEL_RECORD_H_

#include <string>

#include "artifact/artifact.h"
#include "model/graph.h"
#include "report/run_record.h"

namespace espalier {

// Shapes, sparsity by gate and masks of every matrix; file names and metrics are the caller's.
ModelRecord DescribeNetwork(const Graph& graph);

// Adds format, kernel, encoded bytes and runners-up of each matrix. A matrix that is stored in
// parts shows its first part's format and the bytes of all.
void DescribeArtifact(const Artifact& artifact, ModelRecord* record);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_MODEL_RECORD_H_
