#include "formats/rows.h"

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {{0, 0}, {0, 0, WeightType::kBf16}};

size_t RowGroupsRows(const EncodedView& matrix) { return static_cast<size_t>(matrix.rows); }

uint64_t WorkBeforeRows(const EncodedView& matrix, size_t group) {
  return uint64_t{group} * static_cast<uint64_t>(matrix.cols);
}

size_t GroupOfRowRows(const EncodedView& /*matrix*/, int64_t row) {
  return static_cast<size_t>(row);
}

uint64_t BytesOf(const EncodedView& matrix) {
  const WeightType type = matrix.spec.type;
  return static_cast<uint64_t>(matrix.rows) * RowsStride(type, matrix.cols) * SizeOf(type);
}

Result<AlignedBuffer<std::byte>> EncodeRows(const FormatSpec& spec, MatrixView matrix) {
  AlignedBuffer<std::byte> bytes(BytesOf({spec, matrix.rows, matrix.cols, {}}));
  const RowsView view = ViewRows({spec, matrix.rows, matrix.cols, {bytes.data(), bytes.size()}});
  for (size_t row = 0; row < view.rows; ++row) {
    for (size_t col = 0; col < view.cols; ++col) {
      StoreWeight(matrix.data[row * view.cols + col], bytes.data(), spec.type,
                  row * view.stride + col);
    }
  }
  return bytes;
}

// Kernels multiply columns past the last by 0, which is NaN for an infinite weight.
Status ValidateRows(const EncodedView& matrix) {
  ESPALIER_RETURN_IF_ERROR(CheckSize("rows", matrix.bytes.size(), BytesOf(matrix)));
  const RowsView view = ViewRows(matrix);
  for (size_t row = 0; row < view.rows; ++row) {
    for (size_t col = view.cols; col < view.stride; ++col) {
      const float weight = LoadWeight(view.values, matrix.spec.type, row * view.stride + col);
      if (weight == 0.0f) continue;
      return BadFormat(StrCat("rows.values[", row, "], column ", col,
                              ": 0 past the last column expected, ", weight, " found"));
    }
  }
  return Ok();
}

void ForEachStoredRows(const EncodedView& matrix, void* context, VisitFn visit) {
  const RowsView view = ViewRows(matrix);
  for (size_t row = 0; row < view.rows; ++row) {
    for (size_t col = 0; col < view.cols; ++col) {
      visit(context, static_cast<int64_t>(row), static_cast<int64_t>(col),
            LoadWeight(view.values, matrix.spec.type, row * view.stride + col));
    }
  }
}

void ReadRowRows(const EncodedView& matrix, int64_t row, float* out) {
  const RowsView view = ViewRows(matrix);
  for (size_t col = 0; col < view.cols; ++col) {
    out[col] =
        LoadWeight(view.values, matrix.spec.type, static_cast<size_t>(row) * view.stride + col);
  }
}

}  // namespace

const FormatOps rows_format = {kTiles,        EncodeRows,     ValidateRows,   ForEachStoredRows,
                               RowGroupsRows, WorkBeforeRows, GroupOfRowRows, ReadRowRows};

}  // namespace espalier
