// skip: a layer leaves its state as it is at some steps, and says itself how many. See Node::skip
// in model/graph.h. Its weights begin so that every step is an update (w = 0, b = 1: gain = 0.73);
// training with TrainOptions::update_penalty makes them fewer.
#include "prune/dynamic.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& /*spec*/, Node* node, TensorStore* weights) {
  if (node->skip) return Ok();
  node->skip = true;
  for (const RecurrentDirection& direction : DirectionsOf(*node)) {
    (*weights)[direction.weight_skip] = Tensor({StateSizeOf(*node)});
    (*weights)[direction.bias_skip] = Tensor({1}, {1.0f});
  }
  return Ok();
}

}  // namespace

const DynamicMethod skip = {
    "skip",
    "u = [rest <= 1/2], h' = u S(h, x) + (1 - u) h, gain = sigmoid(w h' + b), "
    "rest' = u (1 - gain) + (1 - u) max(0, rest - gain)",
    "Campos et al. 2018, arXiv:1708.06834, section 3",
    {},
    Apply};

}  // namespace espalier::dynamic
