// Format `diagonal`: the diagonal of every gate, and the rest in blocks. A recurrent matrix [G*H,
// H] stands for G square ones; their diagonals, by which a unit looks at itself, are kept whole
// when the rest is pruned in blocks, and would cost a block for each element (LPCNet: Valin and
// Skoglund 2019, arXiv:1810.11846, section 3.5).
//
//   diagonal  f32, bf16 or i8 [strips, R]    of row r the weight in column r mod cols; the rest is
//   0
//             0 to a multiple of 64 bytes
//   rest      the matrix without these weights in format `blocked` (blocked.h), R rows by C columns
//
// strips = ceil(rows / R); rows are a multiple of cols, else the matrix has no such diagonals and
// cannot be stored. Every element of the diagonals is stored, zeros too.
#ifndef ESPALIER_FORMATS_DIAGONAL_H_
#define ESPALIER_FORMATS_DIAGONAL_H_

#include <cstddef>
#include <cstdint>

#include "formats/blocked.h"
#include "formats/format.h"

namespace espalier {

struct DiagonalView {
  const std::byte* diagonal;  // 64-byte aligned
  EncodedView rest;           // of format `blocked`
};

// Of the diagonal and the zeros after it.
constexpr size_t DiagonalBytes(const FormatSpec& spec, int64_t rows) {
  const size_t count = RoundUp(static_cast<size_t>(rows), static_cast<size_t>(spec.strip_rows));
  return RoundUp(count * SizeOf(spec.type), kAlignmentBytes);
}

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h).
inline DiagonalView ViewDiagonal(const EncodedView& matrix) {
  const size_t bytes = DiagonalBytes(matrix.spec, matrix.rows);
  FormatSpec spec = matrix.spec;
  spec.id = FormatId::k_blocked;
  return {matrix.bytes.data(), {spec, matrix.rows, matrix.cols, matrix.bytes.subspan(bytes)}};
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_DIAGONAL_H_
