// Which rows of a matrix a session may leave out together.
#ifndef ESPALIER_ARTIFACT_SECTIONS_H_
#define ESPALIER_ARTIFACT_SECTIONS_H_

#include <cstdint>
#include <vector>

#include "artifact/artifact.h"
#include "model/graph.h"

namespace espalier {

// The section of each row of a part: the bank (model/graph.h, UnitBanks) of its unit, in all gates;
// of a layer that leaves out rows (IdleCandidates, PredictedRows) its gate; empty for a matrix of
// which all rows are multiplied.
std::vector<int32_t> SectionsOf(const Graph& graph, const MatrixPart& part);

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_SECTIONS_H_
