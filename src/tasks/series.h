// Series: variables over time, as a CSV file has them.
#ifndef ESPALIER_TASKS_SERIES_H_
#define ESPALIER_TASKS_SERIES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace espalier {

struct Series {
  std::vector<std::string> names;  // [V], the columns but that of the time
  std::vector<double> values;      // [rows, V], finite in f32

  int64_t variables() const { return static_cast<int64_t>(names.size()); }
  int64_t rows() const {
    return names.empty() ? 0 : static_cast<int64_t>(values.size() / names.size());
  }
};

// Reads a CSV file: commas, a line of names, then a row a line, cells in double quotes or not. One
// column is the time: that of the name date, time, datetime or timestamp, in any case, or else the
// first whose cell in the first row is no number. Its cells are not read; all others are numbers.
// Errors: kIo, or kBadFormat with the path, the line, the column, what was expected and found.
Result<Series> ReadSeries(const std::string& path);

// One of its variables. Errors: kInvalidArgument with the nearest name.
Result<Series> SelectVariable(const Series& series, const std::string& name);

}  // namespace espalier

#endif  // ESPALIER_TASKS_SERIES_H_
