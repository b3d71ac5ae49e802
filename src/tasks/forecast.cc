// forecast: the next steps of a series of variables, all at once; a regression, scored by the mean
// squared error. ETTh1 (Zhou et al. 2021, arXiv:2012.07436) or any CSV file with a column of times
// (tasks/series.h), whose rows are taken for evenly spaced.
//
// The task's options follow its name:
//
//   forecast:HORIZON:window=STEPS:variables=COUNT:column=NAME:file=NAME
//
// From a window of STEPS rows the network predicts the HORIZON rows after it, [HORIZON, COUNT] row
// by row. Without `column` it reads and predicts all COUNT variables, with it that one alone.
//
// Splits follow each other in the file. ETTh1 and ETTh2: 12, 4 and 4 months of 30 days, as Informer
// has them, and the rest is not read; ETTm1 and ETTm2, with four rows an hour, the same. Any other
// file: 70 % to train, 20 % to test, and what lies between to validate. What is predicted lies in
// one split; the window before it may begin in the split before. There is a window at every row
// that allows one.
//
// Variables are standardised with mean and standard deviation of the training rows. Of each window
// the last row is then subtracted, variable by variable, from the window and from what follows it:
// a series that wanders off (as the oil's temperature) stays where training saw it. An error is the
// same as without, so the metric is that of the standardised variables. ETTh1's validation error of
// an LSTM-64 over 24 steps, after 2 epochs: 0.87 without, 0.65 with it in targets alone, 0.48 so.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/strings.h"
#include "tasks/series.h"
#include "tasks/task.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostSteps = 100000;
// Windows overlap, and each is a copy of its rows: 2 GiB.
constexpr int64_t kMostElements = int64_t{1} << 29;
constexpr char kForm[] =
    "forecast[:HORIZON][:window=STEPS][:variables=COUNT][:column=NAME][:file=NAME]";

struct Options {
  int64_t horizon = 24;
  int64_t window = 48;
  int64_t variables = 7;  // ETT's
  std::string column;     // "": all
  std::string file;       // "": the only one there is

  // What a network reads a step and predicts a step.
  int64_t width() const { return column.empty() ? variables : 1; }
};

Result<Options> ParseOptions(const std::string& name) {
  const auto bad = [&](const std::string& part) {
    return InvalidArgument("task '" + name + "': " + kForm + " expected, '" + part + "' found");
  };
  const auto read = [](const std::string& text, int64_t* number) {
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, *number);
    return parsed.ec == std::errc() && parsed.ptr == end && *number >= 1 && *number <= kMostSteps;
  };
  Options options;
  bool has_variables = false;
  std::set<std::string> seen;
  std::istringstream in(name);
  std::string part;
  std::getline(in, part, ':');
  for (int64_t i = 0; std::getline(in, part, ':'); ++i) {
    const size_t split = part.find('=');
    const std::string key = part.substr(0, split);
    const std::string value = split == std::string::npos ? "" : part.substr(split + 1);
    if (split != std::string::npos && !seen.insert(key).second) {
      return InvalidArgument("task '" + name + "': " + key + " expected once, twice found");
    }
    if (split == std::string::npos) {
      if (i > 0 || !read(part, &options.horizon)) return bad(part);
    } else if (key == "window" || key == "variables") {
      has_variables = has_variables || key == "variables";
      if (!read(value, key == "window" ? &options.window : &options.variables)) return bad(part);
    } else if (key == "file" && value.find('/') != std::string::npos) {
      return InvalidArgument("task '" + name + "': file= with a name in the folder expected, '" +
                             value + "' found");
    } else if ((key == "column" || key == "file") && !value.empty()) {
      (key == "column" ? options.column : options.file) = value;
    } else {
      return bad(part);
    }
  }
  if (name.ends_with(':')) return bad("");
  if (has_variables && !options.column.empty()) {
    return InvalidArgument("task '" + name + "': variables or column expected, both found");
  }
  return options;
}

constexpr char kHowToGet[] =
    " (forecast reads a table with a column of times, e.g. ETTh1.csv of the repository ETDataset "
    "by zhouhaoyi on GitHub, CC BY-ND 4.0; a copy in .xz is unpacked by xz -d; point --data at its "
    "folder)";

// The name of the table under `dir`.
Result<std::string> FindTable(const std::string& dir, const Options& options) {
  std::error_code error;
  if (!options.file.empty()) {
    if (fs::is_regular_file(dir + "/" + options.file, error)) return options.file;
    return IoError(dir + "/" + options.file + ": a file expected, none found" + kHowToGet);
  }
  std::vector<std::string> tables;
  for (const auto& entry : fs::directory_iterator(dir, error)) {
    if (entry.path().extension() == ".csv") tables.push_back(entry.path().filename().string());
  }
  if (tables.empty()) {
    return IoError(dir + ": a folder with a .csv file expected, none found" + kHowToGet);
  }
  std::sort(tables.begin(), tables.end());
  if (tables.size() == 1) return tables[0];
  return InvalidArgument(dir + ": one .csv file expected, or file=NAME in the task's name, " +
                         StrJoin(tables, ", ") + " found");
}

// The first row of validation, of testing, and the end of testing.
struct Splits {
  int64_t valid = 0;
  int64_t test = 0;
  int64_t end = 0;
};

