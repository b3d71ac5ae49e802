#include "model/layer.h"

#include "base/strings.h"

namespace espalier {

Result<LayerView> OnlyLayerOf(const Graph& graph) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  const Node* node = graph.nodes.size() == 1 ? &graph.nodes[0] : nullptr;
  if (node == nullptr || node->op != Op::kRecurrent || node->direction != Direction::kForward) {
    return Unsupported(StrCat("graph '", graph.name, "': one forward Recurrent node expected, ",
                              graph.nodes.size(), " nodes found"));
  }
  if (node->projection_size > 0) {
    return Unsupported(StrCat(node->name, ".projection_size: 0 expected of a single layer, ",
                              node->projection_size, " found"));
  }
  if (InfoOf(node->cell).peepholes > 0) {
    return Unsupported(StrCat(node->name,
                              ".cell: one without peepholes expected of a single layer, ",
                              InfoOf(node->cell).name, " found"));
  }
  const RecurrentDirection direction = DirectionsOf(*node)[0];
  const auto weight = [&](const std::string& name) { return &graph.weights.at(name); };
  LayerView layer;
  layer.cell = node->cell;
  layer.input = graph.inputs[0].type.features;
  layer.hidden = node->hidden_size;
  layer.weight_ih = weight(direction.weight_ih);
  layer.weight_hh = weight(direction.weight_hh);
  layer.bias_ih = weight(direction.bias_ih);
  layer.bias_hh = weight(direction.bias_hh);
  return layer;
}

}  // namespace espalier
