// Slot granularity: element sparsity that a SIMD machine can run. A matrix is cut in strips of S
// rows (SIMD lanes) by banks of B columns (what a few registers of x hold). In one strip and bank,
// slot j is the j-th largest weight of each of the S rows: S weights, one a row, each with a column
// inside the bank. One slot is one vector multiply-add with a lane permutation of x in registers.
// The count of slots is free in every strip and bank, so little is lost against single weights.
// With a depth of D slot j is the j-th D largest weights of each row: what one instruction takes
// that adds D products to a sum.
//
// - A slot's score is the mean of its weights' saliencies. For full slots that ranks as their sum
//   does (exponent 1: saliencies are added as they are, not squared); in a last strip of fewer rows
//   the sum would starve those rows.
// - Last strips and banks are cut short, and a slot counts only the weights that are there.
// - A row whose weights were dropped before has fewer slots than its neighbours.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "base/strings.h"
#include "prune/granularity.h"

namespace espalier::granularities {
namespace {

// Larger strips fit no register file; larger banks no one-byte column index.
constexpr int32_t kMaxStripRows = 64;
constexpr int32_t kMaxBankCols = 256;
constexpr int32_t kMaxDepth = 4;

// Ties go up: 3 -> 4, 6 -> 8.
int32_t NearestPowerOfTwo(int32_t value, int32_t largest) {
  const auto clamped = static_cast<uint32_t>(std::clamp(value, int32_t{1}, largest));
  const uint32_t below = std::bit_floor(clamped);
  const uint32_t above = std::bit_ceil(clamped);
  const bool goes_up = above - clamped <= clamped - below;
  return static_cast<int32_t>(goes_up && above <= static_cast<uint32_t>(largest) ? above : below);
}

Status Check(const GranularitySpec& spec, const std::string& weight, int64_t rows,
             int64_t /*cols*/) {
  GranularitySpec fitting = spec;
  const int64_t most_rows = std::min<int64_t>(kMaxStripRows, rows);
  fitting.rows = NearestPowerOfTwo(spec.rows, static_cast<int32_t>(most_rows));
  fitting.cols = NearestPowerOfTwo(spec.cols, kMaxBankCols);
  fitting.depth = NearestPowerOfTwo(spec.depth, std::min(kMaxDepth, fitting.cols));
  if (fitting == spec) return Ok();
  return InvalidArgument(StrCat(weight, " (", rows, " rows): strips of 2^n rows up to ", most_rows,
                                " by banks of 2^n columns up to ", kMaxBankCols,
                                ", and a depth of 2^n up to ", kMaxDepth, ", expected, ",
                                GranularityName(spec), " found; the nearest that fits is ",
                                GranularityName(fitting)));
}

// Appends the slots of one strip and bank.
class SlotCutter {
 public:
  SlotCutter(const SaliencyView& view, size_t depth, Partition* partition)
      : view_(view), depth_(depth), partition_(partition) {}

  void Cut(int64_t first_row, int64_t row_count, int64_t first_col, int64_t col_count) {
    auto& pieces = partition_->pool.pieces;
    const size_t first_piece = pieces.size();
    sum_.clear();
    for (int64_t row = first_row; row < first_row + row_count; ++row) {
      const auto begin = static_cast<size_t>(row * view_.cols + first_col);
      alive_.clear();
      for (size_t i = begin; i < begin + static_cast<size_t>(col_count); ++i) {
        if (view_.IsAlive(i)) alive_.push_back(i);
      }
      std::sort(alive_.begin(), alive_.end(), [&](size_t a, size_t b) {
        if (view_.saliency[a] != view_.saliency[b]) return view_.saliency[a] > view_.saliency[b];
        return a < b;
      });
      for (size_t rank = 0; rank < alive_.size(); ++rank) {
        const size_t slot = rank / depth_;
        if (slot == sum_.size()) {
          sum_.push_back(0.0);
          pieces.push_back({.score = 0.0f, .size = 0});
        }
        sum_[slot] += view_.saliency[alive_[rank]];
        ++pieces[first_piece + slot].size;
        partition_->piece_of[alive_[rank]] = static_cast<int32_t>(first_piece + slot);
      }
    }
    for (size_t slot = 0; slot < sum_.size(); ++slot) {
      Piece& piece = pieces[first_piece + slot];
      piece.score = static_cast<float>(sum_[slot] / piece.size);
    }
  }

 private:
  const SaliencyView& view_;
  size_t depth_;
  Partition* partition_;
  std::vector<size_t> alive_;
  std::vector<double> sum_;
};

Partition Cut(const GranularitySpec& spec, const SaliencyView& view) {
  Partition partition;
  partition.piece_of.assign(view.saliency.size(), -1);
  partition.pool.size = static_cast<int64_t>(view.saliency.size());
  SlotCutter cutter(view, static_cast<size_t>(spec.depth), &partition);
  for (int64_t row = 0; row < view.rows; row += spec.rows) {
    for (int64_t col = 0; col < view.cols; col += spec.cols) {
      cutter.Cut(row, std::min<int64_t>(spec.rows, view.rows - row), col,
                 std::min<int64_t>(spec.cols, view.cols - col));
    }
  }
  return partition;
}

}  // namespace

const Granularity slot = {"slot",
                          "the j-th largest weight (with a depth of D: the j-th D largest) of each "
                          "of S rows in a bank of B "
                          "columns; mean saliency",
                          "own design",
                          Tile::kRowsByColsByDepth,
                          Extent::kWeight,
                          Domain::kMatrices,
                          Check,
                          Cut,
                          nullptr,
                          nullptr,
                          /*is_balanced=*/false,
                          /*follows_saliency=*/true};

}  // namespace espalier::granularities
