// Folding of small integer constants: PyTorch writes the paddings of a Pad not as numbers but as
// the operators that put them in ONNX's order (ConstantOfShape, Concat, Reshape, Slice, Transpose).
#ifndef ESPALIER_EXCHANGE_ONNX_FOLD_H_
#define ESPALIER_EXCHANGE_ONNX_FOLD_H_

#include <optional>
#include <vector>

#include "exchange/onnx_node.h"

namespace espalier {

// What the node makes of `inputs`, all integers; nullopt for any operator, shape or attribute that
// this chain does not need, and for more than 64 elements.
std::optional<OnnxConstant> FoldIntegers(const OnnxNode& node,
                                         const std::vector<const OnnxConstant*>& inputs);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_FOLD_H_
