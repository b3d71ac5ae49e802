#include "pipeline/run.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "espalier/espalier.h"
#include "kernels/kernels.h"
#include "pipeline/dry_run.h"
#include "pipeline/run_lock.h"
#include "pipeline/run_stages.h"
#include "pipeline/stage_keys.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;

// What the task's files hold. A file that is not there is an error of the task's load, not ours.
std::string DataOf(const TaskInfo& task, const std::string& dir) {
  std::string data;
  for (const std::string& name : task.files(dir)) {
    const Result<std::vector<std::byte>> bytes = ReadFile(dir + "/" + name);
    data += bytes.ok() ? StrCat(bytes->size(), ":", Crc32c(*bytes), "|") : "none|";
  }
  return data;
}

Result<RunFacts> FactsOf(const Recipe& recipe, const TaskInfo& task, const RunOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const KernelTable* kernels, FindKernels(options.target));
  std::string costs;
  for (const StageSpec& stage : recipe.stages) {
    if (stage.compile.costs.empty()) continue;
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(stage.compile.costs));
    costs += StrCat(bytes.size(), ":", Crc32c(bytes), "|");
  }
  return RunFacts{DataOf(task, options.data_dir), CpuName(), kernels->target, options.onnxruntime,
                  costs};
}

// CRC-32C of files one after the other, as StageRecord has it.
Result<std::string> ChecksumOf(const RecipeRun& run, const std::vector<std::string>& files) {
  if (files.empty()) return std::string();
  std::vector<std::byte> all;
  for (const std::string& file : files) {
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ReadFile(run.Path(file)));
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  char text[9];
  std::snprintf(text, sizeof(text), "%08x", Crc32c(all));
  return std::string(text);
}

// Are the stage's results there, unchanged, and still what the recipe asks for?
bool IsDone(const RecipeRun& run, size_t index) {
  if (index >= run.record.stages.size()) return false;
  const StageRecord& done = run.record.stages[index];
  if (done.key != run.keys[index]) return false;
  const Result<std::string> checksum = ChecksumOf(run, OutputsOf(run.recipe, index));
  return checksum.ok() && *checksum == done.crc32c;
}

// What a compile stage says of the dense network's matrices.
void ForgetEncodings(ModelRecord* model) {
  model->costs.clear();
  for (WeightRecord& weight : model->weights) {
    weight.format.clear();
    weight.kernel.clear();
    weight.encoded_bytes = 0;
    weight.candidates.clear();
  }
}

void ForgetMetrics(ModelRecord* model) {
  model->metric.reset();
  model->class_metric.clear();
  model->confusion.clear();
  model->activity.clear();
}

// Drops the stages from `index` on and what they found out: it is no longer true.
void ForgetFrom(size_t index, RunRecord* record) {
  bool pruned = false;  // before stage i
  for (size_t i = 0; i < record->stages.size(); ++i) {
    const std::string& kind = record->stages[i].kind;
    if (i < index) {
      pruned = pruned || kind != StageKindName(StageKind::kTrain);
    } else if (kind == StageKindName(StageKind::kTrain)) {
      if (!pruned) record->models.clear();
    } else if (kind == StageKindName(StageKind::kThresholds)) {
      record->thresholds.reset();
    } else if (kind == StageKindName(StageKind::kCompile)) {
      record->models.erase("pruned");
      for (auto& [role, model] : record->models) ForgetEncodings(&model);
    } else if (kind == StageKindName(StageKind::kEvaluate)) {
      record->agreement.reset();
      record->exit.reset();
      for (auto& [role, model] : record->models) ForgetMetrics(&model);
    } else if (kind == StageKindName(StageKind::kBench)) {
      record->bench.reset();
      record->summary.reset();
    }
  }
  record->stages.resize(std::min(record->stages.size(), index));
}

// A fresh run trusts nothing that is there, but leaves it until it has something newer. Without
// keys, the record tells every later run not to trust it either.
Status ForgetKeys(RecipeRun* run) {
  for (size_t i = 0; i < run->recipe.stages.size(); ++i) RemoveCheckpoints(*run, i);
  for (StageRecord& stage : run->record.stages) stage.key.clear();
  return WriteRunRecord(run->Path("run.json"), run->record);
}

// Reads what the folder has, if anything.
Status ReadEarlier(RecipeRun* run) {
  const std::string path = run->Path("run.json");
  if (fs::exists(path)) {
    Result<RunRecord> record = ReadRunRecord(path);
    if (record.ok()) {
      run->record = *std::move(record);
    } else if (!run->options.fresh) {
      return record.status().WithContext("run folder (--fresh starts it again)");
    }
  }
  return run->options.fresh ? ForgetKeys(run) : Ok();
}

