#include <cstdint>

#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

Partition Cut(const GranularitySpec& /*spec*/, const SaliencyView& view) {
  Partition partition;
  partition.piece_of.assign(view.saliency.size(), -1);
  partition.pool.size = static_cast<int64_t>(view.saliency.size());
  partition.pool.pieces.reserve(view.saliency.size());
  for (size_t i = 0; i < view.saliency.size(); ++i) {
    if (!view.IsAlive(i)) continue;
    partition.piece_of[i] = static_cast<int32_t>(partition.pool.pieces.size());
    partition.pool.pieces.push_back({.score = view.saliency[i]});
  }
  return partition;
}

}  // namespace

const Granularity element = {"element",
                             "one weight; its saliency",
                             "Han et al. 2015, arXiv:1506.02626",
                             Tile::kNone,
                             Extent::kWeight,
                             Domain::kMatrices,
                             nullptr,
                             Cut};

}  // namespace espalier::granularities
