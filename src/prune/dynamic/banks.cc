// banks: at each step a layer runs those banks of its units that it asks for. See UnitBanks in
// model/graph.h. Its weights begin so that every bank runs (w = 0, b = 1); training with
// TrainOptions::update_penalty makes them fewer. With a `top` the first ones run at the beginning.
#include "base/strings.h"
#include "prune/dynamic.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& spec, Node* node, TensorStore* weights) {
  const bool has_banks = node->banks.has_value();
  if (has_banks && node->banks->size != spec.banks.size) {
    return InvalidArgument(StrCat(node->name, ".banks.size: ", node->banks->size,
                                  ", as the layer has banks already, expected, ", spec.banks.size,
                                  " found"));
  }
  if (spec.banks.size > node->hidden_size) {
    return InvalidArgument(StrCat(node->name, ".banks.size: 1 to ", node->hidden_size,
                                  " expected, ", spec.banks.size, " found"));
  }
  node->banks = spec.banks;
  if (has_banks) return Ok();  // what was learned stays
  const int64_t count = BankCountOf(*node);
  for (const RecurrentDirection& direction : DirectionsOf(*node)) {
    const int64_t inputs = weights->at(direction.weight_ih).dim(1);
    (*weights)[direction.weight_banks_ih] = Tensor({count, inputs});
    (*weights)[direction.weight_banks_hh] = Tensor({count, node->hidden_size});
    (*weights)[direction.bias_banks] =
        Tensor({count}, std::vector<float>(static_cast<size_t>(count), 1.0f));
  }
  return Ok();
}

}  // namespace

const DynamicMethod banks = {
    "banks",
    "s = W_x x + W_h h + b; bank n of the units runs where s_n > 0, or s_n is of the top k",
    "Bengio et al. 2015, arXiv:1511.06297, section 3; Jernite et al. 2017, arXiv:1611.06188",
    {"size", "top"},
    Apply};

}  // namespace espalier::dynamic
