#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/bytes.h"
#include "base/file.h"
#include "model/build.h"
#include "model/reference.h"
#include "testing/testing.h"
#include "train/autograd.h"
#include "train/checkpoint.h"
#include "train/train_options.h"
#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

Pruner MakePruner(const Graph& graph, int64_t end) {
  PruneSpec spec;
  spec.sparsity = 0.8;
  ScheduleSpec schedule;
  schedule.name = "cubic";
  schedule.begin = 2;
  schedule.end = end;
  schedule.every = 3;
  return ValueOrDie(Pruner::Create(graph, spec, schedule, {}));
}

TEST_F(TrainerTest, LearnsWhatCanBeLearned) {
  options_.epochs = 12;
  options_.learning_rate.schedule = LrSchedule::kOneCycle;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_GT(result.epochs.back().valid_metric, 0.75);
  EXPECT_LT(result.epochs.back().train_loss, 0.7 * result.epochs.front().train_loss);
  EXPECT_EQ(result.steps, 12 * 13);
  EXPECT_EQ(result.best_epoch, 12);
}

TEST_F(TrainerTest, LearnsWithSgdAndClipping) {
  options_.epochs = 12;
  options_.optimizer.kind = OptimizerKind::kSgd;
  options_.learning_rate.peak = 0.1;
  options_.clip_norm = 1.0;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_GT(result.epochs.back().valid_metric, 0.75);
}

