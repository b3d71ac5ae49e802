// Eigen's sparse matrices (CSR, f32) on the element-pruned network.
#include "peers/eigen.h"

#include "pipeline/peers/peer.h"

namespace espalier::peers {

Result<BenchSystem> eigen(const Peer& peer, const PeerCase& c) {
  if (c.threads != 1)
    return Unsupported("eigen: 1 thread expected, it has no more in this product");
  ESPALIER_ASSIGN_OR_RETURN(LayerRunner runner,
                            MakeEigenLayer(c.graph, c.shape.steps, c.shape.batch));
  return SystemOf(peer, c, std::move(runner));
}

}  // namespace espalier::peers
