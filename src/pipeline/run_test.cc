#include "pipeline/run.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "artifact/artifact.h"
#include "base/file.h"
#include "exchange/onnx.h"
#include "kernels/kernels.h"
#include "pipeline/cost_file.h"
#include "pipeline/run_lock.h"
#include "testing/testing.h"

namespace espalier {
namespace {

namespace fs = std::filesystem;

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

constexpr char kRecipe[] = R"(
name: small
task: mnist-rows
model: [{lstm: 8}, last_step, {gemm: 10}]
stages:
  - train: {name: dense, epochs: 3, batch_size: 12, learning_rate: 0.01}
  - prune: {name: slots, granularity: slot_8x8, sparsity: 0.5, epochs: 3, batch_size: 12}
  - compile: {name: pruned, measure: false}
  - evaluate
  - bench: {repetitions: 2}
)";

void Append32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8) out->push_back(static_cast<char>(value >> shift));
}

// idx files of `count` images of noise; label i % 10.
void WriteImages(const TempDir& dir, const std::string& prefix, uint32_t count) {
  Rng rng(count);
  std::string images;
  std::string labels;
  Append32(0x803, &images);
  for (const uint32_t value : {count, 28u, 28u}) Append32(value, &images);
  Append32(0x801, &labels);
  Append32(count, &labels);
  for (uint32_t i = 0; i < count; ++i) {
    for (int p = 0; p < 784; ++p) images.push_back(static_cast<char>(rng.Below(256)));
    labels.push_back(static_cast<char>(i % 10));
  }
  std::ofstream(dir.path(prefix + "-images-idx3-ubyte"), std::ios::binary) << images;
  std::ofstream(dir.path(prefix + "-labels-idx1-ubyte"), std::ios::binary) << labels;
}

class RunRecipeTest : public ::testing::Test {
 protected:
  RunRecipeTest() {
    WriteImages(data_, "train", 40);  // 36 to train with: 3 steps an epoch
    WriteImages(data_, "t10k", 20);
    options_.run_dir = dir_.path("run");
    options_.data_dir = data_.path();
    options_.command = "first";
    hooks_.cancel = &cancel_;
    hooks_.on_stage = [this](const StageSpec& stage, size_t, size_t, StageStart start) {
      (start == StageStart::kReused ? reused_ : ran_).push_back(stage.name);
      if (stage.name == cancel_at_stage_) cancel_ = true;
    };
    hooks_.on_epoch = [this](const TrainEpoch& epoch) {
      ++epochs_;
      if (epoch.epoch == cancel_after_epoch_) cancel_ = true;
    };
  }

  Result<RunRecord> Run() {
    ran_.clear();
    reused_.clear();
    epochs_ = 0;
    cancel_ = false;
    return RunRecipe(recipe_, options_, hooks_);
  }
  RunRecord RunToItsEnd() {
    cancel_at_stage_.clear();
    cancel_after_epoch_ = 0;
    return ValueOrDie(Run());
  }
  Status RunUntilEpoch(int64_t epoch) {
    cancel_after_epoch_ = epoch;
    return Run().status();
  }
  Status RunUntilStage(const std::string& stage) {
    cancel_at_stage_ = stage;
    return Run().status();
  }

  std::string Path(const std::string& file) const { return options_.run_dir + "/" + file; }
  RunRecord OnDisk() const { return ValueOrDie(ReadRunRecord(Path("run.json"))); }
  std::vector<std::string> Checkpoints() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(options_.run_dir)) {
      if (entry.path().extension() == ".ckpt") names.push_back(entry.path().filename().string());
    }
    return names;
  }

  TempDir data_;
  TempDir dir_;
  Recipe recipe_ = ValueOrDie(ParseRecipe(kRecipe));
  RunOptions options_;
  RunHooks hooks_;
  std::atomic<bool> cancel_{false};
  std::string cancel_at_stage_;
  int64_t cancel_after_epoch_ = 0;
  std::vector<std::string> ran_;
  std::vector<std::string> reused_;
  int epochs_ = 0;  // that this process trained
};

using Names = std::vector<std::string>;
const Names kAll = {"dense", "slots", "pruned", "evaluate", "bench"};

