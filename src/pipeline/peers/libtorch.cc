// libtorch's at::lstm and at::gru, f32, over whatever BLAS it is linked with.
#include "pipeline/peers/peer.h"
#include "train/torch_layer.h"

namespace espalier::peers {

Result<BenchSystem> libtorch(const Peer& peer, const PeerCase& c) {
  ESPALIER_ASSIGN_OR_RETURN(LayerRunner runner,
                            MakeTorchLayer(c.graph, c.shape.steps, c.shape.batch, c.threads));
  return SystemOf(peer, c, std::move(runner));
}

}  // namespace espalier::peers
