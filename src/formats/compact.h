// Format `compact`: only the rows and columns that hold a weight, dense. For matrices pruned by
// whole gate rows or input columns: no bit is spent on single weights, and the dense kernel runs
// them.
//
//   row_count  u32
//   col_count  u32
//              0 to a multiple of 64 bytes
//   row        u32 [row_count]      rows that are left, in rising order
//              0 to a multiple of 64 bytes
//   col        u32 [col_count]      columns that are left, in rising order
//              0 to a multiple of 64 bytes
//   rest       the matrix [row_count, col_count] in format `dense` (dense.h); absent if it is empty
//
// A row group is a strip of `rest`: its rows, and those without weights after each of them; the
// first group also has the rows before. Without any strip there is one group.
//
// At most 2^14 columns may be left (i8: 2^16): kernels gather their x in 64 KB of stack. A column's
// number takes 4 bytes once, its weights 64 (f32) in each strip of 16 rows.
#ifndef ESPALIER_FORMATS_COMPACT_H_
#define ESPALIER_FORMATS_COMPACT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/dense.h"
#include "formats/format.h"
#include "formats/row_scales.h"

namespace espalier {

// Columns that may be left.
constexpr size_t CompactMaxCols(WeightType type) {
  return type == WeightType::kI8 ? kMaxI8Cols : size_t{1} << 14;
}

struct CompactView {
  size_t row_count;
  size_t col_count;
  const uint32_t* row;
  const uint32_t* col;
  EncodedView rest;  // of format `dense`; no bytes if row_count or col_count is 0

  bool is_empty() const { return row_count == 0 || col_count == 0; }
  size_t row_groups() const {
    return std::max<size_t>(1, (row_count + kDenseStripRows - 1) / kDenseStripRows);
  }
};

// Where the arrays are, in bytes from the start.
struct CompactLayout {
  uint64_t row, col, rest;

  CompactLayout(uint64_t row_count, uint64_t col_count) {
    row = kAlignmentBytes;
    col = row + RoundUp(row_count * sizeof(uint32_t), kAlignmentBytes);
    rest = col + RoundUp(col_count * sizeof(uint32_t), kAlignmentBytes);
  }
};

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h).
inline CompactView ViewCompact(const EncodedView& matrix) {
  const std::byte* bytes = matrix.bytes.data();
  const auto* count = reinterpret_cast<const uint32_t*>(bytes);
  const CompactLayout layout(count[0], count[1]);
  CompactView view{};
  view.row_count = count[0];
  view.col_count = count[1];
  view.row = reinterpret_cast<const uint32_t*>(bytes + layout.row);
  view.col = reinterpret_cast<const uint32_t*>(bytes + layout.col);
  view.rest = {{FormatId::k_dense, 0, 0, matrix.spec.type},
               count[0],
               count[1],
               matrix.bytes.subspan(layout.rest)};
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_COMPACT_H_
