#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/strings.h"
#include "command.h"
#include "exchange/onnx.h"
#include "pipeline/sensitivity.h"
#include "pipeline/stages.h"
#include "prune/allocation.h"
#include "prune/criterion.h"
#include "prune/granularity.h"
#include "prune/schedule.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Flags {
  std::string input;
  std::string output;
  std::string teacher;
  DataOptions data;
  TrainFlags train;
  StageSpec stage;
  std::optional<double> ramp_end;
  std::string masks = "hard";
  std::string reconstruct = "false";
  std::vector<std::string> sparsities;  // PATTERN=SHARE
  std::optional<double> threshold;
  std::string sensitivity;
};

// "lstm0.*=0.9"
Result<SparsityOfPattern> ParseSparsity(const std::string& text) {
  const size_t split = text.rfind('=');
  SparsityOfPattern each;
  if (split != std::string::npos && split > 0 &&
      CLI::detail::lexical_cast(text.substr(split + 1), each.sparsity)) {
    each.pattern = text.substr(0, split);
    return each;
  }
  return InvalidArgument("--sparsity-of: PATTERN=SHARE expected, e.g. 'lstm0.weight_hh[f]=0.5', '" +
                         text + "' found");
}

// What --sparsity-of and --sensitivity add to the pruning.
Status ResolvePruning(const Flags& flags, const CLI::App& app, PruneSpec* spec) {
  if (!flags.sparsities.empty() && app.count("--sparsity") > 0) {
    return InvalidArgument("--sparsity: nothing expected beside --sparsity-of");
  }
  if (flags.threshold && app.count("--sparsity") > 0) {
    return InvalidArgument("--sparsity: nothing expected beside --threshold");
  }
  for (const std::string& text : flags.sparsities) {
    ESPALIER_ASSIGN_OR_RETURN(SparsityOfPattern each, ParseSparsity(text));
    spec->sparsities.push_back(std::move(each));
  }
  if (flags.sensitivity.empty()) return Ok();
  if (spec->allocation != "sensitivity") {
    return InvalidArgument("--sensitivity: only with --allocation sensitivity");
  }
  ESPALIER_ASSIGN_OR_RETURN(const SensitivityScan scan, ReadSensitivity(flags.sensitivity));
  spec->losses = LossesOf(scan);
  return Ok();
}

Result<StageSpec> ResolveStage(const Flags& flags, const CLI::App& app) {
  StageSpec stage = flags.stage;
  stage.kind = StageKind::kPrune;
  stage.name = "prune";
  stage.prune.seed = flags.train.options.seed;
  stage.prune.threshold = flags.threshold;
  ESPALIER_RETURN_IF_ERROR(
      FindCriterion(stage.prune.criterion).status().WithContext("--criterion"));
  ESPALIER_ASSIGN_OR_RETURN(stage.ramp.masks, ParseMaskMode(flags.masks));
  ESPALIER_RETURN_IF_ERROR(ResolvePruning(flags, app, &stage.prune));
  const Result<Reconstruction> reconstruct = ParseReconstruction(flags.reconstruct);
  if (!reconstruct.ok()) return InvalidArgument("--" + reconstruct.status().message());
  stage.reconstruct = *reconstruct;
  const bool reconstructs = stage.reconstruct != Reconstruction::kNone;
  if (reconstructs && stage.prune.granularity == "embedding_row") {
    return InvalidArgument("--reconstruct: nothing to be made up for where rows are looked up");
  }
  const int64_t epochs = flags.train.options.epochs;
  if (epochs < 0) {
    return InvalidArgument(StrCat("--epochs: at least 0 expected, ", epochs, " found"));
  }
  if (epochs == 0) {
    stage.train = flags.train.options;
    ESPALIER_RETURN_IF_ERROR(CheckNoTrainingOptions(app, NeedsData(stage)));
    if (NeedsData(stage) && flags.data.task.empty()) {
      return InvalidArgument(
          StrCat(reconstructs ? "--reconstruct" : "--criterion " + stage.prune.criterion,
                 ": needs --task (and --data)"));
    }
    return stage;
  }
  ESPALIER_ASSIGN_OR_RETURN(stage.train, flags.train.Resolve());
  if (flags.data.task.empty()) {
    return InvalidArgument("--epochs: fine-tuning needs --task (and --data)");
  }
  for (const char* option : {"--teacher-weight", "--teacher-hidden", "--temperature"}) {
    if (flags.teacher.empty() && app.count(option) > 0) {
      return InvalidArgument(std::string(option) + ": only with --teacher");
    }
  }
  ESPALIER_ASSIGN_OR_RETURN(stage.regularizers, flags.train.Regularizers());
  const auto last = static_cast<double>(epochs);
  stage.ramp.end_epoch = flags.ramp_end.value_or(last * 2.0 / 3.0);
  if (!(stage.ramp.end_epoch >= 0.0 && stage.ramp.end_epoch <= last)) {
    return InvalidArgument(StrCat("--ramp-end: 0 to --epochs = ", epochs, " expected, ",
                                  stage.ramp.end_epoch, " found"));
  }
  if (!(stage.ramp.begin_epoch >= 0.0 && stage.ramp.begin_epoch <= stage.ramp.end_epoch)) {
    return InvalidArgument(StrCat("--ramp-begin: 0 to --ramp-end = ", stage.ramp.end_epoch,
                                  " expected, ", stage.ramp.begin_epoch, " found"));
  }
  return stage;
}