TEST_F(RunRecipeTest, RecordsEveryStageAndBothModels) {
  const RunRecord record = RunToItsEnd();
  ASSERT_EQ(record.stages.size(), 5u);
  EXPECT_EQ(record.stages[0].epochs.size(), 3u);
  EXPECT_EQ(record.stages[0].output, "dense.onnx");
  EXPECT_EQ(record.stages[2].output, "pruned.esp");
  EXPECT_EQ(record.stages[3].output, "");
  EXPECT_TRUE(record.models.at("dense").metric.has_value());
  EXPECT_TRUE(record.models.at("pruned").metric.has_value());
  EXPECT_TRUE(record.summary.has_value());
  EXPECT_EQ(record.agreement, 1.0);
  EXPECT_EQ(record.task.train, 36);
  EXPECT_TRUE(Checkpoints().empty());
  EXPECT_EQ(ValueOrDie(RunRecordJson(OnDisk())), ValueOrDie(RunRecordJson(record)));
}

TEST_F(RunRecipeTest, ReusesWhatIsDone) {
  const std::string before = ValueOrDie(RunRecordJson(RunToItsEnd()));
  options_.command = "second";
  EXPECT_EQ(ValueOrDie(RunRecordJson(RunToItsEnd())), before);
  EXPECT_EQ(reused_, kAll);
}

TEST_F(RunRecipeTest, RunsAStageAgainWhoseOutputWasChanged) {
  RunToItsEnd();
  std::string bytes = ValueOrDie(ReadTextFile(Path("slots.onnx")));
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_OK(WriteTextFileAtomic(Path("slots.onnx"), bytes));
  RunToItsEnd();
  EXPECT_EQ(reused_, Names{"dense"});
}

TEST_F(RunRecipeTest, RunsEveryStageAgainIfTheDataChangedInPlace) {
  RunToItsEnd();
  const std::string path = data_.path("train-images-idx3-ubyte");
  std::string bytes = ValueOrDie(ReadTextFile(path));
  bytes.back() ^= 1;
  ASSERT_OK(WriteTextFileAtomic(path, bytes));
  RunToItsEnd();
  EXPECT_EQ(ran_, kAll);
}

TEST_F(RunRecipeTest, ReusesWhatIsDoneIfTheSameDataMoved) {
  RunToItsEnd();
  const TempDir other;
  fs::copy(data_.path(), other.path("copy"));
  options_.data_dir = other.path("copy");
  RunToItsEnd();
  EXPECT_EQ(reused_, kAll);
}

TEST_F(RunRecipeTest, CompilesForTheTargetThatWasAskedFor) {
  options_.target = AvailableKernels().back()->target;
  EXPECT_EQ(RunToItsEnd().machine.target, options_.target);
  const Artifact artifact = ValueOrDie(Artifact::Open(Path("pruned.esp")));
  EXPECT_EQ(artifact.metadata().at("target"), options_.target);
  options_.target = AvailableKernels().front()->target;
  RunToItsEnd();
  EXPECT_EQ(reused_, (Names{"dense", "slots"}));
}

TEST_F(RunRecipeTest, ChoosesByTheCostsThatAreNamed) {
  const auto write = [&](double csr_ns) {
    const FormatSpec csr = ValueOrDie(FindFormat("csr"));
    const CostTable table = {
        "a far CPU",
        "AVX9",
        {{FormatSpec(), {{1, 8, 8, 256, 50.0}}}, {csr, {{1, 8, 8, 9, csr_ns}}}}};
    ASSERT_OK(WriteTextFileAtomic(dir_.path("costs.json"), CostTableJson(table)));
  };
  recipe_.stages[2].compile.measure = true;
  recipe_.stages[2].compile.costs = dir_.path("costs.json");
  write(1.0);
  const ModelRecord fast = RunToItsEnd().models.at("pruned");
  EXPECT_EQ(fast.costs, "a far CPU");
  for (const WeightRecord& weight : fast.weights) EXPECT_EQ(weight.format, "csr") << weight.name;
  write(1e6);
  const ModelRecord slow = RunToItsEnd().models.at("pruned");
  EXPECT_EQ(ran_, (Names{"pruned", "evaluate", "bench"}));
  for (const WeightRecord& weight : slow.weights) EXPECT_EQ(weight.format, "dense") << weight.name;
}

