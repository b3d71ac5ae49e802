// Piece and Pool: what granularities make and allocations choose from.
//
// A granularity cuts a tensor into pieces, the smallest things that are kept or dropped: one
// weight, one slot, one hidden unit. An allocation then keeps the best pieces within a budget.
#ifndef ESPALIER_PRUNE_POOL_H_
#define ESPALIER_PRUNE_POOL_H_

#include <cstdint>
#include <span>
#include <vector>

namespace espalier {

struct Piece {
  float score = 0.0f;  // saliency per weight; larger = keep
  int32_t size = 1;    // what it takes from the budget: weights, or units
  int32_t tier = 0;    // a higher tier is kept first, whatever the score
};

// The pieces of one tensor (or of one layer's units).
struct Pool {
  std::vector<Piece> pieces;
  int64_t size = 0;  // of the whole tensor, with what was dropped before and is in no piece
};

// 1 = keep, one entry a piece.
using Keep = std::vector<uint8_t>;

// Number of elements that stay at `sparsity` of `size`: size - floor(sparsity * size). The product
// is taken to a millionth of an element, so that 0.29 of 100 is 29 in spite of binary fractions.
int64_t KeepBudget(double sparsity, int64_t size);

// Keeps the longest run of best pieces whose sizes add up to at most `budget`. Best: by tier, then
// score, then lower index; no threshold is compared, so ties neither over- nor underfill. A smaller
// budget keeps a subset. Precondition: no score is NaN. Cost: O(pieces), a weighted quickselect.
Keep KeepBest(std::span<const Piece> pieces, int64_t budget);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_POOL_H_
