// The order of a Conv1d's weights: ours is [O, K*I], tap by tap; ONNX's is [O, I, K].
#ifndef ESPALIER_EXCHANGE_ONNX_CONV_H_
#define ESPALIER_EXCHANGE_ONNX_CONV_H_

#include <cstddef>
#include <cstdint>

namespace espalier {

// Where ONNX has element `i` of our weight.
inline size_t TapsLast(size_t i, int64_t inputs, int64_t kernel_size) {
  const auto features = static_cast<size_t>(inputs);
  const auto taps = static_cast<size_t>(kernel_size);
  const size_t output = i / (features * taps);
  const size_t tap = i / features % taps;
  return (output * features + i % features) * taps + tap;
}

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_CONV_H_
