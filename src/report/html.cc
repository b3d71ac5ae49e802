#include "report/html.h"

#include <cctype>
#include <utility>

#include "base/strings.h"
#include "report/charts.h"
#include "report/json.h"
#include "report/text.h"

namespace espalier {
namespace {

constexpr char kStyle[] =
#include "report/page_style.inc"
    ;
constexpr char kScript[] =
#include "report/page_script.inc"
    ;

// JSON inside <script>: "<" only occurs in its strings, where < is the same letter.
std::string ScriptJson(const Json& json) {
  std::string safe;
  for (const char c : PrintJson(json, -1)) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

// Escapes, and sets "us", "->", "3.2x" and "-0.30" as a printer would.
std::string Typeset(const std::string& text) {
  std::string html = EscapeHtml(text);
  if (html.starts_with("us per")) html = "&micro;s" + html.substr(2);
  const size_t arrow = html.find(" -&gt; ");
  if (arrow != std::string::npos) html.replace(arrow, 7, " &rarr; ");
  const size_t times = html.find("x ");
  const bool after_digit = times != std::string::npos && times > 0 &&
                           std::isdigit(static_cast<unsigned char>(html[times - 1])) != 0;
  if (after_digit) html = html.substr(0, times) + "&times;" + html.substr(times + 1);
  if (html == "-") return "&ndash;";
  return html.starts_with('-') ? "&minus;" + html.substr(1) : html;
}

class Page {
 public:
  explicit Page(const RunRecord& record) : record_(record) {}

  std::string Make(const ChartLibraries& libraries);

 private:
  void Head();
  void Result();
  void Tiles();
  void Comparison();
  void Training();
  void Sparsity();
  void Speed();
  void Classes();
  void Matrices();
  void MatrixRows(const ModelRecord& model);
  void Repeat();
  void Foot();

  void Tile(bool worse, const std::string& value, const std::string& label,
            const std::string& detail);
  void Charts(const std::vector<Chart>& charts, const char* layout);
  void Open(const char* id, const std::string& title, const std::string& note);
  void Absent(const std::string& sentence);

  // The network that the run ended with: pruned, or dense if that is all there is yet.
  const ModelRecord* LastModel() const {
    const ModelRecord* pruned = FindModel(record_, "pruned");
    return pruned != nullptr ? pruned : FindModel(record_, "dense");
  }

  const RunRecord& record_;
  std::string html_;
  int64_t charts_ = 0;
};

void Page::Open(const char* id, const std::string& title, const std::string& note) {
  html_ += StrCat("<section aria-labelledby=\"", id, "\">\n<h2 id=\"", id, "\">", EscapeHtml(title),
                  "</h2>\n");
  if (!note.empty()) html_ += StrCat("<p class=\"note\">", EscapeHtml(note), "</p>\n");
}

void Page::Absent(const std::string& sentence) {
  html_ += StrCat("<p class=\"absent\">", EscapeHtml(sentence), "</p>\n");
}

void Page::Charts(const std::vector<Chart>& charts, const char* layout) {
  html_ += StrCat("<div class=\"", layout, "\">\n");
  for (const Chart& chart : charts) {
    const std::string id = StrCat("chart-", ++charts_);
    html_ += StrCat("<figure>\n<h3>", EscapeHtml(chart.title),
                    "</h3>\n<div class=\"chart\" role=\"img\" aria-label=\"",
                    EscapeHtml(chart.description), "\" data-spec=\"", id, "\"></div>\n");
    html_ += StrCat("<script type=\"application/json\" id=\"", id, "\">", ScriptJson(chart.spec),
                    "</script>\n</figure>\n");
  }
  html_ += "</div>\n";
}

void Page::Head() {
  const std::string title = EscapeHtml(record_.name);
  html_ += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html_ += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  // The page asks nobody for anything; the libraries compile expressions, hence unsafe-eval.
  html_ +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'\">\n";
  html_ += StrCat("<title>", title, " - espalier report</title>\n<style>", kStyle,
                  "</style>\n</head>\n<body>\n<header>\n<p class=\"kicker\">espalier report</p>\n",
                  "<h1>", title, "</h1>\n");
  std::string lead = StrCat("Task ", record_.task.name);
  if (record_.task.train > 0) {
    lead += StrCat(": ", FormatCount(record_.task.train), " sequences to train on, ",
                   FormatCount(record_.task.valid), " to decide by, ",
                   FormatCount(record_.task.test), " to test on");
  }
  html_ += StrCat("<p class=\"lead\">", EscapeHtml(lead), ". Seed ", record_.seed, ", ",
                  EscapeHtml(record_.machine.cpu), ".</p>\n</header>\n<main>\n");
}

void Page::Tile(bool worse, const std::string& value, const std::string& label,
                const std::string& detail) {
  html_ += StrCat("<li class=\"tile", worse ? " worse" : "", "\"><b>", Typeset(value), "</b><span>",
                  EscapeHtml(label), "</span><small>", Typeset(detail), "</small></li>\n");
}

void Page::Tiles() {
  const SummaryRecord& summary = *record_.summary;
  const std::string& metric = record_.task.metric;
  html_ += "<ul class=\"tiles\">\n";
  Tile(summary.pruned.metric < summary.dense.metric - 0.005,
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
  html_ += "</ul>\n";
}

void Page::Comparison() {
  html_ +=
      "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Dense against "
      "pruned\" style=\"margin-top:14px\">\n<table>\n<caption class=\"sr\">Dense against pruned"
      "</caption>\n<thead><tr><th scope=\"col\"><span class=\"sr\">Quantity</span></th>"
      "<th scope=\"col\" class=\"num\">dense</th><th scope=\"col\" class=\"num\">pruned</th>"
      "<th scope=\"col\" class=\"num\">change</th></tr></thead>\n<tbody>\n";
  for (const ComparisonRow& row : CompareModels(record_)) {
    const bool lost = row.ratio.ends_with("slower") || row.ratio.ends_with("larger") ||
                      row.ratio.ends_with("more");
    const bool won = row.ratio.ends_with("faster") || row.ratio.ends_with("smaller") ||
                     row.ratio.ends_with("fewer");
    html_ += StrCat("<tr><th scope=\"row\">", Typeset(row.label), "</th><td class=\"num\">",
                    Typeset(row.dense), "</td><td class=\"num\">", Typeset(row.pruned),
                    "</td><td class=\"num",
                    won    ? " gain"
                    : lost ? " loss"
                           : "",
                    "\">", Typeset(row.ratio), "</td></tr>\n");
  }
  html_ += "</tbody>\n</table>\n</div>\n";
}

void Page::Result() {
  Open("result", "Dense against pruned", "");
  if (record_.summary) {
    Tiles();
  } else {
    Absent("The run has no summary yet: it is written after the benchmark.");
  }
  if (record_.models.empty()) {
    Absent("No network has been recorded yet.");
  } else {
    Comparison();
  }
  if (record_.summary && record_.summary->agreement) {
    html_ += StrCat(
        "<p class=\"note\" style=\"margin-top:14px\">The compiled file and the masked "
        "network it was made from predict the same class for ",
        FormatPercent(*record_.summary->agreement, 2), " of the test sequences.</p>\n");
  }
  html_ += "</section>\n";
}

void Page::Training() {
  Open("training", "Training and pruning",
       "All stages on one axis of epochs; the dotted lines and numbers mark where each begins.");
  const std::vector<Chart> charts = TrainingCharts(record_);
  if (charts.empty()) {
    Absent("No epoch has been recorded: nothing was trained in this run.");
  } else {
    html_ += "<ol class=\"stages\">\n";
    for (size_t i = 0; i < record_.stages.size(); ++i) {
      const StageRecord& stage = record_.stages[i];
      if (stage.epochs.empty()) continue;
      html_ += StrCat("<li><b>", i + 1, " ", EscapeHtml(stage.name), "</b> ", stage.epochs.size(),
                      stage.epochs.size() == 1 ? " epoch, " : " epochs, ",
                      FormatSeconds(stage.seconds), "</li>\n");
    }
    html_ += "</ol>\n";
    Charts(charts, "grid");
  }
  html_ += "</section>\n";
}

void Page::Sparsity() {
  Open("sparsity", "What is left of the weights",
       "Share of zeros in each matrix of the final network, gate by gate, and which weights those "
       "are: coloured cells are kept, pale ones gone. Removed hidden units are not in the picture: "
       "the matrices are smaller by them.");
  const ModelRecord* model = LastModel();
  if (model == nullptr || model->weights.empty()) {
    Absent("No weights have been recorded yet.");
  } else {
    std::vector<Chart> charts = SparsityCharts(*model);
    std::vector<Chart> masks = MaskCharts(*model);
    if (masks.empty()) Absent("No matrix has zeros: there is no mask to show.");
    charts.insert(charts.end(), masks.begin(), masks.end());
    Charts(charts, "stack");
  }
  html_ += "</section>\n";
}

void Page::Speed() {
  std::string note;
  if (record_.bench) {
    note = StrCat("Bars are medians of ", FormatCount(record_.bench->repetitions),
                  " repetitions, whiskers the quartiles; batch 1, ", record_.bench->threads,
                  record_.bench->threads == 1 ? " thread" : " threads",
                  ", all systems measured in turn in one run.");
  }
  Open("speed", "Size and speed", note);
  std::vector<Chart> charts = LatencyCharts(record_);
  if (charts.empty()) {
    Absent("No times have been measured yet: `espalier bench` does it.");
  }
  const std::vector<Chart> sizes = SizeCharts(record_);
  charts.insert(charts.end(), sizes.begin(), sizes.end());
  if (!charts.empty()) Charts(charts, "grid");
  html_ += "</section>\n";
}

void Page::Classes() {
  Open("classes", "Class by class", "On the test sequences, which no decision looked at.");
  const std::vector<Chart> classes = ClassCharts(record_);
  const std::vector<Chart> confusion = ConfusionCharts(record_);
  if (classes.empty() && confusion.empty()) {
    Absent("No results by class have been recorded.");
  }
  if (!classes.empty()) Charts(classes, "stack");
  if (!classes.empty() && !confusion.empty()) html_ += "<div style=\"height:14px\"></div>\n";
  if (!confusion.empty()) Charts(confusion, "grid");
  html_ += "</section>\n";
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
    html_ += StrCat("<td class=\"", css, "\">", Typeset(text), "</td>");
  };
  for (const WeightRecord& weight : model.weights) {
    html_ += StrCat("<tr><th scope=\"row\">", EscapeHtml(weight.name), "</th>");
    cell("num", StrCat(weight.rows, " \xc3\x97 ", weight.cols));
    cell("num", FormatCount(weight.nonzeros));
    cell("num", FormatPercent(weight.sparsity, 1));
    cell("", weight.format.empty() ? "-" : weight.format);
    html_ += StrCat("<td><code>", weight.kernel.empty() ? "&ndash;" : EscapeHtml(weight.kernel),
                    "</code></td>");
    cell("num", weight.encoded_bytes > 0 ? FormatCount(weight.encoded_bytes) : "-");
    cell("num", ChosenTime(weight));
    cell("", RunnersUp(weight));
    html_ += "</tr>\n";
  }
}

void Page::Matrices() {
  const ModelRecord* model = LastModel();
  const bool is_measured = model != nullptr && IsMeasured(*model);
  Open("matrices", "Every matrix",
       is_measured
           ? "Formats were chosen by the measured time of one matrix-vector product on this "
             "machine; the runners-up stand beside it, in ns."
           : "Nothing was measured to choose formats; the bytes of the runners-up stand "
             "beside those that were taken.");
  if (model == nullptr || model->weights.empty()) {
    Absent("No weights have been recorded yet.");
  } else {
    html_ +=
        "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Every matrix\">\n"
        "<table class=\"wide\">\n<caption class=\"sr\">Every matrix of the final network</caption>"
        "\n<thead><tr><th scope=\"col\">matrix</th><th scope=\"col\" class=\"num\">shape</th>"
        "<th scope=\"col\" class=\"num\">not 0</th><th scope=\"col\" class=\"num\">sparsity</th>"
        "<th scope=\"col\">format</th><th scope=\"col\">kernel</th>"
        "<th scope=\"col\" class=\"num\">bytes</th><th scope=\"col\" class=\"num\">ns</th>"
        "<th scope=\"col\">runners-up</th></tr></thead>\n<tbody>\n";
    MatrixRows(*model);
    html_ += "</tbody>\n</table>\n</div>\n";
  }
  html_ += "</section>\n";
}

void Page::Repeat() {
  Open("repeat", "How to repeat it", "");
  if (record_.command.empty()) {
    Absent("The command was not recorded; the recipe below holds every parameter.");
  } else {
    html_ += StrCat("<pre tabindex=\"0\" aria-label=\"Command\"><code>",
                    EscapeHtml(record_.command), "</code></pre>\n");
  }
  html_ +=
      "<div class=\"grid\" style=\"margin-top:14px\">\n<div class=\"card\">\n<h3>Machine and "
      "program</h3>\n<dl>\n";
  const auto fact = [&](const char* name, const std::string& value) {
    html_ += StrCat("<dt>", name, "</dt><dd>", EscapeHtml(value), "</dd>\n");
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
  html_ +=
      "</dl>\n</div>\n<div class=\"card scroll\">\n<h3>Stages</h3>\n<table class=\"wide\">\n"
      "<thead><tr><th scope=\"col\">stage</th><th scope=\"col\">kind</th>"
      "<th scope=\"col\" class=\"num\">time</th><th scope=\"col\">output</th></tr></thead>\n"
      "<tbody>\n";
  for (const StageRecord& stage : record_.stages) {
    html_ += StrCat("<tr><th scope=\"row\">", EscapeHtml(stage.name), "</th><td>",
                    EscapeHtml(stage.kind), "</td><td class=\"num\">", FormatSeconds(stage.seconds),
                    "</td><td>", stage.output.empty() ? "&ndash;" : EscapeHtml(stage.output),
                    "</td></tr>\n");
  }
  html_ +=
      "</tbody>\n</table>\n</div>\n</div>\n<details style=\"margin-top:20px\">\n<summary>The "
      "resolved recipe</summary>\n";
  const espalier::Result<Json> recipe = ParseJson(record_.recipe_json);
  html_ += StrCat("<pre tabindex=\"0\" aria-label=\"Recipe\"><code>",
                  EscapeHtml(recipe.ok() ? PrintJson(*recipe, 2) : record_.recipe_json),
                  "</code></pre>\n</details>\n</section>\n");
}

void Page::Foot() {
  html_ += StrCat("</main>\n<footer><p>Made by espalier ", EscapeHtml(record_.version),
                  " from run.json alone. Charts by Vega, Vega-Lite and Vega-Embed (BSD 3-Clause, "
                  "University of Washington Interactive Data Lab), embedded in this file.</p>"
                  "</footer>\n");
}

std::string Page::Make(const ChartLibraries& libraries) {
  Head();
  Result();
  Training();
  Sparsity();
  Speed();
  Classes();
  Matrices();
  Repeat();
  Foot();
  html_ += StrCat("<script type=\"application/json\" id=\"chart-config\">",
                  ScriptJson(ChartConfig()), "</script>\n<script>\n");
  html_ += libraries.script;
  html_ += StrCat("</script>\n<script>", kScript, "</script>\n</body>\n</html>\n");
  return std::move(html_);
}

}  // namespace

std::string ReportHtml(const RunRecord& record, const ChartLibraries& libraries) {
  return Page(record).Make(libraries);
}

}  // namespace espalier
