#include "model/without_rules.h"

namespace espalier {

Graph WithoutRules(const Graph& graph) {
  Graph plain = graph;
  for (Node& node : plain.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      plain.weights.erase(direction.weight_skip);
      plain.weights.erase(direction.bias_skip);
    }
    node.delta.reset();
    node.skip = false;
  }
  return plain;
}

}  // namespace espalier
