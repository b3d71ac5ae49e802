// The part of eigen.h's competitor that is compiled for AVX2 and FMA. No type of the C++ library
// crosses this header or is used behind it: the linker may take any file's copy of their functions,
// and must not take one that needs these instructions.
#ifndef ESPALIER_PEERS_EIGEN_KERNEL_H_
#define ESPALIER_PEERS_EIGEN_KERNEL_H_

namespace espalier::eigen {

enum class Cell { kLstm, kGru };

// Matrices are dense, row-major, in PyTorch's names and gate order.
struct Weights {
  const float* weight_ih;  // [G*H, I]
  const float* weight_hh;  // [G*H, H]
  const float* bias_ih;    // [G*H]
  const float* bias_hh;    // [G*H]
};

class Layer;  // one cell with the state of B streams, from zeros

Layer* NewLayer(Cell cell, long input, long hidden, long batch, const Weights& weights);
void Delete(Layer* layer);
void Reset(Layer* layer);
void Step(Layer* layer, const float* x);  // [B, I]
const float* Output(const Layer* layer);  // h, [B, H]

}  // namespace espalier::eigen

#endif  // ESPALIER_PEERS_EIGEN_KERNEL_H_
