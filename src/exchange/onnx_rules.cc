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
  if (node.banks.has_value()) {
    rules.emplace_back("banks.size." + node.name, std::to_string(node.banks->size));
    rules.emplace_back("banks.top." + node.name, std::to_string(node.banks->top));
  }
  if (node.idle.has_value()) {
    rules.emplace_back("idle.epsilon." + node.name, ExactText(node.idle->epsilon));
  }
  if (node.predicted.has_value()) {
    rules.emplace_back("predicted.size." + node.name, std::to_string(node.predicted->size));
    rules.emplace_back("predicted.epsilon." + node.name, ExactText(node.predicted->epsilon));
  }
  const auto add = [&](const char* rule, const std::string& name) {
    if (name.empty()) return;
    std::vector<std::string> texts;
    for (const float value : graph.weights.at(name).values) texts.push_back(ExactText(value));
    rules.emplace_back(StrCat(rule, ".", name), StrJoin(texts, " "));
  };
  for (const RecurrentDirection& direction : DirectionsOf(node)) {
    add("skip", direction.weight_skip);
    add("skip", direction.bias_skip);
    add("banks", direction.weight_banks_ih);
    add("banks", direction.weight_banks_hh);
    add("banks", direction.bias_banks);
    add("predicted", direction.weight_predict_ih);
    add("predicted", direction.weight_predict_hh);
    add("predicted", direction.weight_predict);
    add("predicted", direction.bias_predict);
  }
  return rules;
}

}  // namespace espalier
