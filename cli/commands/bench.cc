#include "pipeline/bench.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "artifact/artifact.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/strings.h"
#include "command.h"
#include "compile/compile.h"
#include "espalier/espalier.h"
#include "exchange/onnx.h"
#include "pipeline/bench_problem.h"
#include "report/bench_page.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  std::vector<std::string> inputs;
  std::string problem;
  std::string rows;
  std::string plot;
  std::string modules;
  bool without_onnxruntime = false;
  std::string target;
  bool cold = false;
  BenchOptions bench;
};

// A file on the bench: its network, and the artifact that a Session runs.
struct Entrant {
  std::string path;
  Graph graph;
  std::optional<Artifact> artifact;
};

Result<Entrant> LoadEntrant(const std::string& path, const Flags& flags) {
  Entrant entrant;
  entrant.path = path;
  ESPALIER_ASSIGN_OR_RETURN(entrant.graph, LoadNetwork(path));
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(path));
  if (is_artifact) {
    ESPALIER_ASSIGN_OR_RETURN(entrant.artifact, Artifact::Open(path));
  } else {
    CompileOptions options;
    options.target = flags.target;
    ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(entrant.graph, options));
    ESPALIER_ASSIGN_OR_RETURN(entrant.artifact, Artifact::FromBytes(std::move(bytes)));
  }
  return entrant;
}

Json TimingJson(const TimingRecord& timing) {
  return {{"median", timing.median}, {"p25", timing.p25}, {"p75", timing.p75}};
}

Status Print(const BenchRecord& record, CacheState cache, Console* console) {
  std::string text =
      StrCat("whole sequences of ", record.sequence_steps, " steps, and single steps; batch 1",
             cache == CacheState::kCold ? ", cold" : "", ", us: median (quartiles)\n");
  Json json = {{"sequence_steps", record.sequence_steps},
               {"repetitions", record.repetitions},
               {"threads", record.threads},
               {"cache", CacheStateName(cache)}};
  const auto show = [](const TimingRecord& t) {
    return StrCat(FormatFixed(t.median, 2), " (", FormatFixed(t.p25, 2), " to ",
                  FormatFixed(t.p75, 2), ")");
  };
  for (const SystemRecord& system : record.systems) {
    text += StrCat("  ", system.system, ": ", show(system.us_per_sequence));
    Json row = {{"system", system.system},
                {"us_per_sequence", TimingJson(system.us_per_sequence)},
                {"us_per_step", nullptr},
                {"step_times", nullptr}};
    if (system.us_per_step) {
      text += StrCat(", step ", show(*system.us_per_step));
      row["us_per_step"] = TimingJson(*system.us_per_step);
    }
    if (system.step_times) {
      const StepTimes& times = *system.step_times;
      text += StrCat("; p95 ", FormatFixed(times.p95, 2), ", p99 ", FormatFixed(times.p99, 2));
      row["step_times"] = {
          {"mean", times.mean}, {"p50", times.p50}, {"p95", times.p95}, {"p99", times.p99}};
    }
    text += "\n";
    json["systems"].push_back(row);
  }
  return console->Result(text, json);
}

std::string RowText(const BenchRow& row) {
  return StrCat(row.cell, " H ", row.hidden, " I ", row.input, " T ", row.steps, " B ", row.batch,
                row.threads == 1 ? "" : StrCat(" threads ", row.threads), "  ", row.system, " ",
                row.format, " ", row.dtype, row.cache == CacheState::kCold ? ", cold" : "", " at ",
                FormatPercent(row.density, 0), ": ", FormatFixed(row.us.median, 2), " us a step (",
                FormatFixed(row.us.p25, 2), " to ", FormatFixed(row.us.p75, 2), "), least ",
                FormatFixed(row.roofline_us, 2), ", error ", row.error);
}

// OpenBLAS reads these when it is loaded, which is before main: libtorch is linked with it. So they
// cannot be cleared here.
void NoteBlasHandicaps(Console* console) {
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"}) {
    if (std::getenv(name) == nullptr) continue;
    console->Note(StrCat(name, " is set and may slow libtorch down: unset it for a fair time"));
  }
}

// What --plot needs beside the rows; asked for before any work. Errors: a page that cannot be
// written or would replace `source`; LoadChartLibraries'.
Result<ChartLibraries> PreparePlot(const Flags& flags, const std::string& source) {
  ESPALIER_RETURN_IF_ERROR(CheckWritable(flags.plot));
  ESPALIER_RETURN_IF_ERROR(CheckDifferent(flags.plot, source));
  return LoadChartLibraries(flags.modules);
}

Status Plot(const Flags& flags, const BenchPage& page, const ChartLibraries& libraries) {
  return WriteTextFileAtomic(flags.plot, BenchHtml(page, libraries));
}

// A page of rows that --json printed before.
Status PlotRows(const Flags& flags, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(const ChartLibraries libraries, PreparePlot(flags, flags.rows));
  BenchPage page;
  page.title = std::filesystem::path(flags.rows).stem().string();
  page.version = ESPALIER_VERSION;
  ESPALIER_ASSIGN_OR_RETURN(page.rows, ReadBenchRows(flags.rows));
  ESPALIER_RETURN_IF_ERROR(Plot(flags, page, libraries));
  return console->Result(flags.plot, {{"output", flags.plot}});
}

