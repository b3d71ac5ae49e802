#include "formats/compact.h"

#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {{0, 0}, {0, 0, WeightType::kBf16}, {0, 0, WeightType::kI8}};

// The rows and columns of the matrix that hold a weight.
struct Left {
  std::vector<uint32_t> rows, cols;

  explicit Left(const MatrixView& matrix) {
    std::vector<bool> has_weight(static_cast<size_t>(matrix.cols), false);
    for (int64_t row = 0; row < matrix.rows; ++row) {
      bool is_left = false;
      for (int64_t col = 0; col < matrix.cols; ++col) {
        if (matrix.at(row, col) == 0.0f) continue;
        is_left = true;
        has_weight[static_cast<size_t>(col)] = true;
      }
      if (is_left) rows.push_back(static_cast<uint32_t>(row));
    }
    for (size_t col = 0; col < has_weight.size(); ++col) {
      if (has_weight[col]) cols.push_back(static_cast<uint32_t>(col));
    }
  }
};

Result<AlignedBuffer<std::byte>> EncodeCompact(const FormatSpec& spec, MatrixView matrix) {
  const Left left(matrix);
  const size_t max_cols = CompactMaxCols(spec.type);
  if (left.cols.size() > max_cols) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", max_cols,
                              " columns with weights can be stored, ", left.cols.size(), " found"));
  }
  std::vector<float> values;
  values.reserve(left.rows.size() * left.cols.size());
  for (const uint32_t row : left.rows) {
    for (const uint32_t col : left.cols) values.push_back(matrix.at(row, col));
  }
  AlignedBuffer<std::byte> dense;
  if (!values.empty()) {
    const MatrixView rest{values.data(), static_cast<int64_t>(left.rows.size()),
                          static_cast<int64_t>(left.cols.size())};
    ESPALIER_ASSIGN_OR_RETURN(dense,
                              dense_format.encode({FormatId::k_dense, 0, 0, spec.type}, rest));
  }
  const CompactLayout layout(left.rows.size(), left.cols.size());
  AlignedBuffer<std::byte> bytes(layout.rest + dense.size());
  auto* count = reinterpret_cast<uint32_t*>(bytes.data());
  count[0] = static_cast<uint32_t>(left.rows.size());
  count[1] = static_cast<uint32_t>(left.cols.size());
  std::copy(left.rows.begin(), left.rows.end(),
            reinterpret_cast<uint32_t*>(bytes.data() + layout.row));
  std::copy(left.cols.begin(), left.cols.end(),
            reinterpret_cast<uint32_t*>(bytes.data() + layout.col));
  std::copy(dense.begin(), dense.end(), bytes.data() + layout.rest);
  return bytes;
}

// Rising and below `limit`, so every number comes once.
Status CheckNumbers(const char* field, std::span<const uint32_t> numbers, int64_t limit) {
  int64_t least = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < least || numbers[i] >= limit) {
      return BadFormat(StrCat(field, "[", i, "]: ", least, " to ", limit - 1, " expected, ",
                              numbers[i], " found"));
    }
    least = int64_t{numbers[i]} + 1;
  }
  return Ok();
}

Status ValidateCompact(const EncodedView& matrix) {
  if (matrix.bytes.size() < kAlignmentBytes) {
    return BadFormat(StrCat("compact: at least ", kAlignmentBytes, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const auto* count = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  const uint64_t max_cols = CompactMaxCols(matrix.spec.type);
  if (count[1] > max_cols) {
    return BadFormat(
        StrCat("compact.col_count: at most ", max_cols, " expected, ", count[1], " found"));
  }
  const CompactLayout layout(count[0], count[1]);
  if (matrix.bytes.size() < layout.rest) {
    return BadFormat(StrCat("compact.row, compact.col: ", layout.rest, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const CompactView view = ViewCompact(matrix);
  ESPALIER_RETURN_IF_ERROR(CheckNumbers("compact.row", {view.row, view.row_count}, matrix.rows));
  ESPALIER_RETURN_IF_ERROR(CheckNumbers("compact.col", {view.col, view.col_count}, matrix.cols));
  if (view.is_empty()) return CheckSize("compact", view.rest.bytes.size(), 0);
  return dense_format.validate(view.rest);
}

void ForEachStoredCompact(const EncodedView& matrix, void* context, VisitFn visit) {
  struct Whole {
    CompactView view;
    void* context;
    VisitFn visit;
  } whole{ViewCompact(matrix), context, visit};
  if (whole.view.is_empty()) return;
  dense_format.for_each_stored(whole.view.rest, &whole,
                               [](void* c, int64_t row, int64_t col, float value) {
                                 const Whole& to = *static_cast<const Whole*>(c);
                                 to.visit(to.context, to.view.row[row], to.view.col[col], value);
                               });
}

size_t RowGroupsCompact(const EncodedView& matrix) { return ViewCompact(matrix).row_groups(); }

uint64_t WorkBeforeCompact(const EncodedView& matrix, size_t group) {
  const CompactView view = ViewCompact(matrix);
  return view.is_empty() ? 0 : dense_format.work_before(view.rest, group);
}

// How many of the rows [0, row] are left.
size_t CountUpTo(const CompactView& view, int64_t row) {
  const uint32_t* end = view.row + view.row_count;
  return static_cast<size_t>(std::upper_bound(view.row, end, static_cast<uint32_t>(row)) -
                             view.row);
}

size_t GroupOfRowCompact(const EncodedView& matrix, int64_t row) {
  const size_t count = CountUpTo(ViewCompact(matrix), row);
  return count == 0 ? 0 : (count - 1) / kDenseStripRows;
}

void ReadRowCompact(const EncodedView& matrix, int64_t row, float* out) {
  const CompactView view = ViewCompact(matrix);
  std::fill_n(out, matrix.cols, 0.0f);
  const size_t count = CountUpTo(view, row);
  if (view.is_empty() || count == 0 || view.row[count - 1] != static_cast<uint32_t>(row)) return;
  dense_format.read_row(view.rest, static_cast<int64_t>(count - 1), out);
  for (size_t c = view.col_count; c-- > 0;) {  // from behind: col[c] >= c
    const float value = out[c];
    out[c] = 0.0f;
    out[view.col[c]] = value;
  }
}

}  // namespace

const FormatOps compact_format = {
    kTiles,           EncodeCompact,     ValidateCompact,   ForEachStoredCompact,
    RowGroupsCompact, WorkBeforeCompact, GroupOfRowCompact, ReadRowCompact};

}  // namespace espalier
