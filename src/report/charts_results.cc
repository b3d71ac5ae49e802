#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/strings.h"
#include "report/charts.h"
#include "report/text.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

constexpr size_t kMostClassRows = 40;  // more: the ones that changed most
constexpr size_t kMostConfusion = 40;  // more classes: cells too small to read
constexpr size_t kMostNumbers = 16;    // more classes: no room for counts in the cells

std::string SystemLabel(const std::string& system) {
  const size_t dash = system.rfind('-');
  if (dash == std::string::npos) return system;
  std::string program = system.substr(0, dash);
  if (program == "onnxruntime") program = "ONNX Runtime";
  return program + ", " + system.substr(dash + 1);
}

std::string Capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] -= 'a' - 'A';
  return text;
}

const char* SystemColor(const std::string& system) {
  if (system == "espalier-pruned") return "var(--accent)";
  return system.starts_with("espalier-") ? "var(--dense)" : "var(--peer)";
}

// Horizontal bars with a number at their end, for which the axis leaves room; `extra` layers are
// drawn between the two.
Json Bars(const std::string& description, Json values, const std::string& axis_format, Json extra) {
  double most = 0.0;
  for (const Json& value : values) most = std::max(most, value["end"].get<double>());
  Json spec = NewSpec(description, 30 * values.size());
  spec["data"] = {{"values", std::move(values)}};
  spec["encoding"] = {{"y",
                       {{"field", "label"},
                        {"type", "nominal"},
                        {"sort", nullptr},
                        {"scale", {{"padding", 0.3}}},
                        {"axis", {{"title", nullptr}, {"labelLimit", 190}}}}}};
  const Json tooltip = {{{"field", "label"}, {"type", "nominal"}},
                        {{"field", "text"}, {"type", "nominal"}}};
  spec["layer"] = Json::array();
  spec["layer"].push_back(
      {{"mark", {{"type", "bar"}, {"cornerRadiusEnd", 2}}},
       {"encoding",
        {{"x",
          {{"field", "value"},
           {"type", "quantitative"},
           {"scale", BarScale(most, 76)},
           {"axis",
            {{"title", nullptr},
             {"tickCount", 4},
             {"labelExpr", StrCat("format(datum.value, '", axis_format, "')")}}}}},
         {"color", {{"field", "color"}, {"type", "nominal"}, {"scale", nullptr}}},
         {"tooltip", tooltip}}}});
  for (Json& layer : extra) spec["layer"].push_back(std::move(layer));
  spec["layer"].push_back(
      {{"mark", {{"type", "text"}, {"align", "left"}, {"dx", 7}, {"fontWeight", 600}}},
       {"encoding",
        {{"x", {{"field", "end"}, {"type", "quantitative"}}}, {"text", {{"field", "text"}}}}}});
  return spec;
}

Chart LatencyChart(const std::string& title, const std::vector<SystemRecord>& systems,
                   const TimingRecord* (*timing_of)(const SystemRecord&)) {
  Json values = Json::array();
  std::string description = title + ".";
  for (const SystemRecord& system : systems) {
    const TimingRecord* timing = timing_of(system);
    if (timing == nullptr) continue;
    const std::string text = FormatTime(timing->median) + " \xc2\xb5s";
    description +=
        StrCat(" ", SystemLabel(system.system), " ", FormatTime(timing->median), " microseconds.");
    values.push_back({{"label", SystemLabel(system.system)},
                      {"value", timing->median},
                      {"p25", timing->p25},
                      {"p75", timing->p75},
                      {"end", std::max(timing->median, timing->p75)},
                      {"text", text},
                      {"color", SystemColor(system.system)}});
  }
  if (values.empty()) return {title, description, Json()};
  const Json range = {{"x", {{"field", "p25"}, {"type", "quantitative"}}},
                      {"x2", {{"field", "p75"}}}};
  const Json quartiles = Json::array(
      {{{"mark", {{"type", "rule"}, {"stroke", "var(--text)"}, {"strokeWidth", 1.5}}},
        {"encoding", range}},
       {{"mark", {{"type", "tick"}, {"color", "var(--text)"}, {"thickness", 1.5}, {"size", 9}}},
        {"encoding", {{"x", {{"field", "p25"}, {"type", "quantitative"}}}}}},
       {{"mark", {{"type", "tick"}, {"color", "var(--text)"}, {"thickness", 1.5}, {"size", 9}}},
        {"encoding", {{"x", {{"field", "p75"}, {"type", "quantitative"}}}}}}});
  Json spec = Bars(description, std::move(values), ",~r", quartiles);
  return {title, description, std::move(spec)};
}

// By the metric `name`: indices of at most kMostClassRows classes, those that lost most if there
// are more.
std::vector<size_t> ClassesToShow(const std::string& name, const ModelRecord* dense,
                                  const ModelRecord* pruned, size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (count <= kMostClassRows) return order;
  const auto change = [&](size_t i) {
    if (dense == nullptr || pruned == nullptr) return 0.0;
    const Metric* metric = FindMetric(name);
    const bool falls = metric != nullptr && metric->better == Metric::Better::kSmaller;
    const double lost = dense->class_metric[i] - pruned->class_metric[i];
    return !std::isfinite(lost) ? 0.0 : falls ? -lost : lost;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return change(a) > change(b); });
  order.resize(kMostClassRows);
  return order;
}

