#include "pipeline/run.h"

#include <filesystem>
#include <optional>

#include "artifact/artifact.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "compile/compile.h"
#include "espalier/espalier.h"
#include "exchange/onnx.h"
#include "kernels/kernels.h"
#include "pipeline/bench.h"
#include "pipeline/evaluate.h"
#include "pipeline/model_record.h"
#include "pipeline/stages.h"
#include "report/summary.h"
#include "tasks/task.h"

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

// One run: the record so far and the folder's files.
class Run {
 public:
  Run(const Recipe& recipe, const RunOptions& options, const RunHooks& hooks)
      : recipe_(recipe), options_(options), hooks_(hooks) {}

  Result<RunRecord> Execute();

 private:
  std::string Path(const std::string& file) const { return options_.run_dir + "/" + file; }
  std::string OutputOf(const StageSpec& stage) const;
  // Changes whenever anything changes that the stage's result depends on.
  std::string KeyOf(const StageSpec& stage, const std::string& previous_key) const;
  bool IsDone(size_t index, const std::string& key) const;
  Status Prepare();
  Status RunStage(const StageSpec& stage, size_t index, const std::string& key);
  Status Dispatch(const StageSpec& stage, size_t index, StageRecord* stage_record);
  Status TrainStage(const StageSpec& stage, size_t index, StageRecord* stage_record);
  Status PruneStage(const StageSpec& stage, size_t index, StageRecord* stage_record);
  Status CompactStage(const StageSpec& stage, size_t index);
  Status CompileStage(const StageSpec& stage, size_t index);
  Status EvaluateStage(size_t index);
  Status BenchStage(const StageSpec& stage, size_t index);
  TrainHooks StageHooks(StageRecord* stage_record) const;
  Status FinishTraining(const StageSpec& stage, const Graph& graph, StopReason stopped) const;

  Result<const TaskData*> Data();
  // The output of the last stage before `index` that made an .onnx file.
  Result<Graph> InputOf(size_t index) const;
  std::string InputFileOf(size_t index) const;
  const std::string& CompiledFile(size_t index) const;
  std::string DenseFile() const { return recipe_.stages[0].name + ".onnx"; }
  std::string DenseCompiledFile() const { return recipe_.stages[0].name + ".esp"; }

  void Note(const std::string& text) const {
    if (hooks_.on_note) hooks_.on_note(text);
  }

  const Recipe& recipe_;
  const RunOptions& options_;
  const RunHooks& hooks_;
  RunRecord record_;
  TaskInfo task_;
  std::optional<TaskData> data_;
};

std::string Run::OutputOf(const StageSpec& stage) const {
  switch (stage.kind) {
    case StageKind::kTrain:
    case StageKind::kPrune:
    case StageKind::kCompact: return stage.name + ".onnx";
    case StageKind::kCompile: return stage.name + ".esp";
    case StageKind::kEvaluate:
    case StageKind::kBench: return "";
  }
  return "";
}

std::string Run::KeyOf(const StageSpec& stage, const std::string& previous_key) const {
  // CRC-32C twice over different texts: 64 bits against accidents.
  const std::string bench = stage.kind == StageKind::kBench ? options_.onnxruntime : "";
  std::string model;
  if (previous_key.empty()) {
    Recipe head = recipe_;
    head.stages.clear();
    head.name.clear();
    model = RecipeJson(head);
  }
  const std::string text = StrCat(ESPALIER_VERSION, "|", model, "|", StageKindName(stage.kind), "|",
                                  StageJson(stage), "|", bench, "|", previous_key);
  const auto hash = [](const std::string& t) { return Crc32c(std::as_bytes(std::span(t))); };
  char key[17];
  std::snprintf(key, sizeof(key), "%08x%08x", hash(text), hash("salt" + text));
  return key;
}

bool Run::IsDone(size_t index, const std::string& key) const {
  if (index >= record_.stages.size()) return false;
  const StageRecord& done = record_.stages[index];
  return done.key == key && (done.output.empty() || fs::exists(Path(done.output)));
}