std::string NameOf(const RecipeRun& run) {
  if (!run.recipe.name.empty()) return run.recipe.name;
  return fs::path(run.options.run_dir + "/.").parent_path().filename().string();
}

void DescribeRecipe(RecipeRun* run) {
  run->record.name = NameOf(*run);
  run->record.seed = static_cast<int64_t>(run->recipe.seed);
  run->record.recipe_json = RecipeJson(run->recipe);
  run->record.task.name = run->task.name;
  run->record.task.metric = run->task.metric.name;
}

Status RunAndRecord(RecipeRun* run, size_t index) {
  const StageSpec& spec = run->recipe.stages[index];
  ForgetFrom(index, &run->record);
  ESPALIER_RETURN_IF_ERROR(RecordDenseBefore(index, run));
  StageRecord stage;
  stage.name = spec.name;
  stage.kind = StageKindName(spec.kind);
  stage.seed = static_cast<int64_t>(run->recipe.seed);
  stage.key = run->keys[index];
  stage.parameters_json = StageJson(spec);
  const Stopwatch watch;
  ESPALIER_RETURN_IF_ERROR(RunStage(run, index, &stage));
  stage.seconds += watch.ElapsedSeconds();
  const std::vector<std::string> outputs = OutputsOf(run->recipe, index);
  if (!outputs.empty()) stage.output = outputs[0];
  ESPALIER_ASSIGN_OR_RETURN(stage.crc32c, ChecksumOf(*run, outputs));
  run->record.stages.push_back(stage);
  DescribeRecipe(run);
  run->record.version = ESPALIER_VERSION;
  run->record.command = run->options.command;
  // Right for every stage that measures: those have the machine in their keys.
  run->record.machine = {CpuName(), run->target, run->recipe.threads};
  ESPALIER_RETURN_IF_ERROR(WriteRunRecord(run->Path("run.json"), run->record));
  RemoveCheckpoints(*run, index);
  if (run->hooks.on_stage_end) run->hooks.on_stage_end(stage);
  return Ok();
}

Status RunStages(RecipeRun* run) {
  const size_t count = run->recipe.stages.size();
  size_t done = 0;
  while (done < count && IsDone(*run, done)) ++done;
  for (size_t i = 0; i < count; ++i) {
    const StageSpec& stage = run->recipe.stages[i];
    const StageStart start = i < done ? StageStart::kReused : StageStart::kRuns;
    if (run->hooks.on_stage) run->hooks.on_stage(stage, i, count, start);
    if (start == StageStart::kReused) continue;
    ESPALIER_RETURN_IF_ERROR(RunAndRecord(run, i).WithContext("stage '" + stage.name + "'"));
  }
  // A recipe that lost its last stages, or has another name, runs none.
  if (run->record.stages.size() == count && run->record.name == NameOf(*run)) return Ok();
  ForgetFrom(count, &run->record);
  ESPALIER_RETURN_IF_ERROR(RecordDenseBefore(count, run));
  DescribeRecipe(run);
  return WriteRunRecord(run->Path("run.json"), run->record);
}

}  // namespace

Result<RunRecord> RunRecipe(const Recipe& recipe, const RunOptions& options,
                            const RunHooks& hooks) {
  ESPALIER_ASSIGN_OR_RETURN(const TaskInfo task, FindTask(recipe.task));
  ESPALIER_ASSIGN_OR_RETURN(const RunFacts facts, FactsOf(recipe, task, options));
  ESPALIER_RETURN_IF_ERROR(DryRun(recipe).status());
  std::error_code error;
  fs::create_directories(options.run_dir, error);
  if (error) return IoError(options.run_dir + ": cannot create: " + error.message());
  // Before anything in the folder is read: it would be another run's, half done.
  ESPALIER_ASSIGN_OR_RETURN(const RunLock lock, RunLock::Acquire(options.run_dir));
  RecipeRun run = {recipe, options, hooks, StageKeys(recipe, facts), task, facts.target, {}, {}};
  for (const StageSpec& stage : recipe.stages) {
    if (!stage.compile.target.empty()) run.target = stage.compile.target;
  }
  ESPALIER_RETURN_IF_ERROR(ReadEarlier(&run));
  ESPALIER_RETURN_IF_ERROR(RunStages(&run));
  return std::move(run.record);
}

}  // namespace espalier
