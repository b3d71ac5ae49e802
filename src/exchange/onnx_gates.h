// The one place where gate order and layout change between PyTorch (inside) and ONNX (in files).
//
//   inside  <node>.weight_ih [G*H, I], .weight_hh [G*H, H], .bias_ih, .bias_hh [G*H], one set a
//           direction; LSTM gates i f g o, GRU gates r z n
//           and .weight_peephole [3*H], i f o
//   ONNX    W [D, G*H, I], R [D, G*H, H], B [D, 2*G*H] = [Wb, Rb]; LSTM gates i o f c (c is our g),
//           GRU gates z r h (h is our n). D directions, forward first. P [D, 3*H], i o f.
// The update gate means the same on both sides: h' = (1 - z) * n + z * h. ONNX's
// linear_before_reset = 1 is our "gru", 0 our "gru_reset_before".
#ifndef ESPALIER_EXCHANGE_ONNX_GATES_H_
#define ESPALIER_EXCHANGE_ONNX_GATES_H_

#include "model/graph.h"

namespace espalier {

struct OnnxRecurrentWeights {
  Tensor w;  // [D, G*H, I]
  Tensor r;  // [D, G*H, H]
  Tensor b;  // [D, 2*G*H]
  Tensor p;  // [D, 3*H], or empty without peepholes
};

// Preconditions: node is a Recurrent node, without a projection, of a graph that ValidateGraph
// accepts.
OnnxRecurrentWeights ToOnnxGates(const Graph& graph, const Node& node);

// Adds the node's weights to `weights`. Precondition: the shapes are as above for node.cell,
// node.direction and node.hidden_size.
void FromOnnxGates(const OnnxRecurrentWeights& from, const Node& node, TensorStore* weights);

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_GATES_H_
