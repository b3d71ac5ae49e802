// Allocation: how much is dropped where. Sparsity is absolute: zeros / size of the whole, never a
// share of what is left.
//
// There are three kinds. One gives each pool its own count of weights and keeps its best
// (KeepCounts); one makes scores comparable and ranks all pools together (KeepRanked); and
// `threshold` keeps what scores enough, so that the weights say how much goes.
#ifndef ESPALIER_PRUNE_ALLOCATION_H_
#define ESPALIER_PRUNE_ALLOCATION_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "prune/pool.h"

namespace espalier {

struct Budget {
  double sparsity = 0.0;         // zeros / size, in [0, 1)
  double floor = 0.0;            // least share of each pool that is kept, in [0, 1 - sparsity]
  double threshold_share = 1.0;  // of Pool::threshold that is in force, in [0, 1]
};

// What a plan must give its pools.
enum class AllocationNeeds : uint8_t {
  kNothing,
  kSparsities,  // Pool::sparsity of each
  kLosses,      // Pool::losses of each
  kThresholds,  // Pool::threshold of each; how much goes is then not known before
};

enum class AllocationKind : uint8_t {
  kShares,         // each pool's own share says what stays; the floor plays no part
  kFlooredShares,  // counts known before the weights are, none below the floor
  kRanking,        // only the weights say what goes where, none below the floor
};

struct Allocation {
  const char* name;
  const char* formula;
  const char* source;
  AllocationNeeds needs;
  AllocationKind kind;
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

// Keeps the best pieces of each pool within counts[i].
std::vector<Keep> KeepCounts(std::span<const Pool> pools, std::span<const int64_t> counts);

// One ranking over all pools by their pieces' scores, after each pool's floor (at least one piece),
// which counts in the budget but never exceeds it.
std::vector<Keep> KeepRanked(std::span<const Pool> pools, const Budget& budget);

// Number of weights that all pools together may keep.
int64_t TotalBudget(std::span<const Pool> pools, const Budget& budget);
// Weights that a pool has left, which is the most that it can keep.
int64_t AliveCount(const Pool& pool);
// Weights that a pool may keep whatever happens: its floor of its size, and enough for its best
// piece and for one of each of its gates, if it has so many left.
int64_t FloorCount(const Pool& pool, const Budget& budget);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_ALLOCATION_H_
