#include "model/random_batch.h"

namespace espalier {

Batch RandomBatch(const Graph& graph, int64_t steps, int64_t size, int64_t min_length, Rng* rng) {
  const ValueType& type = graph.inputs[0].type;
  Batch batch;
  batch.steps = steps;
  batch.size = size;
  if (type.element == Element::kI32) {
    batch.ids.resize(static_cast<size_t>(steps * size));
    for (int32_t& id : batch.ids) {
      id = static_cast<int32_t>(rng->Below(static_cast<uint64_t>(type.features)));
    }
  } else {
    batch.features.resize(static_cast<size_t>(steps * size * type.features));
    for (float& x : batch.features) x = static_cast<float>(rng->Normal());
  }
  for (int64_t b = 0; b < size; ++b) {
    const auto span = static_cast<uint64_t>(steps - min_length + 1);
    const int64_t length = b == 0 ? steps : min_length + static_cast<int64_t>(rng->Below(span));
    batch.lengths.push_back(static_cast<int32_t>(length));
  }
  return batch;
}

StateSet RandomStates(const Graph& graph, int64_t size, Rng* rng) {
  StateSet states = ZeroStates(graph, size);
  for (auto& [name, values] : states) {
    if (name.ends_with(".count") || name.ends_with(".sum")) continue;
    for (float& value : values) value = rng->Uniform(-1.0f, 1.0f);
  }
  return states;
}

}  // namespace espalier
