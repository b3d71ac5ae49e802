#include "pipeline/run_stages.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <span>

#include "artifact/artifact.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "compile/compile.h"
#include "exchange/onnx.h"
#include "pipeline/activity.h"
#include "pipeline/bench.h"
#include "pipeline/calibration_file.h"
#include "pipeline/evaluate.h"
#include "pipeline/model_record.h"
#include "pipeline/run_costs.h"
#include "pipeline/search.h"
#include "pipeline/stages.h"
#include "pipeline/thresholds.h"
#include "prune/compact.h"
#include "report/summary.h"
#include "report/text.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;

constexpr char kDense[] = "dense";
constexpr char kPruned[] = "pruned";

EpochRecord RecordOf(const TrainEpoch& epoch) {
  return {epoch.epoch,        epoch.step,          epoch.train_loss, epoch.valid_loss,
          epoch.valid_metric, epoch.learning_rate, epoch.sparsity,   epoch.seconds};
}

Result<Artifact> CompileToFile(const Graph& graph, const CompileOptions& options,
                               const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes, Compile(graph, options));
  ESPALIER_RETURN_IF_ERROR(WriteFileAtomic(path, bytes));
  return Artifact::Open(path);
}

Status Interrupted(const RecipeRun& run, const std::string& from) {
  return Cancelled(StrCat("interrupted; the same command",
                          run.options.fresh ? " without --fresh" : "", " goes on ", from));
}

Status CheckCancel(const RecipeRun& run) {
  const bool cancelled = run.hooks.cancel != nullptr && run.hooks.cancel->load();
  return cancelled ? Interrupted(run, "with this stage") : Ok();
}

std::string OutputOf(const RecipeRun& run, size_t index) { return OutputsOf(run.recipe, index)[0]; }

// The yardstick: what was trained last before anything was pruned, or got rules.
size_t DenseStage(const Recipe& recipe) {
  const auto is_dense = [](const StageSpec& stage) {
    return stage.kind == StageKind::kTrain && stage.dynamic.empty();
  };
  size_t index = 0;
  while (index + 1 < recipe.stages.size() && is_dense(recipe.stages[index + 1])) ++index;
  return index;
}

std::string DenseFile(const RecipeRun& run) { return OutputOf(run, DenseStage(run.recipe)); }

std::string DenseCompiledFile(const Recipe& recipe) {
  return recipe.stages[DenseStage(recipe)].name + ".esp";
}

Result<const TaskData*> DataOf(RecipeRun* run) {
  if (!run->data) {
    ESPALIER_ASSIGN_OR_RETURN(run->data, run->task.load(run->options.data_dir));
    run->record.task.train = run->data->train.size();
    run->record.task.valid = run->data->valid.size();
    run->record.task.test = run->data->test.size();
    // What is counted by class is; the words of a vocabulary are too many for that.
    run->record.task.classes.clear();
    if (run->task.metric == kAccuracy) run->record.task.classes = run->data->class_names;
  }
  return &*run->data;
}

// The output of the last stage before `index` that made an .onnx file.
std::string InputFileOf(const RecipeRun& run, size_t index) {
  for (size_t i = index; i-- > 0;) {
    const std::vector<std::string> outputs = OutputsOf(run.recipe, i);
    if (!outputs.empty() && outputs[0].ends_with(".onnx")) return outputs[0];
  }
  return "";
}

Result<Graph> ReadNetwork(const RecipeRun& run, const std::string& file) {
  return ImportOnnxFile(run.Path(file));
}

size_t CompileStageBefore(const RecipeRun& run, size_t index) {
  while (run.recipe.stages[index].kind != StageKind::kCompile) --index;
  return index;
}

Result<Artifact> OpenCompiled(const RecipeRun& run, size_t index) {
  return Artifact::Open(run.Path(OutputOf(run, CompileStageBefore(run, index))));
}

WeightType WeightTypeBefore(const RecipeRun& run, size_t index) {
  return run.recipe.stages[CompileStageBefore(run, index)].compile.weight_type;
}

TrainHooks HooksOf(const RecipeRun& run) {
  return {run.hooks.on_step, run.hooks.on_epoch, run.hooks.cancel};
}

