// Column-balanced granularity: each column of a matrix is cut in M sub-columns of consecutive rows,
// as equal as possible, and every sub-column of a matrix keeps equally many weights, or one more:
// column_balanced_16. The paper's training with targeted dropout is not part of it.
#include <vector>

#include "base/strings.h"
#include "prune/partition.h"

namespace espalier::granularities {
namespace {

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows, int64_t cols) {
  if (spec.rows <= rows) return Ok();
  GranularitySpec fitting = spec;
  fitting.rows = static_cast<int32_t>(rows);
  return InvalidArgument(StrCat(weight, " (", rows, "x", cols, "): columns of up to ", rows,
                                " parts expected, ", GranularityName(spec),
                                " found; the nearest that fits is ", GranularityName(fitting)));
}

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  std::vector<int32_t> bank_of(view.saliency.size());
  for (int64_t row = 0; row < view.rows; ++row) {
    const int64_t part = row * spec.rows / view.rows;
    for (int64_t col = 0; col < view.cols; ++col) {
      bank_of[static_cast<size_t>(row * view.cols + col)] =
          static_cast<int32_t>(part * view.cols + col);
    }
  }
  return PartitionBalanced(view, bank_of, static_cast<int32_t>(spec.rows * view.cols));
}

}  // namespace

const Granularity column_balanced = {
    "column_balanced",
    "one weight, so that every one of the M parts of each column keeps equally many; mean saliency "
    "of the j-th largest of each part",
    "Gao et al. 2022, arXiv:2108.02297",
    Tile::kRows,
    Extent::kWeight,
    Domain::kMatrices,
    Check,
    Cut,
    nullptr,
    nullptr,
    /*is_balanced=*/true,
    /*follows_saliency=*/true};

}  // namespace espalier::granularities
