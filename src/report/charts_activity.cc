// What layers with dynamic pruning leave out, and what their thresholds cost.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"
#include "report/base64.h"
#include "report/charts.h"
#include "report/text.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

constexpr int64_t kMostRows = 384;  // of a map; more features share rows
constexpr char kAvoided[] = "multiply-adds";
constexpr char kReason[] = "steps, units, columns";

double ShareOf(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

bool HasMap(const ActivityRecord& record) { return record.map && record.map->steps > 0; }

// [features, steps] of a map: which row, how often it was sent.
struct Picture {
  const std::vector<uint8_t>& sent;
  int64_t features = 0;
  int64_t steps = 0;

  bool At(int64_t feature, int64_t step) const {
    return MaskBit(sent, static_cast<size_t>(feature * steps + step));
  }
  int64_t CountOf(int64_t feature) const {
    int64_t count = 0;
    for (int64_t t = 0; t < steps; ++t) count += At(feature, t);
    return count;
  }
  int64_t CountAt(int64_t step) const {
    int64_t count = 0;
    for (int64_t i = 0; i < features; ++i) count += At(i, step);
    return count;
  }
};

// Features from the most to the least active.
std::vector<int64_t> ByActivity(const Picture& picture) {
  std::vector<int64_t> counts(static_cast<size_t>(picture.features));
  std::vector<int64_t> order(counts.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  for (const int64_t i : order) counts[static_cast<size_t>(i)] = picture.CountOf(i);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  return order;
}

Json GridOf(const Picture& picture) {
  const std::vector<int64_t> order = ByActivity(picture);
  const int64_t rows = std::min(picture.features, kMostRows);
  std::vector<uint8_t> cells;
  for (int64_t y = 0; y < rows; ++y) {
    const int64_t begin = y * picture.features / rows;
    const int64_t end = (y + 1) * picture.features / rows;
    for (int64_t t = 0; t < picture.steps; ++t) {
      int64_t sent = 0;
      for (int64_t i = begin; i < end; ++i) sent += picture.At(order[static_cast<size_t>(i)], t);
      cells.push_back(static_cast<uint8_t>(sent * 255 / (end - begin)));
    }
  }
  return {{"width", picture.steps}, {"height", rows}, {"values", Base64Encode(cells)}};
}

// Vega's own raster, as of masks (charts_weights.cc), over an axis of steps.
// `happened`: what happened to them where the picture is filled, e.g. "sent".
Chart MapChart(const std::string& layer, const char* what, const char* happened,
               const Picture& picture) {
  int64_t sent = 0;
  for (int64_t i = 0; i < picture.features; ++i) sent += picture.CountOf(i);
  const std::string share = FormatPercent(ShareOf(sent, picture.features * picture.steps), 1);
  const std::string description =
      StrCat("Which of ", picture.features, " ", what, " of ", layer, " ", happened, " at each of ",
             picture.steps, " steps, the most active on top: ", share, " of them.");
  const int64_t height = std::clamp<int64_t>(2 * picture.features, 60, 280);
  const std::string size = "isFinite(containerSize()[0]) ? containerSize()[0] : 600";
  const Json box = {{"x", {{"value", 0}}},
                    {"y", {{"value", 0}}},
                    {"width", {{"signal", "width"}}},
                    {"height", {{"signal", "height"}}}};
  Json image = box;
  image["image"] = {{"field", "image"}};
  image["aspect"] = {{"value", false}};
  image["smooth"] = {{"value", false}};
  Json back = box;
  back["fill"] = {{"value", "var(--mask-gone)"}};
  Json spec = {
      {"$schema", "https://vega.github.io/schema/vega/v6.json"},
      {"description", description},
      {"autosize", {{"type", "none"}}},
      {"padding", {{"left", 0}, {"right", 0}, {"top", 2}, {"bottom", 42}}},
      {"signals",
       {{{"name", "width"},
         {"init", size},
         {"on", {{{"events", "window:resize"}, {"update", size}}}}},
        {{"name", "height"}, {"value", height}}}},
      {"data",
       {{{"name", "maps"},
         {"values", {{{"grid", GridOf(picture)}}}},
         // A fixed colour, as of masks.
         {"transform",
          {{{"type", "heatmap"},
            {"field", "grid"},
            {"color", "#1d9a78"},
            {"opacity", {{"expr", "datum.$value / 255"}}}}}}}}},
      {"scales",
       {{{"name", "steps"}, {"domain", {0, picture.steps}}, {"range", "width"}, {"nice", false}}}},
      {"axes",
       {{{"orient", "bottom"},
         {"scale", "steps"},
         {"title", "step"},
         {"grid", false},
         {"labelFlush", true},
         {"tickCount", 8}}}},
      {"marks",
       {{{"type", "rect"}, {"from", {{"data", "maps"}}}, {"encode", {{"update", back}}}},
        {{"type", "image"}, {"from", {{"data", "maps"}}}, {"encode", {{"update", image}}}}}}};
  return {StrCat(layer, ": ", what, " that ", happened, ", ", picture.features, " over ",
                 picture.steps, " steps, the most active on top"),
          description, std::move(spec)};
}

Json AxisOf(const char* field, const std::string& title, const std::string& format) {
  return {{"field", field},
          {"type", "quantitative"},
          {"scale", {{"zero", false}, {"padding", 12}}},
          {"axis", {{"title", title}, {"tickCount", 5}, {"format", format}}}};
}

// The share of columns sent, or of rows multiplied, at each step, over bands where the layer
// skipped.
Chart StepsChart(const ActivityRecord& record) {
  const ActivityMap& map = *record.map;
  const std::string layer = LayerName(record);
  Json lines = Json::array();
  Json skipped = Json::array();
  const bool has_rows = !map.rows_run.empty();
  const Picture pictures[] = {{map.x_sent, map.inputs, map.steps},
                              {map.h_sent, map.units, map.steps}};
  for (int64_t t = 0; t < map.steps; ++t) {
    if (!MaskBit(map.updates, static_cast<size_t>(t))) {
      skipped.push_back({{"from", t}, {"to", t + 1}, {"what", "skipped"}});
    }
    for (size_t i = 0; i < 2; ++i) {
      if (pictures[i].features == 0) continue;
      const char* what = record.banks ? "units" : i == 0 ? "x" : "h";
      lines.push_back({{"step", static_cast<double>(t) + 0.5},
                       {"columns", what},
                       {"sent", ShareOf(pictures[i].CountAt(t), pictures[i].features)}});
    }
    if (has_rows) {
      lines.push_back({{"step", static_cast<double>(t) + 0.5},
                       {"columns", "rows"},
                       {"sent", map.rows_run[static_cast<size_t>(t)]}});
    }
  }
  const bool has_lines = !lines.empty();
  const std::string share = has_rows       ? ": share of the rows that were multiplied"
                            : record.banks ? ": share of the units that changed"
                                           : ": share of the columns sent";
  const std::string title = !has_lines ? layer + ": steps that were updates"
                                       : StrCat(layer, share, " at each step",
                                                skipped.empty() ? "" : ", pale where skipped");
  const std::string description =
      StrCat(title, ", ", map.steps, " steps of one sequence, ", skipped.size(), " skipped.");
  Json spec = NewSpec(description, has_lines ? 130 : 46);
  const Json x = {{"type", "quantitative"},
                  {"scale", {{"domain", {0, map.steps}}, {"nice", false}}},
                  {"axis", {{"title", "step"}, {"grid", false}, {"tickMinStep", 1}}}};
  Json from = x;
  from["field"] = "from";
  spec["layer"] = Json::array();
  if (!has_lines) {  // the whole strip first, then what is missing in it
    spec["layer"].push_back({{"data", {{"values", {{{"from", 0}, {"to", map.steps}}}}}},
                             {"mark", {{"type", "rect"}, {"fill", "var(--accent)"}}},
                             {"encoding", {{"x", from}, {"x2", {{"field", "to"}}}}}});
  }
  spec["layer"].push_back({{"data", {{"values", std::move(skipped)}}},
                           {"mark", {{"type", "rect"}, {"fill", "var(--mask-gone)"}}},
                           {"encoding", {{"x", from}, {"x2", {{"field", "to"}}}}}});
  if (has_lines) {
    const bool is_one = has_rows || record.banks;
    const Json what = has_rows ? Json{"rows"} : record.banks ? Json{"units"} : Json{"x", "h"};
    const Json colors = is_one ? Json{"var(--accent)"} : Json{"var(--dense)", "var(--accent)"};
    Json step = x;
    step["field"] = "step";
    spec["layer"].push_back(
        {{"data", {{"values", std::move(lines)}}},
         {"mark", {{"type", "line"}, {"strokeWidth", 2}, {"interpolate", "monotone"}}},
         {"encoding",
          {{"x", step},
           {"y",
            {{"field", "sent"},
             {"type", "quantitative"},
             {"axis", {{"title", nullptr}, {"tickCount", 4}, {"format", ".0%"}}}}},
           {"color",
            {{"field", "columns"},
             {"type", "nominal"},
             {"scale", {{"domain", what}, {"range", colors}}}}},
           {"tooltip",
            {{{"field", "columns"}, {"type", "nominal"}},
             {{"field", "sent"}, {"type", "quantitative"}, {"format", ".1%"}}}}}}});
  }
  return {title, description, std::move(spec)};
}

// The metric of each point over something that it costs.
struct Plot {
  std::string title;
  std::string axis;
  std::string format;
  bool is_time = false;  // with bars to p95, and the time without rules
};

Chart CurveChart(const ThresholdCurve& curve, const Plot& plot) {
  const Metric* metric = FindMetric(curve.metric);
  const bool is_share = metric != nullptr && metric->is_share;
  Json points = Json::array();
  for (size_t i = 0; i < curve.points.size(); ++i) {
    const ThresholdPoint& point = curve.points[i];
    if (!std::isfinite(point.metric) || (plot.is_time && !point.us_per_step)) continue;
    points.push_back({{"order", i},
                      {"factor", point.factor},
                      {"metric", point.metric},
                      {"cost", plot.is_time ? point.us_per_step->mean : point.multiply_adds},
                      {"tail", plot.is_time ? point.us_per_step->p95 : point.multiply_adds},
                      {"sent", point.sent},
                      {"kind", i == curve.chosen ? "chosen"
                               : point.skips     ? "tried"
                                                 : "nothing skipped"}});
  }
  const std::string description =
      StrCat(plot.title, ", ", points.size(), " factors of the thresholds, from ",
             FormatFixed(curve.points.front().factor, 3), " to ",
             FormatFixed(curve.points.back().factor, 3), "; factor ",
             FormatFixed(curve.points[curve.chosen].factor, 3), " was chosen.");
  if (points.empty()) return {plot.title, description, Json()};
  Json kinds = Json::array({"tried", "chosen"});
  Json colors = Json::array({"var(--dense)", "var(--accent)"});
  if (!curve.points.front().skips) {
    kinds.push_back("nothing skipped");
    colors.push_back("var(--peer)");
  }
  const Json color = {{"field", "kind"},
                      {"type", "nominal"},
                      {"scale", {{"domain", std::move(kinds)}, {"range", std::move(colors)}}}};
  const Json x = AxisOf("cost", plot.axis, plot.format);
  const Json y = AxisOf("metric", curve.metric, is_share ? ".4~p" : "~g");
  Json spec = NewSpec(description, 260);
  spec["data"] = {{"values", std::move(points)}};
  spec["layer"] = {
      {{"transform", {{{"filter", "datum.kind != 'nothing skipped'"}}}},
       {"mark", {{"type", "line"}, {"stroke", "var(--gate)"}, {"strokeWidth", 1.5}}},
       {"encoding",
        {{"x", x}, {"y", y}, {"order", {{"field", "order"}, {"type", "quantitative"}}}}}}};
  if (plot.is_time) {
    spec["layer"].push_back(
        {{"mark", {{"type", "rule"}, {"stroke", "var(--dense)"}, {"strokeWidth", 1}}},
         {"encoding", {{"x", x}, {"x2", {{"field", "tail"}}}, {"y", y}}}});
  }
  spec["layer"].push_back(
      {{"mark", {{"type", "point"}, {"filled", true}, {"size", 80}, {"opacity", 1}}},
       {"encoding",
        {{"x", x},
         {"y", y},
         {"color", color},
         {"tooltip",
          {{{"field", "factor"}, {"type", "quantitative"}, {"format", ".4~g"}},
           {{"field", "metric"}, {"type", "quantitative"}, {"format", ".4f"}},
           {{"field", "cost"}, {"type", "quantitative"}, {"title", plot.axis}, {"format", ".3~g"}},
           {{"field", "sent"}, {"type", "quantitative"}, {"format", ".1%"}}}}}}});
  if (plot.is_time && curve.us_per_step_without) {
    const Json without = {
        {"values", {{{"cost", curve.us_per_step_without->mean}, {"text", "without rules"}}}}};
    spec["layer"].push_back(
        {{"data", without},
         {"mark", {{"type", "rule"}, {"stroke", "var(--muted)"}, {"strokeDash", {3, 3}}}},
         {"encoding", {{"x", x}}}});
    spec["layer"].push_back(
        {{"data", without},
         {"mark",
          {{"type", "text"},
           {"align", "right"},
           {"dx", -6},
           {"fill", "var(--muted)"},
           {"baseline", "top"}}},
         {"encoding", {{"x", x}, {"y", {{"value", 2}}}, {"text", {{"field", "text"}}}}}});
  }
  return {plot.title, description, std::move(spec)};
}

// What is left of the work of each layer, by the factor of its thresholds.
Chart LayersChart(const ThresholdCurve& curve) {
  const std::string title = "What each layer still does";
  Json points = Json::array();
  bool has_factors = false;  // more than one, for a line
  for (const ThresholdPoint& point : curve.points) {
    if (!point.skips) continue;
    has_factors = has_factors || point.factor != curve.points.back().factor;
    for (const LayerPoint& layer : point.layers) {
      const auto add = [&](const char* what, double share) {
        points.push_back({{"factor", point.factor},
                          {"line", StrCat(layer.layer, ", ", what)},
                          {"layer", layer.layer},
                          {"what", what},
                          {"share", share}});
      };
      if (curve.of_rows && (layer.rows_run > 0.0 || layer.epsilon > 0.0)) {
        add("rows run", layer.rows_run);
      }
      if (layer.x > 0.0 || layer.h > 0.0 || layer.x_sent > 0.0) {  // not one that only skips
        add("x sent", layer.x_sent);
        add("h sent", layer.h_sent);
      }
      if (layer.skipped > 0.0) add("steps run", 1.0 - layer.skipped);
    }
  }
  if (!has_factors) return {title, "", Json()};
  const std::string description =
      StrCat(title, ", as a share, over the factor of the thresholds; ",
             FormatFixed(curve.points[curve.chosen].factor, 3), " was chosen.");
  Json spec = NewSpec(description, 260);
  spec["data"] = {{"values", std::move(points)}};
  spec["layer"] = {
      {{"mark", {{"type", "line"}, {"strokeWidth", 1.5}, {"point", true}}},
       {"encoding",
        {{"x", AxisOf("factor", "factor of the thresholds", "~g")},
         {"y", AxisOf("share", "share", ".0%")},
         {"detail", {{"field", "line"}, {"type", "nominal"}}},
         {"color", {{"field", "layer"}, {"type", "nominal"}}},
         {"strokeDash", {{"field", "what"}, {"type", "nominal"}}},
         {"tooltip",
          {{{"field", "line"}, {"type", "nominal"}},
           {{"field", "factor"}, {"type", "quantitative"}, {"format", ".4~g"}},
           {{"field", "share"}, {"type", "quantitative"}, {"format", ".1%"}}}}}}},
      {{"data", {{"values", {{{"factor", curve.points[curve.chosen].factor}}}}}},
       {"mark", {{"type", "rule"}, {"stroke", "var(--muted)"}, {"strokeDash", {3, 3}}}},
       {"encoding", {{"x", AxisOf("factor", "factor of the thresholds", "~g")}}}}};
  return {title, description, std::move(spec)};
}

}  // namespace

std::vector<Chart> LeftOutCharts(const ModelRecord& model) {
  std::vector<ShareBar> bars;
  std::string description = "What each layer left out on the test split.";
  for (const ActivityRecord& record : model.activity) {
    const std::string layer = LayerName(record);
    description += StrCat(" ", ActivityText(record), ".");
    const double done = ShareOf(record.multiply_adds, record.multiply_adds_without);
    bars.push_back({layer, kAvoided, std::max(0.0, 1.0 - done)});
    if (record.skip) {
      bars.push_back({"steps", kReason, ShareOf(record.skipped, record.steps)});
    }
    if (record.units > 0) {
      bars.push_back({"units", kReason, 1.0 - ShareOf(record.units_run, record.units)});
    }
    if (record.rows > 0) {
      const double left_out = 1.0 - ShareOf(record.rows_run, record.rows);
      const double idle = ShareOf(record.rows_idle, record.rows);
      if (idle > 0.0 && record.predicted > 0.0) {
        bars.push_back({"predicted rows", kReason, std::max(0.0, left_out - idle)});
        bars.push_back({"idle rows", kReason, idle});
      } else {
        bars.push_back({"rows", kReason, left_out});
      }
    }
    if (record.x_columns == 0) continue;
    bars.push_back({"columns of x", kReason, 1.0 - ShareOf(record.x_sent, record.x_columns)});
    bars.push_back({"columns of h", kReason, 1.0 - ShareOf(record.h_sent, record.h_columns)});
  }
  if (bars.empty()) return {};
  std::vector<Chart> charts;
  charts.push_back({"Left out on the test split", description,
                    ShareBarSpec(description, bars, kAvoided, kReason)});
  return charts;
}

std::vector<Chart> ActivityCharts(const ModelRecord& model) {
  std::vector<Chart> charts;
  for (const ActivityRecord& record : model.activity) {
    if (!HasMap(record)) continue;
    const ActivityMap& map = *record.map;
    charts.push_back(StepsChart(record));
    if (map.inputs > 0) {
      charts.push_back(
          MapChart(LayerName(record), "inputs", "were sent", {map.x_sent, map.inputs, map.steps}));
    }
    if (map.units > 0) {
      charts.push_back(MapChart(LayerName(record), "units", record.banks ? "changed" : "were sent",
                                {map.h_sent, map.units, map.steps}));
    }
  }
  return charts;
}

std::vector<std::string> NotDrawnTexts(const ModelRecord& model) {
  std::vector<std::string> without_map, with_rows;
  for (const ActivityRecord& record : model.activity) {
    if (!HasMap(record)) {
      without_map.push_back(LayerName(record));
    } else if (record.rows > 0) {
      with_rows.push_back(LayerName(record));
    }
  }
  std::vector<std::string> texts;
  if (!without_map.empty()) {
    texts.push_back(
        StrCat("Single steps of ", StrJoin(without_map, ", "),
               " are not drawn: a network with a reverse direction or a decoder runs whole "
               "sequences, in which nobody sees what one step leaves out. The counters are of all "
               "steps."));
  }
  if (!with_rows.empty()) {
    texts.push_back(StrCat("Of ", StrJoin(with_rows, ", "),
                           " it is drawn how many rows of its gates were multiplied at each step, "
                           "not of which units: rows are counted, and not kept by unit."));
  }
  return texts;
}

std::vector<Chart> ThresholdCharts(const ThresholdCurve& curve) {
  std::string name = curve.metric;
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] -= 'a' - 'A';
  std::vector<Chart> charts = {
      CurveChart(curve, {name + " against multiply-adds", "share of the multiply-adds", ".0%"}),
      CurveChart(curve, {name + " against time, median to 95th percentile",
                         "\xc2\xb5s per step, streaming", "~g", true}),
      LayersChart(curve)};
  std::erase_if(charts, [](const Chart& chart) { return chart.spec.is_null(); });
  return charts;
}

}  // namespace espalier