// One step over all sequences, so that the gradient is known: w -= rate g min(1, clip / |g|).
TEST_F(TrainerTest, ClipsTheGradientOfAStepToItsNorm) {
  options_.epochs = 1;
  options_.batch_size = train_.size();
  options_.optimizer.kind = OptimizerKind::kSgd;
  options_.learning_rate.peak = 0.5;
  const auto autograd = ValueOrDie(Autograd::Create(job_.graph));
  std::vector<int64_t> all(static_cast<size_t>(train_.size()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  LabelledBatch batch;
  MakeBatch(train_, all, &batch);
  Rng no_dropout(1);
  ASSERT_OK(autograd->LossAndGradient(batch, {}, &no_dropout));
  double square = 0.0;
  for (const float g : autograd->gradient()) square += static_cast<double>(g) * g;
  const double norm = std::sqrt(square);
  for (const double clip_norm : {0.0, norm / 3.0, norm * 3.0}) {
    options_.clip_norm = clip_norm;
    const bool clips = clip_norm > 0.0 && clip_norm < norm;
    const double factor = 0.5 * (clips ? clip_norm / norm : 1.0);
    const Graph trained = ValueOrDie(Train(job_, options_, {})).graph;
    for (const WeightSlice& slice : autograd->slices()) {
      std::vector<float> expected = job_.graph.weights.at(slice.name).values;
      const auto gradient = autograd->gradient().subspan(slice.offset, slice.size);
      for (size_t i = 0; i < slice.size; ++i) {
        expected[i] -= static_cast<float>(factor * static_cast<double>(gradient[i]));
      }
      EXPECT_LT(MaxAbsDifference(expected, trained.weights.at(slice.name).values), 1e-6)
          << slice.name << ", clip_norm " << clip_norm << ", norm " << norm;
    }
  }
}

TEST_F(TrainerTest, GivesTheSameBitsForTheSameSeedAndOthersForAnother) {
  job_.graph = MakeGraph(0.2, 0.2);
  options_.epochs = 1;
  const Graph first = ValueOrDie(Train(job_, options_, {})).graph;
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph, first);
  options_.seed = 2;
  EXPECT_NE(ValueOrDie(Train(job_, options_, {})).graph, first);
}

struct Moments {
  const char* name;
  OptimizerOptions options;
};
class MomentsTest : public TrainerTest, public ::testing::WithParamInterface<Moments> {
 protected:
  MomentsTest() {
    options_.optimizer = GetParam().options;
    options_.optimizer.weight_decay = 0.01;
  }
};
INSTANTIATE_TEST_SUITE_P(
    Optimizers, MomentsTest,
    ::testing::Values(Moments{"Adam", {}}, Moments{"Sgd", {.kind = OptimizerKind::kSgd}},
                      Moments{"Nesterov", {.kind = OptimizerKind::kSgd, .nesterov = true}}),
    [](const auto& moments) { return std::string(moments.param.name); });

TEST_P(MomentsTest, KeepsStaticMasks) {
  Rng rng(3);
  testing::ZeroRandomWeights(0.5, &rng, &job_.graph);
  for (const std::string& name : PrunableWeights(job_.graph)) {
    job_.masks[name] = MaskOfNonzeros(job_.graph.weights.at(name));
  }
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  for (const auto& [name, mask] : job_.masks) {
    EXPECT_EQ(MaskOfNonzeros(result.graph.weights.at(name)), mask) << name;
  }
  EXPECT_EQ(result.masks, job_.masks);
  EXPECT_NEAR(result.epochs.back().sparsity, 0.5, 0.05);
}

// Weights have a velocity when they are dropped: it must not carry them away from 0.
TEST_P(MomentsTest, ReachesThePrunersSparsityAndKeepsIt) {
  Pruner pruner = MakePruner(job_.graph, 20);
  job_.pruner = &pruner;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  ASSERT_EQ(result.masks, pruner.masks());
  ASSERT_FALSE(result.masks.empty());
  for (const auto& [name, mask] : result.masks) {
    EXPECT_NEAR(mask.Sparsity(), 0.8, 0.01) << name;
    EXPECT_EQ(MaskOfNonzeros(result.graph.weights.at(name)), mask) << name;
  }
  EXPECT_GT(result.epochs.back().sparsity, result.epochs.front().sparsity);
}

TEST_F(TrainerTest, HoldsStaticMasksAndThePrunersTogether) {
  Mask mask(job_.graph.weights.at("gemm0.weight").shape);
  mask.keep[5] = 0;
  job_.masks["gemm0.weight"] = mask;
  Pruner pruner = MakePruner(job_.graph, 20);
  job_.pruner = &pruner;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_EQ(result.graph.weights.at("gemm0.weight").values[5], 0.0f);
  EXPECT_EQ(CountNonzeros(result.graph.weights.at("gemm0.weight").values), mask.keep.size() - 1);
}

// Stops after `steps` steps with a checkpoint, goes on in a new training, compares all bits.
struct Stop {
  const char* name;
  int64_t steps;  // 13 an epoch
};
class ResumeTest : public TrainerTest, public ::testing::WithParamInterface<Stop> {};
INSTANTIATE_TEST_SUITE_P(Stops, ResumeTest,
                         ::testing::Values(Stop{"AtTheStart", 1}, Stop{"InsideAnEpoch", 7},
                                           Stop{"BetweenEpochs", 13}, Stop{"LateInAnEpoch", 37}),
                         [](const auto& stop) { return std::string(stop.param.name); });

TEST_P(ResumeTest, GivesTheSameBitsAsWithoutAStop) {
  const TempDir dir;
  job_.graph = MakeGraph(0.2, 0.3);
  options_.learning_rate.schedule = LrSchedule::kOneCycle;
  options_.patience = 2;
  Pruner whole_pruner = MakePruner(job_.graph, 20);
  job_.pruner = &whole_pruner;
  const TrainResult whole = ValueOrDie(Train(job_, options_, {}));

  options_.checkpoint_path = dir.path("checkpoint");
  options_.resume = true;
  std::atomic<bool> cancel = false;
  TrainHooks hooks;
  hooks.cancel = &cancel;
  hooks.on_step = [&](const TrainProgress& progress) {
    if (progress.step == GetParam().steps) cancel = true;
  };
  Pruner first_pruner = MakePruner(job_.graph, 20);
  job_.pruner = &first_pruner;
  const TrainResult stopped = ValueOrDie(Train(job_, options_, hooks));
  EXPECT_EQ(stopped.stopped, StopReason::kCancelled);
  EXPECT_EQ(stopped.steps, GetParam().steps);
  Pruner second_pruner = MakePruner(job_.graph, 20);
  job_.pruner = &second_pruner;
  const TrainResult resumed = ValueOrDie(Train(job_, options_, {}));

  EXPECT_EQ(resumed.graph, whole.graph);
  EXPECT_EQ(resumed.masks, whole.masks);
  EXPECT_EQ(resumed.steps, whole.steps);
  EXPECT_EQ(resumed.best_epoch, whole.best_epoch);
  ASSERT_EQ(resumed.epochs.size(), whole.epochs.size());
  for (size_t i = 0; i < whole.epochs.size(); ++i) {
    EXPECT_EQ(resumed.epochs[i].train_loss, whole.epochs[i].train_loss) << "epoch " << i + 1;
    EXPECT_EQ(resumed.epochs[i].valid_loss, whole.epochs[i].valid_loss) << "epoch " << i + 1;
  }
}

TEST_F(TrainerTest, ReturnsAFinishedTrainingFromItsCheckpointAtOnce) {
  const TempDir dir;
  options_.checkpoint_path = dir.path("checkpoint");
  options_.resume = true;
  const TrainResult first = ValueOrDie(Train(job_, options_, {}));
  TrainHooks hooks;
  hooks.on_step = [](const TrainProgress&) { FAIL() << "no step expected"; };
  const TrainResult second = ValueOrDie(Train(job_, options_, hooks));
  EXPECT_EQ(second.graph, first.graph);
  EXPECT_EQ(second.epochs.size(), first.epochs.size());
}

TEST_F(TrainerTest, GoesOnFromACheckpointWrittenBetweenSteps) {
  const TempDir dir;
  const TrainResult whole = ValueOrDie(Train(job_, options_, {}));
  options_.checkpoint_path = dir.path("checkpoint");
  options_.checkpoint_steps = 5;
  TrainHooks hooks;  // takes away the checkpoint of step 10 before others replace it
  hooks.on_step = [&](const TrainProgress& progress) {
    if (progress.step == 11) {
      std::filesystem::copy_file(dir.path("checkpoint"), dir.path("step10"));
    }
  };
  ASSERT_OK(Train(job_, options_, hooks));
  options_.checkpoint_path = dir.path("step10");
  options_.resume = true;
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph, whole.graph);
}

