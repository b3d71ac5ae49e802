// What kernels over format `compact` share: they multiply by `dense`'s kernels in portions of rows,
// from an x of the columns that are left, and spread the results.
#ifndef ESPALIER_KERNELS_COMPACT_H_
#define ESPALIER_KERNELS_COMPACT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/compact.h"
#include "formats/dense.h"
#include "kernels/kernels.h"

namespace espalier {

// Rows of a portion, a multiple of a strip of `dense`: their sums are on the stack.
inline constexpr size_t kPortionRows = 128;
static_assert(kPortionRows % kDenseStripRows == 0);

// What row groups stand for: rows of y, and of those that are left numbers [first, end) of the
// list.
struct CompactRange {
  size_t first_row, end_row;
  size_t first, end;
};

inline CompactRange RangeOf(const CompactView& w, int64_t rows, const MatMulArgs& args) {
  const size_t end_group = std::min(args.end_group, w.row_groups());
  if (args.first_group >= end_group) return {};
  CompactRange range{};
  range.first = args.first_group * kDenseStripRows;
  range.end = std::min(end_group * kDenseStripRows, w.row_count);
  range.first_row = range.first == 0 ? 0 : w.row[range.first];
  range.end_row = range.end == w.row_count ? static_cast<size_t>(rows) : w.row[range.end];
  if (w.col_count == 0) range.end = range.first;
  return range;
}

// The rows of a portion of the range.
inline std::span<const uint32_t> PortionRows(const CompactView& w, const CompactRange& range,
                                             size_t first) {
  return {w.row + first, std::min(kPortionRows, range.end - first)};
}

// Those rows of `rest`. Precondition: first is a multiple of a strip.
inline EncodedView PortionOf(const CompactView& w, const CompactRange& range, size_t first) {
  const DenseView rest = ViewDense(w.rest);
  EncodedView portion = w.rest;
  portion.rows = static_cast<int64_t>(PortionRows(w, range, first).size());
  portion.bytes = portion.bytes.subspan(first * rest.stored_cols() * SizeOf(w.rest.spec.type));
  return portion;
}

// y = init, or 0 for nullptr, in the rows of the range.
inline void StartRows(const float* init, const CompactRange& range, float* y) {
  if (init == nullptr) {
    std::fill(y + range.first_row, y + range.end_row, 0.0f);
  } else {
    std::copy(init + range.first_row, init + range.end_row, y + range.first_row);
  }
}

// y[rows[i]] += sums[i]
inline void SpreadRows(std::span<const uint32_t> rows, const float* sums, float* y) {
  for (size_t i = 0; i < rows.size(); ++i) y[rows[i]] += sums[i];
}

}  // namespace espalier

#endif  // ESPALIER_KERNELS_COMPACT_H_
