#include "report/thresholds.h"

#include <algorithm>

#include "base/strings.h"
#include "report/text.h"

namespace espalier {
namespace {

using Row = std::vector<std::string>;

// A layer that only skips has none.
bool HasThresholds(const LayerPoint& layer) {
  return layer.x > 0.0 || layer.h > 0.0 || layer.x_sent > 0.0 || layer.h_sent > 0.0;
}

bool LeavesOutRows(const LayerPoint& layer) { return layer.rows_run > 0.0; }

// Whether it is epsilons that are searched, and not thresholds.
bool IsOfRows(const ThresholdCurve& curve) {
  const std::vector<LayerPoint>& layers = curve.points.front().layers;
  return std::any_of(layers.begin(), layers.end(), LeavesOutRows);
}

// "gru0 0.21, 0.103; gru1 0.1, 0.05"
std::string ThresholdsOf(const ThresholdPoint& point) {
  std::string text;
  for (const LayerPoint& layer : point.layers) {
    const bool of_rows = LeavesOutRows(layer);
    if (!of_rows && !HasThresholds(layer)) continue;
    text += StrCat(text.empty() ? "" : "; ", layer.layer, " ",
                   of_rows ? FormatFixed(layer.epsilon, 4)
                           : StrCat(FormatFixed(layer.x, 4), ", ", FormatFixed(layer.h, 4)));
  }
  return text;
}

// The largest share of the rows that a layer runs.
double RowsRun(const ThresholdPoint& point) {
  double most = 0.0;
  for (const LayerPoint& layer : point.layers) most = std::max(most, layer.rows_run);
  return most;
}

bool SkipsAnything(const ThresholdCurve& curve) {
  return std::any_of(curve.points.begin(), curve.points.end(),
                     [](const ThresholdPoint& point) { return !point.skips; });
}

Row HeadOf(const ThresholdCurve& curve) {
  Row row = {"factor", curve.metric, IsOfRows(curve) ? "rows" : "sent", "multiply-adds"};
  if (curve.us_per_step_without) {
    row.insert(row.end(), {"us p50", "p95", "p99", "against plain"});
  }
  row.emplace_back(IsOfRows(curve) ? "epsilons" : "thresholds of x, h");
  return row;
}

Row RowOf(const ThresholdCurve& curve, size_t index) {
  const ThresholdPoint& point = curve.points[index];
  Row row = {FormatFixed(point.factor, 3), FormatMetric(curve.metric, point.metric),
             FormatPercent(IsOfRows(curve) ? RowsRun(point) : point.sent, 1),
             FormatPercent(point.multiply_adds, 1)};
  if (curve.us_per_step_without && point.us_per_step) {
    const StepTimes& times = *point.us_per_step;
    row.insert(row.end(),
               {FormatTime(times.p50), FormatTime(times.p95), FormatTime(times.p99),
                FormatGain(curve.us_per_step_without->p50, times.p50, "faster", "slower")});
  }
  row.push_back(ThresholdsOf(point) + (index == curve.chosen ? "  <- chosen" : "") +
                (point.skips ? "" : "  nothing skipped"));
  return row;
}

}  // namespace

std::string TargetText(const ThresholdCurve& curve) {
  const ThresholdPoint& chosen = curve.points[curve.chosen];
  const std::string most = FormatPercent(curve.most, 1);
  const std::string target =
      curve.target == "loss"   ? StrCat("lose at most ", most, " of the ", curve.metric)
      : curve.target == "sent" ? StrCat("send at most ", most, " of the columns")
                               : StrCat("do at most ", most, " of the multiply-adds");
  return StrCat("Thresholds were chosen on the validation split to ", target, ": ",
                PointText(curve.metric, chosen), ".");
}

std::string PointText(const std::string& metric, const ThresholdPoint& point) {
  return StrCat("factor ", FormatFixed(point.factor, 4), point.skips ? "" : ", nothing skipped",
                ": ", metric, " ", FormatMetric(metric, point.metric), ", ",
                RowsRun(point) > 0.0 ? FormatPercent(RowsRun(point), 1) + " of the rows"
                                     : FormatPercent(point.sent, 1) + " sent",
                ", ", FormatPercent(point.multiply_adds, 1), " of the multiply-adds");
}

std::string ThresholdsTable(const ThresholdCurve& curve) {
  std::vector<Row> rows = {HeadOf(curve)};
  for (size_t i = 0; i < curve.points.size(); ++i) rows.push_back(RowOf(curve, i));
  if (curve.us_per_step_without) {
    const StepTimes& times = *curve.us_per_step_without;
    rows.push_back({"plain", "", "", "", FormatTime(times.p50), FormatTime(times.p95),
                    FormatTime(times.p99), "", "the network without rules"});
  }
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      text += std::string(widths[i] - row[i].size(), ' ') + row[i] + "  ";
    }
    text += row.back() + "\n";
  }
  const bool skips = SkipsAnything(curve);
  for (const LayerPoint& layer : curve.points[curve.chosen].layers) {
    if (!skips && !HasThresholds(layer) && !LeavesOutRows(layer)) continue;
    text += layer.layer + ": ";
    if (skips) text += FormatPercent(layer.skipped, 1) + " of the steps skipped";
    if (LeavesOutRows(layer)) {
      text += StrCat(skips ? "; " : "", "epsilon ", FormatFixed(layer.epsilon, 4), "; ",
                     FormatPercent(layer.rows_run, 1), " of the rows run");
    }
    if (HasThresholds(layer)) {
      text += StrCat(skips ? "; " : "", "thresholds ", FormatFixed(layer.x, 4), " of x and ",
                     FormatFixed(layer.h, 4), " of h; ", FormatPercent(layer.x_sent, 1),
                     " of the columns of x and ", FormatPercent(layer.h_sent, 1), " of h sent");
    }
    text += "\n";
  }
  return text;
}

}  // namespace espalier