Status Run::Prepare() {
  std::error_code error;
  fs::create_directories(options_.run_dir, error);
  if (error) return IoError(options_.run_dir + ": cannot create: " + error.message());
  ESPALIER_ASSIGN_OR_RETURN(task_, FindTask(recipe_.task));
  const std::string path = Path("run.json");
  if (fs::exists(path) && !options_.fresh) {
    Result<RunRecord> record = ReadRunRecord(path);
    if (!record.ok()) {
      return record.status().WithContext("run folder (--fresh starts it again)");
    }
    record_ = *std::move(record);
  }
  record_.name =
      recipe_.name.empty() ? fs::path(options_.run_dir).filename().string() : recipe_.name;
  record_.version = ESPALIER_VERSION;
  record_.command = options_.command;
  record_.machine = {CpuName(), AvailableKernels()[0]->target, recipe_.threads};
  record_.seed = static_cast<int64_t>(recipe_.seed);
  record_.recipe_json = RecipeJson(recipe_);
  record_.task.name = task_.name;
  record_.task.metric = task_.metric;
  record_.task.classes = task_.class_names;
  return Ok();
}

Result<RunRecord> Run::Execute() {
  ESPALIER_RETURN_IF_ERROR(Prepare());
  std::string key;
  for (size_t i = 0; i < recipe_.stages.size(); ++i) {
    const StageSpec& stage = recipe_.stages[i];
    key = KeyOf(stage, key);
    const bool reused = IsDone(i, key);
    if (hooks_.on_stage) hooks_.on_stage(stage, i, recipe_.stages.size(), reused);
    if (reused) continue;
    const Status status = RunStage(stage, i, key);
    if (!status.ok()) return status.WithContext("stage '" + stage.name + "'");
  }
  return std::move(record_);
}

Status Run::RunStage(const StageSpec& stage, size_t index, const std::string& key) {
  // What comes after a stage that runs again is no longer true.
  if (record_.stages.size() > index) record_.stages.resize(index);
  record_.bench.reset();
  record_.summary.reset();
  if (stage.kind != StageKind::kBench) record_.agreement.reset();
  StageRecord stage_record;
  stage_record.name = stage.name;
  stage_record.kind = StageKindName(stage.kind);
  stage_record.seed = static_cast<int64_t>(recipe_.seed);
  stage_record.key = key;
  stage_record.parameters_json = StageJson(stage);
  Stopwatch watch;
  ESPALIER_RETURN_IF_ERROR(Dispatch(stage, index, &stage_record));
  stage_record.seconds = watch.ElapsedSeconds();
  stage_record.output = OutputOf(stage);
  record_.stages.push_back(stage_record);
  ESPALIER_RETURN_IF_ERROR(WriteRunRecord(Path("run.json"), record_));
  std::error_code ignored;
  fs::remove(Path(stage.name + ".ckpt"), ignored);
  if (hooks_.on_stage_end) hooks_.on_stage_end(stage_record);
  return Ok();
}

Status Run::Dispatch(const StageSpec& stage, size_t index, StageRecord* stage_record) {
  switch (stage.kind) {
    case StageKind::kTrain: return TrainStage(stage, index, stage_record);
    case StageKind::kPrune: return PruneStage(stage, index, stage_record);
    case StageKind::kCompact: return CompactStage(stage, index);
    case StageKind::kCompile: return CompileStage(stage, index);
    case StageKind::kEvaluate: return EvaluateStage(index);
    case StageKind::kBench: return BenchStage(stage, index);
  }
  return Internal("unknown stage kind");
}

Result<const TaskData*> Run::Data() {
  if (!data_) {
    ESPALIER_ASSIGN_OR_RETURN(data_, task_.load(options_.data_dir));
    record_.task.train = data_->train.size();
    record_.task.valid = data_->valid.size();
    record_.task.test = data_->test.size();
  }
  return &*data_;
}

std::string Run::InputFileOf(size_t index) const {
  for (size_t i = index; i-- > 0;) {
    const std::string output = OutputOf(recipe_.stages[i]);
    if (output.ends_with(".onnx")) return output;
  }
  return "";
}

Result<Graph> Run::InputOf(size_t index) const { return ImportOnnxFile(Path(InputFileOf(index))); }

const std::string& Run::CompiledFile(size_t index) const {
  size_t i = index;
  while (recipe_.stages[i].kind != StageKind::kCompile) --i;
  return record_.stages[i].output;
}

TrainHooks Run::StageHooks(StageRecord* stage_record) const {
  TrainHooks hooks;
  hooks.cancel = hooks_.cancel;
  hooks.on_step = hooks_.on_step;
  hooks.on_epoch = [this, stage_record](const TrainEpoch& epoch) {
    stage_record->epochs.push_back(RecordOf(epoch));
    if (hooks_.on_epoch) hooks_.on_epoch(epoch);
  };
  return hooks;
}

Status Run::FinishTraining(const StageSpec& stage, const Graph& graph, StopReason stopped) const {
  if (stopped == StopReason::kCancelled) {
    return Unsupported("interrupted; the same command goes on from " + Path(stage.name + ".ckpt"));
  }
  return ExportOnnxFile(graph, Path(OutputOf(stage)));
}