Status Run(const Flags& flags, const CLI::App& app, Console* console) {
  ESPALIER_RETURN_IF_ERROR(CheckOutput(flags.output, NetworkFile::kOnnx));
  ESPALIER_ASSIGN_OR_RETURN(const StageSpec stage, ResolveStage(flags, app));
  if (app.count("--calibration-sequences") > 0 && !ReadsCalibration(stage)) {
    return InvalidArgument(
        StrCat("--calibration-sequences: only with --reconstruct or a criterion that looks at "
               "them, criterion ",
               stage.prune.criterion, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(CheckDifferent(flags.output, stage.train.checkpoint_path));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, LoadNetwork(flags.input));
  std::optional<TaskData> data;
  TrainHooks hooks;
  if (NeedsData(stage)) {
    ESPALIER_ASSIGN_OR_RETURN(data, flags.data.Load());
    console->SetMetric(data->valid.metric.name);
    hooks = console->MakeTrainHooks();
  }
  std::optional<Graph> teacher, rewind;
  if (!flags.teacher.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(teacher, LoadNetwork(flags.teacher));
  }
  if (!stage.ramp.rewind.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(rewind, LoadNetwork(stage.ramp.rewind));
  }
  const PruneInputs inputs{data ? &*data : nullptr, teacher ? &*teacher : nullptr,
                           rewind ? &*rewind : nullptr};
  ESPALIER_ASSIGN_OR_RETURN(const PruneOutcome outcome, PruneNetwork(graph, stage, inputs, hooks));
  if (outcome.stopped == StopReason::kCancelled) return Interrupted(stage.train);
  if (!outcome.note.empty()) console->Note(flags.input + ": " + outcome.note);
  ESPALIER_RETURN_IF_ERROR(ExportOnnxFile(outcome.graph, flags.output));
  std::string text = flags.output + ":\n";
  Json json = {{"output", flags.output}, {"sparsity", Json::object()}};
  for (const std::string& name : PrunableWeights(outcome.graph)) {
    const Tensor& weight = outcome.graph.weights.at(name);
    const double sparsity = SparsityOf(weight.values);
    text += StrCat("  ", name, " ", ShapeString(weight.shape), ": ", FormatPercent(sparsity, 2),
                   " zeros\n");
    json["sparsity"][name] = sparsity;
  }
  if (outcome.best_epoch > 0) {
    const auto best = static_cast<size_t>(outcome.best_epoch);
    const double metric = outcome.epochs[best - 1].valid_metric;
    const std::string name = data->valid.metric.name;
    text +=
        StrCat("  validation ", name, " ", FormatMetric(name, metric), " after epoch ", best, "\n");
    json["valid_metric"] = metric;
  }
  return console->Result(text, json);
}

}  // namespace

Action AddPrune(CLI::App* app) {
  auto flags = std::make_shared<Flags>();
  PruneSpec& spec = flags->stage.prune;
  flags->train.options.epochs = 0;
  app->footer(
      "examples:\n"
      "  espalier prune dense.onnx -o units.onnx --granularity unit --sparsity 0.5\n"
      "  espalier prune small.onnx -o sparse.onnx --granularity slot_8x16 --sparsity 0.7 "
      "--allocation global --task mnist-rows --epochs 6 --learning-rate 0.003 --teacher "
      "dense.onnx");
  app->add_option("input", flags->input, "Network (.onnx)")->required();
  app->add_option("-o,--output", flags->output, "File to write (.onnx)")->required();
  const auto add = [&](const char* name, auto* value, const char* group, const std::string& help) {
    app->add_option(name, *value, help)->capture_default_str()->group(group);
  };
  constexpr char kPruning[] = "Pruning";
  add("--criterion", &spec.criterion, kPruning,
      "How much a weight matters: " + NamesOf(AllCriteria()));
  add("--granularity", &spec.granularity, kPruning,
      "What goes together: " + NamesOf(AllGranularities()));
  add("--allocation", &spec.allocation, kPruning, "How much where: " + NamesOf(AllAllocations()));
  add("--per", &spec.per, kPruning,
      "Whose share, floor and rank: tensor, gate (default: gate if a pattern names one)");
  add("--sparsity", &spec.sparsity, kPruning, "Share that goes, of the whole, in [0, 1)");
  app->add_option("--sparsity-of", flags->sparsities,
                  "PATTERN=SHARE of some tensors, or of a gate: 'lstm0.weight_hh[f]=0.5'")
      ->group(kPruning);
  app->add_option("--threshold", flags->threshold,
                  "Score below which a piece goes, for --allocation threshold (default: that of "
                  "--sparsity at the start)")
      ->group(kPruning);
  app->add_option("--sensitivity", flags->sensitivity,
                  "What espalier sensitivity wrote, for --allocation sensitivity")
      ->group(kPruning);
  app->add_option("--weights", spec.weights,
                  "Patterns of weight names, or of gates, e.g. '*.weight_hh', 'lstm0.weight_hh[f]' "
                  "(default: recurrent)")
      ->group(kPruning);
  add("--floor", &spec.floor, kPruning,
      "Least share of each tensor that stays, unless 'uniform' or a list says what does");
  add("--multiple", &spec.multiple, kPruning, "unit: each layer keeps a multiple of this");
  add("--calibration-sequences", &flags->stage.calibration.sequences, kPruning,
      "Training sequences that criteria and --reconstruct look at");
  app->add_flag("--reconstruct", flags->reconstruct,
                "Change what stays to make up for what went (least squares); --reconstruct=bias: "
                "biases alone")
      ->group(kPruning);
  RampSpec& ramp = flags->stage.ramp;
  add("--schedule", &ramp.schedule, kTrainingGroup, "When: " + NamesOf(AllSchedules()));
  add("--ramp-begin", &ramp.begin_epoch, kTrainingGroup, "Epoch of the first cut");
  app->add_option("--ramp-end", flags->ramp_end,
                  "Epoch at which the sparsity is reached (default: after 2/3)")
      ->group(kTrainingGroup);
  add("--every-steps", &ramp.every_steps, kTrainingGroup, "Steps between two masks");
  add("--masks", &flags->masks, kTrainingGroup, "soft: what was dropped can come back; or hard");
  add("--regrow", &ramp.regrow.criterion, kTrainingGroup,
      "Criterion by which dropped weights come back: random (SET), gradient (RigL), momentum "
      "(SNFS)");
  add("--regrow-fraction", &ramp.regrow.fraction, kTrainingGroup,
      "Share of the kept weights that is exchanged at first");
  add("--rewind", &ramp.rewind, kTrainingGroup,
      "Network to whose weights the kept ones go back each time masks change");
  add("--initial-sparsity", &ramp.initial_sparsity, kTrainingGroup, "Sparsity of the first cut");
  AddTaskOptions(app, TaskNeed::kOptional, &flags->data);
  AddTrainOptions(app, true, &flags->train);
  app->add_option("--teacher", flags->teacher, "Network to distil from")->group(kTrainingGroup);
  add("--teacher-weight", &flags->stage.teacher.weight, kTrainingGroup,
      "Share of the teacher's loss");
  add("--teacher-hidden", &flags->stage.teacher.hidden, kTrainingGroup,
      "Weight of the difference of hidden states, layers and units as the teacher's");
  add("--temperature", &flags->stage.teacher.temperature, kTrainingGroup, "Of the distillation");
  return [flags, app](Console* console) { return Run(*flags, *app, console); };
}

}  // namespace espalier