TEST_F(RunRecipeTest, RefusesBeforeTheTrainingWhatDoesNotFit) {
  recipe_.stages[1].prune.granularity = "slot_7x3";
  ExpectError(Run().status(), Code::kInvalidArgument, {"stages[1].prune", "slot_7x3"});
  EXPECT_TRUE(ran_.empty());
  EXPECT_FALSE(fs::exists(options_.run_dir));
}

TEST_F(RunRecipeTest, RunsTheCompileStageAgainIfTheDenseFileWasChanged) {
  RunToItsEnd();
  ASSERT_OK(WriteTextFileAtomic(Path("dense.esp"), "other"));
  RunToItsEnd();
  EXPECT_EQ(reused_, (Names{"dense", "slots"}));
}

// An output was written, and then the process was killed before run.json was.
TEST_F(RunRecipeTest, DoesNotTakeTheOutputOfAnotherRecipeForItsOwn) {
  RunToItsEnd();
  const std::string record = ValueOrDie(ReadTextFile(Path("run.json")));
  recipe_.stages[0].train.epochs = 1;
  RunToItsEnd();
  ASSERT_OK(WriteTextFileAtomic(Path("run.json"), record));
  recipe_.stages[0].train.epochs = 3;
  RunToItsEnd();
  EXPECT_TRUE(reused_.empty());
}

TEST_F(RunRecipeTest, ForgetsWhatStagesBeforeThatRanAgainSaid) {
  RunToItsEnd();
  recipe_.stages[0].train.epochs = 2;
  EXPECT_FALSE(RunUntilStage("slots").ok());
  const RunRecord record = OnDisk();
  ASSERT_EQ(record.stages.size(), 1u);
  EXPECT_EQ(record.models.count("pruned"), 0u);
  EXPECT_FALSE(record.models.at("dense").metric.has_value());
  EXPECT_EQ(record.models.at("dense").weights[0].format, "");
  EXPECT_FALSE(record.agreement.has_value());
  EXPECT_FALSE(record.bench.has_value());
  EXPECT_FALSE(record.summary.has_value());
}

TEST_F(RunRecipeTest, ForgetsThePrunedModelIfAPruneStageRunsAgain) {
  RunToItsEnd();
  recipe_.stages[1].prune.sparsity = 0.25;
  EXPECT_FALSE(RunUntilStage("pruned").ok());
  EXPECT_EQ(OnDisk().models.count("pruned"), 0u);
  EXPECT_EQ(OnDisk().models.count("dense"), 1u);
}

TEST_F(RunRecipeTest, KeepsTheModelsIfOnlyTheBenchRunsAgain) {
  RunToItsEnd();
  recipe_.stages[4].bench.repetitions = 3;
  const RunRecord record = RunToItsEnd();
  EXPECT_EQ(ran_, Names{"bench"});
  EXPECT_TRUE(record.models.at("pruned").metric.has_value());
  EXPECT_EQ(record.bench->repetitions, 3);
}

TEST_F(RunRecipeTest, ForgetsStagesThatTheRecipeNoLongerHas) {
  RunToItsEnd();
  recipe_.stages.pop_back();
  RunToItsEnd();
  EXPECT_TRUE(ran_.empty());
  EXPECT_EQ(OnDisk().stages.size(), 4u);
  EXPECT_FALSE(OnDisk().bench.has_value());
}

// The selector of units is that of both compact stages.
TEST_F(RunRecipeTest, RecordsTheDenseNetworkIfTheTrainStageAfterItGoes) {
  recipe_.stages.insert(recipe_.stages.begin() + 1, recipe_.stages[0]);
  recipe_.stages[1].name = "more";
  EXPECT_EQ(RunToItsEnd().models.at("dense").file, "more.onnx");
  recipe_.stages.erase(recipe_.stages.begin() + 1);
  const ModelRecord dense = RunToItsEnd().models.at("dense");
  EXPECT_EQ(dense.file, "dense.onnx");
  EXPECT_EQ(static_cast<uint64_t>(dense.bytes), fs::file_size(Path("dense.onnx")));
}

