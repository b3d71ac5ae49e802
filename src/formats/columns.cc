#include "formats/columns.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {
    {8, 1},
    {16, 1},
    {8, 1, WeightType::kBf16},
    {16, 1, WeightType::kBf16},
};
constexpr int64_t kMaxRows = 1 << 16;
constexpr uint64_t kMaxRuns = std::numeric_limits<uint32_t>::max();

// The rows [first, end) that a run stands for; it begins at `row`.
struct Run {
  int64_t first, end;
  int64_t row;
};

std::vector<Run> RunsOf(const MatrixView& matrix, int64_t col, int64_t run_rows) {
  std::vector<Run> runs;
  for (int64_t row = 0; row < matrix.rows;) {
    if (matrix.at(row, col) == 0.0f) {
      ++row;
      continue;
    }
    const int64_t end = std::min(matrix.rows, row + run_rows);
    runs.push_back({row, end, std::max<int64_t>(0, std::min(row, matrix.rows - run_rows))});
    row = end;
  }
  return runs;
}

Result<AlignedBuffer<std::byte>> EncodeColumns(const FormatSpec& spec, MatrixView matrix) {
  if (matrix.rows > kMaxRows) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxRows, " rows can be stored, ",
                              matrix.rows, " found"));
  }
  std::vector<Run> runs;
  std::vector<int64_t> cols;
  std::vector<uint32_t> starts;
  for (int64_t col = 0; col < matrix.cols; ++col) {
    starts.push_back(static_cast<uint32_t>(runs.size()));
    const std::vector<Run> of_col = RunsOf(matrix, col, spec.strip_rows);
    runs.insert(runs.end(), of_col.begin(), of_col.end());
    cols.insert(cols.end(), of_col.size(), col);
    if (runs.size() > kMaxRuns) {
      return Unsupported(
          StrCat(FormatName(spec), ": at most ", kMaxRuns, " runs can be stored, more found"));
    }
  }
  starts.push_back(static_cast<uint32_t>(runs.size()));
  const ColumnsLayout layout(spec, matrix.cols, runs.size());
  AlignedBuffer<std::byte> bytes(layout.end);
  std::copy(starts.begin(), starts.end(), reinterpret_cast<uint32_t*>(bytes.data()));
  auto* rows = reinterpret_cast<uint16_t*>(bytes.data() + layout.row);
  for (size_t i = 0; i < runs.size(); ++i) {
    const Run& run = runs[i];
    rows[i] = static_cast<uint16_t>(run.row);
    for (int64_t row = run.first; row < run.end; ++row) {
      const auto place = static_cast<size_t>(row - run.row);
      StoreWeight(matrix.at(row, cols[i]), bytes.data() + layout.values, spec.type,
                  i * static_cast<size_t>(spec.strip_rows) + place);
    }
  }
  return bytes;
}

// Every row of a run must be one of the matrix, unless that has fewer, and of no other run: only
// the last run of a column may reach back, with zeros there.
Status CheckRow(const ColumnsView& view, size_t run, size_t first) {
  const size_t row = view.row[run];
  const size_t last = view.rows > view.run_rows ? view.rows - view.run_rows : 0;
  const size_t least = run == first ? 0 : size_t{view.row[run - 1]} + view.run_rows;
  if (row >= least && row <= last) return Ok();
  const bool reaches_back = row == last && run > first && view.row[run - 1] < row;
  if (!reaches_back) {
    return BadFormat(StrCat("columns.row[", run, "]: ", least, " to ", last,
                            ", or the last of its column at ", last, " expected, ", row, " found"));
  }
  for (size_t i = 0; i < least - row; ++i) {
    const float weight = LoadWeight(view.values, view.type, run * view.run_rows + i);
    if (weight == 0.0f) continue;
    return BadFormat(StrCat("columns.values[", run, "], row ", i,
                            ": 0 where the run before is expected, ", weight, " found"));
  }
  return Ok();
}

// Rows past the last have no weights: no check of sums sees theirs.
Status CheckPadding(const ColumnsView& view, size_t runs) {
  for (size_t run = 0; run < runs && view.rows < view.run_rows; ++run) {
    for (size_t row = view.rows; row < view.run_rows; ++row) {
      const float weight = LoadWeight(view.values, view.type, run * view.run_rows + row);
      if (weight == 0.0f) continue;
      return BadFormat(StrCat("columns.values[", run, "], row ", row,
                              ": 0 past the last row expected, ", weight, " found"));
    }
  }
  return Ok();
}

Status ValidateColumns(const EncodedView& matrix) {
  const ColumnsLayout empty(matrix.spec, matrix.cols, 0);
  if (matrix.bytes.size() < empty.values) {
    return BadFormat(StrCat("columns.col_start: ", empty.values, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const auto cols = static_cast<size_t>(matrix.cols);
  const auto* starts = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  ESPALIER_RETURN_IF_ERROR(CheckStarts("columns.col_start", {starts, cols + 1}));
  const ColumnsLayout layout(matrix.spec, matrix.cols, starts[cols]);
  ESPALIER_RETURN_IF_ERROR(CheckSize("columns", matrix.bytes.size(), layout.end));
  const ColumnsView view = ViewColumns(matrix);
  for (size_t col = 0; col < view.cols; ++col) {
    for (size_t run = starts[col]; run < starts[col + 1]; ++run) {
      ESPALIER_RETURN_IF_ERROR(CheckRow(view, run, starts[col]));
    }
  }
  return CheckPadding(view, starts[cols]);
}

void ForEachStoredColumns(const EncodedView& matrix, void* context, VisitFn visit) {
  const ColumnsView view = ViewColumns(matrix);
  const size_t rows = std::min(view.run_rows, view.rows);
  for (size_t col = 0; col < view.cols; ++col) {
    for (size_t run = view.col_start[col]; run < view.col_start[col + 1]; ++run) {
      for (size_t row = 0; row < rows; ++row) {
        visit(context, static_cast<int64_t>(view.row[run] + row), static_cast<int64_t>(col),
              LoadWeight(view.values, view.type, run * view.run_rows + row));
      }
    }
  }
}

size_t RowGroupsColumns(const EncodedView& /*matrix*/) { return 1; }

uint64_t WorkBeforeColumns(const EncodedView& matrix, size_t group) {
  const ColumnsView view = ViewColumns(matrix);
  return group == 0 ? 0 : uint64_t{view.col_start[view.cols]} * view.run_rows;
}

size_t GroupOfRowColumns(const EncodedView& /*matrix*/, int64_t /*row*/) { return 0; }

}  // namespace

const FormatOps columns_format = {
    kTiles,           EncodeColumns,     ValidateColumns,   ForEachStoredColumns,
    RowGroupsColumns, WorkBeforeColumns, GroupOfRowColumns, nullptr};

}  // namespace espalier