// The model of a role if it has one metric a class.
const ModelRecord* WithClasses(const RunRecord& record, const char* role) {
  const ModelRecord* model = FindModel(record, role);
  if (model == nullptr || record.task.classes.empty()) return nullptr;
  return model->class_metric.size() == record.task.classes.size() ? model : nullptr;
}

Json ConfusionCells(const RunRecord& record, const std::vector<std::vector<int64_t>>& counts) {
  int64_t most_wrong = 1;
  for (size_t t = 0; t < counts.size(); ++t) {
    for (size_t p = 0; p < counts.size(); ++p) {
      if (t != p) most_wrong = std::max(most_wrong, counts[t][p]);
    }
  }
  Json cells = Json::array();
  for (size_t t = 0; t < counts.size(); ++t) {
    const int64_t total = std::accumulate(counts[t].begin(), counts[t].end(), int64_t{0});
    for (size_t p = 0; p < counts.size(); ++p) {
      const auto count = static_cast<double>(counts[t][p]);
      // Mistakes are shaded against the most frequent mistake, else the diagonal drowns them.
      const double shade = t == p ? 0.75 * count / static_cast<double>(std::max<int64_t>(1, total))
                                  : 0.9 * std::sqrt(count / static_cast<double>(most_wrong));
      cells.push_back({{"x", RowKey(p, record.task.classes[p])},
                       {"y", RowKey(t, record.task.classes[t])},
                       {"true", record.task.classes[t]},
                       {"predicted", record.task.classes[p]},
                       {"count", counts[t][p]},
                       {"right", t == p},
                       {"shade", shade}});
    }
  }
  return cells;
}

Json ConfusionSpec(const RunRecord& record, const std::string& description,
                   const std::vector<std::vector<int64_t>>& counts) {
  Json spec = NewSpec(description, (counts.size() <= kMostNumbers ? 28 : 14) * counts.size());
  spec["data"] = {{"values", ConfusionCells(record, counts)}};
  spec["encoding"] = {
      {"x",
       {{"field", "x"},
        {"type", "nominal"},
        {"axis",
         {{"title", "predicted"},
          {"labelExpr", kRowLabel},
          {"labelAngle", 0},
          {"labelLimit", 60},
          {"labelOverlap", true}}}}},
      {"y",
       {{"field", "y"},
        {"type", "nominal"},
        {"axis", {{"title", "true"}, {"labelExpr", kRowLabel}, {"labelLimit", 90}}}}}};
  const Json tooltip = {{{"field", "true"}, {"type", "nominal"}},
                        {{"field", "predicted"}, {"type", "nominal"}},
                        {{"field", "count"}, {"type", "quantitative"}}};
  spec["layer"] = {
      {{"mark", {{"type", "rect"}, {"stroke", "var(--line)"}, {"strokeWidth", 0.5}}},
       {"encoding",
        {{"fill",
          {{"condition", {{"test", "datum.right"}, {"value", "var(--accent)"}}},
           {"value", "var(--wrong)"}}},
         {"fillOpacity", {{"field", "shade"}, {"type", "quantitative"}, {"scale", nullptr}}},
         {"tooltip", tooltip}}}}};
  if (counts.size() <= kMostNumbers) {
    spec["layer"].push_back(
        {{"mark", {{"type", "text"}, {"fontSize", 11}}},
         {"transform", {{{"filter", "datum.count > 0"}}}},
         {"encoding", {{"text", {{"field", "count"}, {"type", "quantitative"}}}}}});
  }
  return spec;
}

}  // namespace

std::vector<Chart> SizeCharts(const RunRecord& record) {
  Json bytes = Json::array();
  Json weights = Json::array();
  std::string bytes_text = "Size of the files.";
  std::string weights_text = "Number of weights that are not 0.";
  for (const std::string role : {"dense", "pruned"}) {
    const ModelRecord* model = FindModel(record, role);
    if (model == nullptr) continue;
    const auto bar = [&](const std::string& label, int64_t value, const std::string& text) -> Json {
      return {{"label", label},
              {"value", value},
              {"end", value},
              {"text", text},
              {"color", SystemColor("espalier-" + role)}};
    };
    const std::string size = HumanBytes(static_cast<uint64_t>(model->bytes));
    const std::string count = FormatCount(model->nonzeros);
    bytes.push_back(bar(role + ", " + model->file, model->bytes, size));
    weights.push_back(bar(role, model->nonzeros, count));
    bytes_text += StrCat(" ", role, " ", size, ".");
    weights_text += StrCat(" ", role, " ", count, ".");
  }
  std::vector<Chart> charts;
  if (bytes.empty()) return charts;
  charts.push_back({"Size of the file, bytes", bytes_text,
                    Bars(bytes_text, std::move(bytes), "~s", Json::array())});
  charts.push_back({"Weights that are not 0", weights_text,
                    Bars(weights_text, std::move(weights), "~s", Json::array())});
  return charts;
}

