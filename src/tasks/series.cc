#include "tasks/series.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"

namespace espalier {
namespace {

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// A quote inside quotes is two of them.
void SplitCells(std::string_view line, std::vector<std::string>* cells) {
  cells->assign(1, "");
  bool is_quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      const bool is_double = is_quoted && i + 1 < line.size() && line[i + 1] == '"';
      if (is_double) cells->back() += line[++i];
      if (!is_double) is_quoted = !is_quoted;
    } else if (line[i] == ',' && !is_quoted) {
      cells->emplace_back();
    } else {
      cells->back() += line[i];
    }
  }
  for (std::string& cell : *cells) cell = WithoutBlanks(cell);
}

std::optional<double> NumberOf(const std::string& cell) {
  double value = 0.0;
  const char* end = cell.data() + cell.size();
  const auto parsed = std::from_chars(cell.data(), end, value);
  const bool is_number = !cell.empty() && parsed.ec == std::errc() && parsed.ptr == end &&
                         std::abs(value) <= std::numeric_limits<float>::max();
  return is_number ? std::optional(value) : std::nullopt;
}

bool IsTimeName(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<std::string_view, 4> kNames = {"date", "time", "datetime", "timestamp"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// Of the variables; the time may have none, as an index that pandas writes.
Status CheckNames(const std::vector<std::string>& names) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->empty()) return BadFormat("a name of each variable expected, an empty one found");
    if (std::find(names.begin(), name, *name) == name) continue;
    return BadFormat("names that differ expected, '" + *name + "' found twice");
  }
  return Ok();
}

// The column of the time, or the number of columns if none is.
size_t TimeColumn(const std::vector<std::string>& names, const std::vector<std::string>& first) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (IsTimeName(names[i])) return i;
  }
  size_t column = 0;
  while (column < first.size() && NumberOf(first[column]).has_value()) ++column;
  return column;
}

}  // namespace

Result<Series> ReadSeries(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  std::string_view rest = text;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (rest.starts_with(kByteOrderMark)) rest.remove_prefix(kByteOrderMark.size());
  Series series;
  std::vector<std::string> names, cells;
  size_t time = 0;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = WithoutBlanks(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() && WithoutBlanks(rest).empty()) break;
    SplitCells(line, &cells);
    const std::string where = StrCat(path, ": line ", number);
    if (number == 1) {
      names = cells;
      if (names.size() >= 2) continue;
      return BadFormat(StrCat(where, ": names of at least 2 columns between commas expected, ",
                              names.size(), " found"));
    }
    if (cells.size() != names.size()) {
      return BadFormat(StrCat(where, ": ", names.size(), " cells, as names in line 1, expected, ",
                              cells.size(), " found"));
    }
    if (number == 2) {
      time = TimeColumn(names, cells);
      if (time == names.size()) {
        return BadFormat(StrCat(where,
                                ": a column of times expected (named date, time, datetime or "
                                "timestamp, or not of numbers), numbers in all ",
                                names.size(), " columns found"));
      }
      series.names = names;
      series.names.erase(series.names.begin() + static_cast<ptrdiff_t>(time));
      ESPALIER_RETURN_IF_ERROR(CheckNames(series.names).WithContext(path + ": line 1"));
    }
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i == time) continue;
      const std::optional<double> value = NumberOf(cells[i]);
      if (!value) {
        return BadFormat(StrCat(where, ", column '", names[i], "': a finite number expected, '",
                                cells[i], "' found"));
      }
      series.values.push_back(*value);
    }
  }
  if (series.values.empty()) {
    return BadFormat(path + ": a line of names and at least 1 row expected, none found");
  }
  return series;
}

Result<Series> SelectVariable(const Series& series, const std::string& name) {
  const auto found = std::find(series.names.begin(), series.names.end(), name);
  if (found == series.names.end()) {
    return InvalidArgument("column '" + name + "': one of " + StrJoin(series.names, ", ") +
                           " expected" + DidYouMean(name, series.names));
  }
  Series one{{name}, {}};
  const size_t step = series.names.size();
  for (auto i = static_cast<size_t>(found - series.names.begin()); i < series.values.size();
       i += step) {
    one.values.push_back(series.values[i]);
  }
  return one;
}

}  // namespace espalier
