#include <algorithm>

#include "base/strings.h"
#include "report/base64.h"
#include "report/charts.h"
#include "report/text.h"

namespace espalier {
namespace {

// Larger: finer pictures of large matrices, and a larger page (1 byte a cell).
constexpr int64_t kMostCells = 384;  // along one side of one gate's picture
constexpr char kWhole[] = "whole matrix";
constexpr char kGate[] = "one gate";

// The gates of a matrix from top to bottom; the whole of it if it has none.
std::vector<GateRecord> GatesOf(const WeightRecord& weight) {
  if (!weight.gates.empty()) return weight.gates;
  return {{"all", weight.sparsity}};
}

// Share of kept elements in each cell, as bytes 0 ... 255, of rows [first, first + rows).
// A cell is one element unless the matrix is larger than kMostCells.
Json Grid(const WeightRecord& weight, int64_t first, int64_t rows) {
  const int64_t height = std::min(rows, kMostCells);
  const int64_t width = std::min(weight.cols, kMostCells);
  std::vector<uint8_t> cells;
  cells.reserve(static_cast<size_t>(height * width));
  for (int64_t y = 0; y < height; ++y) {
    const int64_t row_begin = y * rows / height;
    const int64_t row_end = (y + 1) * rows / height;
    for (int64_t x = 0; x < width; ++x) {
      const int64_t col_begin = x * weight.cols / width;
      const int64_t col_end = (x + 1) * weight.cols / width;
      int64_t kept = 0;
      for (int64_t row = row_begin; row < row_end; ++row) {
        for (int64_t col = col_begin; col < col_end; ++col) {
          kept += MaskBit(weight.mask, static_cast<size_t>((first + row) * weight.cols + col));
        }
      }
      const int64_t size = (row_end - row_begin) * (col_end - col_begin);
      cells.push_back(static_cast<uint8_t>(kept * 255 / size));
    }
  }
  return {{"width", width}, {"height", height}, {"values", Base64Encode(cells)}};
}

Json MaskSignals(int64_t gates, int64_t rows, int64_t cols) {
  const std::string size = "isFinite(containerSize()[0]) ? containerSize()[0] : 600";
  // One cell is square; a picture is at most 240 pixels high and a cell at most 6.
  return {{{"name", "width"},
           {"init", size},
           {"on", {{{"events", "window:resize"}, {"update", size}}}}},
          {{"name", "gap"}, {"value", 14}},
          {{"name", "cell"},
           {"update", StrCat("max(0.1, min(6, 240 / ", rows, ", (width - gap * ", gates - 1, ") / ",
                             gates * cols, "))")}},
          {{"name", "panel_width"}, {"update", StrCat("cell * ", cols)}},
          {{"name", "panel_height"}, {"update", StrCat("max(1, cell * ", rows, ")")}},
          {{"name", "pitch"}, {"update", "max(panel_width, 58) + gap"}},
          {{"name", "height"}, {"update", "panel_height + 20"}}};
}

Json MaskMarks() {
  const Json x = {{"signal", "datum.index * pitch"}};
  const Json picture = {{"x", x},
                        {"y", {{"value", 20}}},
                        {"width", {{"signal", "panel_width"}}},
                        {"height", {{"signal", "panel_height"}}}};
  Json image = picture;
  image["image"] = {{"field", "image"}};
  image["aspect"] = {{"value", false}};
  image["smooth"] = {{"value", false}};
  Json back = picture;
  back["fill"] = {{"value", "var(--mask-gone)"}};
  return {{{"type", "rect"}, {"from", {{"data", "gates"}}}, {"encode", {{"update", back}}}},
          {{"type", "image"}, {"from", {{"data", "gates"}}}, {"encode", {{"update", image}}}},
          {{"type", "text"},
           {"from", {{"data", "gates"}}},
           {"encode",
            {{"update",
              {{"x", x},
               {"y", {{"value", 12}}},
               {"text", {{"field", "label"}}},
               {"fill", {{"value", "var(--muted)"}}},
               {"fontSize", {{"value", 12}}}}}}}}};
}

Chart MaskChart(const WeightRecord& weight) {
  const std::vector<GateRecord> gates = GatesOf(weight);
  const auto count = static_cast<int64_t>(gates.size());
  const int64_t rows = weight.rows / count;
  Json values = Json::array();
  for (int64_t g = 0; g < count; ++g) {
    const GateRecord& gate = gates[static_cast<size_t>(g)];
    values.push_back({{"index", g},
                      {"label", StrCat(gate.name, "  ", FormatPercent(gate.sparsity, 0))},
                      {"grid", Grid(weight, g * rows, rows)}});
  }
  const std::string description =
      StrCat("Kept weights of ", weight.name, ", ", weight.rows, " rows by ", weight.cols,
             " columns, of which ", FormatCount(weight.nonzeros), " are not 0 (",
             FormatPercent(weight.sparsity, 1), " sparse).");
  Json spec = {
      {"$schema", "https://vega.github.io/schema/vega/v6.json"},
      {"description", description},
      {"autosize", {{"type", "none"}}},
      {"padding", 0},
      {"signals", MaskSignals(count, rows, weight.cols)},
      {"data",
       {{{"name", "gates"},
         {"values", std::move(values)},
         // A fixed colour: Vega paints the pixels itself, so it cannot be a variable of the page.
         {"transform",
          {{{"type", "heatmap"},
            {"field", "grid"},
            {"color", "#1d9a78"},
            {"opacity", {{"expr", "datum.$value / 255"}}}}}}}}},
      {"marks", MaskMarks()}};
  return {StrCat(weight.name, "  ", weight.rows, " x ", weight.cols), description, std::move(spec)};
}

bool HasPicture(const WeightRecord& weight) {
  const size_t gates = std::max<size_t>(1, weight.gates.size());
  return !weight.mask.empty() && weight.nonzeros < weight.rows * weight.cols &&
         weight.rows % static_cast<int64_t>(gates) == 0;
}

}  // namespace

std::vector<Chart> SparsityCharts(const ModelRecord& model) {
  std::vector<ShareBar> bars;
  std::string description = "Sparsity by matrix and gate.";
  for (const WeightRecord& weight : model.weights) {
    description += StrCat(" ", weight.name, " ", FormatPercent(weight.sparsity, 1), ".");
    bars.push_back({weight.name, kWhole, weight.sparsity});
    for (const GateRecord& gate : weight.gates) {
      bars.push_back({"gate " + gate.name, kGate, gate.sparsity});
    }
  }
  if (bars.empty()) return {};
  std::vector<Chart> charts;
  charts.push_back(
      {"Sparsity by matrix and gate", description, ShareBarSpec(description, bars, kWhole, kGate)});
  return charts;
}

std::vector<Chart> MaskCharts(const ModelRecord& model) {
  std::vector<Chart> charts;
  for (const WeightRecord& weight : model.weights) {
    if (HasPicture(weight)) charts.push_back(MaskChart(weight));
  }
  return charts;
}

}  // namespace espalier