// What a training stage takes from the run: its seed, threads and checkpoint.
StageSpec WithRun(const RecipeRun& run, size_t index) {
  StageSpec resolved = run.recipe.stages[index];
  resolved.train.seed = run.recipe.seed * 1000003u + index;
  resolved.train.threads = run.recipe.threads;
  resolved.train.checkpoint_path = run.Path(CheckpointOf(run, index));
  resolved.train.resume = true;
  resolved.prune.seed = resolved.train.seed;
  return resolved;
}

// What became of a training, in a stage that trains. `seconds` are the training's, those before an
// interruption included; `watch` ran since this process began it.
struct Training {
  const Graph& graph;
  const std::vector<TrainEpoch>& epochs;
  StopReason stopped = StopReason::kFinished;
  double seconds = 0.0;
};

Status FinishTraining(const RecipeRun& run, size_t index, const Training& training,
                      const Stopwatch& watch, StageRecord* stage) {
  if (training.stopped == StopReason::kCancelled) {
    return Interrupted(run, "from " + run.Path(CheckpointOf(run, index)));
  }
  for (const TrainEpoch& epoch : training.epochs) stage->epochs.push_back(RecordOf(epoch));
  stage->seconds = std::max(0.0, training.seconds - watch.ElapsedSeconds());
  return ExportOnnxFile(training.graph, run.Path(OutputOf(run, index)));
}

// The network that training stage `index` wrote is the yardstick, as far as is known.
void RecordDense(size_t index, const Graph& graph, RecipeRun* run) {
  ModelRecord model = DescribeNetwork(graph);
  model.file = OutputOf(*run, index);
  model.bytes = static_cast<int64_t>(fs::file_size(run->Path(model.file)));
  run->record.models[kDense] = std::move(model);
}

Status TrainStage(RecipeRun* run, size_t index, StageRecord* stage) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, DataOf(run));
  TrainJob job;
  if (index == 0) {
    Rng rng(run->recipe.seed);
    ESPALIER_ASSIGN_OR_RETURN(
        job.graph, BuildNetwork(run->task.name, data->train.input, run->recipe.model, &rng));
  } else {
    ESPALIER_ASSIGN_OR_RETURN(job.graph, ReadNetwork(*run, InputFileOf(*run, index)));
    if (run->recipe.stages[index].keep_zeros) job.masks = MasksOfZeros(job.graph);
  }
  const Graph before = job.graph;
  ESPALIER_ASSIGN_OR_RETURN(job.graph, WithDynamic(before, run->recipe.stages[index].dynamic));
  ESPALIER_RETURN_IF_ERROR(FitNewPredictors(before, data->train, &job.graph));
  job.regularizers = run->recipe.stages[index].regularizers;
  job.train = &data->train;
  job.valid = &data->valid;
  const Stopwatch watch;
  const StageSpec spec = WithRun(*run, index);
  TrainResult result;
  if (spec.train.epochs == 0) {
    ESPALIER_RETURN_IF_ERROR(ValidateFit(job));
    result.graph = job.graph;  // as it begins, or with rules that need no training
  } else {
    ESPALIER_ASSIGN_OR_RETURN(result, Train(job, spec.train, HooksOf(*run)));
  }
  ESPALIER_RETURN_IF_ERROR(FinishTraining(
      *run, index, {result.graph, result.epochs, result.stopped, result.seconds}, watch, stage));
  if (index <= DenseStage(run->recipe)) RecordDense(index, result.graph, run);
  return Ok();
}

// Which of the units of the network of stage `from` those before stage `index` still are.
Result<std::map<std::string, std::vector<int64_t>>> KeptUnitsSince(const RecipeRun& run,
                                                                   const std::string& from,
                                                                   size_t index) {
  std::map<std::string, std::vector<int64_t>> kept;
  bool is_after = false;
  for (size_t i = 0; i < index; ++i) {
    const StageSpec& stage = run.recipe.stages[i];
    if (is_after && stage.kind == StageKind::kCompact) {
      ESPALIER_ASSIGN_OR_RETURN(const Graph before, ReadNetwork(run, InputFileOf(run, i)));
      ESPALIER_ASSIGN_OR_RETURN(const Coupling coupling, FindCoupling(before));
      for (auto& [layer, units] : KeptUnits(coupling, FindDeadUnits(before, coupling))) {
        std::vector<int64_t>& all = kept[layer];
        for (int64_t& unit : units) {
          if (!all.empty()) unit = all[static_cast<size_t>(unit)];
        }
        all = std::move(units);
      }
    }
    is_after = is_after || stage.name == from;
  }
  return kept;
}