Splits SplitsOf(const std::string& table, int64_t rows) {
  constexpr int64_t kHoursOfMonth = 30 * 24;
  const std::string stem = fs::path(table).stem().string();
  const bool is_hourly = stem == "ETTh1" || stem == "ETTh2";
  const bool is_quarterly = stem == "ETTm1" || stem == "ETTm2";
  if (is_hourly || is_quarterly) {
    const int64_t month = kHoursOfMonth * (is_hourly ? 1 : 4);
    return {12 * month, 16 * month, 20 * month};
  }
  return {rows * 7 / 10, rows - rows / 5, rows};
}

// With the training rows' mean and standard deviation; 1 for that of a variable at rest.
std::vector<float> Standardise(const Series& series, int64_t train_rows) {
  const int64_t width = series.variables();
  const auto count = static_cast<double>(train_rows);
  std::vector<float> scaled(series.values.size());
  for (int64_t v = 0; v < width; ++v) {
    const auto value = [&](int64_t row) {
      return series.values[static_cast<size_t>(row * width + v)];
    };
    double mean = 0.0, square = 0.0;
    bool is_at_rest = true;  // not by the deviation, which rounding leaves above 0
    for (int64_t r = 0; r < train_rows; ++r) {
      mean += value(r) / count;
      is_at_rest = is_at_rest && value(r) == value(0);
    }
    for (int64_t r = 0; r < train_rows; ++r) square += (value(r) - mean) * (value(r) - mean);
    const double deviation = is_at_rest ? 1.0 : std::sqrt(square / count);
    for (int64_t r = 0; r < series.rows(); ++r) {
      scaled[static_cast<size_t>(r * width + v)] =
          static_cast<float>((value(r) - mean) / deviation);
    }
  }
  return scaled;
}

// One sequence for each `first`, the first row that is predicted, in [begin, end - horizon].
Dataset WindowsOf(const std::vector<float>& rows, const Options& options, int64_t begin,
                  int64_t end) {
  const int64_t width = options.width();
  Dataset dataset;
  dataset.input = {Element::kF32, Layout::kSequence, width};
  dataset.target_size = options.horizon * width;
  dataset.metric = kMeanSquaredError;
  dataset.offsets = {0};
  for (int64_t first = std::max(begin, options.window); first + options.horizon <= end; ++first) {
    const auto at = [&](int64_t row) { return rows.begin() + row * width; };
    const auto last = at(first - 1);
    const auto append = [&](int64_t from, int64_t to, std::vector<float>* out) {
      for (int64_t row = from; row < to; ++row) {
        for (int64_t v = 0; v < width; ++v) out->push_back(at(row)[v] - last[v]);
      }
    };
    append(first - options.window, first, &dataset.features);
    append(first, first + options.horizon, &dataset.targets);
    dataset.offsets.push_back(dataset.offsets.back() + options.window);
  }
  return dataset;
}

Result<TaskData> Load(const std::string& dir, const Options& options) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string table, FindTable(dir, options));
  const std::string path = dir + "/" + table;
  ESPALIER_ASSIGN_OR_RETURN(Series series, ReadSeries(path));
  if (!options.column.empty()) {
    Result<Series> one = SelectVariable(series, options.column);
    if (!one.ok()) return one.status().WithContext(path);
    series = *std::move(one);
  }
  if (series.variables() != options.width()) {
    return InvalidArgument(StrCat(path, ": ", options.width(), " variables expected, ",
                                  series.variables(), " found; variables=", series.variables(),
                                  " in the task's name expects them"));
  }
  const Splits splits = SplitsOf(table, series.rows());
  const int64_t most = std::min(splits.end, series.rows());
  const bool fits =
      splits.end <= series.rows() && splits.valid >= options.window + options.horizon &&
      splits.test - splits.valid >= options.horizon && splits.end - splits.test >= options.horizon;
  if (!fits) {
    return BadFormat(StrCat(
        path, ": rows for a window of ", options.window, " and a horizon of ", options.horizon,
        " in each of ", splits.valid, " training, ", splits.test - splits.valid, " validation and ",
        splits.end - splits.test, " test rows expected, ", series.rows(), " in all found"));
  }
  if (most * (options.window + options.horizon) > kMostElements / options.width()) {
    return Unsupported(StrCat(path, ": windows of at most ", kMostElements,
                              " numbers in all expected, ", most, " rows times ", options.window,
                              " + ", options.horizon, " times ", options.width(), " found"));
  }
  const std::vector<float> rows = Standardise(series, splits.valid);
  TaskData data;
  data.train = WindowsOf(rows, options, 0, splits.valid);
  data.valid = WindowsOf(rows, options, splits.valid, splits.test);
  data.test = WindowsOf(rows, options, splits.test, splits.end);
  return data;
}

TaskInfo Describe(const std::string& name, const Options& options) {
  TaskInfo task;
  task.name = name;
  task.summary = StrCat("the next ", options.horizon, " steps of a series: ", options.width(),
                        " variables over ", options.window, " steps");
  task.metric = kMeanSquaredError;
  task.input = {Element::kF32, Layout::kSequence, options.width()};
  task.output = {Element::kF32, Layout::kVector, options.horizon * options.width()};
  task.default_dir = "data/ett";
  task.files = [options](const std::string& dir) -> std::vector<std::string> {
    const Result<std::string> table = FindTable(dir, options);
    if (!table.ok()) return {};
    return {*table};
  };
  task.load = [options](const std::string& dir) { return Load(dir, options); };
  task.with_options = [](const std::string& other) -> Result<TaskInfo> {
    ESPALIER_ASSIGN_OR_RETURN(const Options parsed, ParseOptions(other));
    return Describe(other, parsed);
  };
  return task;
}

}  // namespace

TaskInfo ForecastTask() { return Describe("forecast", Options()); }

}  // namespace espalier