// What a training stage takes from the run: its seed, threads and checkpoint.
StageSpec WithRun(const StageSpec& stage, const Recipe& recipe, size_t index,
                  std::string checkpoint, bool fresh) {
  StageSpec resolved = stage;
  resolved.train.seed = recipe.seed * 1000003u + index;
  resolved.train.threads = recipe.threads;
  resolved.train.checkpoint_path = std::move(checkpoint);
  resolved.train.resume = !fresh;
  resolved.prune.seed = resolved.train.seed;
  return resolved;
}

Status Run::TrainStage(const StageSpec& stage, size_t index, StageRecord* stage_record) {
  const StageSpec resolved =
      WithRun(stage, recipe_, index, Path(stage.name + ".ckpt"), options_.fresh);
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, Data());
  Rng rng(recipe_.seed);
  TrainJob job;
  ESPALIER_ASSIGN_OR_RETURN(job.graph,
                            BuildNetwork(task_.name, data->train.input, recipe_.model, &rng));
  job.train = &data->train;
  job.valid = &data->valid;
  ESPALIER_ASSIGN_OR_RETURN(const TrainResult result,
                            Train(job, resolved.train, StageHooks(stage_record)));
  ESPALIER_RETURN_IF_ERROR(FinishTraining(stage, result.graph, result.stopped));
  record_.models[kDense] = DescribeNetwork(result.graph);
  ModelRecord& model = record_.models[kDense];
  model.file = OutputOf(stage);
  model.bytes = static_cast<int64_t>(fs::file_size(Path(model.file)));
  return Ok();
}

Status Run::PruneStage(const StageSpec& stage, size_t index, StageRecord* stage_record) {
  const StageSpec resolved =
      WithRun(stage, recipe_, index, Path(stage.name + ".ckpt"), options_.fresh);
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, InputOf(index));
  std::optional<Graph> teacher;
  if (!stage.teacher.stage.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(teacher, ImportOnnxFile(Path(stage.teacher.stage + ".onnx")));
  }
  const TaskData* data = nullptr;
  if (stage.train.epochs > 0) {
    ESPALIER_ASSIGN_OR_RETURN(data, Data());
  }
  ESPALIER_ASSIGN_OR_RETURN(
      const PruneOutcome outcome,
      PruneNetwork(graph, resolved, data, teacher ? &*teacher : nullptr, StageHooks(stage_record)));
  return FinishTraining(stage, outcome.graph, outcome.stopped);
}

Status Run::CompactStage(const StageSpec& stage, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, InputOf(index));
  std::map<std::string, int64_t> removed;
  ESPALIER_ASSIGN_OR_RETURN(const Graph compacted, CompactNetwork(graph, &removed));
  for (const auto& [layer, count] : removed) {
    Note(StrCat(layer, ": ", count, " hidden units removed; masked and compacted agree"));
  }
  return ExportOnnxFile(compacted, Path(OutputOf(stage)));
}

Status Run::CompileStage(const StageSpec& stage, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const Graph graph, InputOf(index));
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ImportOnnxFile(Path(DenseFile())));
  CompileOptions compile;
  compile.target = stage.compile.target;
  compile.tuning = stage.compile.measure ? Tuning::kMeasure : Tuning::kOff;
  compile.repetitions = static_cast<int>(stage.compile.repetitions);
  compile.batched_rows = stage.compile.batched_rows;
  compile.metadata = {
      {"task", task_.name}, {"source", InputFileOf(index)}, {"seed", std::to_string(recipe_.seed)}};
  for (const std::string& name : stage.compile.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec spec, FindFormat(name));
    compile.candidates.push_back(spec);
  }
  ESPALIER_ASSIGN_OR_RETURN(const Artifact pruned,
                            CompileToFile(graph, compile, Path(OutputOf(stage))));
  // The yardstick: the dense network in our own dense kernels.
  compile.candidates = {FormatSpec{}};
  compile.metadata["source"] = DenseFile();
  ESPALIER_ASSIGN_OR_RETURN(const Artifact dense_artifact,
                            CompileToFile(dense, compile, Path(DenseCompiledFile())));
  record_.models[kDense].weights = DescribeNetwork(dense).weights;
  DescribeArtifact(dense_artifact, &record_.models[kDense]);
  ModelRecord model = DescribeNetwork(graph);
  DescribeArtifact(pruned, &model);
  model.file = OutputOf(stage);
  model.onnx = InputFileOf(index);
  model.bytes = static_cast<int64_t>(pruned.total_bytes());
  record_.models[kPruned] = std::move(model);
  for (const ArtifactMatrix& matrix : pruned.matrices()) {
    Note(StrCat(matrix.part.name, ": ", FormatName(matrix.choice.spec), ", ",
                matrix.view.bytes.size(), " bytes"));
  }
  return Ok();
}

