#include "exchange/onnx_rules.h"

#include "base/strings.h"
#include "exchange/onnx_types.h"

namespace espalier {

std::vector<std::pair<std::string, std::string>> RulesOf(const Graph& graph, const Node& node) {
  std::vector<std::pair<std::string, std::string>> rules;
  if (node.recurrent_dropout > 0.0) {
    rules.emplace_back("recurrent_dropout." + node.name, ExactText(node.recurrent_dropout));
  }
  if (node.delta.has_value()) {
    rules.emplace_back("delta.x." + node.name, ExactText(node.delta->x));
    rules.emplace_back("delta.h." + node.name, ExactText(node.delta->h));
    rules.emplace_back("delta.bank." + node.name, std::to_string(node.delta->bank));
  }
  for (const RecurrentDirection& direction : DirectionsOf(node)) {
    for (const std::string& name : {direction.weight_skip, direction.bias_skip}) {
      if (name.empty()) continue;
      std::vector<std::string> texts;
      for (const float value : graph.weights.at(name).values) texts.push_back(ExactText(value));
      rules.emplace_back("skip." + name, StrJoin(texts, " "));
    }
  }
  return rules;
}

}  // namespace espalier
