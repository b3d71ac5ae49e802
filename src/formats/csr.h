// Format `csr`: compressed sparse rows, for masks without structure.
//
//   row_start  u32 [rows + 1]          where each row's weights begin; row_start[0] = 0, the last
//                                      is nnz
//              0 to a multiple of 64 bytes
//   values     f32, bf16 or i8 [nnz]   row by row, columns ascending
//              0 to a multiple of 64 bytes
//   col        u16 [nnz]
//
// Columns are u16 (at most 65536): half the index bytes of u32, and no recurrent layer is wider.
#ifndef ESPALIER_FORMATS_CSR_H_
#define ESPALIER_FORMATS_CSR_H_

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

// Rows of a row group: a cache line of y, so that threads that take groups do not share one.
inline constexpr size_t kCsrGroupRows = 16;

struct CsrView {
  size_t rows;
  size_t cols;
  const uint32_t* row_start;
  WeightType type;
  const std::byte* values;  // 64-byte aligned
  const uint16_t* col;
};

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h).
inline CsrView ViewCsr(const EncodedView& matrix) {
  const size_t rows = static_cast<size_t>(matrix.rows);
  const std::byte* bytes = matrix.bytes.data();
  const uint32_t* row_start = reinterpret_cast<const uint32_t*>(bytes);
  const size_t values_offset = RoundUp((rows + 1) * sizeof(uint32_t), kAlignmentBytes);
  const size_t col_offset =
      values_offset + RoundUp(row_start[rows] * SizeOf(matrix.spec.type), kAlignmentBytes);
  return {rows,
          static_cast<size_t>(matrix.cols),
          row_start,
          matrix.spec.type,
          bytes + values_offset,
          reinterpret_cast<const uint16_t*>(bytes + col_offset)};
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_CSR_H_
