// libtorch's own LSTM and GRU as a competitor to time: at::lstm and at::gru in inference mode.
// (Training uses neither: torch_lstm.cc.)
#ifndef ESPALIER_TRAIN_TORCH_LAYER_H_
#define ESPALIER_TRAIN_TORCH_LAYER_H_

#include <cstdint>

#include "base/status.h"
#include "model/graph.h"
#include "model/layer.h"

namespace espalier {

// `graph` is one forward LSTM or GRU with reset after the product; its weights are copied. T steps
// of B streams, on `threads`, which each of its calls sets for the whole process. Errors:
// kUnsupported for another graph or cell; kInternal with libtorch's message.
Result<LayerRunner> MakeTorchLayer(const Graph& graph, int64_t steps, int64_t batch, int threads);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_TORCH_LAYER_H_
