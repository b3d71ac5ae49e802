#include "report/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

constexpr char kNone[] = "-";

std::optional<double> SequenceTime(const RunRecord& record, std::string_view system) {
  const SystemRecord* found = FindSystem(record, system);
  return found == nullptr ? std::nullopt : std::optional(found->us_per_sequence.median);
}

std::optional<double> StepTime(const RunRecord& record, std::string_view system) {
  const SystemRecord* found = FindSystem(record, system);
  if (found == nullptr || !found->us_per_step) return std::nullopt;
  return found->us_per_step->median;
}

std::string TimeOrNone(const std::optional<double>& time) {
  return time ? FormatTime(*time) : kNone;
}

std::string GainOrNone(std::optional<double> before, std::optional<double> after,
                       std::string_view better, std::string_view worse) {
  const std::string gain = FormatGain(before, after, better, worse);
  return gain.empty() ? kNone : gain;
}

ComparisonRow CompareTimes(const std::string& label, std::optional<double> before,
                           std::optional<double> after) {
  return {label, TimeOrNone(before), TimeOrNone(after),
          GainOrNone(before, after, "faster", "slower")};
}

ComparisonRow CompareMetrics(const RunRecord& record, const ModelRecord* dense,
                             const ModelRecord* pruned) {
  const std::string& name = record.task.metric;
  ComparisonRow row = {name, kNone, kNone, kNone};
  if (dense != nullptr && dense->metric) row.dense = FormatMetric(name, *dense->metric);
  if (pruned != nullptr && pruned->metric) row.pruned = FormatMetric(name, *pruned->metric);
  if (row.dense == kNone || row.pruned == kNone) return row;
  const double change = *pruned->metric - *dense->metric;
  const std::string sign = change > 0.0 ? "+" : "";
  const Metric* known = FindMetric(name);
  const bool is_share = known != nullptr && known->is_share;
  row.ratio =
      sign + (is_share ? FormatFixed(100.0 * change, 2) + " points" : FormatMetric(name, change));
  return row;
}

// A count of a model, the smaller the better.
struct Size {
  const char* label;
  int64_t ModelRecord::*field;
  const char* better;
  const char* worse;
};

ComparisonRow CompareSizes(const Size& size, const ModelRecord* dense, const ModelRecord* pruned) {
  const auto text = [&](const ModelRecord* model) -> std::string {
    return model == nullptr ? kNone : FormatCount(model->*size.field);
  };
  const auto value = [&](const ModelRecord* model) -> std::optional<double> {
    if (model == nullptr) return std::nullopt;
    return static_cast<double>(model->*size.field);
  };
  return {size.label, text(dense), text(pruned),
          GainOrNone(value(dense), value(pruned), size.better, size.worse)};
}

}  // namespace

std::string FormatFixed(double value, int decimals) {
  if (!std::isfinite(value)) return kNone;
  char text[64];
  const int size = std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  if (size < 0 || static_cast<size_t>(size) >= sizeof(text)) return StrCat(value);
  return text;
}

int DecimalsToShow(double value, int decimals) {
  constexpr int kMost = 12;
  int more = decimals;
  // What is less, or exactly that, rounds to 0.
  while (value != 0.0 && more < kMost && std::abs(value) * std::pow(10.0, more) <= 0.5) ++more;
  return more;
}

std::string FormatPercent(double share, int decimals) {
  if (!std::isfinite(share)) return kNone;
  const double percent = 100.0 * share;
  return FormatFixed(percent, DecimalsToShow(percent, decimals)) + " %";
}

std::string FormatCount(int64_t count) {
  std::string text = std::to_string(count);
  const size_t first = count < 0 ? 1 : 0;
  for (size_t i = text.size(); i > first + 3;) {
    i -= 3;
    text.insert(i, 1, ',');
  }
  return text;
}

