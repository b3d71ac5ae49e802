// RandomBatch, RandomStates: inputs to compare two executors of a graph on.
#ifndef ESPALIER_MODEL_RANDOM_BATCH_H_
#define ESPALIER_MODEL_RANDOM_BATCH_H_

#include <cstdint>

#include "base/rng.h"
#include "model/graph.h"
#include "model/reference.h"

namespace espalier {

// A batch for the graph's one input: features standard normal, ids uniform, lengths uniform in
// [min_length, steps] except that the first is `steps`; what is past a length is filled with noise,
// since no result may depend on it.
Batch RandomBatch(const Graph& graph, int64_t steps, int64_t size, int64_t min_length, Rng* rng);

// Every state element uniform in [-1, 1]; counts of MeanOverTime stay 0.
StateSet RandomStates(const Graph& graph, int64_t size, Rng* rng);

}  // namespace espalier

#endif  // ESPALIER_MODEL_RANDOM_BATCH_H_
