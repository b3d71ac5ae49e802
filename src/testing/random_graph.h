// Random networks of everything that a Graph can say, for proofs over all of it.
#ifndef ESPALIER_TESTING_RANDOM_GRAPH_H_
#define ESPALIER_TESTING_RANDOM_GRAPH_H_

#include "base/rng.h"
#include "model/graph.h"

namespace espalier::testing {

// A valid graph over one input "x", features or ids: stacked, bidirectional and reversed layers of
// every cell, with projections and peepholes; encoders and decoders; residual, gated (highway) and
// normalised connections; sliced, concatenated and convolved values; with an output at every step
// or after the last. Sums are kept small: sizes are at most 6, and no LayerNormalization divides by
// less than 0.1, so that rounding is not made large. To draw a new kind, add a function to the
// table kSteps in random_graph.cc.
Graph RandomNetworkOfEverything(Rng* rng);

}  // namespace espalier::testing

#endif  // ESPALIER_TESTING_RANDOM_GRAPH_H_
