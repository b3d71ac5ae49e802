// Cut: the pools that a plan's weights fall into, known before any saliency is, and the masks that
// an allocation makes of them. Not for hidden units: units.h.
#ifndef ESPALIER_PRUNE_CUT_H_
#define ESPALIER_PRUNE_CUT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "prune/allocation.h"
#include "prune/criterion.h"
#include "prune/granularity.h"

namespace espalier {

// The rows of one weight that are one pool: all, or those of one gate.
struct Slice {
  std::string weight;
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t gates = 1;  // that it spans
};

struct Cut {
  GranularitySpec granularity;
  std::vector<Pool> pools;    // without pieces
  std::vector<Slice> slices;  // one a pool, in its order; Extent::kWeight only
  Lines lines;                // Extent::kLines only; its pools are above
};

// The weights that a granularity may cut: of Domain::kMatrices every one, and those that it cuts
// unless told otherwise. In the order of PrunableWeights.
std::vector<std::string> WeightsOf(const Graph& graph, Domain domain);
std::vector<std::string> DefaultWeightsOf(const Graph& graph, Domain domain);

// Errors: kInvalidArgument for a tile that does not fit a weight, or would straddle two gates per
// gate, naming the weight and the nearest that fits; kUnsupported if there is nothing to cut, with
// the reason. Precondition: the granularity is not Extent::kUnits.
Result<Cut> MakeCut(const Graph& graph, const std::set<std::string>& chosen,
                    const GranularitySpec& granularity, Per per);

// Leaves the cut those pools alone that are 1; what is in none of them stays as it is.
// Precondition: keep has one entry a pool.
void KeepPools(const Keep& keep, Cut* cut);

// Names of the weights that it cuts, ascending.
std::set<std::string> TargetsOf(const Cut& cut);

using SaliencySet = std::map<std::string, std::vector<float>>;  // by weight, [rows, cols]

// A granularity ranks by sizes and scores a piece by their mean; where saliencies have signs
// (Grouping::kSignedSum) it is the size of the mean, by Grouping::kLargest the largest.
// Precondition: Extent::kWeight.
Partition PartitionOf(const GranularitySpec& granularity, Grouping grouping,
                      const SaliencyView& view);

// How the masks of a cut are chosen.
struct MaskChoice {
  const Allocation* allocation = nullptr;
  Budget budget;
  Grouping grouping = Grouping::kNorm;
};

// The pools with their pieces. Precondition: as MasksOf.
std::vector<Pool> PoolsOf(const Cut& cut, Grouping grouping, const SaliencySet& saliency,
                          const MaskSet& previous);

// The masks of the weights that it cuts, and `previous` of all others; of what was dropped before
// nothing comes back. A gate that would lose all it has left in a pool (a matrix, or of gate_row
// both of a layer) keeps its best piece, in the place of the worst of the other gates. A pool whose
// best piece is larger than what it may keep (CheckNoneDies could not know which is the best) keeps
// that piece. Precondition: `saliency` has every target, finite; masks have their weights' shapes.
MaskSet MasksOf(const Cut& cut, const MaskChoice& choice, const SaliencySet& saliency,
                const MaskSet& previous);

// Does every pool keep a piece, and do all of them fit in the budget with those of their gates, if
// all saliencies are equal? Sets Pool::of_gates of the cut's pools: one whose share is less keeps
// that much. Errors: kInvalidArgument, naming the pool that would die, or the first whose floor is
// above its share.
Status CheckNoneDies(const Graph& graph, const Allocation& allocation, const Budget& budget,
                     Cut* cut_to_check);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_CUT_H_
