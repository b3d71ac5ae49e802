#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "report/html.h"
#include "report/run_record.h"
#include "report/summary.h"

namespace espalier {
namespace {

struct Flags {
  std::vector<std::string> runs;
  std::string output;
  std::string modules;
  bool summary = false;
};

// A run folder, or its run.json.
std::string RecordPath(const std::string& run) {
  return std::filesystem::is_directory(run) ? run + "/run.json" : run;
}

Status PrintSummary(const std::vector<RunRecord>& records, Console* console) {
  std::vector<SummaryRecord> summaries;
  std::string text;
  for (const RunRecord& record : records) {
    if (!record.summary) {
      return InvalidArgument(record.name +
                             ": no summary: its recipe has no bench stage, or did not get there");
    }
    summaries.push_back(*record.summary);
    text += SummaryTable(record);
  }
  ESPALIER_ASSIGN_OR_RETURN(const SummaryRecord mean, MeanSummary(summaries));
  if (summaries.size() > 1) text += SpreadText(summaries, records[0].task.metric);
  return console->Print(console->json ? SummaryJson(mean) : text);
}

Status Run(const Flags& flags, Console* console) {
  std::vector<RunRecord> records;
  for (const std::string& run : flags.runs) {
    ESPALIER_ASSIGN_OR_RETURN(RunRecord record, ReadRunRecord(RecordPath(run)));
    records.push_back(std::move(record));
  }
  if (flags.summary) return PrintSummary(records, console);
  if (records.size() > 1) {
    return InvalidArgument(
        StrCat("report: one run expected without --summary, ", records.size(), " found"));
  }
  std::string output = flags.output;
  if (output.empty()) {
    output =
        (std::filesystem::path(RecordPath(flags.runs[0])).parent_path() / "report.html").string();
  }
  ESPALIER_RETURN_IF_ERROR(CheckDifferent(output, RecordPath(flags.runs[0])));
  ESPALIER_ASSIGN_OR_RETURN(const ChartLibraries libraries, LoadChartLibraries(flags.modules));
  ESPALIER_RETURN_IF_ERROR(WriteTextFileAtomic(output, ReportHtml(records[0], libraries)));
  return console->Result(output, {{"output", output}});
}

}  // namespace

Action AddReport(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "examples:\n  espalier report runs/quickstart\n"
      "  espalier report runs/seed-1 runs/seed-2 runs/seed-3 --summary --json   (their mean)");
  app->add_option("runs", flags->runs, "Run folders")->required();
  app->add_flag("--summary", flags->summary,
                "Print dense against pruned; of several runs, the mean");
  app->add_option("-o,--output", flags->output, "File to write (default: RUN/report.html)");
  AddNodeModulesOption(app, &flags->modules);
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
