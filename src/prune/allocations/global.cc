#include "prune/allocation.h"

namespace espalier::allocations {

const Allocation global = {"global",
                           "one ranking over all tensors; each keeps at least its floor",
                           "See et al. 2016, arXiv:1606.09274 (class-blind)",
                           AllocationNeeds::kNothing,
                           AllocationKind::kRanking,
                           KeepRanked};

}  // namespace espalier::allocations
