#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/strings.h"
#include "report/charts.h"
#include "report/text.h"

namespace espalier {
namespace {

// Each readable on light, dark and paper; with as many shapes as are coprime to it, 70 series.
constexpr const char* kColors[] = {"#2a9d73", "#c5662b", "#5b7fd6", "#c2479b", "#8a8f2f",
                                   "#7d5fc4", "#d0483e", "#2b98b0", "#a07a3c", "#6d7a83"};
constexpr const char* kShapes[] = {"circle",        "square",        "triangle-up",   "diamond",
                                   "triangle-down", "triangle-left", "triangle-right"};
constexpr size_t kHeight = 300;

enum class Axis : uint8_t { kDensity, kHidden, kStreams, kThreads };

using Rows = std::vector<const BenchRow*>;

// Rows of one chart; `name` says what they have in common.
struct Case {
  std::string name;
  Rows rows;
};

bool IsDense(const BenchRow& row) { return row.format == "dense"; }

double ValueOf(const BenchRow& row, Axis axis) {
  switch (axis) {
    case Axis::kDensity: return row.density;
    case Axis::kHidden: return static_cast<double>(row.hidden);
    case Axis::kStreams: return static_cast<double>(row.batch);
    case Axis::kThreads: return static_cast<double>(row.threads);
  }
  return 0.0;
}

const char* AxisTitle(Axis axis) {
  switch (axis) {
    case Axis::kDensity: return "density, share of the weights that is kept";
    case Axis::kHidden: return "hidden units H";
    case Axis::kStreams: return "streams B, all of which take the step";
    case Axis::kThreads: return "threads";
  }
  return "";
}

std::string AxisValue(Axis axis, double value) {
  return axis == Axis::kDensity ? FormatPercent(value, 1) : FormatFixed(value, 0);
}

// What is fixed in a chart over `axis`, density aside. `square`: every row has I = H.
std::string FixedPart(const BenchRow& row, Axis axis, bool square) {
  std::string name = row.cell;
  if (axis != Axis::kHidden) name += StrCat(", H = ", row.hidden);
  name += square ? std::string(", I = H") : StrCat(", I = ", row.input);
  name += StrCat(", T = ", row.steps);
  if (axis != Axis::kStreams) name += StrCat(", B = ", row.batch);
  if (axis != Axis::kThreads && row.threads != 1) name += StrCat(", ", row.threads, " threads");
  return name;
}

std::vector<Case> CasesOf(const std::vector<BenchRow>& rows, Axis axis) {
  const bool square = std::all_of(rows.begin(), rows.end(),
                                  [](const BenchRow& row) { return row.input == row.hidden; });
  std::vector<Case> fixed;
  for (const BenchRow& row : rows) {
    const std::string name = FixedPart(row, axis, square);
    auto it = std::find_if(fixed.begin(), fixed.end(),
                           [&](const Case& known) { return known.name == name; });
    if (it == fixed.end()) it = fixed.insert(fixed.end(), {name, {}});
    it->rows.push_back(&row);
  }
  if (axis == Axis::kDensity) return fixed;
  std::vector<Case> cases;
  for (const Case& all : fixed) {
    std::set<double> densities;
    for (const BenchRow* row : all.rows) {
      if (!IsDense(*row)) densities.insert(row->density);
    }
    if (densities.empty()) cases.push_back(all);
    for (const double density : densities) {
      Case part{StrCat(all.name, ", density ", FormatPercent(density, 1)), {}};
      for (const BenchRow* row : all.rows) {
        if (IsDense(*row) || row->density == density) part.rows.push_back(row);
      }
      cases.push_back(std::move(part));
    }
  }
  return cases;
}

// The row with the median time of `same`, which is not empty: a dense network is timed once for
// each density of a problem.
const BenchRow& MedianRow(Rows same) {
  const auto middle = same.begin() + static_cast<std::ptrdiff_t>((same.size() - 1) / 2);
  std::nth_element(same.begin(), middle, same.end(), [](const BenchRow* a, const BenchRow* b) {
    return a->us.median < b->us.median;
  });
  return **middle;
}

Json PointOf(const BenchRow& row, double x) {
  return {{"x", x},
          {"value", row.us.median},
          {"low", row.us.p25},
          {"high", row.us.p75},
          {"series", SeriesName(row)},
          {"case", CaseName(row)},
          {"density", FormatPercent(row.density, 1)},
          {"time", StrCat(FormatTime(row.us.median), " (", FormatTime(row.us.p25), " to ",
                          FormatTime(row.us.p75), ")")},
          {"least", FormatTime(row.roofline_us)},
          {"bytes", FormatCount(static_cast<int64_t>(row.bytes))}};
}

// Every series has its colour and shape in all charts of the page.
struct Palette {
  std::vector<std::string> names;  // as they come in the rows

