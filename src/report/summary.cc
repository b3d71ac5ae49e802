#include "report/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/strings.h"
#include "report/text.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

Result<SummaryModel> SummarizeModel(const RunRecord& record, const std::string& role) {
  const ModelRecord* model = FindModel(record, role);
  if (model == nullptr) return InvalidArgument(StrCat("models.", role, ": expected, none found"));
  if (!model->metric) {
    return InvalidArgument(StrCat("models.", role, ".metric: expected, none found"));
  }
  const SystemRecord* system = FindSystem(record, "espalier-" + role);
  if (system == nullptr) {
    return InvalidArgument(
        StrCat("bench.systems: a system \"espalier-", role, "\" expected, none found"));
  }
  return SummaryModel{*model->metric, model->bytes, model->nonzeros,
                      system->us_per_sequence.median};
}

// Over the weights of recurrent layers, which are those with gates.
int64_t RecurrentElements(const ModelRecord& model) {
  int64_t count = 0;
  for (const WeightRecord& weight : model.weights) {
    if (!weight.gates.empty()) count += weight.rows * weight.cols;
  }
  return count;
}

int64_t RecurrentNonzeros(const ModelRecord& model) {
  int64_t count = 0;
  for (const WeightRecord& weight : model.weights) {
    if (!weight.gates.empty()) count += weight.nonzeros;
  }
  return count;
}

struct Spread {
  double mean = 0.0;
  double deviation = 0.0;  // of the sample; 0 for one run
};

template <typename Get>
Spread MeanAndDeviation(const std::vector<SummaryRecord>& runs, const Get& get) {
  Spread spread;
  const auto count = static_cast<double>(runs.size());
  for (const SummaryRecord& run : runs) spread.mean += get(run) / count;
  for (const SummaryRecord& run : runs) {
    const double gap = get(run) - spread.mean;
    spread.deviation += gap * gap;
  }
  spread.deviation = runs.size() < 2 ? 0.0 : std::sqrt(spread.deviation / (count - 1.0));
  return spread;
}

std::string PadLeft(std::string text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

}  // namespace

Result<SummaryRecord> Summarize(const RunRecord& record, std::optional<double> agreement) {
  SummaryRecord summary;
  summary.task = record.task.name;
  ESPALIER_ASSIGN_OR_RETURN(summary.dense, SummarizeModel(record, "dense"));
  ESPALIER_ASSIGN_OR_RETURN(summary.pruned, SummarizeModel(record, "pruned"));
  const int64_t before = RecurrentElements(*FindModel(record, "dense"));
  const int64_t after = RecurrentNonzeros(*FindModel(record, "pruned"));
  if (before == 0) {
    return InvalidArgument("models.dense.weights: a weight with gates expected, none found");
  }
  summary.weights_removed =
      std::clamp(1.0 - static_cast<double>(after) / static_cast<double>(before), 0.0, 1.0);
  const double pruned_us = summary.pruned.us_per_sequence;
  if (pruned_us <= 0.0) {
    return InvalidArgument(StrCat("bench.systems: a time above 0 expected for espalier-pruned, ",
                                  pruned_us, " found"));
  }
  summary.speedup_vs_own_dense = summary.dense.us_per_sequence / pruned_us;
  if (const SystemRecord* peer = FindSystem(record, "onnxruntime-dense")) {
    summary.speedup_vs_onnxruntime = peer->us_per_sequence.median / pruned_us;
  }
  summary.agreement = agreement;
  int64_t done = 0, without = 0;
  for (const ActivityRecord& activity : FindModel(record, "pruned")->activity) {
    done += activity.multiply_adds;
    without += activity.multiply_adds_without;
  }
  if (without > 0) {
    summary.multiply_adds_done = static_cast<double>(done) / static_cast<double>(without);
  }
  if (record.exit) {
    summary.exit_metric = record.exit->metric;
    summary.exit_steps = record.exit->steps;
  }
  summary.seeds = {record.seed};
  return summary;
}

