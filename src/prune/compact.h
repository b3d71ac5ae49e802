// Compact: removes hidden units and shrinks every shape that they were part of. The result gives
// the same numbers as the masked graph, over any lengths, batches and initial states.
#ifndef ESPALIER_PRUNE_COMPACT_H_
#define ESPALIER_PRUNE_COMPACT_H_

#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"
#include "model/tensor.h"
#include "prune/coupling.h"

namespace espalier {

// A graph without the groups that `keep` drops. Zeros elsewhere (an element or slot mask) stay
// where they were. Errors: ValidateKeep's; kInvalidArgument if `coupling` is of another graph.
Result<Graph> Compact(const Graph& graph, const Coupling& coupling, const Keep& keep);

// The masks of the compacted graph from masks of `graph`'s weights.
// Errors: kInvalidArgument if a mask fits no weight.
Result<MaskSet> CompactMasks(const Coupling& coupling, const Keep& keep, const MaskSet& masks);

// The states of the compacted graph. Errors: kInvalidArgument if a state is missing or its size is
// not a multiple of its width.
Result<StateSet> CompactStates(const Coupling& coupling, const Keep& keep, const StateSet& states);

// 0 for every group with units that influences no output, from any state: what reads it is zero, or
// is itself of no influence. Passes ValidateKeep, by keeping some of those.
Keep FindDeadUnits(const Graph& graph, const Coupling& coupling);

struct Compacted {
  Graph graph;
  Coupling coupling;  // of the graph before
  Keep keep;
};

// Compacts a graph whose zeros are the mask: FindDeadUnits, then Compact.
Result<Compacted> CompactZeros(const Graph& graph);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_COMPACT_H_
