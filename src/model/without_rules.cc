#include "model/without_rules.h"

namespace espalier {

Graph WithoutRules(const Graph& graph) {
  Graph plain = graph;
  for (Node& node : plain.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      for (const std::string& name :
           {direction.weight_skip, direction.bias_skip, direction.weight_banks_ih,
            direction.weight_banks_hh, direction.bias_banks, direction.weight_predict_ih,
            direction.weight_predict_hh, direction.weight_predict, direction.bias_predict}) {
        plain.weights.erase(name);
      }
    }
    node.delta.reset();
    node.skip = false;
    node.banks.reset();
    node.idle.reset();
    node.predicted.reset();
  }
  return plain;
}

}  // namespace espalier