Result<SummaryRecord> MeanSummary(const std::vector<SummaryRecord>& runs) {
  if (runs.empty()) return InvalidArgument("summary: at least one run expected, none found");
  SummaryRecord mean;
  mean.task = runs[0].task;
  for (const SummaryRecord& run : runs) {
    if (run.task != mean.task) {
      return InvalidArgument("summary: runs of one task expected, '" + mean.task + "' and '" +
                             run.task + "' found");
    }
    mean.seeds.insert(mean.seeds.end(), run.seeds.begin(), run.seeds.end());
  }
  const auto average = [&](auto get) { return MeanAndDeviation(runs, get).mean; };
  for (SummaryModel SummaryRecord::*model : {&SummaryRecord::dense, &SummaryRecord::pruned}) {
    const auto field = [&](auto member) {
      return average([=](const SummaryRecord& r) { return static_cast<double>(r.*model.*member); });
    };
    (mean.*model).metric = field(&SummaryModel::metric);
    (mean.*model).bytes = std::llround(field(&SummaryModel::bytes));
    (mean.*model).params = std::llround(field(&SummaryModel::params));
    (mean.*model).us_per_sequence = field(&SummaryModel::us_per_sequence);
  }
  mean.weights_removed = average([](const SummaryRecord& r) { return r.weights_removed; });
  mean.speedup_vs_own_dense =
      average([](const SummaryRecord& r) { return r.speedup_vs_own_dense; });
  const auto optional_mean = [&](std::optional<double> SummaryRecord::*member) {
    const bool complete = std::all_of(
        runs.begin(), runs.end(), [&](const SummaryRecord& r) { return (r.*member).has_value(); });
    return complete ? std::optional(average([&](const SummaryRecord& r) { return *(r.*member); }))
                    : std::nullopt;
  };
  mean.speedup_vs_onnxruntime = optional_mean(&SummaryRecord::speedup_vs_onnxruntime);
  mean.agreement = optional_mean(&SummaryRecord::agreement);
  mean.multiply_adds_done = optional_mean(&SummaryRecord::multiply_adds_done);
  mean.exit_metric = optional_mean(&SummaryRecord::exit_metric);
  mean.exit_steps = optional_mean(&SummaryRecord::exit_steps);
  return mean;
}

std::string SpreadText(const std::vector<SummaryRecord>& runs, const std::string& metric) {
  std::string text = StrCat("\nmean +- standard deviation of ", runs.size(), " runs\n");
  const auto line_of = [&](const std::string& label, const std::string& form, auto get) {
    const Spread spread = MeanAndDeviation(runs, get);
    text += StrCat("  ", label, ": ", FormatMetric(form, spread.mean), " +- ",
                   FormatMetric(form, spread.deviation), "\n");
  };
  line_of("dense " + metric, metric, [](const SummaryRecord& r) { return r.dense.metric; });
  line_of("pruned " + metric, metric, [](const SummaryRecord& r) { return r.pruned.metric; });
  line_of("weights removed", kAccuracy.name,
          [](const SummaryRecord& r) { return r.weights_removed; });
  const Spread speedup =
      MeanAndDeviation(runs, [](const SummaryRecord& r) { return r.speedup_vs_own_dense; });
  char line[96];
  std::snprintf(line, sizeof(line), "  speedup over own dense: %.2f +- %.2f\n", speedup.mean,
                speedup.deviation);
  text += line;
  const bool has_peer = std::all_of(runs.begin(), runs.end(), [](const SummaryRecord& r) {
    return r.speedup_vs_onnxruntime.has_value();
  });
  if (has_peer) {
    const Spread peer =
        MeanAndDeviation(runs, [](const SummaryRecord& r) { return *r.speedup_vs_onnxruntime; });
    std::snprintf(line, sizeof(line), "  speedup over ONNX Runtime dense: %.2f +- %.2f\n",
                  peer.mean, peer.deviation);
    text += line;
  }
  return text;
}

std::string SummaryTable(const RunRecord& record) {
  std::string text = StrCat(record.name, ": ", record.task.name, ", seed ", record.seed, "\n\n");
  const std::vector<ComparisonRow> rows = CompareModels(record);
  size_t label_width = 0;
  size_t widths[3] = {5, 6, 5};
  for (const ComparisonRow& row : rows) {
    label_width = std::max(label_width, row.label.size());
    widths[0] = std::max(widths[0], row.dense.size());
    widths[1] = std::max(widths[1], row.pruned.size());
    widths[2] = std::max(widths[2], row.ratio.size());
  }
  const auto line = [&](const std::string& label, const std::string& dense,
                        const std::string& pruned, const std::string& ratio) {
    text += label + std::string(label_width - label.size(), ' ');
    text += "  " + PadLeft(dense, widths[0]) + "  " + PadLeft(pruned, widths[1]) + "  " +
            PadLeft(ratio, widths[2]) + "\n";
  };
  line("", "dense", "pruned", "ratio");
  for (const ComparisonRow& row : rows) line(row.label, row.dense, row.pruned, row.ratio);
  if (const ModelRecord* pruned = FindModel(record, "pruned");
      pruned != nullptr && !pruned->activity.empty()) {
    text += "\n";
    for (const ActivityRecord& activity : pruned->activity) text += ActivityText(activity) + "\n";
  }
  if (record.thresholds) text += StrCat("\n", TargetText(*record.thresholds), "\n");
  if (record.exit) {
    const std::string& metric = record.task.metric;
    text += StrCat("\nEarly exit: ", metric, " ", FormatMetric(metric, record.exit->metric),
                   " with ", FormatPercent(record.exit->steps, 1), " of the steps; ",
                   FormatMetric(metric, record.exit->metric_after),
                   " where all sequences end after that share of theirs.\n");
  }
  if (!record.summary) return text;
  text += StrCat("\n", FormatPercent(record.summary->weights_removed, 1),
                 " of the recurrent layers' weights are gone.\n");
  if (record.summary->agreement) {
    text += StrCat("The compiled file and the masked network agree on ",
                   FormatPercent(*record.summary->agreement, 2),
                   " of the predictions on the test split.\n");
  }
  return text;
}

}  // namespace espalier