  explicit Palette(const std::vector<BenchRow>& rows) {
    for (const BenchRow& row : rows) {
      const std::string name = SeriesName(row);
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }

  // An encoding of those series that are among the points.
  template <size_t kCount>
  Json Encoding(const Json& points, const char* const (&values)[kCount]) const {
    Json domain = Json::array();
    Json range = Json::array();
    for (size_t i = 0; i < names.size(); ++i) {
      const bool used = std::any_of(points.begin(), points.end(),
                                    [&](const Json& point) { return point["series"] == names[i]; });
      if (!used) continue;
      domain.push_back(names[i]);
      range.push_back(values[i % kCount]);
    }
    return {
        {"field", "series"},
        {"type", "nominal"},
        {"scale", {{"domain", std::move(domain)}, {"range", std::move(range)}}},
        {"legend", {{"columns", {{"expr", "max(1, floor(width / 190))"}}}, {"labelLimit", 170}}}};
  }
};

// Of the numbers under both keys, which are above 0.
std::pair<double, double> SpreadOf(const Json& points, const char* low_key, const char* high_key) {
  std::pair<double, double> spread = {points[0][low_key].get<double>(),
                                      points[0][high_key].get<double>()};
  for (const Json& point : points) {
    spread.first = std::min(spread.first, point[low_key].get<double>());
    spread.second = std::max(spread.second, point[high_key].get<double>());
  }
  return spread;
}

Json LogAxis(const char* field, const std::string& title, Json ticks) {
  return {{"field", field},
          {"type", "quantitative"},
          {"scale", {{"type", "log"}, {"nice", false}, {"padding", 14}}},
          {"axis", {{"title", title}, {"values", std::move(ticks)}, {"labelOverlap", true}}}};
}

Json TimeAxis(const Json& points) {
  const auto [low, high] = SpreadOf(points, "low", "high");
  Json axis = LogAxis("value", "\xc2\xb5s per step", LogTicks(low, high));
  axis["axis"]["format"] = "~g";
  return axis;
}

// The points with their quartiles and what they say to who hovers over them.
Json PointLayers(const Json& points, const Palette& palette) {
  Json color = palette.Encoding(points, kColors);
  const auto told = [](const char* field, const char* title) -> Json {
    return {{"field", field}, {"type", "nominal"}, {"title", title}};
  };
  const Json tooltip = {told("series", "system"),
                        told("case", "case"),
                        told("density", "density"),
                        told("time", "\xc2\xb5s per step (quartiles)"),
                        told("least", "least \xc2\xb5s to read the weights"),
                        told("bytes", "bytes of weights")};
  const Json end = {{"field", "high"}};
  return {
      {{"mark", {{"type", "rule"}, {"strokeWidth", 1.5}, {"opacity", 0.6}}},
       {"encoding",
        {{"color", color}, {"y", {{"field", "low"}, {"type", "quantitative"}}}, {"y2", end}}}},
      {{"mark", {{"type", "point"}, {"filled", true}, {"size", 64}, {"opacity", 1}}},
       {"encoding",
        {{"color", color}, {"shape", palette.Encoding(points, kShapes)}, {"tooltip", tooltip}}}}};
}

// "; at 5.0 % the fastest is espalier csr f32 with 5.26 us".
std::string FastestAt(const Json& points, Axis axis, double x) {
  const Json* best = nullptr;
  for (const Json& point : points) {
    if (point["x"].get<double>() != x) continue;
    const bool faster =
        best == nullptr || point["value"].get<double>() < (*best)["value"].get<double>();
    if (faster) best = &point;
  }
  return StrCat("; at ", AxisValue(axis, x), " the fastest is ",
                (*best)["series"].get<std::string>(), " with ",
                FormatTime((*best)["value"].get<double>()), " us");
}

std::vector<Chart> SweepCharts(const std::vector<BenchRow>& rows, Axis axis) {
  const Palette palette(rows);
  std::vector<Chart> charts;
  for (const Case& one : CasesOf(rows, axis)) {
    std::set<double> values;
    for (const BenchRow* row : one.rows) {
      if (axis != Axis::kDensity || !IsDense(*row)) values.insert(ValueOf(*row, axis));
    }
    if (values.size() < 2) continue;
    std::map<std::string, std::map<double, Rows>> lines;
    for (const BenchRow* row : one.rows) {
      std::map<double, Rows>& line = lines[SeriesName(*row)];
      if (axis != Axis::kDensity || !IsDense(*row)) {
        line[ValueOf(*row, axis)].push_back(row);
        continue;
      }
      for (const double value : values) line[value].push_back(row);  // a level to compare with
    }
    Json points = Json::array();
    for (const auto& [name, line] : lines) {
      for (const auto& [x, same] : line) points.push_back(PointOf(MedianRow(same), x));
    }
    Json x = LogAxis("x", AxisTitle(axis), values);
    x["axis"]["format"] = axis == Axis::kDensity ? "~%" : "d";
    const std::string description = StrCat(
        "Time per step over ", AxisTitle(axis), "; ", one.name, "; ", lines.size(), " systems",
        FastestAt(points, axis, *values.begin()), FastestAt(points, axis, *values.rbegin()), ".");
    Json spec = NewSpec(description, kHeight);
    spec["encoding"] = {{"x", std::move(x)}, {"y", TimeAxis(points)}};
    const Json line = {{"mark", {{"type", "line"}, {"strokeWidth", 2}, {"opacity", 0.8}}},
                       {"encoding", {{"color", palette.Encoding(points, kColors)}}}};
    spec["layer"] = Json::array({line});
    for (const Json& layer : PointLayers(points, palette)) spec["layer"].push_back(layer);
    spec["data"] = {{"values", std::move(points)}};
    charts.push_back({one.name, description, std::move(spec)});
  }
  return charts;
}

// The lines of 1 and 1.5 times the least time, with their names at the right end.
void AddRoof(double low, double high, Json* layers) {
  for (const double times : {1.0, 1.5}) {
    const char* const name = times == 1.0 ? "1\xc3\x97" : "1.5\xc3\x97";
    const Json ends = {{{"x", low}, {"value", times * low}},
                       {{"x", high}, {"value", times * high}}};
    layers->push_back({{"data", {{"values", ends}}},
                       {"mark",
                        {{"type", "line"},
                         {"stroke", "var(--muted)"},
                         {"strokeWidth", 1.5},
                         {"strokeDash", times == 1.0 ? Json{1, 0} : Json{5, 4}}}}});
    layers->push_back({{"data", {{"values", Json::array({ends[1]})}}},
                       {"mark",
                        {{"type", "text"},
                         {"align", "right"},
                         {"dx", -6},
                         {"dy", times == 1.0 ? 12 : -8},
                         {"fill", "var(--muted)"}}},
                       {"encoding", {{"text", {{"value", name}}}}}});
  }
}

}  // namespace

std::string SeriesName(const BenchRow& row) {
  const bool is_format_known = row.system == "espalier" || !IsDense(row);
  return StrCat(row.system, " ", is_format_known ? row.format + " " : "", row.dtype,
                row.cache == CacheState::kCold ? ", cold" : "");
}

std::string CaseName(const BenchRow& row) {
  return StrCat(row.cell, ", H = ", row.hidden, ", I = ", row.input, ", T = ", row.steps,
                ", B = ", row.batch,
                row.threads == 1 ? std::string() : StrCat(", ", row.threads, " threads"));
}

std::vector<Chart> DensityCharts(const std::vector<BenchRow>& rows) {
  return SweepCharts(rows, Axis::kDensity);
}

std::vector<Chart> HiddenCharts(const std::vector<BenchRow>& rows) {
  return SweepCharts(rows, Axis::kHidden);
}

std::vector<Chart> StreamCharts(const std::vector<BenchRow>& rows) {
  return SweepCharts(rows, Axis::kStreams);
}

std::vector<Chart> ThreadCharts(const std::vector<BenchRow>& rows) {
  return SweepCharts(rows, Axis::kThreads);
}

std::vector<Chart> RooflineCharts(const std::vector<BenchRow>& rows) {
  const Palette palette(rows);
  std::vector<std::string> cells;
  for (const BenchRow& row : rows) {
    if (std::find(cells.begin(), cells.end(), row.cell) == cells.end()) cells.push_back(row.cell);
  }
  std::vector<Chart> charts;
  for (const std::string& cell : cells) {
    Json points = Json::array();
    double best = 0.0;
    for (const BenchRow& row : rows) {
      if (row.cell != cell) continue;
      const double times = row.us.median / row.roofline_us;
      if (points.empty() || times < best) best = times;
      points.push_back(PointOf(row, row.roofline_us));
    }
    const std::string description = StrCat(
        "Time per step over the least time to read the weights, ", cell, ": ", points.size(),
        " measurements; the nearest to the least takes ", FormatFixed(best, 2), " times as long.");
    const auto [low, high] = SpreadOf(points, "x", "x");
    Json x = LogAxis("x", "least \xc2\xb5s to read the weights once", LogTicks(low, high));
    x["axis"]["format"] = "~g";
    Json spec = NewSpec(description, kHeight + 60);
    spec["encoding"] = {{"x", std::move(x)}, {"y", TimeAxis(points)}};
    spec["layer"] = Json::array();
    AddRoof(low, high, &spec["layer"]);
    for (const Json& layer : PointLayers(points, palette)) spec["layer"].push_back(layer);
    spec["data"] = {{"values", std::move(points)}};
    charts.push_back({cell, description, std::move(spec)});
  }
  return charts;
}

}  // namespace espalier
