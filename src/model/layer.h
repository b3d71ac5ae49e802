// One recurrent layer by itself: what competitors are timed on (peers/, train/torch_layer.h).
#ifndef ESPALIER_MODEL_LAYER_H_
#define ESPALIER_MODEL_LAYER_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// The only node of a graph. Points into the graph.
struct LayerView {
  CellKind cell = CellKind::kLstmCell;
  int64_t input = 0;   // I
  int64_t hidden = 0;  // H
  const Tensor* weight_ih = nullptr;
  const Tensor* weight_hh = nullptr;
  const Tensor* bias_ih = nullptr;
  const Tensor* bias_hh = nullptr;
};

// Errors: what ValidateGraph says; kUnsupported if `graph` is more than one forward Recurrent node.
Result<LayerView> OnlyLayerOf(const Graph& graph);

// How one layer is run over B streams, in somebody's way. The functions keep their own buffers; x
// is [T, B, I] or [B, I].
struct LayerRunner {
  // T steps from zero states.
  std::function<Status(std::span<const float> x)> run_sequence;
  // One step of the streams.
  std::function<Status(std::span<const float> x)> run_step;
  // The streams' states to 0.
  std::function<void()> reset_stream;
  // [B, H] after what ran last.
  std::function<std::span<const float>()> output;
};

}  // namespace espalier

#endif  // ESPALIER_MODEL_LAYER_H_
