#include "report/html.h"

#include "base/strings.h"
#include "report/charts.h"
#include "report/json.h"
#include "report/page.h"
#include "report/text.h"
#include "tasks/metric.h"

namespace espalier {
namespace {

// What the run was about, under the title.
std::string LeadOf(const RunRecord& record) {
  std::string lead = StrCat("Task ", record.task.name);
  if (record.task.train > 0) {
    lead += StrCat(": ", FormatCount(record.task.train), " sequences to train on, ",
                   FormatCount(record.task.valid), " to decide by, ", FormatCount(record.task.test),
                   " to test on");
  }
  return StrCat(lead, ". Seed ", record.seed, ", ", record.machine.cpu, ".");
}

class Page {
 public:
  explicit Page(const RunRecord& record)
      : record_(record), page_(record.name, "espalier report", LeadOf(record)) {}

  std::string Make(const ChartLibraries& libraries);

 private:
  void Result();
  void Tiles();
  void Comparison();
  void Training();
  void Sparsity();
  void Activity();
  void Speed();
  void SingleSteps();
  void Classes();
  void Matrices();
  void MatrixRows(const ModelRecord& model);
  void Repeat();

  void Tile(bool worse, const std::string& value, const std::string& label,
            const std::string& detail);

  bool IsRegression() const {
    const Metric* metric = FindMetric(record_.task.metric);
    return metric != nullptr && metric->is_regression;
  }

  // The network that the run ended with: pruned, or dense if that is all there is yet.
  const ModelRecord* LastModel() const {
    const ModelRecord* pruned = FindModel(record_, "pruned");
    return pruned != nullptr ? pruned : FindModel(record_, "dense");
  }

