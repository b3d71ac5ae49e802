// N of M granularity: of every M consecutive columns of a row, a bank, N weights stay, spelt as the
// format that stores them: nm_16x4x2 is 2 of 4. (S, the format's strip of rows, does not matter
// here.)
//
// Pieces are single weights, and the N largest of each bank are of a higher tier than the rest. So
// a ramp first drops, smallest first, what no bank will keep in the end, and the sparsity at which
// it ends is 1 - N / M, no other. Where the last bank of a row is narrower, it keeps up to N all
// the same, and the budget is made up by the smallest of all.
#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

constexpr int32_t kMostRows = 64;
constexpr int32_t kMostCols = 256;

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows, int64_t cols) {
  GranularitySpec fitting = spec;
  fitting.rows = std::clamp(spec.rows, int32_t{1}, kMostRows);
  fitting.cols = std::clamp(spec.cols, int32_t{2}, kMostCols);
  fitting.depth = std::clamp(spec.depth, int32_t{1}, fitting.cols - 1);
  if (fitting == spec) return Ok();
  return InvalidArgument(StrCat(weight, " (", rows, "x", cols, "): strips of up to ", kMostRows,
                                " rows by banks of 2 to ", kMostCols,
                                " columns of which fewer stay expected, ", GranularityName(spec),
                                " found; the nearest that fits is ", GranularityName(fitting)));
}

double FixedSparsity(const GranularitySpec& spec) {
  return 1.0 - static_cast<double>(spec.depth) / static_cast<double>(spec.cols);
}

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  Partition partition;
  partition.piece_of.assign(view.saliency.size(), -1);
  partition.pool.size = static_cast<int64_t>(view.saliency.size());
  std::vector<size_t> alive;  // of one row and bank, the largest first
  for (int64_t row = 0; row < view.rows; ++row) {
    for (int64_t col = 0; col < view.cols; col += spec.cols) {
      const auto begin = static_cast<size_t>(row * view.cols + col);
      const auto width = static_cast<size_t>(std::min<int64_t>(spec.cols, view.cols - col));
      alive.clear();
      for (size_t i = begin; i < begin + width; ++i) {
        if (view.IsAlive(i)) alive.push_back(i);
      }
      std::stable_sort(alive.begin(), alive.end(),
                       [&](size_t a, size_t b) { return view.saliency[a] > view.saliency[b]; });
      for (size_t rank = 0; rank < alive.size(); ++rank) {
        partition.piece_of[alive[rank]] = static_cast<int32_t>(partition.pool.pieces.size());
        partition.pool.pieces.push_back({.score = view.saliency[alive[rank]],
                                         .size = 1,
                                         .tier = rank < static_cast<size_t>(spec.depth) ? 1 : 0});
      }
    }
  }
  return partition;
}

}  // namespace

const Granularity nm = {"nm",
                        "one weight; its saliency, the N largest of each row in a bank of M "
                        "columns before all others",
                        "Zhou et al. 2021, arXiv:2102.04010",
                        Tile::kRowsByColsByDepth,
                        Extent::kWeight,
                        Domain::kMatrices,
                        Check,
                        Cut,
                        nullptr,
                        FixedSparsity,
                        /*is_balanced=*/false,
                        /*follows_saliency=*/true};

}  // namespace espalier::granularities
