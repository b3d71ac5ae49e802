// Pieces: what a granularity cuts weights into, as index sets over one flat vector of all weights.
// What regularizers (regularizer.h) work on.
#ifndef ESPALIER_PRUNE_PIECES_H_
#define ESPALIER_PRUNE_PIECES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "prune/plan.h"

namespace espalier {

// One weight and the pieces that it is part of. A hidden unit (coupling.h) is its rows and the
// columns that read it, so an element of weight_hh is part of two: the units of its row and of its
// column. (Of those on the diagonal both are one, and it counts once; in the code of Wen et al.
// 2018, arXiv:1709.05027, twice.)
struct PieceMember {
  uint32_t element = 0;  // in the flat vector
  // The piece whose gate, if it has one, multiplies the weight: -1 for none. A unit's gate
  // multiplies what is read of it, so it is the unit of the column; of `embedding_column` the
  // column of the Embedding. So a gate is passed once on each way through the network.
  int32_t gate = -1;
  int32_t also = -1;  // the other piece, which the gate does not belong to; -1 for none

  // Calls visit(piece) for both.
  template <typename Visit>
  void ForEachPiece(const Visit& visit) const {
    if (gate >= 0) visit(static_cast<size_t>(gate));
    if (also >= 0) visit(static_cast<size_t>(also));
  }
};

struct Pieces {
  std::vector<PieceMember> members;  // ascending elements, each in at least one piece
  std::vector<int32_t> sizes;        // [pieces]: members of each
  std::vector<int32_t> pool_of;      // [pieces]: the plan's pool that it competes in
  int32_t pools = 0;
  bool is_single = false;  // every piece is one weight: piece i is member i

  size_t count() const { return sizes.size(); }
};

// offsets: of each matrix in the flat vector. Precondition: which weights make a piece does not
// depend on their values (Granularity::follows_saliency).
Pieces FindPieces(const Graph& graph, const Plan& plan,
                  const std::map<std::string, size_t>& offsets);

// The 2-norm of each piece. Each weight counts in every piece that it is part of.
std::vector<double> PieceNorms(const Pieces& pieces, std::span<const float> weights);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PIECES_H_
