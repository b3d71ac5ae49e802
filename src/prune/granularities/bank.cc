// Bank-balanced granularity: each row is cut in banks of B columns (the last of a row may be
// narrower), and every bank of a matrix keeps equally many weights, or one more: bank_32. Any
// sparsity is possible, unlike nm's.
#include <vector>

#include "base/strings.h"
#include "prune/partition.h"

namespace espalier::granularities {
namespace {

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows, int64_t cols) {
  if (spec.cols <= cols) return Ok();
  GranularitySpec fitting = spec;
  fitting.cols = static_cast<int32_t>(cols);
  return InvalidArgument(StrCat(weight, " (", rows, "x", cols, "): banks of up to ", cols,
                                " columns expected, ", GranularityName(spec),
                                " found; the nearest that fits is ", GranularityName(fitting)));
}

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  const int64_t banks = (view.cols + spec.cols - 1) / spec.cols;  // of a row
  std::vector<int32_t> bank_of(view.saliency.size());
  for (int64_t row = 0; row < view.rows; ++row) {
    for (int64_t col = 0; col < view.cols; ++col) {
      bank_of[static_cast<size_t>(row * view.cols + col)] =
          static_cast<int32_t>(row * banks + col / spec.cols);
    }
  }
  return PartitionBalanced(view, bank_of, static_cast<int32_t>(view.rows * banks));
}

}  // namespace

const Granularity bank = {
    "bank",
    "one weight, so that every bank of B columns of a row keeps equally many; "
    "mean saliency of the j-th largest of each bank",
    "Cao et al. 2019, doi:10.1145/3289602.3293898",
    Tile::kCols,
    Extent::kWeight,
    Domain::kMatrices,
    Check,
    Cut,
    nullptr,
    nullptr,
    /*is_balanced=*/true,
    /*follows_saliency=*/true};

}  // namespace espalier::granularities
