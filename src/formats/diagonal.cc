#include "formats/diagonal.h"

#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {
    {16, 1},
    {8, 4},
    {16, 1, WeightType::kBf16},
    {8, 4, WeightType::kBf16},
    {16, 1, WeightType::kI8},
    {8, 4, WeightType::kI8},
};

Result<AlignedBuffer<std::byte>> EncodeDiagonal(const FormatSpec& spec, MatrixView matrix) {
  if (matrix.rows % matrix.cols != 0) {
    return Unsupported(StrCat(FormatName(spec), ": a multiple of ", matrix.cols,
                              ", the columns, as rows expected, ", matrix.rows, " found"));
  }
  const auto cols = static_cast<size_t>(matrix.cols);
  std::vector<float> rest(matrix.data, matrix.data + static_cast<size_t>(matrix.rows) * cols);
  for (size_t row = 0; row < static_cast<size_t>(matrix.rows); ++row) {
    rest[row * cols + row % cols] = 0.0f;
  }
  FormatSpec rest_spec = spec;
  rest_spec.id = FormatId::k_blocked;
  ESPALIER_ASSIGN_OR_RETURN(
      const AlignedBuffer<std::byte> blocks,
      blocked_format.encode(rest_spec, {rest.data(), matrix.rows, matrix.cols}));
  const size_t diagonal_bytes = DiagonalBytes(spec, matrix.rows);
  AlignedBuffer<std::byte> bytes(diagonal_bytes + blocks.size());
  for (size_t row = 0; row < static_cast<size_t>(matrix.rows); ++row) {
    StoreWeight(matrix.data[row * cols + row % cols], bytes.data(), spec.type, row);
  }
  std::copy(blocks.begin(), blocks.end(), bytes.data() + diagonal_bytes);
  return bytes;
}

Status ValidateDiagonal(const EncodedView& matrix) {
  if (matrix.rows % matrix.cols != 0) {
    return BadFormat(StrCat("diagonal: a multiple of ", matrix.cols,
                            ", the columns, as rows expected, ", matrix.rows, " found"));
  }
  const size_t diagonal_bytes = DiagonalBytes(matrix.spec, matrix.rows);
  if (matrix.bytes.size() < diagonal_bytes) {
    return BadFormat(
        StrCat("diagonal: ", diagonal_bytes, " bytes expected, ", matrix.bytes.size(), " found"));
  }
  return blocked_format.validate(ViewDiagonal(matrix).rest);
}

void ForEachStoredDiagonal(const EncodedView& matrix, void* context, VisitFn visit) {
  const DiagonalView view = ViewDiagonal(matrix);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    visit(context, row, row % matrix.cols,
          LoadWeight(view.diagonal, matrix.spec.type, static_cast<size_t>(row)));
  }
  blocked_format.for_each_stored(view.rest, context, visit);
}

size_t RowGroupsDiagonal(const EncodedView& matrix) {
  return blocked_format.row_groups(ViewDiagonal(matrix).rest);
}

uint64_t WorkBeforeDiagonal(const EncodedView& matrix, size_t group) {
  const int64_t rows = static_cast<int64_t>(group) * matrix.spec.strip_rows;
  return static_cast<uint64_t>(std::min(rows, matrix.rows)) +
         blocked_format.work_before(ViewDiagonal(matrix).rest, group);
}

size_t GroupOfRowDiagonal(const EncodedView& matrix, int64_t row) {
  return blocked_format.group_of_row(ViewDiagonal(matrix).rest, row);
}

}  // namespace

const FormatOps diagonal_format = {kTiles,
                                   EncodeDiagonal,
                                   ValidateDiagonal,
                                   ForEachStoredDiagonal,
                                   RowGroupsDiagonal,
                                   WorkBeforeDiagonal,
                                   GroupOfRowDiagonal,
                                   nullptr};

}  // namespace espalier
