// Allocation: how much is dropped where. Sparsity is absolute: zeros / size of the whole, never a
// share of what is left.
#ifndef ESPALIER_PRUNE_ALLOCATION_H_
#define ESPALIER_PRUNE_ALLOCATION_H_

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "prune/pool.h"

namespace espalier {

struct Budget {
  double sparsity = 0.0;  // zeros / size, in [0, 1)
  double floor = 0.0;     // least share of each pool that is kept, in [0, 1 - sparsity]
};

struct Allocation {
  const char* name;
  const char* formula;
  const char* source;
  // One Keep for each pool. Precondition: no score is NaN.
  std::vector<Keep> (*allocate)(std::span<const Pool> pools, const Budget& budget);
};

namespace allocations {
#define ESPALIER_ALLOCATION(name) extern const Allocation name;
#include "prune/allocations/allocations.inc"
#undef ESPALIER_ALLOCATION
}  // namespace allocations

// In the order of allocations.inc.
std::span<const Allocation* const> AllAllocations();
// Errors: kInvalidArgument, naming the nearest.
Result<const Allocation*> FindAllocation(const std::string& name);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_ALLOCATION_H_
