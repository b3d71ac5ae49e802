// Blocked granularity: whole blocks of R rows by C columns, which block-sparse kernels run with
// next to no index bytes. Last blocks are cut short, and a block counts only the weights that are
// there and were not dropped before.
#include <algorithm>
#include <cstdint>

#include "base/strings.h"
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

constexpr int32_t kMostRows = 64;
constexpr int32_t kMostCols = 64;

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows, int64_t cols) {
  GranularitySpec fitting = spec;
  const auto most_rows = static_cast<int32_t>(std::min<int64_t>(kMostRows, rows));
  const auto most_cols = static_cast<int32_t>(std::min<int64_t>(kMostCols, cols));
  fitting.rows = std::clamp(spec.rows, int32_t{1}, most_rows);
  fitting.cols = std::clamp(spec.cols, int32_t{1}, most_cols);
  if (fitting == spec) return Ok();
  return InvalidArgument(StrCat(weight, " (", rows, "x", cols, "): blocks of up to ", most_rows,
                                " rows by ", most_cols, " columns expected, ",
                                GranularityName(spec), " found; the nearest that fits is ",
                                GranularityName(fitting)));
}

// The block of rows from `row` and columns from `col` on.
void CutBlock(const GranularitySpec& spec, const SaliencyView& view, int64_t row, int64_t col,
              Partition* partition) {
  const auto index = static_cast<int32_t>(partition->pool.pieces.size());
  Piece piece{.score = 0.0f, .size = 0};
  double sum = 0.0;
  for (int64_t r = row; r < std::min(view.rows, row + spec.rows); ++r) {
    for (int64_t c = col; c < std::min(view.cols, col + spec.cols); ++c) {
      const auto i = static_cast<size_t>(r * view.cols + c);
      if (!view.IsAlive(i)) continue;
      sum += view.saliency[i];
      ++piece.size;
      partition->piece_of[i] = index;
    }
  }
  if (piece.size == 0) return;
  piece.score = static_cast<float>(sum / piece.size);
  partition->pool.pieces.push_back(piece);
}

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  Partition partition;
  partition.piece_of.assign(view.saliency.size(), -1);
  partition.pool.size = static_cast<int64_t>(view.saliency.size());
  for (int64_t row = 0; row < view.rows; row += spec.rows) {
    for (int64_t col = 0; col < view.cols; col += spec.cols) {
      CutBlock(spec, view, row, col, &partition);
    }
  }
  return partition;
}

}  // namespace

const Granularity blocked = {"blocked",
                             "a block of R rows by C columns; mean saliency",
                             "Narang et al. 2017, arXiv:1711.02782",
                             Tile::kRowsByCols,
                             Extent::kWeight,
                             Domain::kMatrices,
                             Check,
                             Cut};

}  // namespace espalier::granularities
