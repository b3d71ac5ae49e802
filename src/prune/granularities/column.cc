// Column granularity: whole columns of one matrix, of all gates or (per gate) of one. The other
// matrices that read the same feature keep theirs: input_feature takes all.
#include <vector>

#include "prune/partition.h"

namespace espalier::granularities {
namespace {

Partition Cut(const GranularitySpec& /*spec*/, const SaliencyView& view) {
  std::vector<int32_t> col_of(view.saliency.size());
  for (size_t i = 0; i < col_of.size(); ++i) {
    col_of[i] = static_cast<int32_t>(static_cast<int64_t>(i) % view.cols);
  }
  return PartitionByLabel(view, col_of, static_cast<int32_t>(view.cols));
}

}  // namespace

const Granularity column = {"column",
                            "one column of a matrix; mean saliency",
                            "Zhang and Ou 2018, arXiv:1803.00184",
                            Tile::kNone,
                            Extent::kWeight,
                            Domain::kMatrices,
                            nullptr,
                            Cut};

}  // namespace espalier::granularities
