// Format `blocked`: dense blocks of R rows by C columns, those that hold a weight. What
// block-sparse kernels run (rnnoise 8x4, Lyra 4x4, LPCNet 16x1): next to no index bytes, but whole
// blocks must be pruned, which costs accuracy (docs/measured/slots-and-blocks.md).
//
//   block_start  u32 [strips + 1]     where each strip's blocks begin; the last is their number
//                0 to a multiple of 64 bytes
//   values       f32, bf16 or i8 [blocks C / 4, R, 4]   four columns side by side; rows past the
//                last are 0. Of one column and f32 or bf16: [blocks, R]
//                0 to a multiple of 64 bytes
//   col          u16 [blocks]         first column of the block
//
// strips = ceil(rows / R), each a row group; a strip's blocks go from left to right. Columns are
// cut at multiples of C; a last block that would pass the edge begins at cols - C instead, and is 0
// in the columns that belong to the block before. A matrix narrower than C has one block at 0,
// padded with columns of 0. Of i8, a strip's blocks fill whole 64 bytes, so that kernels load no
// less: the last is followed by blocks of 0 in the same column.
#ifndef ESPALIER_FORMATS_BLOCKED_H_
#define ESPALIER_FORMATS_BLOCKED_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

struct BlockedView {
  size_t rows;
  size_t cols;
  size_t block_rows;  // R
  size_t block_cols;  // C
  size_t strips;
  const uint32_t* block_start;
  WeightType type;
  const std::byte* values;  // 64-byte aligned
  const uint16_t* col;
};

// Where the arrays are, in bytes from the start.
struct BlockedLayout {
  uint64_t strips;
  uint64_t values, col, end;

  BlockedLayout(const FormatSpec& spec, int64_t rows, uint64_t blocks) {
    const auto block_rows = static_cast<uint64_t>(spec.strip_rows);
    const uint64_t block_size = block_rows * static_cast<uint64_t>(spec.bank_cols);
    strips = (static_cast<uint64_t>(rows) + block_rows - 1) / block_rows;
    values = RoundUp((strips + 1) * sizeof(uint32_t), kAlignmentBytes);
    col = values + RoundUp(blocks * block_size * SizeOf(spec.type), kAlignmentBytes);
    end = col + blocks * sizeof(uint16_t);
  }
};

// Whether weights of four columns lie side by side.
constexpr bool HasQuads(const FormatSpec& spec) {
  return spec.bank_cols > 1 || spec.type == WeightType::kI8;
}

// Where among the values the weight (row, col) of a block is.
constexpr size_t BlockedOffset(const FormatSpec& spec, size_t block, size_t row, size_t col) {
  const auto block_rows = static_cast<size_t>(spec.strip_rows);
  const size_t column =
      block * static_cast<size_t>(spec.bank_cols) + col;  // of those of all blocks
  if (!HasQuads(spec)) return column * block_rows + row;
  return (column / 4 * block_rows + row) * 4 + column % 4;
}

// Blocks of a strip are a multiple of this.
constexpr size_t BlockedMultiple(const FormatSpec& spec) {
  const auto weights = static_cast<size_t>(spec.strip_rows) * static_cast<size_t>(spec.bank_cols);
  return spec.type == WeightType::kI8 ? std::max<size_t>(1, kAlignmentBytes / weights) : 1;
}

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h). Inline, so that a
// kernel that knows its tile divides by constants.
inline BlockedView ViewBlocked(const EncodedView& matrix) {
  const std::byte* bytes = matrix.bytes.data();
  BlockedView view{};
  view.rows = static_cast<size_t>(matrix.rows);
  view.cols = static_cast<size_t>(matrix.cols);
  view.block_rows = static_cast<size_t>(matrix.spec.strip_rows);
  view.block_cols = static_cast<size_t>(matrix.spec.bank_cols);
  view.block_start = reinterpret_cast<const uint32_t*>(bytes);
  view.strips = BlockedLayout(matrix.spec, matrix.rows, 0).strips;
  const BlockedLayout layout(matrix.spec, matrix.rows, view.block_start[view.strips]);
  view.type = matrix.spec.type;
  view.values = bytes + layout.values;
  view.col = reinterpret_cast<const uint16_t*>(bytes + layout.col);
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_BLOCKED_H_
