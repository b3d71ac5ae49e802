// oneDNN (Debian: libdnnl-dev, 2.6 or a later 2.x) as a competitor: its LSTM and GRU primitives,
// the fastest honest way: primitives and memory are made once; weights are reordered once, into the
// layout that oneDNN asks for or, where that is faster, into the plain one; streaming swaps two
// sets of states.
#ifndef ESPALIER_PEERS_ONEDNN_H_
#define ESPALIER_PEERS_ONEDNN_H_

#include <cstdint>

#include "base/status.h"
#include "model/graph.h"
#include "model/layer.h"

namespace espalier {

enum class OneDnnType : uint8_t {
  kF32,
  kBf16,  // inputs, states and outputs too, c in f32; bias in f32
  // LSTM only. Inputs and states are u8 = round(32 * value) + 128 (one scale for both, as oneDNN
  // wants it; values past 4 are clipped), weights s8 with a scale for each row, the output f32.
  kI8,
};

struct OneDnnShape {
  int64_t steps = 1;  // T
  int64_t batch = 1;  // B
};

// `graph` is one forward LSTM or GRU; its weights are copied. Runs on `threads`, which each of its
// calls sets for all that uses OpenMP.
// Errors: kUnsupported without oneDNN, for another graph or cell, an 8-bit GRU, bf16 on a CPU
// without it, or what this CPU has no kernel for; kInternal with oneDNN's message.
Result<LayerRunner> MakeOneDnnLayer(const Graph& graph, OneDnnType type, const OneDnnShape& shape,
                                    int threads);

}  // namespace espalier

#endif  // ESPALIER_PEERS_ONEDNN_H_
