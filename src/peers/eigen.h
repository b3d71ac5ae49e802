// Eigen (Debian: libeigen3-dev, 3.4) as a competitor: both matrices as row-major
// SparseMatrix<float> (CSR), the rest of the step as array expressions that Eigen vectorises.
#ifndef ESPALIER_PEERS_EIGEN_H_
#define ESPALIER_PEERS_EIGEN_H_

#include <cstdint>

#include "base/status.h"
#include "model/graph.h"
#include "model/layer.h"

namespace espalier {

// `graph` is one forward LSTM or GRU with reset after the product; its weights that are not 0 are
// copied. T steps of B streams. Errors: kUnsupported without Eigen, for another graph or cell, or
// on an x86 without AVX2 and FMA, which the kernel is compiled for.
Result<LayerRunner> MakeEigenLayer(const Graph& graph, int64_t steps, int64_t batch);

}  // namespace espalier

#endif  // ESPALIER_PEERS_EIGEN_H_
