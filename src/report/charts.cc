#include "report/charts.h"

#include <cmath>

#include "base/strings.h"
#include "report/text.h"

namespace espalier {

Json ChartConfig() {
  const char* const font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  return {{"background", nullptr},
          {"font", font},
          {"view", {{"stroke", nullptr}}},
          {"axis",
           {{"labelColor", "var(--muted)"},
            {"labelFontSize", 12},
            {"titleColor", "var(--muted)"},
            {"titleFontSize", 12},
            {"titleFontWeight", "normal"},
            {"titlePadding", 8},
            {"domain", false},
            {"ticks", false},
            {"labelPadding", 6},
            {"gridColor", "var(--line)"}}},
          {"legend",
           {{"orient", "top"},
            {"direction", "horizontal"},
            {"title", nullptr},
            {"labelColor", "var(--text)"},
            {"labelFontSize", 12},
            {"symbolSize", 90},
            {"offset", 6}}},
          {"text", {{"fill", "var(--text)"}, {"fontSize", 12}}}};
}

Json NewSpec(const std::string& description, size_t height) {
  return {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
          {"description", description},
          {"width", "container"},
          {"height", height},
          {"autosize", {{"type", "fit-x"}, {"contains", "padding"}}}};
}

Json BarScale(double most, int room) {
  return {{"domain", {0.0, most > 0.0 ? most : 1.0}},
          {"range", {0, {{"expr", StrCat("max(20, width - ", room, ")")}}}},
          {"nice", false}};
}

Json LogTicks(double low, double high) {
  Json ticks = Json::array();
  const bool many = high / low > 100.0;
  for (double power = std::floor(std::log10(low)); power <= std::ceil(std::log10(high)); ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor == 1.0 || !many) ticks.push_back(factor * std::pow(10.0, power));
    }
  }
  return ticks;
}

std::string RowKey(size_t index, const std::string& label) { return StrCat(100000 + index, label); }

Json ShareBarSpec(const std::string& description, const std::vector<ShareBar>& bars,
                  const std::string& main, const std::string& other) {
  Json values = Json::array();
  for (const ShareBar& bar : bars) {
    values.push_back({{"row", RowKey(values.size(), bar.label)},
                      {"part", bar.part},
                      {"share", bar.share},
                      {"text", FormatPercent(bar.share, 1)}});
  }
  Json spec = NewSpec(description, 19 * bars.size());
  spec["data"] = {{"values", std::move(values)}};
  spec["encoding"] = {
      {"y",
       {{"field", "row"},
        {"type", "nominal"},
        {"scale", {{"padding", 0.2}}},
        {"axis", {{"title", nullptr}, {"labelLimit", 190}, {"labelExpr", kRowLabel}}}}},
      {"x",
       {{"field", "share"},
        {"type", "quantitative"},
        {"scale", BarScale(1.0, 52)},
        {"axis",
         {{"title", nullptr}, {"format", ".0%"}, {"values", {0.0, 0.25, 0.5, 0.75, 1.0}}}}}}};
  const Json color = {
      {"field", "part"},
      {"type", "nominal"},
      {"scale", {{"domain", {main, other}}, {"range", {"var(--accent)", "var(--gate)"}}}}};
  spec["layer"] = {
      {{"mark", {{"type", "bar"}, {"cornerRadiusEnd", 2}}}, {"encoding", {{"color", color}}}},
      {{"mark", {{"type", "text"}, {"align", "left"}, {"dx", 6}, {"fontSize", 11}}},
       {"encoding", {{"text", {{"field", "text"}}}}}}};
  return spec;
}

}  // namespace espalier
