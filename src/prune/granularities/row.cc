// Row granularity: whole rows of one matrix. Rows of weight_ih and weight_hh go on their own:
// gate_row takes those that belong together.
#include <vector>

#include "prune/partition.h"

namespace espalier::granularities {
namespace {

Partition Cut(const GranularitySpec& /*spec*/, const SaliencyView& view) {
  std::vector<int32_t> row_of(view.saliency.size());
  for (size_t i = 0; i < row_of.size(); ++i) {
    row_of[i] = static_cast<int32_t>(static_cast<int64_t>(i) / view.cols);
  }
  return PartitionByLabel(view, row_of, static_cast<int32_t>(view.rows));
}

}  // namespace

const Granularity row = {"row",
                         "one row of a matrix; mean saliency",
                         "Zhang and Ou 2018, arXiv:1803.00184",
                         Tile::kNone,
                         Extent::kWeight,
                         Domain::kMatrices,
                         nullptr,
                         Cut};

}  // namespace espalier::granularities
