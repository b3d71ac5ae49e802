#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "report/charts.h"
#include "report/text.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

struct Series {
  const char* name;
  const char* color;
  double EpochRecord::*field;
};

// One panel: lines over the epochs of all stages, which are numbered along the top.
struct Panel {
  std::string title;
  std::vector<Series> series;
  Json axis;
  bool step = false;       // hold each value until the next epoch
  bool log = false;        // where every value is above 0
  bool from_zero = false;  // the axis starts at 0
};

// The finite values, x counting epochs over all stages; a line breaks where a stage ends.
Json Points(const RunRecord& record, const Panel& panel) {
  Json points = Json::array();
  int64_t before = 0;
  for (size_t s = 0; s < record.stages.size(); ++s) {
    const StageRecord& stage = record.stages[s];
    for (size_t i = 0; i < stage.epochs.size(); ++i) {
      for (const Series& series : panel.series) {
        const double value = stage.epochs[i].*series.field;
        if (!std::isfinite(value)) continue;
        points.push_back({{"epoch", before + static_cast<int64_t>(i) + 1},
                          {"stage", StrCat(s + 1, " ", stage.name)},
                          {"series", series.name},
                          {"value", value}});
      }
    }
    before += static_cast<int64_t>(stage.epochs.size());
  }
  return points;
}

Json TicksOf(const Json& points) {
  double low = points[0]["value"].get<double>();
  double high = low;
  for (const Json& point : points) {
    low = std::min(low, point["value"].get<double>());
    high = std::max(high, point["value"].get<double>());
  }
  return LogTicks(low, high);
}

bool AllPositive(const Json& points) {
  return std::all_of(points.begin(), points.end(),
                     [](const Json& point) { return point["value"].get<double>() > 0.0; });
}

// Number and first x of every stage that has epochs.
Json StageStarts(const RunRecord& record) {
  Json starts = Json::array();
  int64_t before = 0;
  for (size_t s = 0; s < record.stages.size(); ++s) {
    if (record.stages[s].epochs.empty()) continue;
    starts.push_back(
        {{"start", static_cast<double>(before) + 0.5}, {"label", std::to_string(s + 1)}});
    before += static_cast<int64_t>(record.stages[s].epochs.size());
  }
  return starts;
}

int64_t EpochCount(const RunRecord& record) {
  int64_t count = 0;
  for (const StageRecord& stage : record.stages) {
    count += static_cast<int64_t>(stage.epochs.size());
  }
  return count;
}

Json Lines(const RunRecord& record, const Panel& panel, Json points, bool log) {
  Json names = Json::array();
  Json colors = Json::array();
  for (const Series& series : panel.series) {
    names.push_back(series.name);
    colors.push_back(series.color);
  }
  Json color = {{"field", "series"},
                {"type", "nominal"},
                {"scale", {{"domain", std::move(names)}, {"range", std::move(colors)}}}};
  // Above the numbers of the stages.
  color["legend"] = panel.series.size() == 1 ? Json() : Json{{"offset", 20}};
  Json axis = panel.axis;
  axis["title"] = nullptr;
  axis["tickCount"] = 5;
  if (log) axis["values"] = TicksOf(points);
  Json scale = {{"type", log ? "log" : "linear"}};
  if (!log) scale["zero"] = panel.from_zero;
  const int64_t epochs = EpochCount(record);
  const double last = static_cast<double>(epochs) + 0.5;
  Json mark = {{"type", "line"}, {"strokeWidth", 2}, {"point", {{"size", epochs > 60 ? 5 : 22}}}};
  mark["interpolate"] = panel.step ? "step-after" : "linear";
  return {
      {"data", {{"values", std::move(points)}}},
      {"mark", std::move(mark)},
      {"encoding",
       {{"x",
         {{"field", "epoch"},
          {"type", "quantitative"},
          {"scale", {{"domain", {0.5, last}}, {"nice", false}}},
          {"axis", {{"title", "epoch"}, {"grid", false}, {"tickMinStep", 1}, {"format", "d"}}}}},
        {"y",
         {{"field", "value"},
          {"type", "quantitative"},
          {"scale", std::move(scale)},
          {"axis", std::move(axis)}}},
        {"color", std::move(color)},
        {"detail", {{"field", "stage"}, {"type", "nominal"}}},
        {"tooltip",
         {{{"field", "stage"}, {"type", "nominal"}},
          {{"field", "epoch"}, {"type", "quantitative"}},
          {{"field", "series"}, {"type", "nominal"}},
          {{"field", "value"}, {"type", "quantitative"}, {"format", ".4~g"}}}}}}};
}

Json Boundaries(const RunRecord& record) {
  const Json x = {{"field", "start"}, {"type", "quantitative"}};
  return {
      {"data", {{"values", StageStarts(record)}}},
      {"layer",
       {{{"mark",
          {{"type", "rule"}, {"stroke", "var(--muted)"}, {"strokeDash", {2, 3}}, {"opacity", 0.7}}},
         {"encoding", {{"x", x}}}},
        {{"mark",
          {{"type", "text"},
           {"align", "left"},
           {"baseline", "bottom"},
           {"dx", 3},
           {"dy", -2},
           {"fill", "var(--muted)"},
           {"fontSize", 11}}},
         {"encoding", {{"x", x}, {"y", {{"value", 0}}}, {"text", {{"field", "label"}}}}}}}}};
}

std::string Describe(const Panel& panel, const Json& points, int64_t epochs) {
  std::string text = StrCat(panel.title, " over ", epochs, epochs == 1 ? " epoch" : " epochs");
  for (const Series& series : panel.series) {
    const Json* first = nullptr;
    const Json* last = nullptr;
    for (const Json& point : points) {
      if (point["series"] != series.name) continue;
      if (first == nullptr) first = &point;
      last = &point;
    }
    if (first == nullptr) continue;
    text += StrCat("; ", series.name, " from ", (*first)["value"].get<double>(), " to ",
                   (*last)["value"].get<double>());
  }
  return text + ".";
}

}  // namespace

std::vector<Chart> TrainingCharts(const RunRecord& record) {
  const Metric* metric = FindMetric(record.task.metric);
  const bool share = metric != nullptr && metric->is_share;
  const std::vector<Panel> panels = {
      {"Loss",
       {{"training", "var(--dense)", &EpochRecord::train_loss},
        {"validation", "var(--accent)", &EpochRecord::valid_loss}},
       {{"format", "~g"}},
       false,
       true,
       false},
      {StrCat("Validation ", record.task.metric.empty() ? "metric" : record.task.metric),
       {{"validation", "var(--accent)", &EpochRecord::valid_metric}},
       {{"format", share ? ".4~p" : "~g"}}},
      {"Sparsity",
       {{"sparsity", "var(--accent)", &EpochRecord::sparsity}},
       {{"format", ".0%"}},
       true,
       false,
       true},
      {"Learning rate",
       {{"learning rate", "var(--dense)", &EpochRecord::learning_rate}},
       {{"format", "~g"}},
       false,
       false,
       true}};
  std::vector<Chart> charts;
  for (const Panel& panel : panels) {
    Json points = Points(record, panel);
    if (points.empty()) continue;
    const bool log = panel.log && AllPositive(points);
    const std::string description = Describe(panel, points, EpochCount(record));
    Json spec = NewSpec(description, 170);
    spec["layer"] = {Lines(record, panel, std::move(points), log), Boundaries(record)};
    charts.push_back({panel.title + (log ? " (log scale)" : ""), description, std::move(spec)});
  }
  return charts;
}

}  // namespace espalier