Status RunProblem(const Flags& flags, const std::string& onnxruntime, Console* console) {
  ESPALIER_ASSIGN_OR_RETURN(BenchProblem problem, ReadBenchProblem(flags.problem));
  ChartLibraries libraries;
  if (!flags.plot.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(libraries, PreparePlot(flags, flags.problem));
  }
  BenchProblemOptions options;
  options.target = flags.target;
  options.onnxruntime = onnxruntime;
  NoteBlasHandicaps(console);
  options.on_note = [console](const std::string& note) { console->Note(note); };
  options.on_row = [console](const BenchRow& row) { console->Note(RowText(row)); };
  BenchPage page{problem.name, CpuName(), ESPALIER_VERSION, {}};
  ESPALIER_ASSIGN_OR_RETURN(page.rows, RunBenchProblem(problem, options));
  if (!flags.plot.empty()) ESPALIER_RETURN_IF_ERROR(Plot(flags, page, libraries));
  std::string text;
  for (const BenchRow& row : page.rows) text += RowText(row) + "\n";
  return console->Print(console->json ? BenchRowsJson(page.rows) : text);
}

// The library's path, or "" and why it is not timed.
std::string OnnxRuntimeOf(const Flags& flags, Console* console) {
  if (flags.without_onnxruntime) return "";
  const Result<std::string> library = FindOnnxRuntimeIn(flags.modules);
  if (library.ok()) return *library;
  console->Note("ONNX Runtime is not timed: " + library.status().message());
  return "";
}

Status Run(const Flags& flags, Console* console) {
  const int sources = (flags.inputs.empty() ? 0 : 1) + (flags.problem.empty() ? 0 : 1) +
                      (flags.rows.empty() ? 0 : 1);
  if (sources != 1) {
    return InvalidArgument(StrCat("bench: networks, --problem or --rows expected, ",
                                  sources == 0 ? "none" : "more than one", " found"));
  }
  if (!flags.inputs.empty() && !flags.plot.empty()) {
    return InvalidArgument("--plot: only with --problem or --rows");
  }
  if (!flags.rows.empty()) {
    return flags.plot.empty() ? InvalidArgument("--rows: only with --plot")
                              : PlotRows(flags, console);
  }
  const std::string library = OnnxRuntimeOf(flags, console);
  if (!flags.problem.empty()) return RunProblem(flags, library, console);
  std::vector<Entrant> entrants;
  for (const std::string& path : flags.inputs) {
    ESPALIER_ASSIGN_OR_RETURN(Entrant entrant, LoadEntrant(path, flags));
    if (IsDynamic(entrant.graph)) {
      console->Note(path +
                    ": what its dynamic pruning leaves out depends on the input, which is noise "
                    "here; a recipe's bench stage and `espalier thresholds` time data");
    }
    entrants.push_back(std::move(entrant));
  }
  std::optional<OnnxRuntime> onnxruntime;
  if (!library.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(onnxruntime, OnnxRuntime::Open(library));
  }
  std::vector<BenchSystem> systems;
  SessionOptions session;
  session.target = flags.target;
  session.threads = flags.bench.threads;
  OnnxSystemOptions peer_options;
  peer_options.threads = flags.bench.threads;
  for (const Entrant& entrant : entrants) {
    ESPALIER_ASSIGN_OR_RETURN(BenchSystem own,
                              EspalierSystem("espalier " + entrant.path, *entrant.artifact,
                                             entrant.graph, flags.bench.shape, session));
    systems.push_back(std::move(own));
    if (!onnxruntime) continue;
    ESPALIER_ASSIGN_OR_RETURN(BenchSystem peer,
                              OnnxRuntimeSystem("onnxruntime " + entrant.path, *onnxruntime,
                                                entrant.graph, flags.bench.shape, peer_options));
    systems.push_back(std::move(peer));
  }
  BenchOptions options = flags.bench;
  options.cache = flags.cold ? CacheState::kCold : CacheState::kWarm;
  ESPALIER_ASSIGN_OR_RETURN(const BenchRecord record, RunBench(systems, options));
  return Print(record, options.cache, console);
}

}  // namespace

Action AddBench(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "examples:\n  espalier bench sparse.esp dense.onnx --steps 28\n"
      "  espalier bench --problem bench/problems/lstm_streaming.yaml --plot times.html --json");
  app->add_option("inputs", flags->inputs, "Networks (.esp, or .onnx, which is compiled first)");
  CLI::Option* problem = app->add_option(
      "--problem", flags->problem,
      "Sizes, densities and formats of one layer to time (.yaml), instead of networks");
  CLI::Option* rows = app->add_option("--rows", flags->rows,
                                      "What --problem FILE --json printed, to make --plot of it");
  app->add_option("--plot", flags->plot,
                  "Page of charts to write (.html), with --problem or --rows");
  CLI::Option* of_networks[] = {
      app->add_option("--steps", flags->bench.shape.steps, "Steps of a sequence")
          ->check(CLI::Range(1, 1'000'000)),
      app->add_option("--repetitions", flags->bench.repetitions, "Timed samples of each system")
          ->check(CLI::Range(1, 1'000'000)),
      AddThreadsOption(app, &flags->bench.threads, "Threads of each system"),
      AddSeedOption(app, &flags->bench.seed, "Seed of the inputs"),
      app->add_flag("--cold", flags->cold,
                    "Time after other work, with weights out of the caches")};
  // A problem file has keys for them.
  for (CLI::Option* option : of_networks) {
    option->capture_default_str()->excludes(problem)->excludes(rows);
  }
  AddTargetOption(app, &flags->target);
  AddNodeModulesOption(app, &flags->modules);
  app->add_flag("--without-onnxruntime", flags->without_onnxruntime, "Time only espalier");
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
