// Which rows of a matrix a session may leave out together.
#ifndef ESPALIER_ARTIFACT_SECTIONS_H_
#define ESPALIER_ARTIFACT_SECTIONS_H_

#include <cstdint>
#include <vector>

#include "artifact/artifact.h"
#include "model/graph.h"

namespace espalier {

// The first rows of the sections of a part: the banks (model/graph.h, UnitBanks) of each gate in
// turn; {0} for a matrix of which all rows are multiplied.
std::vector<int64_t> SectionStarts(const Graph& graph, const MatrixPart& part);

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_SECTIONS_H_
