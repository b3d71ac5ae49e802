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

// "gru0 0.21, 0.103; gru1 0.1, 0.05"; of rows "gru0 0.1; gru1 0.1"
std::string ThresholdsOf(const ThresholdCurve& curve, const ThresholdPoint& point) {
  std::string text;
  for (const LayerPoint& layer : point.layers) {
    if (curve.of_rows ? layer.rows_run == 0.0 && layer.epsilon == 0.0 : !HasThresholds(layer)) {
      continue;
    }
    const std::string numbers =
        curve.of_rows ? FormatFixed(layer.epsilon, 4)
                      : StrCat(FormatFixed(layer.x, 4), ", ", FormatFixed(layer.h, 4));
    text += StrCat(text.empty() ? "" : "; ", layer.layer, " ", numbers);
  }
  return text;
}

// Whether the layer skips a step at any point.
bool Skips(const ThresholdCurve& curve, const std::string& name) {
  const auto skips = [&](const LayerPoint& layer) {
    return layer.layer == name && layer.skipped > 0.0;
  };
  return std::any_of(curve.points.begin(), curve.points.end(), [&](const ThresholdPoint& point) {
    return std::any_of(point.layers.begin(), point.layers.end(), skips);
  });
}

Row HeadOf(const ThresholdCurve& curve) {
  Row row = {"factor", curve.metric, curve.of_rows ? "rows" : "sent", "multiply-adds"};
  if (curve.us_per_step_without) {
    row.insert(row.end(), {"us mean", "p50", "p95", "p99", "against plain"});
  }
  row.emplace_back(curve.of_rows ? "epsilons" : "thresholds of x, h");
  return row;
}

Row RowOf(const ThresholdCurve& curve, size_t index) {
  const ThresholdPoint& point = curve.points[index];
  Row row = {FormatFixed(point.factor, 3), FormatMetric(curve.metric, point.metric),
             FormatPercent(curve.of_rows ? point.rows : point.sent, 1),
             FormatPercent(point.multiply_adds, 1)};
  if (curve.us_per_step_without && point.us_per_step) {
    const StepTimes& times = *point.us_per_step;
    row.insert(row.end(),
               {FormatTime(times.mean), FormatTime(times.p50), FormatTime(times.p95),
                FormatTime(times.p99),
                FormatGain(curve.us_per_step_without->mean, times.mean, "faster", "slower")});
  }
  row.push_back(ThresholdsOf(curve, point) + (index == curve.chosen ? "  <- chosen" : "") +
                (point.skips ? "" : "  nothing skipped"));
  return row;
}

}  // namespace

std::string TargetText(const ThresholdCurve& curve) {
  const ThresholdPoint& chosen = curve.points[curve.chosen];
  const std::string most = FormatPercent(curve.most, 1);
  const std::string not_faster = NotFasterText(curve);
  const std::string target =
      curve.target == "loss"   ? StrCat("lose at most ", most, " of the ", curve.metric)
      : curve.target == "sent" ? StrCat("send at most ", most, " of the columns")
      : curve.target == "rows" ? StrCat("run at most ", most, " of the rows")
                               : StrCat("do at most ", most, " of the multiply-adds");
  return StrCat(curve.of_rows ? "Epsilons" : "Thresholds",
                " were chosen on the validation split to ", target, ": ",
                PointText(curve.metric, curve.of_rows, chosen), ".", not_faster.empty() ? "" : " ",
                not_faster);
}

std::optional<bool> IsFaster(const ThresholdCurve& curve) {
  const std::optional<StepTimes>& times = curve.points[curve.chosen].us_per_step;
  if (!times || !curve.us_per_step_without) return std::nullopt;
  constexpr double kTie = 0.98;  // what is nearer is noise
  return times->mean < kTie * curve.us_per_step_without->mean;
}

std::string NotFasterText(const ThresholdCurve& curve) {
  const ThresholdPoint& chosen = curve.points[curve.chosen];
  if (!chosen.skips || chosen.factor == 0.0 || IsFaster(curve).value_or(true)) return "";
  return StrCat("The chosen point takes ", FormatTime(chosen.us_per_step->mean),
                " us a step and is not faster than the network without rules, which takes ",
                FormatTime(curve.us_per_step_without->mean),
                " us, whatever multiply-adds it saves: leave the rules out.");
}

std::string PointText(const std::string& metric, bool of_rows, const ThresholdPoint& point) {
  return StrCat("factor ", FormatFixed(point.factor, 4), point.skips ? "" : ", nothing skipped",
                ": ", metric, " ", FormatMetric(metric, point.metric), ", ",
                FormatPercent(of_rows ? point.rows : point.sent, 1),
                of_rows ? " of the rows" : " sent", ", ", FormatPercent(point.multiply_adds, 1),
                " of the multiply-adds");
}

std::string ThresholdsTable(const ThresholdCurve& curve) {
  std::vector<Row> rows = {HeadOf(curve)};
  for (size_t i = 0; i < curve.points.size(); ++i) rows.push_back(RowOf(curve, i));
  if (curve.us_per_step_without) {
    const StepTimes& times = *curve.us_per_step_without;
    rows.push_back({"plain", "", "", "", FormatTime(times.mean), FormatTime(times.p50),
                    FormatTime(times.p95), FormatTime(times.p99), "", "the network without rules"});
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
  for (const LayerPoint& layer : curve.points[curve.chosen].layers) {
    std::vector<std::string> parts;
    if (Skips(curve, layer.layer)) {
      parts.push_back(FormatPercent(layer.skipped, 1) + " of the steps skipped");
    }
    if (curve.of_rows && (layer.rows_run > 0.0 || layer.epsilon > 0.0)) {
      parts.push_back(StrCat("epsilon ", FormatFixed(layer.epsilon, 4), "; ",
                             FormatPercent(layer.rows_run, 1), " of the rows run"));
    }
    if (HasThresholds(layer)) {
      parts.push_back(StrCat("thresholds ", FormatFixed(layer.x, 4), " of x and ",
                             FormatFixed(layer.h, 4), " of h; ", FormatPercent(layer.x_sent, 1),
                             " of the columns of x and ", FormatPercent(layer.h_sent, 1),
                             " of h sent"));
    }
    if (!parts.empty()) text += StrCat(layer.layer, ": ", StrJoin(parts, "; "), "\n");
  }
  return text;
}

}  // namespace espalier
