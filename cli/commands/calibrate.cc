#include "compile/calibrate.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/strings.h"
#include "command.h"
#include "compile/compile.h"
#include "pipeline/calibration_file.h"
#include "report/text.h"
#include "tasks/task.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  DataOptions data;
  int64_t sequences = 64;
  uint64_t seed = 1;
};

Status Run(const Flags& flags, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckWritable(flags.output));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  ESPALIER_ASSIGN_OR_RETURN(const TaskData data, flags.data.Load());
  ESPALIER_ASSIGN_OR_RETURN(
      const Calibration calibration,
      Calibrate(RoundMatrices(graph, WeightType::kI8),
                CalibrationBatches(data.train, flags.sequences, flags.seed), flags.seed));
  ESPALIER_ASSIGN_OR_RETURN(const std::string json,
                            CalibrationJson(calibration, graph, flags.input));
  ESPALIER_RETURN_IF_ERROR(WriteTextFileAtomic(flags.output, json));
  std::string text = StrCat(flags.output, ": error of the products, relative\n");
  for (const auto& [name, found] : calibration) {
    text +=
        StrCat("  ", name, ": ", FormatPercent(found.each_error, 2), " with a scale for each x, ",
               FormatPercent(found.fixed_error, 2), " with one at the percentile ",
               found.fixed_percentile, ": ", found.x_scale > 0.0f ? "one" : "each", "\n");
  }
  return console->Result(text, Json::parse(json));
}

}  // namespace

Action AddCalibrate(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  app->footer(
      "example: espalier calibrate sparse.onnx --task mnist-rows -o x.json\n"
      "         espalier compile sparse.onnx --weight-type i8 --calibration x.json -o sparse.esp");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.json)")->required();
  AddTaskOptions(app, TaskNeed::kRequired, &flags->data);
  app->add_option("--sequences", flags->sequences, "Training sequences to look at")
      ->check(CLI::Range(int64_t{1}, kMostCalibrationSequences))
      ->capture_default_str();
  AddSeedOption(app, &flags->seed, "Seed of the choice of sequences")->capture_default_str();
  return [flags](Console* console) { return Run(*flags, console); };
}

}  // namespace espalier