TEST_F(RunRecipeTest, DistilsHiddenStatesAcrossCompactStages) {
  recipe_ = ValueOrDie(ParseRecipe(R"(
task: mnist-rows
model: [{lstm: 8}, last_step, {gemm: 10}]
stages:
  - train: {name: dense, epochs: 1, batch_size: 12}
  - prune: {name: first, granularity: unit, sparsity: 0.25}
  - compact: {name: six}
  - prune: {name: second, granularity: unit, sparsity: 0.5}
  - compact: {name: three}
  - prune: {name: tuned, sparsity: 0.5, epochs: 1, batch_size: 12,
            distillation: {stage: dense, hidden: 0.5}}
)"));
  const Result<RunRecord> record = Run();
  ASSERT_OK(record.status());
  EXPECT_EQ(record->stages.back().epochs.size(), 1u);
}

TEST_F(RunRecipeTest, FindsThresholdsAndRecordsWhatTheyLeaveOut) {
  StageSpec thresholds;
  thresholds.kind = StageKind::kThresholds;
  thresholds.name = "delta";
  thresholds.thresholds.sent = 0.5;
  recipe_.stages.insert(recipe_.stages.begin() + 2, thresholds);
  const RunRecord record = RunToItsEnd();
  ASSERT_TRUE(record.thresholds.has_value());
  const ThresholdPoint& chosen = record.thresholds->points[record.thresholds->chosen];
  EXPECT_LE(chosen.sent, 0.5);
  const ModelRecord& pruned = record.models.at("pruned");
  EXPECT_EQ(pruned.onnx, "delta.onnx");
  ASSERT_EQ(pruned.activity.size(), 1u);
  const ActivityRecord& activity = pruned.activity[0];
  EXPECT_EQ(activity.delta_x, chosen.layers[0].x);
  EXPECT_EQ(activity.steps, 20 * 28);
  EXPECT_LT(activity.x_sent, activity.x_columns);
  ASSERT_TRUE(activity.map.has_value());
  EXPECT_EQ(activity.map->steps, 28);
  EXPECT_EQ(activity.map->units, 8);
  EXPECT_EQ(ValueOrDie(RunRecordJson(OnDisk())), ValueOrDie(RunRecordJson(record)));
  RunToItsEnd();
  EXPECT_EQ(reused_.size(), 6u);
  recipe_.stages[2].thresholds.sent = 0.4;
  EXPECT_FALSE(RunUntilStage("pruned").ok());
  EXPECT_EQ(reused_, (Names{"dense", "slots"}));
  EXPECT_EQ(OnDisk().thresholds->most, 0.4);
}

// The network as it begins is pruned, then fine-tuned; thresholds are given and cost no training.
TEST_F(RunRecipeTest, TakesStagesThatTrainNothing) {
  recipe_ = ValueOrDie(ParseRecipe(R"(
task: mnist-rows
model: [{lstm: 8}, last_step, {gemm: 10}]
stages:
  - train: {name: start, epochs: 0}
  - prune: {name: sparse, criterion: snip, sparsity: 0.5, epochs: 1, batch_size: 12}
  - train: {name: fixed, epochs: 0, dynamic: [{name: delta, x: 0.2, h: 0.1}]}
  - compile: {name: pruned, measure: false}
  - evaluate
)"));
  const RunRecord record = RunToItsEnd();
  EXPECT_TRUE(record.stages[0].epochs.empty());
  EXPECT_TRUE(record.stages[2].epochs.empty());
  const Graph start = ValueOrDie(ImportOnnxFile(Path("start.onnx")));
  const Graph sparse = ValueOrDie(ImportOnnxFile(Path("sparse.onnx")));
  const Graph fixed = ValueOrDie(ImportOnnxFile(Path("fixed.onnx")));
  const auto weight = [](const Graph& graph) { return graph.weights.at("lstm0.weight_hh").values; };
  EXPECT_NE(weight(start), weight(sparse));
  EXPECT_EQ(weight(fixed), weight(sparse));
  ASSERT_EQ(record.models.at("pruned").activity.size(), 1u);
  const ActivityRecord& activity = record.models.at("pruned").activity[0];
  EXPECT_FLOAT_EQ(static_cast<float>(activity.delta_x), 0.2f);
  EXPECT_FLOAT_EQ(static_cast<float>(activity.delta_h), 0.1f);
  EXPECT_LT(activity.x_sent, activity.x_columns);
}

// Without a prune stage, too, what has rules is held against what has none.
TEST_F(RunRecipeTest, ComparesRulesWithTheNetworkBeforeThem) {
  recipe_ = ValueOrDie(ParseRecipe(R"(
task: mnist-rows
model: [{lstm: 8}, last_step, {gemm: 10}]
stages:
  - train: {name: start, epochs: 0}
  - train: {name: trained, epochs: 1, batch_size: 12}
  - train: {name: fixed, epochs: 0, dynamic: [{name: delta, x: 1, h: 1}]}
  - compile: {name: pruned, measure: false}
  - evaluate
)"));
  const RunRecord record = RunToItsEnd();
  EXPECT_EQ(record.models.at("dense").file, "trained.onnx");
  const Artifact dense = ValueOrDie(Artifact::Open(Path("trained.esp")));
  EXPECT_FALSE(dense.graph().nodes[0].delta.has_value());
  EXPECT_EQ(record.models.at("pruned").onnx, "fixed.onnx");
}

TEST_F(RunRecipeTest, ForgetsThresholdsThatTheRecipeNoLongerHas) {
  const std::vector<StageSpec> without = recipe_.stages;
  StageSpec thresholds;
  thresholds.kind = StageKind::kThresholds;
  thresholds.name = "delta";
  thresholds.thresholds.loss = 1.0;
  recipe_.stages.insert(recipe_.stages.begin() + 2, thresholds);
  EXPECT_TRUE(RunToItsEnd().thresholds.has_value());
  recipe_.stages = without;
  const RunRecord record = RunToItsEnd();
  EXPECT_FALSE(record.thresholds.has_value());
  EXPECT_TRUE(record.models.at("pruned").activity.empty());
}

TEST_F(RunRecipeTest, TakesItsNameFromTheRecipe) { EXPECT_EQ(RunToItsEnd().name, "small"); }

TEST_F(RunRecipeTest, TakesItsNameFromTheFolderIfTheRecipeHasNone) {
  recipe_.name.clear();
  options_.run_dir += "/";
  EXPECT_EQ(RunToItsEnd().name, "run");
}

TEST_F(RunRecipeTest, GoesOnFromACheckpointToTheSameBits) {
  RunToItsEnd();
  const std::string expected = ValueOrDie(ReadTextFile(Path("slots.onnx")));
  options_.run_dir = dir_.path("other");
  ExpectError(RunUntilEpoch(2), Code::kCancelled,
              {"stage 'dense'", "the same command goes on from " + Path("dense-")});
  RunToItsEnd();
  EXPECT_EQ(epochs_, 1 + 3);
  EXPECT_EQ(ValueOrDie(ReadTextFile(Path("slots.onnx"))), expected);
  EXPECT_TRUE(Checkpoints().empty());
}

TEST_F(RunRecipeTest, KeepsTheEpochsBeforeAnInterruption) {
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  const StageRecord stage = RunToItsEnd().stages[0];
  ASSERT_EQ(stage.epochs.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(stage.epochs[i].epoch, static_cast<int64_t>(i) + 1);
}

TEST_F(RunRecipeTest, KeepsTheTimeBeforeAnInterruption) {
  hooks_.on_step = [](const TrainProgress&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  };
  EXPECT_FALSE(RunUntilEpoch(2).ok());  // 6 steps or 7
  hooks_.on_step = nullptr;
  EXPECT_GE(RunToItsEnd().stages[0].seconds, 6 * 0.150);
}

TEST_F(RunRecipeTest, KeepsTheEpochsOfAnInterruptedFineTuning) {
  EXPECT_FALSE(RunUntilStage("slots").ok());
  cancel_at_stage_.clear();
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  EXPECT_EQ(reused_, Names{"dense"});
  const RunRecord record = RunToItsEnd();
  EXPECT_EQ(record.stages[1].epochs.size(), 3u);
  EXPECT_EQ(epochs_, 1);
}

// Its sessions against what was compiled: 16 bits are not within f32's rounding of the network.
TEST_F(RunRecipeTest, TimesNetworksOfEveryWeightType) {
  for (const char* type : {"bf16", "i8"}) {
    std::string yaml = kRecipe;
    yaml.replace(yaml.find("measure: false"), 0, std::string("weight_type: ") + type + ", ");
    recipe_ = ValueOrDie(ParseRecipe(yaml));
    EXPECT_TRUE(RunToItsEnd().bench.has_value()) << type;
  }
}

TEST_F(RunRecipeTest, SaysThatAStageCutNothing) {
  recipe_.stages[1].prune.allocation = "threshold";
  recipe_.stages[1].prune.threshold = 0.0;
  std::vector<std::string> notes;
  hooks_.on_note = [&](const std::string& note) { notes.push_back(note); };
  RunToItsEnd();
  const std::string expected = "nothing cut: every piece reaches its threshold, 0.00 % gone before";
  EXPECT_EQ(std::count(notes.begin(), notes.end(), expected), 1);
}

// Three sparsities, 3 epochs each; all are good enough.
TEST_F(RunRecipeTest, GoesOnWithASearchWhereItWasInterrupted) {
  recipe_.stages[1].prune.sparsity = 0.75;
  RunToItsEnd();
  const std::string at_once = ValueOrDie(ReadTextFile(Path("slots.onnx")));
  options_.run_dir = dir_.path("search");
  recipe_.stages[1].prune.sparsity = 0.25;
  recipe_.stages[1].search = {{0.25, 0.5, 0.75}, 1.0};
  const auto count = hooks_.on_epoch;
  int of_stage = 0;
  hooks_.on_epoch = [&](const TrainEpoch& epoch) {
    count(epoch);
    of_stage = epochs_ - 3;
    if (of_stage == 4) cancel_ = true;  // the first of the second sparsity
  };
  ExpectError(Run().status(), Code::kCancelled, {"stage 'slots'", "the same command goes on"});
  EXPECT_EQ(Checkpoints().size(), 2u);
  hooks_.on_epoch = count;
  const RunRecord record = RunToItsEnd();
  EXPECT_EQ(epochs_, 2 + 3);
  EXPECT_EQ(ValueOrDie(ReadTextFile(Path("slots.onnx"))), at_once);
  EXPECT_TRUE(Checkpoints().empty());
  ASSERT_TRUE(record.stages[1].search.has_value());
  EXPECT_EQ(record.stages[1].search->kept, 0.75);
  EXPECT_EQ(record.stages[1].search->tried.size(), 3u);
  EXPECT_EQ(record.stages[1].epochs.size(), 3u);
}

TEST_F(RunRecipeTest, EndsASearchWhereTheCompiledNetworkMeetsTheBudget) {
  recipe_.stages[1].prune.sparsity = 0.25;
  recipe_.stages[1].search = {{0.25, 0.75, 0.875}, 1.0, 0.8, {}, "dense"};
  std::vector<std::string> notes;
  hooks_.on_note = [&](const std::string& note) { notes.push_back(note); };
  const RunRecord record = RunToItsEnd();
  const SearchRecord& search = *record.stages[1].search;
  EXPECT_TRUE(search.is_met);
  EXPECT_EQ(search.kept, 0.75);
  ASSERT_EQ(search.tried.size(), 2u);
  EXPECT_LE(search.tried[1].bytes, 0.8);
  EXPECT_FALSE(search.tried[1].time.has_value());
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find(" of dense, ") != std::string::npos && note.ends_with(" % of the bytes");
  }));
  options_.run_dir = dir_.path("timed");
  recipe_.stages[1].search = {{0.25, 0.75}, 1.0, {}, 0.0001, ""};
  const SearchRecord timed = *RunToItsEnd().stages[1].search;
  EXPECT_FALSE(timed.is_met);
  EXPECT_EQ(timed.kept, 0.75);
  EXPECT_GT(timed.tried[1].time, 0.0001);
}

TEST_F(RunRecipeTest, StartsAStageAnewWhoseRecipeChangedAfterAnInterruption) {
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  recipe_.stages[0].train.epochs = 4;
  const RunRecord record = RunToItsEnd();
  EXPECT_EQ(record.stages[0].epochs.size(), 4u);
  EXPECT_TRUE(Checkpoints().empty());  // the old one too
}

class CancelledStage : public RunRecipeTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(CancelledStage, IsNotRunAndTheSameCommandGoesOnWithIt) {
  const std::string stage = kAll[GetParam()];
  ExpectError(RunUntilStage(stage), Code::kCancelled, {"stage '" + stage + "'", "interrupted"});
  EXPECT_EQ(ran_, Names(kAll.begin(), kAll.begin() + static_cast<std::ptrdiff_t>(GetParam()) + 1));
  EXPECT_EQ(OnDisk().stages.size(), GetParam());
  EXPECT_EQ(fs::exists(Path("pruned.esp")), GetParam() > 2);
  RunToItsEnd();
  EXPECT_EQ(reused_.size(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(AfterTheFirst, CancelledStage, ::testing::Range<size_t>(1, 5));

TEST_F(RunRecipeTest, RunsEveryStageAgainIfFresh) {
  RunToItsEnd();
  options_.fresh = true;
  RunToItsEnd();
  EXPECT_EQ(ran_, kAll);
}

TEST_F(RunRecipeTest, ForgetsCheckpointsIfFresh) {
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  options_.fresh = true;
  RunToItsEnd();
  EXPECT_EQ(epochs_, 3 + 3);
}

TEST_F(RunRecipeTest, LeavesTheOldResultsUntilAFreshStageHasEnded) {
  RunToItsEnd();
  options_.fresh = true;
  EXPECT_FALSE(RunUntilEpoch(1).ok());
  EXPECT_EQ(OnDisk().stages.size(), 5u);
  EXPECT_TRUE(OnDisk().summary.has_value());
}

TEST_F(RunRecipeTest, GoesOnWithAnInterruptedFreshRunWithoutFresh) {
  RunToItsEnd();
  options_.fresh = true;
  ExpectError(RunUntilEpoch(2), Code::kCancelled,
              {"the same command without --fresh goes on from " + Path("dense-")});
  options_.fresh = false;
  RunToItsEnd();
  EXPECT_EQ(ran_, kAll);
  EXPECT_EQ(epochs_, 1 + 3);
}

TEST_F(RunRecipeTest, DoesNotGoOnFromAnInterruptedFreshRunIfFreshAgain) {
  options_.fresh = true;
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  RunToItsEnd();
  EXPECT_EQ(epochs_, 3 + 3);
}

TEST_F(RunRecipeTest, RefusesADamagedRecordUnlessFresh) {
  fs::create_directories(options_.run_dir);
  ASSERT_OK(WriteTextFileAtomic(Path("run.json"), "{"));
  ExpectError(Run().status(), Code::kBadFormat, {"run.json", "--fresh"});
  options_.fresh = true;
  EXPECT_FALSE(RunUntilEpoch(2).ok());
  options_.fresh = false;
  RunToItsEnd();
  EXPECT_EQ(epochs_, 1 + 3);
}

TEST_F(RunRecipeTest, TouchesNothingInAFolderThatAnotherRunUses) {
  fs::create_directories(options_.run_dir);
  ASSERT_OK(WriteTextFileAtomic(Path("run.json"), "{"));  // half written, as far as we know
  const RunLock other = ValueOrDie(RunLock::Acquire(options_.run_dir));
  options_.fresh = true;
  ExpectError(Run().status(), Code::kIo, {options_.run_dir, "another espalier"});
  EXPECT_EQ(ValueOrDie(ReadTextFile(Path("run.json"))), "{");
  EXPECT_TRUE(ran_.empty());
}

TEST_F(RunRecipeTest, NamesTheStageThatFails) {
  fs::remove(data_.path("train-labels-idx1-ubyte"));
  ExpectError(Run().status(), Code::kIo, {"stage 'dense'", "train-labels-idx1-ubyte"});
}

}  // namespace
}  // namespace espalier
