#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  bool no_states = false;
  bool no_lengths = false;
};

Status Run(const Flags& flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckOutput(flags.output, NetworkFile::kOnnx));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  OnnxExportOptions options;
  if (flags.no_states) options.states = OnnxExportOptions::States::kZero;
  if (flags.no_lengths) options.lengths = OnnxExportOptions::Lengths::kNone;
  ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(graph, flags.output, options));
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, ReadFile(flags.output));
  return console->Result(flags.output + ": " + HumanBytes(bytes.size()),
                         {{"output", flags.output}, {"bytes", bytes.size()}});
}

}  // namespace

Action AddExport(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer("example: espalier export sparse.esp -o sparse.onnx --no-lengths --no-states");
  app->add_option("input", flags->input, "Network (.onnx or .esp)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.onnx)")->required();
  app->add_flag("--no-states", flags->no_states,
                "Start from zeros: states are no inputs or outputs");
  app->add_flag("--no-lengths", flags->no_lengths, "All sequences are whole: no input 'lengths'");
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
