// Format `dense`: every weight, in strips of 16 rows stored column by column, so that a kernel
// multiplies 16 rows at once by one broadcast x[c] and needs no sum across lanes.
//
//   values  f32 or bf16 [strips, cols, 16]    strips = ceil(rows / 16); rows past the last are 0
//           i8 [strips, quads, 16, 4]         quads = ceil(cols / 4): four columns side by side,
//           since
//                                             an instruction adds four products of 8 bits to one
//                                             sum; columns past the last are 0
//
// A column of a strip is one cache line, and one AVX-512 register or two AVX2 registers. Strips of
// 32 were not faster on Zen 3 (several strips in flight give the same number of sums) and pad twice
// as much.
#ifndef ESPALIER_FORMATS_DENSE_H_
#define ESPALIER_FORMATS_DENSE_H_

#include <cstddef>

#include "formats/format.h"

namespace espalier {

inline constexpr size_t kDenseStripRows = 16;  // a strip is a row group

// Columns side by side.
constexpr size_t DenseDepth(WeightType type) { return type == WeightType::kI8 ? 4 : 1; }

struct DenseView {
  size_t rows;
  size_t cols;
  size_t strips;
  const std::byte* values;  // 64-byte aligned

  size_t depth;

  size_t stored_cols() const { return RoundUp(cols, depth); }
  // W: float, uint16_t for bf16, or int8_t.
  template <typename W>
  const W* strip(size_t index) const {
    return reinterpret_cast<const W*>(values) + index * stored_cols() * kDenseStripRows;
  }
};

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h).
inline DenseView ViewDense(const EncodedView& matrix) {
  const size_t rows = static_cast<size_t>(matrix.rows);
  return {rows, static_cast<size_t>(matrix.cols), (rows + kDenseStripRows - 1) / kDenseStripRows,
          matrix.bytes.data(), DenseDepth(matrix.spec.type)};
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_DENSE_H_
