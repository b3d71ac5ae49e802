#include "compile/compile.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "pipeline/calibration_file.h"
#include "pipeline/cost_file.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  std::vector<std::string> formats;
  std::vector<std::string> forced;
  std::optional<std::string> weight_type;
  std::string calibration;
  bool no_measure = false;
  bool cold = false;
  std::string costs;
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

// The type that --weight-type names, or that an artifact is of; and how kernels round x.
Status SetType(const Flags& flags, const Graph& graph, CompileOptions* options) {
  ESPALIER_ASSIGN_OR_RETURN(const bool is_artifact, IsArtifactFile(flags.input));
  if (flags.weight_type) {
    ESPALIER_ASSIGN_OR_RETURN(options->weights, ParseWeightType(*flags.weight_type));
  } else if (is_artifact) {
    ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(flags.input));
    for (const ArtifactMatrix& matrix : artifact.matrices()) {
      const WeightType type = matrix.choice.spec.type;
      if (type != WeightType::kF32) options->weights = type;
      if (type == WeightType::kI8) options->x_scales[matrix.part.name] = matrix.choice.x_scale;
    }
    const auto name = artifact.metadata().find("weights");  // also if all formats are of f32
    if (name != artifact.metadata().end()) {
      ESPALIER_ASSIGN_OR_RETURN(options->weights, ParseWeightType(name->second));
    }
  }
  if (flags.calibration.empty()) return Ok();
  if (options->weights != WeightType::kI8) {
    return InvalidArgument("--calibration: only with --weight-type i8");
  }
  ESPALIER_ASSIGN_OR_RETURN(options->x_scales, ReadXScales(flags.calibration, graph));
  return Ok();
}

Status Run(const Flags& flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckOutput(flags.output, NetworkFile::kEsp));
  CompileOptions options = flags.options;
  options.tuning = flags.no_measure ? Tuning::kOff : Tuning::kMeasure;
  CostTable costs;
  if (!flags.costs.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(costs, ReadCostTable(flags.costs));
    options.tuning = Tuning::kCosts;
    if (!options.target.empty() && options.target != costs.target) {
      return InvalidArgument(StrCat("--target: ", costs.target, " expected, that of --costs ",
                                    flags.costs, ", ", options.target, " found"));
    }
    options.costs = &costs;
  }
  options.cache = flags.cold ? CacheState::kCold : CacheState::kWarm;
  options.log = console->MakeLogSink();
  options.metadata["source"] = flags.input;
  ESPALIER_RETURN_IF_ERROR(ReadFormats(flags, &options));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  ESPALIER_RETURN_IF_ERROR(SetType(flags, graph, &options));
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, Compile(graph, options));
  ESPALIER_RETURN_IF_ERROR(WriteFileAtomic(flags.output, bytes));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(flags.output));
  std::string text = StrCat(flags.output, ": ", HumanBytes(artifact.total_bytes()), "\n");
  Json json = {{"output", flags.output}, {"bytes", artifact.total_bytes()}};
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    const std::string format = FormatName(matrix.choice.spec);
    const bool timed = matrix.choice.ns > 0.0;
    text += StrCat("  ", matrix.part.name, ": ", format, ", ", matrix.view.bytes.size(), " bytes",
                   timed ? StrCat(", ", FormatFixed(matrix.choice.ns, 0), " ns ",
                                  options.costs == nullptr ? "measured" : "predicted")
                         : "",
                   "\n");
    json["matrices"].push_back({{"name", matrix.part.name},
                                {"format", format},
                                {"bytes", matrix.view.bytes.size()},
                                {TimeKeyOf(artifact), timed ? Json(matrix.choice.ns) : Json()}});
  }
  return console->Result(text, json);
}

}  // namespace

Action AddCompile(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  CompileOptions& options = flags->options;
  app->footer("example: espalier compile sparse.onnx -o sparse.esp");
  app->add_option("input", flags->input, "Network (.onnx or .esp)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.esp)")->required();
  AddTargetOption(app, &options.target);
  app->add_option("--format", flags->formats, "Candidate formats (default: all of the type)");
  app->add_option("--force", flags->forced, "WEIGHT=FORMAT, e.g. lstm0.weight_hh=slot_8x16");
  app->add_option("--calibration", flags->calibration,
                  "How to round what i8 matrices multiply (from espalier calibrate)");
  app->add_option(
      "--weight-type", flags->weight_type,
      "Type that every matrix is rounded to first: f32, bf16, i8 or f28 (default: f32; of an "
      ".esp its own)");
  CLI::Option* no_measure =
      app->add_flag("--no-measure", flags->no_measure,
                    "Take the smallest encoding and time nothing: the same bytes on every run");
  CLI::Option* cold =
      app->add_flag("--cold", flags->cold, "Time with weights in memory, not in the caches");
  app->add_option("--costs", flags->costs,
                  "Choose by the costs of a CPU that `espalier tune` wrote (.json) and time "
                  "nothing: the same bytes on every run")
      ->excludes(no_measure)
      ->excludes(cold);
  app->add_option("--repetitions", options.repetitions, "Timed samples of each candidate")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--batched-rows", options.batched_rows,
                  "Steps that input matrices are tuned for at once, 1 = streaming")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  AddSeedOption(app, &options.seed, "Seed of the golden sample")->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
