// Piece and Pool: what granularities make and allocations choose from.
//
// A granularity cuts a tensor into pieces, the smallest things that are kept or dropped: one
// weight, one slot, one hidden unit. An allocation then keeps the best pieces within a budget.
#ifndef ESPALIER_PRUNE_POOL_H_
#define ESPALIER_PRUNE_POOL_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace espalier {

struct Piece {
  float score = 0.0f;  // saliency per weight; larger = keep
  int32_t size = 1;    // what it takes from the budget: weights, or units
  int32_t tier = 0;    // a higher tier is kept first, whatever the score
};

// The loss of a network of which one pool alone is pruned.
struct LossPoint {
  double sparsity = 0.0;  // of the pool, in [0, 1)
  double loss = 0.0;
};

// Pieces that compete with each other before they compete with those of other pools: of one tensor,
// of one gate of it, of one layer's units. Beside them, what an allocation may want to know.
struct Pool {
  std::vector<Piece> pieces;
  int64_t size = 0;  // of the whole, with what was dropped before and is in no piece
  std::string name;  // e.g. "lstm0.weight_hh", "lstm0.weight_hh[f]", "lstm0" for its units
  // Those that it cuts, with their gate, e.g. "lstm0.weight_ih[f]"; what patterns are matched with.
  std::vector<std::string> weights;
  // Of the pool's matrix; matrices of one layer side by side: [weight_ih weight_hh].
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t of_gates = 0;           // weights that stay so that each of its gates keeps a piece
  double spread = 0.0;            // root mean square of the saliencies of its weights that are left
  double sparsity = 0.0;          // its own, if the plan names one for each; in [0, 1)
  double threshold = 0.0;         // the score that a piece must reach, if the plan has one; >= 0
  std::vector<LossPoint> losses;  // measured, by ascending sparsity, from 0 on; or empty
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

// The best piece, pieces.size() if there is none.
size_t BestPiece(std::span<const Piece> pieces);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_POOL_H_
