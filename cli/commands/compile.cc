#include "compile/compile.h"

#include <cstdlib>
#include <memory>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  std::vector<std::string> formats;
  std::vector<std::string> forced;
  bool no_measure = false;
  bool cold = false;
  CompileOptions options;
};

Status ReadFormats(const Flags& flags, CompileOptions* options) {
  for (const std::string& name : flags.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec spec, FindFormat(name));
    options->candidates.push_back(spec);
  }
  for (const std::string& text : flags.forced) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return InvalidArgument("--force: WEIGHT=FORMAT expected, '" + text + "' found");
    }
    ESPALIER_ASSIGN_OR_RETURN(options->forced[text.substr(0, equals)],
                              FindFormat(text.substr(equals + 1)));
  }
  return Ok();
}

Status Run(const Flags& flags, Console* console) {
  CompileOptions options = flags.options;
  options.tuning = flags.no_measure ? Tuning::kOff : Tuning::kMeasure;
  options.cache = flags.cold ? CacheState::kCold : CacheState::kWarm;
  options.log = console->MakeLogSink();
  options.metadata["source"] = flags.input;
  ESPALIER_RETURN_IF_ERROR(ReadFormats(flags, &options));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, Compile(graph, options));
  ESPALIER_RETURN_IF_ERROR(WriteFileAtomic(flags.output, bytes));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(flags.output));
  std::string text = StrCat(flags.output, ": ", HumanBytes(artifact.total_bytes()), "\n");
  std::vector<std::string> json;
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    const std::string format = FormatName(matrix.choice.spec);
    text += StrCat("  ", matrix.part.name, ": ", format, ", ", matrix.view.bytes.size(), " bytes",
                   matrix.choice.ns > 0.0 ? ", " + Fixed(matrix.choice.ns, 0) + " ns" : "", "\n");
    json.push_back(StrCat("{\"name\": ", Quoted(matrix.part.name), ", \"format\": ", Quoted(format),
                          ", \"bytes\": ", matrix.view.bytes.size(), ", \"ns\": ", matrix.choice.ns,
                          "}"));
  }
  console->Result(
      text, StrCat("{\"output\": ", Quoted(flags.output), ", \"bytes\": ", artifact.total_bytes(),
                   ", \"matrices\": [", StrJoin(json, ", "), "]}"));
  return Ok();
}

}  // namespace

Action AddCompile(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  CompileOptions& options = flags->options;
  if (const char* target = std::getenv("ESPALIER_TARGET")) options.target = target;
  app->footer("example: espalier compile sparse.onnx -o sparse.esp");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.esp)")->required();
  app->add_option("--target", options.target,
                  "Instruction set (default: the best, or $ESPALIER_TARGET)");
  app->add_option("--format", flags->formats, "Candidate formats (default: all)");
  app->add_option("--force", flags->forced, "WEIGHT=FORMAT, e.g. lstm0.weight_hh=slot_8x16");
  app->add_flag("--no-measure", flags->no_measure,
                "Take the smallest encoding and time nothing: the same bytes on every run");
  app->add_flag("--cold", flags->cold, "Time with weights in memory, not in the caches");
  app->add_option("--repetitions", options.repetitions, "Timed samples of each candidate")
      ->capture_default_str();
  app->add_option("--batched-rows", options.batched_rows,
                  "Steps that input matrices are tuned for at once, 1 = streaming")
      ->capture_default_str();
  app->add_option("--seed", options.seed, "Seed of the golden sample")->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
