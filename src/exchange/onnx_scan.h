// Recurrent layers that ONNX has no operator for, as model-local functions: a Scan over time of
// standard operators. Those are the LSTM with a projection (LSTMP) and the EGRU. One function for
// each direction, with peepholes and without, with a projection and without:
//   [Reverse|Bidirectional]Projected[Peephole]LSTM, [Reverse|Bidirectional][Projected]EGRU
//       (X [T,B,I], lengths [B], h [D,B,P] or [], c [D,B,H] or [], then for each direction the
//       weights of the Graph as they are there)
//     -> Y [T,B,D*P], h_out [D,B,P], c_out [D,B,H]
// P is H without a projection. Y is 0 past the lengths; a sequence without steps keeps its state.
#ifndef ESPALIER_EXCHANGE_ONNX_SCAN_H_
#define ESPALIER_EXCHANGE_ONNX_SCAN_H_

#include <onnx/onnx_pb.h>

#include <optional>
#include <string>
#include <vector>

#include "model/graph.h"

namespace espalier {

struct ScanForm {
  CellKind cell = CellKind::kLstmCell;
  Direction direction = Direction::kForward;
  bool is_projected = false;
};

// Is the node such a layer?
bool NeedsScan(const Node& node);
ScanForm ScanFormOf(const Node& node);

std::string ScanFunctionName(const ScanForm& form);
// Nothing if the name is of no such function.
std::optional<ScanForm> FindScanForm(const std::string& function);

// The names of a direction's weights, in the order of the function's inputs.
std::vector<std::string> ScanWeights(const RecurrentDirection& direction);

void AddScanFunction(const ScanForm& form, onnx::ModelProto* model);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_SCAN_H_
