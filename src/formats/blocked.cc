#include "formats/blocked.h"

#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {
    {4, 4},
    {8, 4},
    {8, 8},
    {16, 1},
    {4, 4, WeightType::kBf16},
    {8, 4, WeightType::kBf16},
    {8, 8, WeightType::kBf16},
    {16, 1, WeightType::kBf16},
    {4, 4, WeightType::kI8},
    {8, 4, WeightType::kI8},
    {8, 8, WeightType::kI8},
    {16, 1, WeightType::kI8},
};
constexpr int64_t kMaxCols = 1 << 16;
constexpr uint64_t kMaxBlocks = std::numeric_limits<uint32_t>::max();

// One strip and the columns [first_col, end_col) that a block stands for; it begins at `col`.
struct Place {
  int64_t first_row, end_row;
  int64_t first_col, end_col;
  int64_t col;
};

Place PlaceOf(const FormatSpec& spec, const MatrixView& matrix, int64_t strip, int64_t first_col) {
  const int64_t first_row = strip * spec.strip_rows;
  Place place;
  place.first_row = first_row;
  place.end_row = std::min<int64_t>(matrix.rows, first_row + spec.strip_rows);
  place.first_col = first_col;
  place.end_col = std::min<int64_t>(matrix.cols, first_col + spec.bank_cols);
  place.col = std::max<int64_t>(0, std::min<int64_t>(first_col, matrix.cols - spec.bank_cols));
  return place;
}

bool HasWeight(const MatrixView& matrix, const Place& place) {
  for (int64_t row = place.first_row; row < place.end_row; ++row) {
    for (int64_t col = place.first_col; col < place.end_col; ++col) {
      if (matrix.at(row, col) != 0.0f) return true;
    }
  }
  return false;
}

Result<AlignedBuffer<std::byte>> EncodeBlocked(const FormatSpec& spec, MatrixView matrix) {
  if (matrix.cols > kMaxCols) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxCols, " columns can be stored, ",
                              matrix.cols, " found"));
  }
  std::vector<Place> places;
  std::vector<uint32_t> starts;
  for (int64_t strip = 0; strip < DivideUp(matrix.rows, spec.strip_rows); ++strip) {
    starts.push_back(static_cast<uint32_t>(places.size()));
    for (int64_t col = 0; col < matrix.cols; col += spec.bank_cols) {
      const Place place = PlaceOf(spec, matrix, strip, col);
      if (HasWeight(matrix, place)) places.push_back(place);
    }
    while (places.size() % BlockedMultiple(spec) != 0) {
      places.push_back(places.back());
      places.back().first_col = places.back().end_col;  // of no weight
    }
  }
  if (places.size() > kMaxBlocks) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxBlocks, " blocks can be stored, ",
                              places.size(), " found"));
  }
  starts.push_back(static_cast<uint32_t>(places.size()));
  const BlockedLayout layout(spec, matrix.rows, places.size());
  AlignedBuffer<std::byte> bytes(layout.end);
  std::copy(starts.begin(), starts.end(), reinterpret_cast<uint32_t*>(bytes.data()));
  std::byte* values = bytes.data() + layout.values;
  auto* cols = reinterpret_cast<uint16_t*>(bytes.data() + layout.col);
  for (size_t block = 0; block < places.size(); ++block) {
    const Place& place = places[block];
    cols[block] = static_cast<uint16_t>(place.col);
    for (int64_t col = place.first_col; col < place.end_col; ++col) {
      for (int64_t row = place.first_row; row < place.end_row; ++row) {
        const size_t offset = BlockedOffset(spec, block, static_cast<size_t>(row - place.first_row),
                                            static_cast<size_t>(col - place.col));
        StoreWeight(matrix.at(row, col), values, spec.type, offset);
      }
    }
  }
  return bytes;
}

// Every column of a block must be one of the matrix, unless that is narrower than a block.
Status CheckCol(const BlockedView& view, size_t block) {
  const size_t col = view.col[block];
  const size_t edge = view.cols > view.block_cols ? view.cols - view.block_cols : 0;
  if (col <= edge && (col % view.block_cols == 0 || col == edge)) return Ok();
  return BadFormat(StrCat("blocked.col[", block, "]: a multiple of ", view.block_cols, " below ",
                          edge, ", or ", edge, " expected, ", col, " found"));
}