// The checkpoint of the i-th sparsity of a search: named as all of the stage are, by other digits.
std::string SearchCheckpoint(const RecipeRun& run, size_t index, size_t i) {
  if (i == 0) return run.Path(CheckpointOf(run, index));
  const std::string text = StrCat(run.keys[index], "|", i);
  char digits[9];
  std::snprintf(digits, sizeof(digits), "%08x", Crc32c(std::as_bytes(std::span(text))));
  return run.Path(run.recipe.stages[index].name + "-" + digits + ".ckpt");
}

Result<PruneOutcome> SearchSparsity(RecipeRun* run, size_t index, const Graph& graph,
                                    const PruneInputs& inputs, StageRecord* stage) {
  const SearchSpec& search = run->recipe.stages[index].search;
  SearchRecord& record = stage->search.emplace();
  SearchHooks hooks;
  hooks.checkpoint = [&](size_t i) { return SearchCheckpoint(*run, index, i); };
  hooks.on_tried = [&](const TriedRecord& tried) {
    const std::string metric = run->task.metric.name;
    const std::string costs = CostsText(tried.bytes, tried.time);
    run->Note(StrCat("sparsity ", tried.sparsity, ": ", metric, " ",
                     FormatMetric(metric, tried.metric), " on the validation split, ",
                     FormatMetric(metric, record.metric_before),
                     inputs.against != nullptr ? " of " + search.against : " before",
                     costs.empty() ? "" : ", ", costs));
  };
  hooks.cost = [&](const Graph& base, const Graph& pruned) {
    return FindCostShares(*run, {index, search.time.has_value(), &inputs.data->valid}, base,
                          pruned);
  };
  Result<PruneOutcome> outcome =
      FindSparsity(graph, WithRun(*run, index), inputs, HooksOf(*run), hooks, &record);
  const bool is_cancelled = outcome.ok() ? outcome->stopped == StopReason::kCancelled
                                         : outcome.status().code() == Code::kCancelled;
  if (is_cancelled) return Interrupted(*run, "with this sparsity");
  if (!outcome.ok()) return outcome;
  if (!record.kept) {
    run->Note("the lowest sparsity loses too much: the network stays as it was");
  } else if (!record.is_met) {
    run->Note(StrCat("no sparsity that keeps the metric leaves at most ",
                     CostsText(search.bytes, search.time), ": the highest that keeps it is taken"));
  }
  return outcome;
}

Status PruneStage(RecipeRun* run, size_t index, StageRecord* stage) {
  const StageSpec spec = WithRun(*run, index);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ReadNetwork(*run, InputFileOf(*run, index)));
  std::optional<Graph> teacher, rewind, against;
  if (!spec.teacher.stage.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(teacher, ReadNetwork(*run, spec.teacher.stage + ".onnx"));
  }
  if (!spec.ramp.rewind.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(rewind, ReadNetwork(*run, spec.ramp.rewind + ".onnx"));
  }
  if (!spec.search.against.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(against, ReadNetwork(*run, spec.search.against + ".onnx"));
  }
  PruneInputs inputs{nullptr, teacher ? &*teacher : nullptr, rewind ? &*rewind : nullptr};
  if (spec.teacher.hidden > 0.0) {
    ESPALIER_ASSIGN_OR_RETURN(inputs.kept_units, KeptUnitsSince(*run, spec.teacher.stage, index));
  }
  inputs.against = against ? &*against : nullptr;
  const bool searches = !spec.search.sparsities.empty();
  if (NeedsData(spec) || searches) {
    ESPALIER_ASSIGN_OR_RETURN(inputs.data, DataOf(run));
  }
  const Stopwatch watch;
  if (searches) {
    ESPALIER_ASSIGN_OR_RETURN(const PruneOutcome outcome,
                              SearchSparsity(run, index, graph, inputs, stage));
    if (!outcome.note.empty()) run->Note(outcome.note);
    return FinishTraining(*run, index,
                          {outcome.graph, outcome.epochs, outcome.stopped, outcome.seconds}, watch,
                          stage);
  }
  ESPALIER_ASSIGN_OR_RETURN(const PruneOutcome outcome,
                            PruneNetwork(graph, spec, inputs, HooksOf(*run)));
  if (!outcome.note.empty()) run->Note(outcome.note);
  return FinishTraining(
      *run, index, {outcome.graph, outcome.epochs, outcome.stopped, outcome.seconds}, watch, stage);
}

