// Which matrices a format can store, where that is not any: for tests and benches that need a
// matrix for every format.
#ifndef ESPALIER_FORMATS_FIT_H_
#define ESPALIER_FORMATS_FIT_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/format.h"

namespace espalier {

// Keeps the `count` largest of `bank` and makes the others 0.
inline void KeepLargest(size_t count, std::span<float> bank) {
  const auto is_larger = [](float a, float b) { return std::abs(a) > std::abs(b); };
  std::vector<float> sorted(bank.begin(), bank.end());
  std::sort(sorted.begin(), sorted.end(), is_larger);
  const float least = count < sorted.size() ? sorted[count] : 0.0f;
  for (float& value : bank) {
    if (!is_larger(value, least)) value = 0.0f;
  }
}

// The rows of a matrix of about `rows` rows that the format can store: of `diagonal` the next
// multiple of the columns.
inline int64_t FitRows(const FormatSpec& spec, int64_t rows, int64_t cols) {
  return spec.id == FormatId::k_diagonal ? (rows + cols - 1) / cols * cols : rows;
}

// Makes of any matrix [rows, cols] one that the format can store: rounds it to the type, and of
// `nm` keeps the largest weights of each bank (fewer where sizes are equal).
inline void FitMatrix(const FormatSpec& spec, int64_t cols, std::span<float> values) {
  const auto width = static_cast<size_t>(cols);
  const auto bank_cols = static_cast<size_t>(spec.bank_cols);
  for (size_t begin = 0; begin < values.size() && spec.id == FormatId::k_nm; begin += width) {
    for (size_t col = 0; col < width; col += bank_cols) {
      KeepLargest(static_cast<size_t>(spec.depth),
                  values.subspan(begin + col, std::min(bank_cols, width - col)));
    }
  }
  RoundMatrix(spec.type, cols, values);
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_FIT_H_