  const RunRecord& record_;
  PageWriter page_;
};

void Page::Tile(bool worse, const std::string& value, const std::string& label,
                const std::string& detail) {
  page_.Add(StrCat("<li class=\"tile", worse ? " worse" : "", "\"><b>", Typeset(value),
                   "</b><span>", EscapeHtml(label), "</span><small>", Typeset(detail),
                   "</small></li>\n"));
}

void Page::Tiles() {
  const SummaryRecord& summary = *record_.summary;
  const std::string& metric = record_.task.metric;
  page_.Add("<ul class=\"tiles\">\n");
  const Metric* known = FindMetric(metric);
  Tile(IsClearlyWorse(known == nullptr ? kAccuracy : *known, summary.pruned.metric,
                      summary.dense.metric),
       FormatMetric(metric, summary.pruned.metric), "test " + metric,
       StrCat("dense ", FormatMetric(metric, summary.dense.metric)));
  Tile(false, FormatPercent(summary.weights_removed, 1), "of recurrent weights gone",
       StrCat(FormatCount(summary.dense.params), " -> ", FormatCount(summary.pruned.params),
              " weights in the whole network"));
  const double own = summary.speedup_vs_own_dense;
  Tile(own < 1.0, FormatFixed(own, 2) + "x ", "as fast as our own dense network",
       StrCat(FormatTime(summary.dense.us_per_sequence), " -> ",
              FormatTime(summary.pruned.us_per_sequence), " \xc2\xb5s per sequence"));
  if (summary.speedup_vs_onnxruntime) {
    Tile(*summary.speedup_vs_onnxruntime < 1.0,
         FormatFixed(*summary.speedup_vs_onnxruntime, 2) + "x ", "as fast as ONNX Runtime",
         "on the dense network, one thread");
  }
  const auto dense_bytes = static_cast<double>(summary.dense.bytes);
  const auto pruned_bytes = static_cast<double>(summary.pruned.bytes);
  const std::string smaller = FormatGain(dense_bytes, pruned_bytes, "", "");
  if (!smaller.empty()) {
    Tile(pruned_bytes > dense_bytes, smaller,
         pruned_bytes > dense_bytes ? "larger on disk" : "smaller on disk",
         StrCat(HumanBytes(static_cast<uint64_t>(summary.dense.bytes)), " -> ",
                HumanBytes(static_cast<uint64_t>(summary.pruned.bytes))));
  }
  page_.Add("</ul>\n");
}

void Page::Comparison() {
  page_.Add(
      "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Dense against "
      "pruned\" style=\"margin-top:14px\">\n<table>\n<caption class=\"sr\">Dense against pruned"
      "</caption>\n<thead><tr><th scope=\"col\"><span class=\"sr\">Quantity</span></th>"
      "<th scope=\"col\" class=\"num\">dense</th><th scope=\"col\" class=\"num\">pruned</th>"
      "<th scope=\"col\" class=\"num\">change</th></tr></thead>\n<tbody>\n");
  for (const ComparisonRow& row : CompareModels(record_)) {
    const bool lost = row.ratio.ends_with("slower") || row.ratio.ends_with("larger") ||
                      row.ratio.ends_with("more");
    const bool won = row.ratio.ends_with("faster") || row.ratio.ends_with("smaller") ||
                     row.ratio.ends_with("fewer");
    page_.Add(StrCat("<tr><th scope=\"row\">", Typeset(row.label), "</th><td class=\"num\">",
                     Typeset(row.dense), "</td><td class=\"num\">", Typeset(row.pruned),
                     "</td><td class=\"num",
                     won    ? " gain"
                     : lost ? " loss"
                            : "",
                     "\">", Typeset(row.ratio), "</td></tr>\n"));
  }
  page_.Add("</tbody>\n</table>\n</div>\n");
}

void Page::Result() {
  page_.OpenSection("result", "Dense against pruned", "");
  if (record_.summary) {
    Tiles();
  } else {
    page_.Absent("The run has no summary yet: it is written after the benchmark.");
  }
  if (record_.models.empty()) {
    page_.Absent("No network has been recorded yet.");
  } else {
    Comparison();
  }
  if (record_.summary && record_.summary->agreement) {
    const std::string share = FormatPercent(*record_.summary->agreement, 2);
    page_.Add(StrCat(
        "<p class=\"note\" style=\"margin-top:14px\">The compiled file and the masked "
        "network it was made from ",
        IsRegression() ? "make the same numbers, but for rounding, in " + share + " of the outputs"
                       : "predict the same class for " + share + " of the predictions",
        " on the test split.</p>\n"));
  }
  page_.CloseSection();
}

void Page::Training() {
  page_.OpenSection(
      "training", "Training and pruning",
      "All stages on one axis of epochs; the dotted lines and numbers mark where each begins.");
  const std::vector<Chart> charts = TrainingCharts(record_);
  if (charts.empty()) {
    page_.Absent("No epoch has been recorded: nothing was trained in this run.");
  } else {
    page_.Add("<ol class=\"stages\">\n");
    for (size_t i = 0; i < record_.stages.size(); ++i) {
      const StageRecord& stage = record_.stages[i];
      if (stage.epochs.empty()) continue;
      page_.Add(StrCat("<li><b>", i + 1, " ", EscapeHtml(stage.name), "</b> ", stage.epochs.size(),
                       stage.epochs.size() == 1 ? " epoch, " : " epochs, ",
                       FormatSeconds(stage.seconds), "</li>\n"));
    }
    page_.Add("</ol>\n");
    page_.Charts(charts, "grid");
  }
  page_.CloseSection();
}

void Page::Sparsity() {
  page_.OpenSection(
      "sparsity", "What is left of the weights",
      "Share of zeros in each matrix of the final network, gate by gate, and which weights those "
      "are: coloured cells are kept, pale ones gone. Removed hidden units are not in the picture: "
      "the matrices are smaller by them.");
  const ModelRecord* model = LastModel();
  if (model == nullptr || model->weights.empty()) {
    page_.Absent("No weights have been recorded yet.");
  } else {
    std::vector<Chart> charts = SparsityCharts(*model);
    std::vector<Chart> masks = MaskCharts(*model);
    if (masks.empty()) page_.Absent("No matrix has zeros: there is no mask to show.");
    charts.insert(charts.end(), masks.begin(), masks.end());
    page_.Charts(charts, "stack");
  }
  page_.CloseSection();
}

// Only of a network with dynamic pruning: most have none.
void Page::Activity() {
  const ModelRecord* model = LastModel();
  const bool has_activity = model != nullptr && !model->activity.empty();
  if (!has_activity && !record_.thresholds) return;
  page_.OpenSection(
      "activity", "What it leaves out, step by step",
      "Dynamic pruning: a step of a layer is skipped, or runs only some of its units, or only the "
      "columns of x and h that changed enough are sent to its products. Counted on the test split; "
      "the pictures are of one "
      "sequence "
      "of it.");
  std::vector<Chart> charts;
  if (has_activity) {
    page_.Add("<ol class=\"stages\">\n");
    for (const ActivityRecord& activity : model->activity) {
      page_.Add(StrCat("<li>", EscapeHtml(ActivityText(activity)), "</li>\n"));
    }
    page_.Add("</ol>\n");
    charts = LeftOutCharts(*model);
    const std::vector<Chart> maps = ActivityCharts(*model);
    charts.insert(charts.end(), maps.begin(), maps.end());
    page_.Charts(charts, "stack");
    for (const std::string& text : NotDrawnTexts(*model)) page_.Absent(text);
  }
  if (record_.thresholds) {
    page_.Add(StrCat("<p class=\"note\" style=\"margin:20px 0 14px\">",
                     EscapeHtml(TargetText(*record_.thresholds)), "</p>\n"));
    page_.Charts(ThresholdCharts(*record_.thresholds), "grid");
  }
  page_.CloseSection();
}

void Page::Speed() {
  std::string note;
  if (record_.bench) {
    note = StrCat("Bars are medians of ", FormatCount(record_.bench->repetitions),
                  " repetitions, whiskers the quartiles; batch 1, ", record_.bench->threads,
                  record_.bench->threads == 1 ? " thread" : " threads",
                  ", all systems measured in turn in one run.");
  }
  page_.OpenSection("speed", "Size and speed", note);
  std::vector<Chart> charts = LatencyCharts(record_);
  if (charts.empty()) {
    page_.Absent("No times have been measured yet: `espalier bench` does it.");
  }
  const std::vector<Chart> sizes = SizeCharts(record_);
  charts.insert(charts.end(), sizes.begin(), sizes.end());
  if (!charts.empty()) page_.Charts(charts, "grid");
  SingleSteps();
  page_.CloseSection();
}

// Real time is lived by the slow steps.
void Page::SingleSteps() {
  if (!record_.bench) return;
  std::string rows;
  for (const SystemRecord& system : record_.bench->systems) {
    if (!system.step_times) continue;
    rows += "<tr><th scope=\"row\">" + EscapeHtml(system.system) + "</th>";
    const StepTimes& times = *system.step_times;
    for (const double us : {times.mean, times.p50, times.p95, times.p99}) {
      rows += "<td class=\"num\">" + FormatFixed(us, 2) + "</td>";
    }
    rows += "</tr>\n";
  }
  if (rows.empty()) return;
  page_.Add(
      "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Single steps\" "
      "style=\"margin-top:14px\">\n<h3>Single steps, us</h3>\n<table>\n<caption class=\"sr\">Times "
      "of "
      "single steps</caption>\n<thead><tr><th scope=\"col\">system</th><th scope=\"col\" "
      "class=\"num\">mean</th><th scope=\"col\" class=\"num\">p50</th><th scope=\"col\" "
      "class=\"num\">p95</th><th scope=\"col\" class=\"num\">p99</th></tr></thead>\n<tbody>\n" +
      rows + "</tbody>\n</table>\n</div>\n");
}

void Page::Classes() {
  const Metric* metric = FindMetric(record_.task.metric);
  if (metric != nullptr && !(*metric == kAccuracy)) return;  // nothing is counted by class
  page_.OpenSection("classes", "Class by class",
                    "On the test sequences, which no decision looked at.");
  const std::vector<Chart> classes = ClassCharts(record_);
  const std::vector<Chart> confusion = ConfusionCharts(record_);
  if (classes.empty() && confusion.empty()) {
    page_.Absent("No results by class have been recorded.");
  }
  if (!classes.empty()) page_.Charts(classes, "stack");
  if (!classes.empty() && !confusion.empty()) page_.Add("<div style=\"height:14px\"></div>\n");
  if (!confusion.empty()) page_.Charts(confusion, "grid");
  page_.CloseSection();
}

bool IsMeasured(const ModelRecord& model) {
  for (const WeightRecord& weight : model.weights) {
    for (const CandidateRecord& candidate : weight.candidates) {
      if (candidate.ns > 0.0) return true;
    }
  }
  return false;
}

// "csr 12.5", or "csr 40 bytes" if it was not measured.
std::string CostText(const CandidateRecord& candidate) {
  if (candidate.ns > 0.0) return StrCat(candidate.format, " ", FormatTime(candidate.ns));
  return StrCat(candidate.format, " ", FormatCount(candidate.bytes), " bytes");
}

std::string RunnersUp(const WeightRecord& weight) {
  std::string text;
  for (const CandidateRecord& candidate : weight.candidates) {
    if (candidate.format == weight.format) continue;
    text += StrCat(text.empty() ? "" : "; ", CostText(candidate));
  }
  return text.empty() ? "-" : text;
}

std::string ChosenTime(const WeightRecord& weight) {
  for (const CandidateRecord& candidate : weight.candidates) {
    if (candidate.format == weight.format && candidate.ns > 0.0) return FormatTime(candidate.ns);
  }
  return "-";
}

void Page::MatrixRows(const ModelRecord& model) {
  const auto cell = [&](const char* css, const std::string& text) {
    page_.Add(StrCat("<td class=\"", css, "\">", Typeset(text), "</td>"));
  };
  for (const WeightRecord& weight : model.weights) {
    page_.Add(StrCat("<tr><th scope=\"row\">", EscapeHtml(weight.name), "</th>"));
    cell("num", StrCat(weight.rows, " \xc3\x97 ", weight.cols));
    cell("num", FormatCount(weight.nonzeros));
    cell("num", FormatPercent(weight.sparsity, 1));
    cell("", weight.format.empty() ? "-" : weight.format);
    page_.Add(StrCat("<td><code>", weight.kernel.empty() ? "&ndash;" : EscapeHtml(weight.kernel),
                     "</code></td>"));
    cell("num", weight.encoded_bytes > 0 ? FormatCount(weight.encoded_bytes) : "-");
    cell("num", ChosenTime(weight));
    cell("", RunnersUp(weight));
    page_.Add("</tr>\n");
  }
}

void Page::Matrices() {
  const ModelRecord* model = LastModel();
  const std::string by_costs =
      model == nullptr || model->costs.empty()
          ? ""
          : StrCat(
                "Formats were chosen by the time of one matrix-vector product that the costs of ",
                model->costs, " predict; the runners-up stand beside it, in ns.");
  const bool is_measured = model != nullptr && IsMeasured(*model);
  page_.OpenSection(
      "matrices", "Every matrix",
      !by_costs.empty() ? by_costs
      : is_measured
          ? "Formats were chosen by the measured time of one matrix-vector product on this "
            "machine; the runners-up stand beside it, in ns."
          : "Nothing was measured to choose formats; the bytes of the runners-up stand "
            "beside those that were taken.");
  if (model == nullptr || model->weights.empty()) {
    page_.Absent("No weights have been recorded yet.");
  } else {
    page_.Add(
        "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Every matrix\">\n"
        "<table class=\"wide\">\n<caption class=\"sr\">Every matrix of the final network</caption>"
        "\n<thead><tr><th scope=\"col\">matrix</th><th scope=\"col\" class=\"num\">shape</th>"
        "<th scope=\"col\" class=\"num\">not 0</th><th scope=\"col\" class=\"num\">sparsity</th>"
        "<th scope=\"col\">format</th><th scope=\"col\">kernel</th>"
        "<th scope=\"col\" class=\"num\">bytes</th><th scope=\"col\" class=\"num\">ns</th>"
        "<th scope=\"col\">runners-up</th></tr></thead>\n<tbody>\n");
    MatrixRows(*model);
    page_.Add("</tbody>\n</table>\n</div>\n");
  }
  page_.CloseSection();
}

// ": 95.00 % kept of 90.00 %, 95.00 % tried"; with a budget also what each leaves of bytes and
// time, and whether that meets it. "" without a search.
std::string SearchText(const StageRecord& stage) {
  if (!stage.search) return "";
  std::string tried;
  for (const TriedRecord& each : stage.search->tried) {
    tried += StrCat(tried.empty() ? "" : ", ", FormatPercent(each.sparsity, 2));
    const std::string costs = CostsText(each.bytes, each.time);
    if (!costs.empty()) tried += StrCat(" (", costs, ")");
  }
  const auto& kept = stage.search->kept;
  std::string budget = CostsText(stage.search->bytes, stage.search->time);
  if (!budget.empty()) {
    budget = StrCat("; at most ", budget, " asked, ", stage.search->is_met ? "met" : "not met");
  }
  return StrCat(": ", kept ? FormatPercent(*kept, 2) : "none", " kept of ", tried, " tried",
                budget);
}

void Page::Repeat() {
  page_.OpenSection("repeat", "How to repeat it", "");
  if (record_.command.empty()) {
    page_.Absent("The command was not recorded; the recipe below holds every parameter.");
  } else {
    page_.Add(StrCat("<pre tabindex=\"0\" aria-label=\"Command\"><code>",
                     EscapeHtml(record_.command), "</code></pre>\n"));
  }
  page_.Add(
      "<div class=\"grid\" style=\"margin-top:14px\">\n<div class=\"card\">\n<h3>Machine and "
      "program</h3>\n<dl>\n");
  const auto fact = [&](const char* name, const std::string& value) {
    page_.Add(StrCat("<dt>", name, "</dt><dd>", EscapeHtml(value), "</dd>\n"));
  };
  fact("CPU", record_.machine.cpu);
  fact("instruction set", record_.machine.target);
  fact("threads", std::to_string(record_.machine.threads));
  fact("espalier", record_.version);
  fact("seed", std::to_string(record_.seed));
  for (const auto& [role, model] : record_.models) {
    for (const auto& [layer, size] : model.hidden_sizes) {
      const std::string name = EscapeHtml(StrCat(layer, ", ", role));
      fact(name.c_str(), StrCat(size, size == 1 ? " hidden unit" : " hidden units"));
    }
  }
  page_.Add(
      "</dl>\n</div>\n<div class=\"card scroll\">\n<h3>Stages</h3>\n<table class=\"wide\">\n"
      "<thead><tr><th scope=\"col\">stage</th><th scope=\"col\">kind</th>"
      "<th scope=\"col\" class=\"num\">time</th><th scope=\"col\">output</th></tr></thead>\n"
      "<tbody>\n");
  for (const StageRecord& stage : record_.stages) {
    page_.Add(StrCat("<tr><th scope=\"row\">", EscapeHtml(stage.name), "</th><td>",
                     EscapeHtml(stage.kind), SearchText(stage), "</td><td class=\"num\">",
                     FormatSeconds(stage.seconds), "</td><td>",
                     stage.output.empty() ? "&ndash;" : EscapeHtml(stage.output), "</td></tr>\n"));
  }
  page_.Add(
      "</tbody>\n</table>\n</div>\n</div>\n<details style=\"margin-top:20px\">\n<summary>The "
      "resolved recipe</summary>\n");
  const espalier::Result<Json> recipe = ParseJson(record_.recipe_json);
  page_.Add(StrCat("<pre tabindex=\"0\" aria-label=\"Recipe\"><code>",
                   EscapeHtml(recipe.ok() ? PrintJson(*recipe, 2) : record_.recipe_json),
                   "</code></pre>\n</details>\n</section>\n"));
}

std::string Page::Make(const ChartLibraries& libraries) {
  Result();
  Training();
  Sparsity();
  Activity();
  Speed();
  Classes();
  Matrices();
  Repeat();
  return page_.Finish(StrCat(record_.version, " from run.json alone."), libraries);
}

}  // namespace

std::string ReportHtml(const RunRecord& record, const ChartLibraries& libraries) {
  return Page(record).Make(libraries);
}

}  // namespace espalier