// Precondition: starts rise.
Status CheckMultiples(const FormatSpec& spec, std::span<const uint32_t> starts) {
  const uint64_t multiple = BlockedMultiple(spec);
  for (size_t strip = 0; strip < starts.size(); ++strip) {
    if (starts[strip] % multiple == 0) continue;
    return BadFormat(StrCat("blocked.block_start[", strip, "]: a multiple of ", multiple,
                            " expected, ", starts[strip], " found"));
  }
  return Ok();
}

// Rows and columns past the last have no weights: no check of sums sees theirs.
Status CheckPadding(const FormatSpec& spec, const BlockedView& view) {
  for (size_t strip = 0; strip < view.strips; ++strip) {
    const size_t rows = std::min(view.block_rows, view.rows - strip * view.block_rows);
    const size_t cols = std::min(view.block_cols, view.cols);
    if (rows == view.block_rows && cols == view.block_cols) continue;
    for (size_t block = view.block_start[strip]; block < view.block_start[strip + 1]; ++block) {
      for (size_t row = 0; row < view.block_rows; ++row) {
        for (size_t col = row < rows ? cols : 0; col < view.block_cols; ++col) {
          const float weight =
              LoadWeight(view.values, view.type, BlockedOffset(spec, block, row, col));
          if (weight == 0.0f) continue;
          return BadFormat(StrCat("blocked.values[", block, "], row ", row, ", column ", col,
                                  ": 0 past the last ", row < rows ? "column" : "row",
                                  " expected, ", weight, " found"));
        }
      }
    }
  }
  return Ok();
}

Status ValidateBlocked(const EncodedView& matrix) {
  const BlockedLayout empty(matrix.spec, matrix.rows, 0);
  if (matrix.bytes.size() < empty.values) {
    return BadFormat(StrCat("blocked.block_start: ", empty.values, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const auto* starts = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  ESPALIER_RETURN_IF_ERROR(CheckStarts("blocked.block_start", {starts, empty.strips + 1}));
  ESPALIER_RETURN_IF_ERROR(CheckMultiples(matrix.spec, {starts, empty.strips + 1}));
  const BlockedLayout layout(matrix.spec, matrix.rows, starts[empty.strips]);
  ESPALIER_RETURN_IF_ERROR(CheckSize("blocked", matrix.bytes.size(), layout.end));
  const BlockedView view = ViewBlocked(matrix);
  for (size_t block = 0; block < view.block_start[view.strips]; ++block) {
    ESPALIER_RETURN_IF_ERROR(CheckCol(view, block));
  }
  return CheckPadding(matrix.spec, view);
}

void ForEachStoredBlocked(const EncodedView& matrix, void* context, VisitFn visit) {
  const BlockedView view = ViewBlocked(matrix);
  for (size_t strip = 0; strip < view.strips; ++strip) {
    const size_t first_row = strip * view.block_rows;
    const size_t rows = std::min(view.block_rows, view.rows - first_row);
    for (size_t block = view.block_start[strip]; block < view.block_start[strip + 1]; ++block) {
      const size_t cols = std::min<size_t>(view.block_cols, view.cols - view.col[block]);
      for (size_t col = 0; col < cols; ++col) {
        for (size_t row = 0; row < rows; ++row) {
          visit(context, static_cast<int64_t>(first_row + row),
                static_cast<int64_t>(view.col[block] + col),
                LoadWeight(view.values, view.type, BlockedOffset(matrix.spec, block, row, col)));
        }
      }
    }
  }
}

size_t RowGroupsBlocked(const EncodedView& matrix) { return ViewBlocked(matrix).strips; }

uint64_t WorkBeforeBlocked(const EncodedView& matrix, size_t group) {
  const BlockedView view = ViewBlocked(matrix);
  return uint64_t{view.block_start[group]} * view.block_rows * view.block_cols;
}

size_t GroupOfRowBlocked(const EncodedView& matrix, int64_t row) {
  return static_cast<size_t>(row / matrix.spec.strip_rows);
}

}  // namespace

const FormatOps blocked_format = {
    kTiles,           EncodeBlocked,     ValidateBlocked,   ForEachStoredBlocked,
    RowGroupsBlocked, WorkBeforeBlocked, GroupOfRowBlocked, nullptr};

}  // namespace espalier
