#include "pipeline/sensitivity.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "espalier/espalier.h"
#include "prune/criterion.h"
#include "prune/granularity.h"
#include "report/html.h"
#include "report/text.h"
#include "tasks/task.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  std::string plot;
  std::string modules;
  DataOptions data;
  SensitivityOptions options;
  bool quick = false;
};

// --quick: few sparsities of few sequences.
constexpr int64_t kQuickSequences = 1000;

// One line a pool: the metric at each sparsity.
std::string Table(const SensitivityScan& scan, const std::string& metric) {
  size_t width = std::string("dense").size();
  for (const SensitivityCurve& curve : scan.curves) width = std::max(width, curve.pool.size());
  const auto pad = [](const std::string& text, size_t to) {
    return std::string(to > text.size() ? to - text.size() : 0, ' ');
  };
  std::string text = metric + " at sparsity" + pad(metric + " at sparsity", width + 2);
  for (const SensitivityPoint& point : scan.curves[0].points) {
    const std::string head = FormatPercent(point.sparsity, 0);
    text += pad(head, 10) + head;
  }
  for (const SensitivityCurve& curve : scan.curves) {
    text += "\n  " + curve.pool + pad(curve.pool, std::max(width, metric.size() + 10));
    for (const SensitivityPoint& point : curve.points) {
      const std::string value = FormatMetric(metric, point.metric);
      text += pad(value, 10) + value;
    }
  }
  return text;
}

Status Run(Flags flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckWritable(flags.output));
  ChartLibraries libraries;
  if (!flags.plot.empty()) {
    ESPALIER_RETURN_IF_ERROR(CheckWritable(flags.plot));
    ESPALIER_RETURN_IF_ERROR(CheckDifferent(flags.plot, flags.output));
    ESPALIER_ASSIGN_OR_RETURN(libraries, LoadChartLibraries(flags.modules));
  }
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(flags.data.task));
  ESPALIER_ASSIGN_OR_RETURN(TaskData data, flags.data.Load());
  if (flags.quick) {
    data.valid = FirstOf(data.valid, kQuickSequences);
    flags.options.sparsities = {0.5, 0.8, 0.95};
  }
  const std::atomic<bool>* stop = Console::StopOnSignals();
  flags.options.progress = [&](const std::string& pool, double sparsity, int64_t done,
                               int64_t total) {
    console->Note(StrCat("sensitivity: ", done + 1, " of ", total, ": ", pool, " at ",
                         FormatPercent(sparsity, 0)));
    return !stop->load();
  };
  ESPALIER_ASSIGN_OR_RETURN(const SensitivityScan scan,
                            ScanSensitivity(graph, data.valid, flags.options));
  const std::string json = SensitivityJson(scan);
  ESPALIER_RETURN_IF_ERROR(WriteTextFileAtomic(flags.output, json));
  if (!flags.plot.empty()) {
    const std::string title = std::filesystem::path(flags.input).stem().string();
    ESPALIER_RETURN_IF_ERROR(WriteTextFileAtomic(
        flags.plot, SensitivityHtml(scan, title, task.metric.name, ESPALIER_VERSION, libraries)));
  }
  return console->Result(Table(scan, task.metric.name), Json::parse(json));
}

}  // namespace

Action AddSensitivity(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  PruneSpec& spec = flags->options.prune;
  app->footer(
      "example: espalier sensitivity dense.onnx --task mnist-rows --per gate -o scan.json\n"
      "         espalier prune dense.onnx --allocation sensitivity --sensitivity scan.json "
      "--per gate -o sparse.onnx");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.json)")->required();
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  const auto add = [&](const char* name, auto* value, const std::string& help) {
    return app->add_option(name, *value, help)->capture_default_str();
  };
  add("--criterion", &spec.criterion, "How much a weight matters: " + NamesOf(AllCriteria()));
  add("--granularity", &spec.granularity, "What goes together: " + NamesOf(AllGranularities()));
  add("--per", &spec.per,
      "What is pruned alone: tensor, gate (default: gate if a pattern names one)");
  app->add_option("--weights", spec.weights,
                  "Patterns of weight names, or of gates, e.g. '*.weight_hh', 'lstm0.weight_hh[f]' "
                  "(default: recurrent)");
  add("--sparsities", &flags->options.sparsities, "Rising shares in (0, 1)");
  app->add_flag("--quick", flags->quick,
                StrCat("Only 50 %, 80 % and 95 %, on the first ", kQuickSequences,
                       " sequences of the split"));
  app->add_option("--plot", flags->plot, "Page of charts to write (.html)");
  AddNodeModulesOption(app, &flags->modules);
  AddThreadsOption(app, &flags->options.threads, "Threads of the evaluation")
      ->capture_default_str();
  AddSeedOption(app, &spec.seed, "Seed of the criterion")->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