// The prefixes of what is left are those that would have come.
TEST_F(TrainerTest, DrawsTheSamePrefixesAfterAStop) {
  const TempDir dir;
  const TrainResult without = ValueOrDie(Train(job_, options_, {}));
  options_.random_prefix = 0.7;
  const TrainResult whole = ValueOrDie(Train(job_, options_, {}));
  EXPECT_NE(whole.graph, without.graph);
  options_.checkpoint_path = dir.path("checkpoint");
  options_.checkpoint_steps = 5;
  TrainHooks hooks;
  hooks.on_step = [&](const TrainProgress& progress) {
    if (progress.step == 21) {  // within the second epoch
      std::filesystem::copy_file(dir.path("checkpoint"), dir.path("step20"));
    }
  };
  ASSERT_OK(Train(job_, options_, hooks));
  options_.checkpoint_path = dir.path("step20");
  options_.resume = true;
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph, whole.graph);
}

TEST_F(TrainerTest, RefusesRandomPrefixesThatCannotBe) {
  options_.random_prefix = 1.5;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"random_prefix", "1.5 found"});
}

TEST_F(TrainerTest, RefusesACheckpointOfOtherOptionsAndSaysWhich) {
  const TempDir dir;
  options_.epochs = 1;
  options_.checkpoint_path = dir.path("checkpoint");
  ASSERT_OK(Train(job_, options_, {}));
  options_.resume = true;
  options_.batch_size = 8;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"checkpoint", "batch_size 8 expected", "16 found"});
  options_.batch_size = 16;
  job_.graph = MakeGraph(0.5, 0.0);
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"checkpoint", "layers", "dropout0(0.5)", "dropout0(0)"});
}

