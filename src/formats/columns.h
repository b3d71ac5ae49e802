// Format `columns`: the weights column by column, so that a column that is not wanted costs
// nothing: what delta updates multiply (model/graph.h, Delta). A column's weights lie in *runs* of
// R rows that follow each other, so that a vector unit adds a run to y in one step; a run begins at
// any row with a weight, and holds the zeros that are among the R.
//
//   col_start  u32 [cols + 1]   where each column's runs begin; the last is their number
//              0 to a multiple of 64 bytes
//   values     f32 or bf16 [runs, R]
//              0 to a multiple of 64 bytes
//   row        u16 [runs]       first row of the run
//
// Runs of a column go from the top and do not overlap, but for the last: where it would pass the
// last row it begins at rows - R instead, and is 0 in the rows that belong to the run before. A
// matrix with fewer rows than R has one run at 0, padded with rows of 0. One row group: a product
// is not shared among threads.
#ifndef ESPALIER_FORMATS_COLUMNS_H_
#define ESPALIER_FORMATS_COLUMNS_H_

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

struct ColumnsView {
  size_t rows;
  size_t cols;
  size_t run_rows;  // R
  const uint32_t* col_start;
  WeightType type;
  const std::byte* values;  // 64-byte aligned
  const uint16_t* row;
};

// Where the arrays are, in bytes from the start.
struct ColumnsLayout {
  uint64_t values, row, end;

  ColumnsLayout(const FormatSpec& spec, int64_t cols, uint64_t runs) {
    const auto run_rows = static_cast<uint64_t>(spec.strip_rows);
    values = RoundUp((static_cast<uint64_t>(cols) + 1) * sizeof(uint32_t), kAlignmentBytes);
    row = values + RoundUp(runs * run_rows * SizeOf(spec.type), kAlignmentBytes);
    end = row + runs * sizeof(uint16_t);
  }
};

// Precondition: Validate passes. Inline, so that a kernel that knows its tile divides by constants.
inline ColumnsView ViewColumns(const EncodedView& matrix) {
  const std::byte* bytes = matrix.bytes.data();
  ColumnsView view{};
  view.rows = static_cast<size_t>(matrix.rows);
  view.cols = static_cast<size_t>(matrix.cols);
  view.run_rows = static_cast<size_t>(matrix.spec.strip_rows);
  view.col_start = reinterpret_cast<const uint32_t*>(bytes);
  const ColumnsLayout layout(matrix.spec, matrix.cols, view.col_start[view.cols]);
  view.type = matrix.spec.type;
  view.values = bytes + layout.values;
  view.row = reinterpret_cast<const uint16_t*>(bytes + layout.row);
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_COLUMNS_H_