Status CompactStage(RecipeRun* run, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ReadNetwork(*run, InputFileOf(*run, index)));
  std::map<std::string, int64_t> removed;
  ESPALIER_ASSIGN_OR_RETURN(const Graph compacted, CompactNetwork(graph, &removed));
  for (const auto& [layer, count] : removed) {
    run->Note(StrCat(layer, ": ", count, " hidden units removed; masked and compacted agree"));
  }
  return ExportOnnxFile(compacted, run->Path(OutputOf(*run, index)));
}

Status ThresholdsStage(RecipeRun* run, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, DataOf(run));
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ReadNetwork(*run, InputFileOf(*run, index)));
  ThresholdOptions options;
  options.spec = run->recipe.stages[index].thresholds;
  options.target = run->target;
  options.train = &data->train;
  options.is_cancelled = [run] {
    return run->hooks.cancel != nullptr && run->hooks.cancel->load();
  };
  options.progress = [run, &options](const ThresholdPoint& point) {
    run->Note(PointText(run->task.metric.name, options.spec.method != "delta", point));
    return !options.is_cancelled();
  };
  Result<FoundThresholds> found = FindThresholds(graph, data->valid, options);
  if (found.status().code() == Code::kCancelled) return Interrupted(*run, "with this stage");
  ESPALIER_RETURN_IF_ERROR(found.status());
  if (const std::string text = NotFasterText(found->curve); !text.empty()) run->Note(text);
  run->record.thresholds = std::move(found->curve);
  return ExportOnnxFile(found->graph, run->Path(OutputOf(*run, index)));
}

Status CompileStage(RecipeRun* run, size_t index) {
  const std::string input = InputFileOf(*run, index);
  const std::string output = OutputOf(*run, index);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, ReadNetwork(*run, input));
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ReadNetwork(*run, DenseFile(*run)));
  CostTable costs;
  ESPALIER_ASSIGN_OR_RETURN(CompileOptions options,
                            CompileOptionsOf(*run, run->recipe.stages[index].compile, &costs));
  options.log = {LogLevel::kWarning, [run](LogLevel, const std::string& text) { run->Note(text); }};
  const int64_t calibrate = run->recipe.stages[index].compile.calibrate;
  if (calibrate > 0) {
    ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, DataOf(run));
    const uint64_t seed = run->recipe.seed;
    ESPALIER_ASSIGN_OR_RETURN(const Calibration calibration,
                              Calibrate(RoundMatrices(graph, options.weights),
                                        CalibrationBatches(data->train, calibrate, seed), seed));
    for (const auto& [name, found] : calibration) options.x_scales[name] = found.x_scale;
  }
  options.metadata = {
      {"task", run->task.name}, {"source", input}, {"seed", std::to_string(run->recipe.seed)}};
  ESPALIER_ASSIGN_OR_RETURN(const Artifact pruned,
                            CompileToFile(graph, options, run->Path(output)));
  ESPALIER_RETURN_IF_ERROR(CheckCancel(*run));
  // The yardstick: the dense network in our own dense kernels.
  options.candidates = {FormatSpec{}};
  options.weights = WeightType::kF32;
  options.x_scales.clear();
  options.metadata["source"] = DenseFile(*run);
  ESPALIER_ASSIGN_OR_RETURN(
      const Artifact dense_artifact,
      CompileToFile(dense, options, run->Path(DenseCompiledFile(run->recipe))));
  run->record.models[kDense].weights = DescribeNetwork(dense).weights;
  DescribeArtifact(dense_artifact, &run->record.models[kDense]);
  ModelRecord model = DescribeNetwork(graph);
  DescribeArtifact(pruned, &model);
  model.file = output;
  model.onnx = input;
  model.bytes = static_cast<int64_t>(pruned.total_bytes());
  run->record.models[kPruned] = std::move(model);
  for (const ArtifactMatrix& matrix : pruned.matrices()) {
    run->Note(StrCat(matrix.part.name, ": ", FormatName(matrix.choice.spec), ", ",
                     matrix.view.bytes.size(), " bytes"));
  }
  return Ok();
}

void SetMetrics(const Evaluation& evaluation, ModelRecord* model) {
  model->metric = evaluation.metric;
  model->class_metric = evaluation.class_metric;
  model->confusion = evaluation.confusion;
}

