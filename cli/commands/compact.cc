#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/stages.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
};

Status Run(const Flags& flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckOutput(flags.output, NetworkFile::kOnnx));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  std::map<std::string, int64_t> removed;
  ESPALIER_ASSIGN_OR_RETURN(const Graph compacted, CompactNetwork(graph, &removed));
  ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(compacted, flags.output));
  std::string text = flags.output + ":\n";
  for (const auto& [layer, count] : removed) {
    text += StrCat("  ", layer, ": ", count, " hidden units removed\n");
  }
  return console->Result(text, {{"output", flags.output}, {"removed_units", removed}});
}

}  // namespace

Action AddCompact(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer("example: espalier compact units.onnx -o small.onnx");
  app->add_option("input", flags->input, "Network whose zeros are the mask (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.onnx)")->required();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
