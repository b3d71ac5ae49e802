// idle: candidates that their gate lets nothing of in are left out (gate-guided). See
// IdleCandidates in model/graph.h. Needs no training: each step is less than epsilon away.
#include "prune/dynamic.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& spec, Node* node, TensorStore* /*weights*/) {
  node->idle = IdleCandidates{spec.epsilon};
  return Ok();
}

}  // namespace

const DynamicMethod idle = {
    "idle",
    "g = 0 where i < epsilon (LSTM); n = 0 where 1 - z < epsilon (GRU)",
    "ours; related: Silfa et al. 2019, Neuron-level fuzzy memoization in RNNs, MICRO-52",
    {"epsilon"},
    Apply};

}  // namespace espalier::dynamic