TEST_F(TrainerTest, RefusesADamagedCheckpoint) {
  const TempDir dir;
  options_.epochs = 1;
  options_.checkpoint_path = dir.path("checkpoint");
  ASSERT_OK(Train(job_, options_, {}));
  options_.resume = true;
  const std::vector<std::byte> bytes = ValueOrDie(ReadFile(options_.checkpoint_path));
  std::vector<std::byte> damaged = bytes;
  damaged[bytes.size() / 2] ^= std::byte{1};
  ASSERT_OK(WriteFileAtomic(options_.checkpoint_path, damaged));
  ExpectError(Train(job_, options_, {}).status(), Code::kBadFormat, {"checksum"});
  ASSERT_OK(WriteFileAtomic(options_.checkpoint_path, std::span(bytes).first(bytes.size() - 1)));
  ExpectError(Train(job_, options_, {}).status(), Code::kBadFormat, {"payload"});
}

TEST_F(TrainerTest, RefusesACheckpointThatContradictsItself) {
  const TempDir dir;
  options_.epochs = 1;
  options_.checkpoint_path = dir.path("checkpoint");
  ASSERT_OK(Train(job_, options_, {}));
  options_.resume = true;
  const TrainIdentity identity = IdentityOf(job_, options_);
  TrainState state = ValueOrDie(LoadCheckpoint(options_.checkpoint_path, identity));
  state.epoch_batches = 1;
  ASSERT_OK(SaveCheckpoint(options_.checkpoint_path, identity, state));
  ExpectError(Train(job_, options_, {}).status(), Code::kBadFormat, {"position"});
  state.epoch_batches = 0;
  state.masks["gemm0.weight"] = Mask({1, 1});
  ASSERT_OK(SaveCheckpoint(options_.checkpoint_path, identity, state));
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"checkpoint", "mask 'gemm0.weight'", "4x9 expected", "1x1 found"});
}

// A feature near the largest float overflows in a cell without saturation. Once it is repaired, the
// training goes on from its last good checkpoint as if nothing had been.
TEST_F(TrainerTest, StopsAtALossThatIsNotFiniteAndKeepsTheLastGoodCheckpoint) {
  const TempDir dir;
  Rng rng(5);
  GraphBuilder builder("rectified", {"x", kInput}, &rng);
  builder.Recurrent(CellKind::kRnnReluCell, 8).MeanOverTime().Gemm(kClasses);
  job_.graph = ValueOrDie(builder.Finish());
  const Graph expected = ValueOrDie(Train(job_, options_, {})).graph;
  Dataset broken = train_;
  broken.features[100] = 3e38f;
  job_.train = &broken;
  options_.checkpoint_path = dir.path("checkpoint");
  options_.checkpoint_steps = 1;
  int64_t good_steps = 0;
  TrainHooks hooks;
  hooks.on_step = [&](const TrainProgress& progress) { good_steps = progress.step; };
  const Status status = Train(job_, options_, hooks).status();
  ASSERT_GT(good_steps, 0);
  ExpectError(
      status, Code::kInvalidArgument,
      {"step " + std::to_string(good_steps + 1), "gradient norm", options_.checkpoint_path});
  job_.train = &train_;
  options_.resume = true;
  int64_t resumed_at = 0;
  hooks.on_step = [&](const TrainProgress& progress) {
    if (resumed_at == 0) resumed_at = progress.step;
  };
  EXPECT_EQ(ValueOrDie(Train(job_, options_, hooks)).graph, expected);
  EXPECT_EQ(resumed_at, good_steps + 1);
}

