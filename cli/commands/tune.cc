#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/machine.h"
#include "base/strings.h"
#include "command.h"
#include "compile/measure_costs.h"
#include "pipeline/cost_file.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  std::string output;
  std::vector<std::string> formats;
  std::optional<std::string> cpu;
  MeasureCostsOptions options;
};

Status Run(const Flags& flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckWritable(flags.output));
  MeasureCostsOptions options = flags.options;
  for (const std::string& name : flags.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec spec, FindFormat(name));
    options.formats.push_back(spec);
  }
  options.cpu = flags.cpu ? *flags.cpu : CpuName();
  options.cancel = Console::StopOnSignals();
  double told = 0.0;
  options.on_progress = [console, &told](double share) {
    if (share < told + 0.1) return;
    told = share;
    console->Note(StrCat("tune: ", FormatPercent(share, 0), " measured"));
  };
  ESPALIER_ASSIGN_OR_RETURN(const CostTable table, MeasureCosts(options));
  ESPALIER_RETURN_IF_ERROR(WriteTextFileAtomic(flags.output, CostTableJson(table)));
  return console->Result(StrCat(flags.output, ": costs of ", table.target, " on ", table.cpu, ", ",
                                table.formats.size(), " formats"),
                         {{"output", flags.output},
                          {"cpu", table.cpu},
                          {"target", table.target},
                          {"formats", table.formats.size()}});
}

}  // namespace

Action AddTune(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  MeasureCostsOptions& options = flags->options;
  app->footer(
      "example:\n  espalier tune -o server.json                (on the server)\n"
      "  espalier compile sparse.onnx --costs server.json -o sparse.esp   (anywhere)");
  app->add_option("-o,--output", flags->output, "File to write (.json)")->required();
  AddTargetOption(app, &options.target);
  app->add_option("--cpu", flags->cpu, "Name to give this CPU (default: its own)");
  app->add_option("--format", flags->formats, "Formats to time beside dense (default: all)");
  app->add_option("--repetitions", options.repetitions, "Timed samples of each product")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  AddSeedOption(app, &options.seed, "Seed of the matrices")->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
