// The charts of the report as Vega-Lite specifications (and Vega's own raster for masks, which
// Vega-Lite has no mark for). Colours are the page's CSS variables, so that one picture serves
// light, dark and paper; drawing is left to the libraries.
#ifndef ESPALIER_REPORT_CHARTS_H_
#define ESPALIER_REPORT_CHARTS_H_

#include <string>
#include <vector>

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

// The category of the row or column `index` with that label, for an axis with kRowLabel. Labels
// need not be unique and would otherwise become part of expressions that Vega parses; keys of one
// axis sort by index.
std::string RowKey(size_t index, const std::string& label);
inline constexpr char kRowLabel[] = "slice(datum.label, 6)";

// Each returns only the charts that the record has data for.

// Loss, validation metric, learning rate and sparsity over the epochs of all stages.
std::vector<Chart> TrainingCharts(const RunRecord& record);
// One bar a gate of every matrix of `model`.
std::vector<Chart> SparsityCharts(const ModelRecord& model);
// One picture for each matrix of `model` that has a mask and zeros in it, gates side by side.
std::vector<Chart> MaskCharts(const ModelRecord& model);
// Bytes of each model's file, and its weights that are not 0.
std::vector<Chart> SizeCharts(const RunRecord& record);
// Median time of each system with quartiles: a whole sequence, and one step where it was timed.
std::vector<Chart> LatencyCharts(const RunRecord& record);
// The metric of each class, dense against pruned.
std::vector<Chart> ClassCharts(const RunRecord& record);
// True against predicted classes, one chart a model.
std::vector<Chart> ConfusionCharts(const RunRecord& record);

}  // namespace espalier

#endif  // ESPALIER_REPORT_CHARTS_H_
