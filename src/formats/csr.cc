#include "formats/csr.h"

#include <algorithm>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {{0, 0}, {0, 0, WeightType::kBf16}, {0, 0, WeightType::kI8}};
constexpr int64_t kMaxCols = 1 << 16;
constexpr uint64_t kMaxStored = std::numeric_limits<uint32_t>::max();

uint64_t SizeOfStarts(int64_t rows) {
  return RoundUp((static_cast<size_t>(rows) + 1) * sizeof(uint32_t), kAlignmentBytes);
}

uint64_t SizeOfAll(const FormatSpec& spec, int64_t rows, uint64_t nnz) {
  return SizeOfStarts(rows) + RoundUp(nnz * SizeOf(spec.type), kAlignmentBytes) +
         nnz * sizeof(uint16_t);
}

Result<AlignedBuffer<std::byte>> EncodeCsr(const FormatSpec& spec, MatrixView matrix) {
  const uint64_t nnz = CountNonzeros({matrix.data, matrix.size()});
  if (matrix.cols > kMaxCols || nnz > kMaxStored) {
    return Unsupported(StrCat("csr: at most ", kMaxCols, " columns and ", kMaxStored,
                              " nonzeros can be stored, ", matrix.cols, " and ", nnz, " found"));
  }
  AlignedBuffer<std::byte> bytes(SizeOfAll(spec, matrix.rows, nnz));
  uint32_t* row_start = reinterpret_cast<uint32_t*>(bytes.data());
  row_start[matrix.rows] = static_cast<uint32_t>(nnz);  // ViewCsr finds the arrays by it
  const CsrView view = ViewCsr({spec, matrix.rows, matrix.cols, {bytes.data(), bytes.size()}});
  std::byte* values = const_cast<std::byte*>(view.values);
  uint16_t* cols = const_cast<uint16_t*>(view.col);
  uint32_t next = 0;
  for (int64_t row = 0; row < matrix.rows; ++row) {
    row_start[row] = next;
    for (int64_t col = 0; col < matrix.cols; ++col) {
      const float value = matrix.at(row, col);
      if (value == 0.0f) continue;
      StoreWeight(value, values, spec.type, next);
      cols[next] = static_cast<uint16_t>(col);
      ++next;
    }
  }
  return bytes;
}

Status ValidateCsr(const EncodedView& matrix) {
  const uint64_t starts_bytes = SizeOfStarts(matrix.rows);
  if (matrix.bytes.size() < starts_bytes) {
    return BadFormat(StrCat("csr.row_start: ", starts_bytes, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  if (matrix.cols > kMaxCols) {
    return BadFormat(
        StrCat("csr: at most ", kMaxCols, " columns expected, ", matrix.cols, " found"));
  }
  const size_t rows = static_cast<size_t>(matrix.rows);
  const uint32_t* row_start = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  ESPALIER_RETURN_IF_ERROR(CheckStarts("csr.row_start", {row_start, rows + 1}));
  const uint32_t nnz = row_start[rows];
  ESPALIER_RETURN_IF_ERROR(
      CheckSize("csr", matrix.bytes.size(), SizeOfAll(matrix.spec, matrix.rows, nnz)));
  const CsrView view = ViewCsr(matrix);
  for (size_t i = 0; i < nnz; ++i) {
    if (view.col[i] >= view.cols) {
      return BadFormat(
          StrCat("csr.col[", i, "]: less than ", view.cols, " expected, ", view.col[i], " found"));
    }
  }
  return Ok();
}

void ForEachStoredCsr(const EncodedView& matrix, void* context, VisitFn visit) {
  const CsrView view = ViewCsr(matrix);
  for (size_t row = 0; row < view.rows; ++row) {
    for (uint32_t i = view.row_start[row]; i < view.row_start[row + 1]; ++i) {
      visit(context, static_cast<int64_t>(row), view.col[i], LoadWeight(view.values, view.type, i));
    }
  }
}

size_t RowGroupsCsr(const EncodedView& matrix) {
  return static_cast<size_t>(DivideUp(matrix.rows, kCsrGroupRows));
}

uint64_t WorkBeforeCsr(const EncodedView& matrix, size_t group) {
  const CsrView view = ViewCsr(matrix);
  return view.row_start[std::min(view.rows, group * kCsrGroupRows)];
}

size_t GroupOfRowCsr(const EncodedView& /*matrix*/, int64_t row) {
  return static_cast<size_t>(row) / kCsrGroupRows;
}

void ReadRowCsr(const EncodedView& matrix, int64_t row, float* out) {
  const CsrView view = ViewCsr(matrix);
  std::fill_n(out, view.cols, 0.0f);
  const auto r = static_cast<size_t>(row);
  for (uint32_t i = view.row_start[r]; i < view.row_start[r + 1]; ++i) {
    out[view.col[i]] += LoadWeight(view.values, view.type, i);  // an element may come twice
  }
}

}  // namespace

const FormatOps csr_format = {kTiles,       EncodeCsr,     ValidateCsr,   ForEachStoredCsr,
                              RowGroupsCsr, WorkBeforeCsr, GroupOfRowCsr, ReadRowCsr};

}  // namespace espalier
