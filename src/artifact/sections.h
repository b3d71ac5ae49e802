// Which rows of a matrix a session may leave out together, or give to another thread.
#ifndef ESPALIER_ARTIFACT_SECTIONS_H_
#define ESPALIER_ARTIFACT_SECTIONS_H_

#include <cstdint>
#include <vector>

#include "artifact/artifact.h"
#include "model/graph.h"

namespace espalier {

// The section of each row of a part: the bank (model/graph.h, UnitBanks) of its unit, in all gates;
// of a layer that leaves out rows (IdleCandidates, PredictedRows) its gate, but of a part that
// is_plain; of another large one
// the half of its units, for two threads (runtime/unit_parts.h): slots of 8 or 16 rows take 1.002
// to 1.014 times as many places, by quarters 1.005 to 1.04 (LSTM-512, rows of even and uneven
// fill). Else empty.
std::vector<int32_t> SectionsOf(const Graph& graph, const MatrixPart& part);

}  // namespace espalier

#endif  // ESPALIER_ARTIFACT_SECTIONS_H_
