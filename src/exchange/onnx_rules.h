// What a recurrent layer has and ONNX has no word for: recurrent dropout and dynamic pruning, as
// texts in metadata_props under "espalier.<key>". Other tools run the layer without.
#ifndef ESPALIER_EXCHANGE_ONNX_RULES_H_
#define ESPALIER_EXCHANGE_ONNX_RULES_H_

#include <string>
#include <utility>
#include <vector>

#include "model/graph.h"

namespace espalier {

// Keys and texts: "recurrent_dropout.<node>", "delta.{x,h,bank}.<node>", "skip.<weight>" (numbers
// with spaces between). OnnxImporter::ReadRules reads them back exactly.
std::vector<std::pair<std::string, std::string>> RulesOf(const Graph& graph, const Node& node);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_RULES_H_