std::string FormatTime(double value) {
  const double size = std::abs(value);
  if (size >= 1000.0 && size < 1e15) return FormatCount(std::llround(value));
  return FormatFixed(value, size >= 100.0 ? 0 : size >= 10.0 ? 1 : size >= 1.0 ? 2 : 3);
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 60.0) {
    return FormatFixed(seconds, 1) + " s";
  }
  const auto whole = static_cast<int64_t>(std::min(std::round(seconds), 1e15));
  return StrCat(whole / 60, " min ", whole % 60 < 10 ? "0" : "", whole % 60, " s");
}

std::string FormatMetric(const std::string& metric, double value) {
  const Metric* known = FindMetric(metric);
  if (known == nullptr) return FormatFixed(value, 4);
  return known->is_share ? FormatPercent(value, known->decimals)
                         : FormatFixed(value, known->decimals);
}

std::string LayerName(const ActivityRecord& activity) {
  return activity.layer + (activity.reverse ? "_reverse" : "");
}

std::string CostsText(std::optional<double> bytes, std::optional<double> time) {
  std::string text;
  if (bytes) text = FormatPercent(*bytes, 2) + " of the bytes";
  if (time) text += (bytes ? " and " : "") + FormatPercent(*time, 2) + " of the time";
  return text;
}

std::string ActivityText(const ActivityRecord& activity) {
  const auto percent = [](int64_t part, int64_t whole) {
    return FormatPercent(
        static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, whole)), 1);
  };
  std::string text = LayerName(activity) + ": ";
  if (activity.skip) text += percent(activity.skipped, activity.steps) + " of the steps skipped; ";
  if (activity.units > 0)
    text += percent(activity.units_run, activity.units) + " of the units run; ";
  if (activity.rows > 0) {
    text += percent(activity.rows_run, activity.rows) + " of the rows run";
    if (activity.rows_idle > 0) {
      text += StrCat(" (", percent(activity.rows_idle, activity.rows), " idle)");
    }
    text += "; ";
  }
  if (activity.x_columns > 0) {
    text += StrCat(percent(activity.x_sent, activity.x_columns), " of the columns of x and ",
                   percent(activity.h_sent, activity.h_columns), " of h sent; ");
  }
  return text + StrCat(percent(activity.multiply_adds, activity.multiply_adds_without),
                       " of the multiply-adds");
}

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string FormatGain(std::optional<double> before, std::optional<double> after,
                       std::string_view better, std::string_view worse) {
  if (!before || !after || !(*before > 0.0) || !(*after > 0.0)) return "";
  const bool gained = *before >= *after;
  const double factor = gained ? *before / *after : *after / *before;
  const int decimals = factor >= 100.0 ? 0 : factor >= 10.0 ? 1 : 2;
  return StrCat(FormatFixed(factor, decimals), "x ", gained ? better : worse);
}

std::vector<ComparisonRow> CompareModels(const RunRecord& record) {
  const ModelRecord* dense = FindModel(record, "dense");
  const ModelRecord* pruned = FindModel(record, "pruned");
  std::vector<ComparisonRow> rows = {
      CompareMetrics(record, dense, pruned),
      CompareSizes({"weights that are not 0", &ModelRecord::nonzeros, "fewer", "more"}, dense,
                   pruned),
      CompareSizes({"file, bytes", &ModelRecord::bytes, "smaller", "larger"}, dense, pruned),
      CompareSizes(
          {"multiply-adds per step", &ModelRecord::multiply_adds_per_step, "fewer", "more"}, dense,
          pruned),
      CompareTimes("us per sequence", SequenceTime(record, "espalier-dense"),
                   SequenceTime(record, "espalier-pruned")),
      CompareTimes("us per step, streaming", StepTime(record, "espalier-dense"),
                   StepTime(record, "espalier-pruned"))};
  if (const auto peer = SequenceTime(record, "onnxruntime-dense")) {
    rows.push_back(CompareTimes("us per sequence, dense in ONNX Runtime", peer,
                                SequenceTime(record, "espalier-pruned")));
  }
  return rows;
}

}  // namespace espalier
