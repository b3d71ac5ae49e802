// ONNX Runtime (npm's onnxruntime-node), f32, and its 8-bit LSTM.
#include <string_view>

#include "pipeline/peers/peer.h"

namespace espalier::peers {

Result<BenchSystem> onnxruntime(const Peer& peer, const PeerCase& c) {
  if (c.onnxruntime == nullptr) return Unsupported("the library of ONNX Runtime expected, none");
  OnnxSystemOptions options;
  options.threads = c.threads;
  options.quantized = std::string_view(peer.dtype) == "i8";
  return OnnxRuntimeSystem(peer.name, *c.onnxruntime, c.graph, c.shape, options);
}

}  // namespace espalier::peers