// The compiled network once more, with early exit; beside it all sequences cut after the same share
// of their steps, which an exit has to be better than.
Status EvaluateExit(const Artifact& artifact, const Dataset& test, const ExitRule& rule,
                    RecipeRun* run) {
  DynamicUse use;
  use.exit = rule;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation exit,
                            EvaluateArtifact(artifact, test, OwnSession(*run), &use));
  const StepsRun steps = StepsRunOf(test, use);
  DynamicUse control;
  control.after = std::clamp(steps.share, 1e-6, 1.0);
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation cut,
                            EvaluateArtifact(artifact, test, OwnSession(*run), &control));
  run->Note(StrCat("early exit: ", run->task.metric.name, " ", exit.metric, " with ",
                   StepsRunText(test, steps), "; ", cut.metric,
                   " where all end after that share of theirs"));
  run->record.exit = ExitRecord{static_cast<double>(rule.confidence),
                                rule.hold,
                                rule.every,
                                exit.metric,
                                steps.share,
                                steps.cut,
                                cut.metric};
  return Ok();
}

Status EvaluateStage(RecipeRun* run, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, DataOf(run));
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ReadNetwork(*run, DenseFile(*run)));
  ESPALIER_ASSIGN_OR_RETURN(const Graph input, ReadNetwork(*run, InputFileOf(*run, index)));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, OpenCompiled(*run, index));
  const WeightType type = WeightTypeBefore(*run, index);
  const Graph masked = RoundMatrices(input, type);
  EvaluateOptions options;
  options.threads = run->recipe.threads;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation dense_result, Evaluate(dense, data->test, options));
  ESPALIER_RETURN_IF_ERROR(CheckCancel(*run));
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation masked_result, Evaluate(masked, data->test, options));
  ESPALIER_RETURN_IF_ERROR(CheckCancel(*run));
  DynamicUse dynamic;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation compiled,
                            EvaluateArtifact(artifact, data->test, OwnSession(*run), &dynamic));
  std::vector<ActivityRecord> activity;
  for (const LayerActivity& layer : dynamic.activity) {
    activity.push_back(RecordOf(layer));
    run->Note(ActivityText(activity.back()));
  }
  ESPALIER_RETURN_IF_ERROR(AddActivityMaps(artifact, data->test, OwnSession(*run), &activity));
  const Agreement agreement = Compare(masked_result, compiled);
  // Where x is rounded too, other predictions are its price and no fault.
  const double most =
      IsDynamic(masked) ? kMostByThresholds * static_cast<double>(agreement.count) : 0.0;
  if (static_cast<double>(agreement.unexplained) > most && type != WeightType::kI8) {
    return Internal(
        StrCat("the compiled file and the masked network in libtorch differ on the test split by "
               "more than rounding: ",
               AgreementText(agreement)));
  }
  run->record.exit.reset();
  if (const auto& exit = run->recipe.stages[index].evaluate.exit) {
    ESPALIER_RETURN_IF_ERROR(CheckCancel(*run));
    ESPALIER_RETURN_IF_ERROR(EvaluateExit(artifact, data->test, *exit, run));
  }
  SetMetrics(dense_result, &run->record.models[kDense]);
  SetMetrics(compiled, &run->record.models[kPruned]);
  run->record.models[kPruned].activity = std::move(activity);
  run->record.agreement = agreement.share;
  if (agreement.is_regression) {
    run->Note(StrCat("mean absolute error on the test split: dense ",
                     dense_result.mean_absolute_error, ", pruned ", compiled.mean_absolute_error));
  }
  run->Note(StrCat(run->task.metric.name, " on the test split: dense ", dense_result.metric,
                   ", pruned ", compiled.metric, "; against libtorch ", AgreementText(agreement)));
  return Ok();
}

