// LSTM with a projection (LSTMP), which ONNX's LSTM does not have, as a model-local function: a
// Scan over time of standard operators. One function for each direction, with peepholes and
// without:
//   [Reverse|Bidirectional]Projected[Peephole]LSTM(X [T,B,I], lengths [B], h [D,B,P] or [],
//       c [D,B,H] or [], then for each direction the weights of the Graph as they are there)
//     -> Y [T,B,D*P], h_out [D,B,P], c_out [D,B,H]
// Y is 0 past the lengths; a sequence without steps keeps its state.
#ifndef ESPALIER_EXCHANGE_ONNX_PROJECTION_H_
#define ESPALIER_EXCHANGE_ONNX_PROJECTION_H_

#include <onnx/onnx_pb.h>

#include <optional>
#include <string>
#include <vector>

#include "model/graph.h"

namespace espalier {

struct ProjectedForm {
  CellKind cell = CellKind::kLstmCell;
  Direction direction = Direction::kForward;
};

std::string ProjectedFunctionName(const ProjectedForm& form);
// Nothing if the name is of no such function.
std::optional<ProjectedForm> FindProjectedForm(const std::string& function);

// The names of a direction's weights, in the order of the function's inputs.
std::vector<std::string> ProjectedWeights(const RecurrentDirection& direction);

void AddProjectedFunction(const ProjectedForm& form, onnx::ModelProto* model);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_PROJECTION_H_
