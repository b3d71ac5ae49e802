// The charts of the report as Vega-Lite specifications (and Vega's own raster for masks, which
// Vega-Lite has no mark for). Colours are the page's CSS variables, so that one picture serves
// light, dark and paper; drawing is left to the libraries.
#ifndef ESPALIER_REPORT_CHARTS_H_
#define ESPALIER_REPORT_CHARTS_H_

#include <string>
#include <vector>

#include "report/bench_row.h"
#include "report/json.h"
#include "report/run_record.h"

namespace espalier {

struct Chart {
  std::string title;
  std::string description;  // what a reader who cannot see it is told
  Json spec;
};

// Fonts, axes, legends: the same for every chart.
Json ChartConfig();

// A specification with the parts that every chart shares; as wide as its container, the plot itself
// `height` pixels high.
Json NewSpec(const std::string& description, size_t height);

// The scale of bars that have a number at their end: `room` pixels on the right are left to it.
Json BarScale(double most, int room);

// 1, 2 and 5 times the powers of ten about [low, high], which is above 0; powers alone where those
// are many.
Json LogTicks(double low, double high);

// The category of the row or column `index` with that label, for an axis with kRowLabel. Labels
// need not be unique and would otherwise become part of expressions that Vega parses; keys of one
// axis sort by index.
std::string RowKey(size_t index, const std::string& label);
inline constexpr char kRowLabel[] = "slice(datum.label, 6)";

// One bar of shares in [0, 1], with its number at the end; `part` is what its colour says.
struct ShareBar {
  std::string label;
  std::string part;
  double share = 0.0;
};
// Bars from top to bottom, those of part `main` in the accent colour, those of `other` in grey.
Json ShareBarSpec(const std::string& description, const std::vector<ShareBar>& bars,
                  const std::string& main, const std::string& other);

// Each returns only the charts that the record or the rows have data for.

// Loss, validation metric, learning rate and sparsity over the epochs of all stages.
std::vector<Chart> TrainingCharts(const RunRecord& record);
// One bar a gate of every matrix of `model`.
std::vector<Chart> SparsityCharts(const ModelRecord& model);
// One picture for each matrix of `model` that has a mask and zeros in it, gates side by side.
std::vector<Chart> MaskCharts(const ModelRecord& model);
// What each layer with dynamic pruning left out on the test split.
std::vector<Chart> LeftOutCharts(const ModelRecord& model);
// What it did at each step of one sequence: shares, and which inputs and units were sent.
std::vector<Chart> ActivityCharts(const ModelRecord& model);
// What of it is not drawn, and why: a sentence each.
std::vector<std::string> NotDrawnTexts(const ModelRecord& model);
// The metric of each point over multiply-adds, and over time where that was measured.
std::vector<Chart> ThresholdCharts(const ThresholdCurve& curve);
// Bytes of each model's file, and its weights that are not 0.
std::vector<Chart> SizeCharts(const RunRecord& record);
// Median time of each system with quartiles: a whole sequence, and one step where it was timed.
std::vector<Chart> LatencyCharts(const RunRecord& record);
// The metric of each class, dense against pruned.
std::vector<Chart> ClassCharts(const RunRecord& record);
// True against predicted classes, one chart a model.
std::vector<Chart> ConfusionCharts(const RunRecord& record);

// Of `espalier bench --problem`: time per step over density, hidden size, streams and threads, one
// chart for each case in which that has two values or more, one line for each system, format and
// type. Both axes are logarithmic. Dense networks are drawn in the charts of every density.
std::vector<Chart> DensityCharts(const std::vector<BenchRow>& rows);
std::vector<Chart> HiddenCharts(const std::vector<BenchRow>& rows);
std::vector<Chart> StreamCharts(const std::vector<BenchRow>& rows);
std::vector<Chart> ThreadCharts(const std::vector<BenchRow>& rows);
// Time per step over the least time in which its weights can be read, one chart a cell, with the
// lines of 1 and 1.5 times that.
std::vector<Chart> RooflineCharts(const std::vector<BenchRow>& rows);

// "espalier slot_8x8 bf16", "eigen csr f32", "onnxruntime i8": who ran what, density aside.
std::string SeriesName(const BenchRow& row);
// "lstm, H = 128, I = 40, T = 1, B = 16": what was run, density aside.
std::string CaseName(const BenchRow& row);

}  // namespace espalier

#endif  // ESPALIER_REPORT_CHARTS_H_