Status BenchStage(RecipeRun* run, size_t index) {
  const BenchSpec& spec = run->recipe.stages[index].bench;
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, DataOf(run));
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ReadNetwork(*run, DenseFile(*run)));
  ESPALIER_ASSIGN_OR_RETURN(const Graph masked, ReadNetwork(*run, InputFileOf(*run, index)));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact pruned, OpenCompiled(*run, index));
  const Graph rounded = RoundMatrices(masked, WeightTypeBefore(*run, index));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact dense_artifact,
                            Artifact::Open(run->Path(DenseCompiledFile(run->recipe))));
  BenchOptions bench = BenchOptionsOf(*run, spec.repetitions, data->test);

  std::vector<BenchSystem> systems;
  const auto add = [&](Result<BenchSystem> system) {
    if (!system.ok()) return system.status();
    systems.push_back(*std::move(system));
    return CheckCancel(*run);
  };
  ESPALIER_RETURN_IF_ERROR(
      add(EspalierSystem("espalier-pruned", pruned, rounded, bench.shape, OwnSession(*run))));
  ESPALIER_RETURN_IF_ERROR(
      add(EspalierSystem("espalier-dense", dense_artifact, dense, bench.shape, OwnSession(*run))));
  std::optional<OnnxRuntime> onnxruntime;
  if (spec.onnxruntime && !run->options.onnxruntime.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(onnxruntime, OnnxRuntime::Open(run->options.onnxruntime));
    ESPALIER_RETURN_IF_ERROR(
        add(OnnxRuntimeSystem("onnxruntime-dense", *onnxruntime, dense, bench.shape, {})));
    ESPALIER_RETURN_IF_ERROR(
        add(OnnxRuntimeSystem("onnxruntime-pruned", *onnxruntime, masked, bench.shape, {})));
  } else {
    run->Note("ONNX Runtime is not timed: it is not installed or was switched off");
  }
  Result<BenchRecord> record = RunBench(systems, bench);
  if (record.status().code() == Code::kCancelled) return Interrupted(*run, "with this stage");
  ESPALIER_ASSIGN_OR_RETURN(run->record.bench, std::move(record));
  ESPALIER_ASSIGN_OR_RETURN(run->record.summary, Summarize(run->record, run->record.agreement));
  return Ok();
}

// Is this file the checkpoint of a stage of that name, under any key?
bool IsCheckpoint(const std::string& file, const std::string& stage) {
  constexpr size_t kDigits = 8;
  const std::string head = stage + "-";
  const std::string tail = ".ckpt";
  if (file.size() != head.size() + kDigits + tail.size()) return false;
  if (!file.starts_with(head) || !file.ends_with(tail)) return false;
  return file.find_first_not_of("0123456789abcdef", head.size()) == head.size() + kDigits;
}

}  // namespace

std::vector<std::string> OutputsOf(const Recipe& recipe, size_t index) {
  const StageSpec& stage = recipe.stages[index];
  switch (stage.kind) {
    case StageKind::kTrain:
    case StageKind::kPrune:
    case StageKind::kCompact:
    case StageKind::kThresholds: return {stage.name + ".onnx"};
    case StageKind::kCompile: return {stage.name + ".esp", DenseCompiledFile(recipe)};
    case StageKind::kEvaluate:
    case StageKind::kBench: return {};
  }
  return {};
}

std::string CheckpointOf(const RecipeRun& run, size_t index) {
  return run.recipe.stages[index].name + "-" + run.keys[index].substr(0, 8) + ".ckpt";
}

void RemoveCheckpoints(const RecipeRun& run, size_t index) {
  std::error_code ignored;  // a file that stays does no harm
  for (const auto& entry : fs::directory_iterator(run.options.run_dir, ignored)) {
    if (!IsCheckpoint(entry.path().filename().string(), run.recipe.stages[index].name)) continue;
    fs::remove(entry.path(), ignored);
  }
}

Status RecordDenseBefore(size_t end, RecipeRun* run) {
  const size_t index = DenseStage(run->recipe);
  const auto known = run->record.models.find(kDense);
  const std::string file = OutputOf(*run, index);
  const bool is_known = known != run->record.models.end() && known->second.file == file;
  if (index >= end || is_known) return Ok();
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ReadNetwork(*run, file));
  RecordDense(index, dense, run);
  return Ok();
}

Status RunStage(RecipeRun* run, size_t index, StageRecord* stage) {
  ESPALIER_RETURN_IF_ERROR(CheckCancel(*run));
  switch (run->recipe.stages[index].kind) {
    case StageKind::kTrain: return TrainStage(run, index, stage);
    case StageKind::kPrune: return PruneStage(run, index, stage);
    case StageKind::kCompact: return CompactStage(run, index);
    case StageKind::kThresholds: return ThresholdsStage(run, index);
    case StageKind::kCompile: return CompileStage(run, index);
    case StageKind::kEvaluate: return EvaluateStage(run, index);
    case StageKind::kBench: return BenchStage(run, index);
  }
  return Internal("unknown stage kind");
}

}  // namespace espalier
