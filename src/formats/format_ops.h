// FormatOps: what the .cc of a format provides, and the little arithmetic that their layouts share.
// Only formats/ and tests include this; everybody else goes through format.h.
#ifndef ESPALIER_FORMATS_FORMAT_OPS_H_
#define ESPALIER_FORMATS_FORMAT_OPS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "base/status.h"
#include "formats/format.h"

namespace espalier {

struct FormatTile {
  int32_t strip_rows;
  int32_t bank_cols;
  WeightType type = WeightType::kF32;
  int32_t depth = 1;
};

// Every function may rely on 1 <= rows, cols <= kMaxDim and on a tile of `tiles`; encode also on
// values that the type holds. Of type kI8 they see the body (row_scales.h): its values are whole
// numbers.
struct FormatOps {
  std::span<const FormatTile> tiles;  // what it can encode; {0, 0} for a format without tiles
  Result<AlignedBuffer<std::byte>> (*encode)(const FormatSpec& spec, MatrixView matrix);
  Status (*validate)(const EncodedView& matrix);
  void (*for_each_stored)(const EncodedView& matrix, void* context, VisitFn visit);
  size_t (*row_groups)(const EncodedView& matrix);
  uint64_t (*work_before)(const EncodedView& matrix, size_t group);
  size_t (*group_of_row)(const EncodedView& matrix, int64_t row);
  ReadRowFn read_row;  // nullptr where a row is spread over the bytes
  // nullptr, or before anything else is done: can a matrix with zeros where this one has them be
  // stored? Errors: kUnsupported.
  Status (*check_zeros)(const FormatSpec& spec, MatrixView matrix) = nullptr;
};

#define ESPALIER_FORMAT(name, id) extern const FormatOps name##_format;
#include "formats/formats.inc"
#undef ESPALIER_FORMAT

// Rows and columns of one matrix; keeps every product of a layout below 2^63.
inline constexpr int64_t kMaxDim = std::numeric_limits<int32_t>::max();

inline constexpr int64_t DivideUp(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// kBadFormat unless `found` bytes are exactly what the counts in the matrix ask for.
Status CheckSize(const char* format, size_t found, uint64_t expected);

// Checks starts[0] = 0 <= starts[1] <= ...: offsets into an array, one per row or strip, and the
// end. The last one is bounded by the size of the matrix's bytes, which the caller checks.
Status CheckStarts(const char* field, std::span<const uint32_t> starts);

}  // namespace espalier

#endif  // ESPALIER_FORMATS_FORMAT_OPS_H_
