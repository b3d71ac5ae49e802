#include "prune/allocation.h"

#include "prune/find.h"

namespace espalier {

std::span<const Allocation* const> AllAllocations() {
  static constexpr const Allocation* kAll[] = {
#define ESPALIER_ALLOCATION(name) &allocations::name,
#include "prune/allocations/allocations.inc"
#undef ESPALIER_ALLOCATION
  };
  return kAll;
}

Result<const Allocation*> FindAllocation(const std::string& name) {
  return FindByName("allocation", name, AllAllocations());
}

}  // namespace espalier
