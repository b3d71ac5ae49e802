// Class-distribution: what is below lambda times the standard deviation of its class goes. The
// lambda that meets the budget is where one ranking by score / deviation is cut, so none is solved
// for.
//
// The deviation is the root mean square of the saliencies of the weights that a tensor has left,
// that is about 0 and not about their mean: for magnitude, the standard deviation of the weights
// themselves if their mean is 0. Of a tensor of which all saliencies are 0 it is taken as 1.
#include "prune/allocation.h"

namespace espalier::allocations {
namespace {

std::vector<Keep> Allocate(std::span<const Pool> pools, const Budget& budget) {
  std::vector<Pool> scaled(pools.begin(), pools.end());
  for (Pool& pool : scaled) {
    const double spread = pool.spread > 0.0 ? pool.spread : 1.0;
    for (Piece& piece : pool.pieces) piece.score = static_cast<float>(piece.score / spread);
  }
  return KeepRanked(scaled, budget);
}

}  // namespace

const Allocation class_distribution = {
    "class_distribution",
    "one ranking by S / sqrt(mean S^2), the mean over the tensor; each keeps at least its floor",
    "See et al. 2016, arXiv:1606.09274",
    AllocationNeeds::kNothing,
    AllocationKind::kRanking,
    Allocate};

}  // namespace espalier::allocations