// A checkpoint after every step, and a rate that makes weights infinite: first at once, then after
// good steps (a step schedule that jumps at the second epoch).
TEST_F(TrainerTest, NeverWritesWeightsThatAreNotFiniteToACheckpoint) {
  const TempDir dir;
  options_.optimizer.kind = OptimizerKind::kSgd;
  options_.checkpoint_path = dir.path("checkpoint");
  options_.checkpoint_steps = 1;
  options_.learning_rate.peak = 1e300;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"step 1: finite weights expected"});
  EXPECT_FALSE(std::filesystem::exists(options_.checkpoint_path));

  options_.learning_rate = {.schedule = LrSchedule::kStep, .factor = 1e300, .every_epochs = 1};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"step 14: finite weights expected", options_.checkpoint_path});
  const TrainState state =
      ValueOrDie(LoadCheckpoint(options_.checkpoint_path, IdentityOf(job_, options_)));
  EXPECT_EQ(state.step, 13);
  EXPECT_TRUE(std::isfinite(ValueOrDie(Evaluate(state.graph, valid_, {})).loss));
}

// The only step of the second epoch breaks the weights: the step is named, not the validation.
TEST_F(TrainerTest, StopsAtWeightsThatAreNotFiniteAfterAnEpochsLastStep) {
  const TempDir dir;
  options_.batch_size = train_.size();
  options_.optimizer.kind = OptimizerKind::kSgd;
  options_.learning_rate = {.schedule = LrSchedule::kStep, .factor = 1e300, .every_epochs = 1};
  options_.checkpoint_path = dir.path("checkpoint");
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"step 2: finite weights expected", "last good checkpoint"});
  const TrainState state =
      ValueOrDie(LoadCheckpoint(options_.checkpoint_path, IdentityOf(job_, options_)));
  EXPECT_EQ(state.step, 1);
  ASSERT_OK(ValidateGraph(state.graph));
}

// Weights that are finite, but large enough for a cell without saturation to overflow.
class OverflowTest : public TrainerTest {
 protected:
  OverflowTest() {
    Rng rng(5);
    GraphBuilder builder("rectified", {"x", kInput}, &rng);
    builder.Recurrent(CellKind::kRnnReluCell, 8).MeanOverTime().Gemm(kClasses);
    job_.graph = ValueOrDie(builder.Finish());
    options_.batch_size = train_.size() / 2;  // 2 steps an epoch, and the second epoch is too fast
    options_.optimizer.kind = OptimizerKind::kSgd;
    options_.learning_rate = {.schedule = LrSchedule::kStep, .factor = 1e18, .every_epochs = 1};
    options_.checkpoint_path = dir_.path("checkpoint");
  }
  int64_t CheckpointStep() const {
    return ValueOrDie(LoadCheckpoint(options_.checkpoint_path, IdentityOf(job_, options_))).step;
  }

  const TempDir dir_;
};

TEST_F(OverflowTest, LeavesTheCheckpointWhoseLogitsAreFinite) {
  options_.checkpoint_steps = 1;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"step 3: finite logits expected", "last good checkpoint"});
  EXPECT_EQ(CheckpointStep(), 2);
}

TEST_F(OverflowTest, NamesTheStepAndTheCheckpointIfAValidationIsNotFinite) {
  options_.batch_size = train_.size();
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"step 2, validation of epoch 2", "finite logits", "last good checkpoint"});
  EXPECT_EQ(CheckpointStep(), 1);
}

TEST_F(TrainerTest, StopsWithoutImprovementAndReturnsTheBestEpoch) {
  options_.epochs = 40;
  options_.patience = 2;
  options_.learning_rate.peak = 0.05;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_EQ(result.stopped, StopReason::kNoImprovement);
  ASSERT_EQ(static_cast<int64_t>(result.epochs.size()), result.best_epoch + 2);
  const Evaluation evaluation = ValueOrDie(Evaluate(result.graph, valid_, {}));
  const auto best = static_cast<size_t>(result.best_epoch - 1);
  EXPECT_EQ(evaluation.metric, result.epochs[best].valid_metric);
  for (const TrainEpoch& epoch : result.epochs) EXPECT_LE(epoch.valid_metric, evaluation.metric);
}

