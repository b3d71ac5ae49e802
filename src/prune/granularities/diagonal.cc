// Diagonal granularity: blocks, and before them all, the diagonal of each gate of a recurrent
// matrix [G*H, H], by which a unit looks at itself. Spelt as the format that stores it,
// diagonal_16x1. A matrix whose rows are no multiple of its columns has no such diagonals and is
// cut as by blocked. An input matrix that happens to be [G*H, H] is not told apart: choose the
// weights if that matters.
#include <vector>

#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows, int64_t cols) {
  return blocked.check(spec, weight, rows, cols);
}

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  if (view.rows % view.cols != 0) return blocked.partition(spec, view);
  const auto on_diagonal = [&](int64_t row) {
    return static_cast<size_t>(row * view.cols + row % view.cols);
  };
  std::vector<uint8_t> rest(view.saliency.size());
  for (size_t i = 0; i < rest.size(); ++i) rest[i] = view.IsAlive(i) ? 1 : 0;
  for (int64_t row = 0; row < view.rows; ++row) rest[on_diagonal(row)] = 0;
  Partition partition = blocked.partition(spec, {view.saliency, rest, view.rows, view.cols});
  for (int64_t row = 0; row < view.rows; ++row) {
    const size_t i = on_diagonal(row);
    if (!view.IsAlive(i)) continue;
    partition.piece_of[i] = static_cast<int32_t>(partition.pool.pieces.size());
    partition.pool.pieces.push_back({.score = view.saliency[i], .size = 1, .tier = 1});
  }
  return partition;
}

}  // namespace

const Granularity diagonal = {
    "diagonal",
    "a block as of `blocked`, after each single weight on the diagonal of "
    "a gate; mean saliency",
    "Valin and Skoglund 2019, arXiv:1810.11846",
    Tile::kRowsByCols,
    Extent::kWeight,
    Domain::kMatrices,
    Check,
    Cut};

}  // namespace espalier::granularities
