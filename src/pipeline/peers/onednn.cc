// oneDNN's LSTM and GRU primitives, f32, bf16 and 8 bits.
#include "peers/onednn.h"

#include <string_view>

#include "pipeline/peers/peer.h"

namespace espalier::peers {

Result<BenchSystem> onednn(const Peer& peer, const PeerCase& c) {
  const std::string_view dtype = peer.dtype;
  const OneDnnType type = dtype == "i8"     ? OneDnnType::kI8
                          : dtype == "bf16" ? OneDnnType::kBf16
                                            : OneDnnType::kF32;
  ESPALIER_ASSIGN_OR_RETURN(
      LayerRunner runner,
      MakeOneDnnLayer(c.graph, type, {c.shape.steps, c.shape.batch}, c.threads));
  return SystemOf(peer, c, std::move(runner));
}

}  // namespace espalier::peers