// The same draws at the same rate, whichever of the two says so; and the graph keeps its own.
TEST_F(TrainerTest, DropsAtTheRateOfTheTraining) {
  job_.graph = MakeGraph(0.4, 0.0);
  const TrainResult own = ValueOrDie(Train(job_, options_, {}));
  job_.graph = MakeGraph(0.9, 0.0);
  options_.dropout = 0.4;
  const TrainResult other = ValueOrDie(Train(job_, options_, {}));
  EXPECT_EQ(other.graph.weights, own.graph.weights);
  EXPECT_EQ(other.graph.nodes, job_.graph.nodes);
  options_.dropout = 0.0;
  const TrainResult without = ValueOrDie(Train(job_, options_, {}));
  job_.graph = MakeGraph(0.0, 0.0);
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph.weights, without.graph.weights);
}

TEST_F(TrainerTest, RefusesARateOfDropoutThatCannotBe) {
  options_.dropout = 1.0;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"dropout", "[0, 1)", "1 found"});
  Rng rng(1);
  GraphBuilder builder("plain", {"x", kInput}, &rng);
  job_.graph =
      ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Gemm(kClasses).Finish());
  options_.dropout = 0.5;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"dropout", "without a dropout layer", "0.5 found"});
}

// The teacher has learned other labels than those that the student sees.
TEST_F(TrainerTest, DrawsAStudentToItsTeacher) {
  options_.epochs = 12;
  Dataset shifted = train_;
  for (int32_t& label : shifted.labels) label = static_cast<int32_t>((label + 1) % kClasses);
  job_.valid = nullptr;
  job_.train = &shifted;
  const Graph teacher = ValueOrDie(Train(job_, options_, {})).graph;
  const std::vector<int32_t> wanted = ValueOrDie(Evaluate(teacher, train_, {})).predictions;
  job_.train = &train_;
  const auto agreement = [&](double weight) {
    job_.distillation = {&teacher, weight, 2.0};
    const Graph student = ValueOrDie(Train(job_, options_, {})).graph;
    const std::vector<int32_t> found = ValueOrDie(Evaluate(student, train_, {})).predictions;
    int64_t same = 0;
    for (size_t i = 0; i < found.size(); ++i) same += found[i] == wanted[i];
    return static_cast<double>(same) / static_cast<double>(found.size());
  };
  EXPECT_GT(agreement(1.0), 0.8);
  EXPECT_LT(agreement(0.0), 0.3);
}

TEST_F(TrainerTest, TrainsThroughAFinalSoftmaxAsOnLogits) {
  options_.epochs = 1;
  Rng rng(4), same_rng(4);
  GraphBuilder logits("net", {"x", kInput}, &rng);
  GraphBuilder shares("net", {"x", kInput}, &same_rng);
  logits.Recurrent(CellKind::kGruCell, 5).LastStep().Gemm(kClasses);
  shares.Recurrent(CellKind::kGruCell, 5).LastStep().Gemm(kClasses).Activation(Op::kSoftmax);
  job_.graph = ValueOrDie(logits.Finish());
  const TensorStore expected = ValueOrDie(Train(job_, options_, {})).graph.weights;
  job_.graph = ValueOrDie(shares.Finish());
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph.weights, expected);
}

TEST_F(TrainerTest, ReportsProgressAtEveryStep) {
  TrainHooks hooks;
  int64_t calls = 0;
  hooks.on_step = [&](const TrainProgress& progress) {
    EXPECT_EQ(progress.step, ++calls);
    EXPECT_EQ(progress.epoch, (calls - 1) / 13 + 1);
    EXPECT_GT(progress.sequences_per_second, 0.0);
    EXPECT_TRUE(std::isfinite(progress.loss));
  };
  ASSERT_OK(Train(job_, options_, hooks));
  EXPECT_EQ(calls, 39);
}

TEST_F(TrainerTest, RefusesADataSetOfAnotherShape) {
  Dataset wide = train_;
  wide.input.features = 1;
  wide.features.resize(static_cast<size_t>(wide.offsets.back()));
  job_.train = &wide;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"training set", "f32 [T, B, 3] expected", "f32 [T, B, 1] found"});
}

