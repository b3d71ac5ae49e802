// Format `rows`: every weight, row by row, so that a row that is not wanted costs nothing: what
// dynamic pruning that leaves out single rows multiplies. A row is a row group.
//
//   values  f32 or bf16 [rows, stride]   stride = cols rounded up to 64 bytes: 16 f32 or 32 bf16;
//                                        columns past the last are 0
//
// A row begins on a cache line and kernels load whole vectors of it. The sum of a row needs one sum
// across lanes, which `dense` does without: where all rows are wanted, that is the format.
#ifndef ESPALIER_FORMATS_ROWS_H_
#define ESPALIER_FORMATS_ROWS_H_

#include <cstddef>

#include "formats/format.h"

namespace espalier {

struct RowsView {
  size_t rows;
  size_t cols;
  size_t stride;            // weights from one row to the next
  const std::byte* values;  // 64-byte aligned

  // W: float, or uint16_t for bf16.
  template <typename W>
  const W* row(size_t index) const {
    return reinterpret_cast<const W*>(values) + index * stride;
  }
};

// Weights from one row to the next.
inline size_t RowsStride(WeightType type, int64_t cols) {
  return RoundUp(static_cast<size_t>(cols), kAlignmentBytes / SizeOf(type));
}

// Precondition: Validate passes.
inline RowsView ViewRows(const EncodedView& matrix) {
  return {static_cast<size_t>(matrix.rows), static_cast<size_t>(matrix.cols),
          RowsStride(matrix.spec.type, matrix.cols), matrix.bytes.data()};
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_ROWS_H_