std::vector<Chart> LatencyCharts(const RunRecord& record) {
  std::vector<Chart> charts;
  if (!record.bench) return charts;
  const auto& systems = record.bench->systems;
  charts.push_back(
      LatencyChart(StrCat("Time per sequence of ", record.bench->sequence_steps, " steps"), systems,
                   [](const SystemRecord& system) { return &system.us_per_sequence; }));
  charts.push_back(LatencyChart("Time per step, streaming", systems,
                                [](const SystemRecord& system) -> const TimingRecord* {
                                  return system.us_per_step ? &*system.us_per_step : nullptr;
                                }));
  std::erase_if(charts, [](const Chart& chart) { return chart.spec.is_null(); });
  return charts;
}

std::vector<Chart> ClassCharts(const RunRecord& record) {
  const ModelRecord* dense = WithClasses(record, "dense");
  const ModelRecord* pruned = WithClasses(record, "pruned");
  if (dense == nullptr && pruned == nullptr) return {};
  const std::vector<size_t> shown =
      ClassesToShow(record.task.metric, dense, pruned, record.task.classes.size());
  Json points = Json::array();
  for (size_t row = 0; row < shown.size(); ++row) {
    const size_t i = shown[row];
    for (const char* role : {"dense", "pruned"}) {
      const ModelRecord* model = WithClasses(record, role);
      if (model == nullptr || !std::isfinite(model->class_metric[i])) continue;
      points.push_back({{"row", RowKey(row, record.task.classes[i])},
                        {"class", record.task.classes[i]},
                        {"network", role},
                        {"value", model->class_metric[i]}});
    }
  }
  if (points.empty()) return {};
  const std::string title = StrCat(
      Capitalized(record.task.metric), " by class",
      shown.size() < record.task.classes.size()
          ? StrCat(", the ", shown.size(), " of ", record.task.classes.size(), " that lost most")
          : "");
  const std::string description =
      StrCat(title, ", dense and pruned, for ", shown.size(), " classes.");
  const Metric* metric = FindMetric(record.task.metric);
  const bool is_share = metric != nullptr && metric->is_share;
  Json spec = NewSpec(description, 24 * shown.size());
  const Json x = {
      {"field", "value"},
      {"type", "quantitative"},
      {"scale", {{"zero", false}, {"padding", 12}}},
      {"axis", {{"title", nullptr}, {"tickCount", 5}, {"format", is_share ? ".4~p" : "~g"}}}};
  const Json color = {
      {"field", "network"},
      {"type", "nominal"},
      {"scale", {{"domain", {"dense", "pruned"}}, {"range", {"var(--dense)", "var(--accent)"}}}}};
  spec["data"] = {{"values", std::move(points)}};
  spec["encoding"] = {
      {"y",
       {{"field", "row"},
        {"type", "nominal"},
        {"axis",
         {{"title", nullptr}, {"grid", true}, {"labelExpr", kRowLabel}, {"labelLimit", 140}}}}},
      {"x", x}};
  spec["layer"] = {
      {{"mark",
        {{"type", "line"}, {"stroke", "var(--muted)"}, {"strokeWidth", 2}, {"opacity", 0.45}}},
       {"encoding", {{"detail", {{"field", "row"}, {"type", "nominal"}}}}}},
      {{"mark", {{"type", "point"}, {"filled", true}, {"size", 80}, {"opacity", 1}}},
       {"encoding",
        {{"color", color},
         {"tooltip",
          {{{"field", "class"}, {"type", "nominal"}},
           {{"field", "network"}, {"type", "nominal"}},
           {{"field", "value"}, {"type", "quantitative"}, {"format", ".4f"}}}}}}}};
  std::vector<Chart> charts;
  charts.push_back({title, description, std::move(spec)});
  return charts;
}

std::vector<Chart> ConfusionCharts(const RunRecord& record) {
  std::vector<Chart> charts;
  for (const char* role : {"dense", "pruned"}) {
    const ModelRecord* model = FindModel(record, role);
    if (model == nullptr || model->confusion.empty()) continue;
    if (model->confusion.size() > kMostConfusion) continue;
    int64_t wrong = 0;
    int64_t total = 0;
    for (size_t t = 0; t < model->confusion.size(); ++t) {
      for (size_t p = 0; p < model->confusion.size(); ++p) {
        total += model->confusion[t][p];
        if (t != p) wrong += model->confusion[t][p];
      }
    }
    const std::string description =
        StrCat("Confusion matrix of the ", role, " network: ", FormatCount(wrong), " of ",
               FormatCount(total), " test sequences are classified wrongly.");
    charts.push_back({StrCat("Mistakes of the ", role, " network: ", FormatCount(wrong), " of ",
                             FormatCount(total)),
                      description, ConfusionSpec(record, description, model->confusion)});
  }
  return charts;
}

}  // namespace espalier