TEST_F(TrainerTest, RefusesAScheduleThatEndsAfterTheTraining) {
  Pruner pruner = MakePruner(job_.graph, 39);
  job_.pruner = &pruner;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"schedule.end", "39 steps", "39 found"});
}

TEST_F(TrainerTest, NamesTheOptionThatIsOutOfRange) {
  options_.label_smoothing = 1.0;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"label_smoothing", "[0, 1)", "1 found"});
}

TEST(Evaluate, AgreesWithTheReferenceExecutor) {
  const Graph graph = MakeGraph(0.2, 0.2);
  const Dataset data = MakeData(37, 5);
  const Evaluation evaluation =
      ValueOrDie(Evaluate(graph, data, {.batch_size = 8, .keep_outputs = true}));
  int64_t right = 0;
  for (int64_t i = 0; i < data.size(); ++i) {
    LabelledBatch one;
    MakeBatch(data, std::span(&i, 1), &one);
    StateSet states = ZeroStates(graph, 1);
    const auto values = ValueOrDie(RunReference(graph, one.batch, &states));
    const std::vector<float>& expected = values.at(graph.outputs[0]).values;
    const auto begin = evaluation.outputs.begin() + i * kClasses;
    EXPECT_LT(MaxAbsDifference(expected, std::vector<float>(begin, begin + kClasses)), 1e-5) << i;
    const auto predicted = std::max_element(expected.begin(), expected.end()) - expected.begin();
    EXPECT_EQ(evaluation.predictions[static_cast<size_t>(i)], predicted);
    right += predicted == one.labels[0];
  }
  EXPECT_DOUBLE_EQ(evaluation.metric, static_cast<double>(right) / 37.0);
  int64_t counted = 0;
  for (const auto& row : evaluation.confusion) {
    for (const int64_t n : row) counted += n;
  }
  EXPECT_EQ(counted, 37);
}

TEST(LearningRate, FollowsOneCycle) {
  LearningRate rate;
  rate.schedule = LrSchedule::kOneCycle;
  rate.peak = 1.0;
  rate.warmup = 0.25;
  EXPECT_NEAR(LearningRateAt(rate, 0, 101, 10), 1.0 / 25.0, 1e-12);
  EXPECT_DOUBLE_EQ(LearningRateAt(rate, 25, 101, 10), 1.0);
  EXPECT_NEAR(LearningRateAt(rate, 100, 101, 10), 1e-4, 1e-12);
}

TEST(LearningRate, FallsByStepsOfEpochs) {
  LearningRate rate;
  rate.schedule = LrSchedule::kStep;
  rate.peak = 1.0;
  rate.every_epochs = 2;
  EXPECT_DOUBLE_EQ(LearningRateAt(rate, 19, 100, 10), 1.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(rate, 20, 100, 10), 0.1);
}

TEST(LearningRate, FallsByACosine) {
  LearningRate rate;
  rate.schedule = LrSchedule::kCosine;
  rate.peak = 1.0;
  EXPECT_DOUBLE_EQ(LearningRateAt(rate, 0, 101, 10), 1.0);
  EXPECT_NEAR(LearningRateAt(rate, 50, 101, 10), 0.5 * (1.0 + 1e-4), 1e-9);
  EXPECT_NEAR(LearningRateAt(rate, 100, 101, 10), 1e-4, 1e-12);
}

TEST(TrainNames, SuggestTheNearest) {
  EXPECT_EQ(ValueOrDie(ParseOptimizer("sgd")), OptimizerKind::kSgd);
  EXPECT_EQ(ValueOrDie(ParseLrSchedule("one_cycle")), LrSchedule::kOneCycle);
  ExpectError(ParseOptimizer("adm").status(), Code::kInvalidArgument, {"adm", "'adam'"});
  ExpectError(ParseLrSchedule("cosin").status(), Code::kInvalidArgument, {"'cosine'"});
}

}  // namespace
}  // namespace espalier