void SetMetrics(const Evaluation& evaluation, ModelRecord* model) {
  model->metric = evaluation.metric;
  model->class_metric = evaluation.class_metric;
  model->confusion = evaluation.confusion;
}

Status Run::EvaluateStage(size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, Data());
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ImportOnnxFile(Path(DenseFile())));
  ESPALIER_ASSIGN_OR_RETURN(const Graph masked, InputOf(index));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, Artifact::Open(Path(CompiledFile(index))));
  EvaluateOptions options;
  options.threads = recipe_.threads;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation dense_result, Evaluate(dense, data->test, options));
  options.keep_logits = true;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation masked_result, Evaluate(masked, data->test, options));
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation compiled, EvaluateArtifact(artifact, data->test, ""));
  const Agreement agreement = Compare(masked_result, compiled, data->test.classes);
  if (agreement.unexplained > 0) {
    return Internal(StrCat(agreement.unexplained, " of ", data->test.size(),
                           " test sequences: the compiled file and the masked network in libtorch "
                           "predict different classes, though the two best logits are up to ",
                           agreement.largest_gap, " apart (at most ", kTieMargin, " expected)"));
  }
  SetMetrics(dense_result, &record_.models[kDense]);
  SetMetrics(compiled, &record_.models[kPruned]);
  record_.agreement = agreement.share;
  Note(StrCat(task_.metric, " on the test split: dense ", dense_result.metric, ", pruned ",
              compiled.metric, "; ", agreement.differences, " predictions differ from libtorch's"));
  return Ok();
}

Status Run::BenchStage(const StageSpec& stage, size_t index) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskData* data, Data());
  ESPALIER_ASSIGN_OR_RETURN(const Graph dense, ImportOnnxFile(Path(DenseFile())));
  ESPALIER_ASSIGN_OR_RETURN(const Graph masked, InputOf(index));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact pruned, Artifact::Open(Path(CompiledFile(index))));
  ESPALIER_ASSIGN_OR_RETURN(const Artifact dense_artifact,
                            Artifact::Open(Path(DenseCompiledFile())));
  BenchOptions bench;
  bench.repetitions = stage.bench.repetitions;
  bench.seed = recipe_.seed;
  bench.steps =
      std::max<int64_t>(1, data->test.offsets.back() / std::max<int64_t>(1, data->test.size()));
  const auto window = static_cast<size_t>(bench.steps * data->test.input.features);
  const size_t count = std::min<size_t>(32, data->test.features.size() / window);
  const auto end = data->test.features.begin() + static_cast<std::ptrdiff_t>(count * window);
  bench.sequences.assign(data->test.features.begin(), end);

  std::vector<BenchSystem> systems;
  const auto add = [&](Result<BenchSystem> system) {
    if (!system.ok()) return system.status();
    systems.push_back(*std::move(system));
    return Ok();
  };
  ESPALIER_RETURN_IF_ERROR(add(EspalierSystem("espalier-pruned", pruned, masked, bench.steps, "")));
  ESPALIER_RETURN_IF_ERROR(
      add(EspalierSystem("espalier-dense", dense_artifact, dense, bench.steps, "")));
  std::optional<OnnxRuntime> onnxruntime;
  if (stage.bench.onnxruntime && !options_.onnxruntime.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(onnxruntime, OnnxRuntime::Open(options_.onnxruntime));
    ESPALIER_RETURN_IF_ERROR(
        add(OnnxRuntimeSystem("onnxruntime-dense", *onnxruntime, dense, bench.steps, 1)));
    ESPALIER_RETURN_IF_ERROR(
        add(OnnxRuntimeSystem("onnxruntime-pruned", *onnxruntime, masked, bench.steps, 1)));
  } else {
    Note("ONNX Runtime is not timed: it is not installed or was switched off");
  }
  ESPALIER_ASSIGN_OR_RETURN(record_.bench, RunBench(&systems, bench));
  ESPALIER_ASSIGN_OR_RETURN(record_.summary, Summarize(record_, record_.agreement));
  return Ok();
}

}  // namespace

Result<RunRecord> RunRecipe(const Recipe& recipe, const RunOptions& options,
                            const RunHooks& hooks) {
  return Run(recipe, options, hooks).Execute();
}

}  // namespace espalier
