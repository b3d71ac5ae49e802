// Regularizers while a network trains: what they learn to do without, that it is folded in before
// the last masks are made, and that a stop changes no bit.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "prune/compact.h"
#include "prune/units.h"
#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

struct Way {
  const char* name;
  std::string granularity;  // of the stage
  std::vector<RegularizerSpec> regularizers;
};

const Way kWays[] = {
    {"GroupLasso", "unit", {{.name = "group_lasso", .strength = 0.01}}},
    {"Proximal", "unit", {{.name = "proximal_group_lasso", .strength = 0.1, .warmup_epochs = 0.5}}},
    {"ProximalBlocks", "blocked_4x3", {{.name = "proximal_group_lasso", .strength = 0.05}}},
    {"Dropout", "unit", {{.name = "dropout", .strength = 0.2}}},
    {"TargetedDropout", "gate_row", {{.name = "targeted_dropout", .strength = 0.7}}},
    {"HardConcrete", "unit", {{.name = "hard_concrete", .strength = 0.02, .speed = 50.0}}},
    {"HardConcreteInputs",
     "input_feature",
     {{.name = "hard_concrete", .strength = 0.02, .speed = 50.0}}},
    {"SparseVd",
     "element",
     {{.name = "sparse_vd", .strength = 0.1, .speed = 50.0},
      {.name = "sparse_vd", .strength = 0.1, .granularity = "gate_row", .speed = 50.0},
      {.name = "sparse_vd", .strength = 0.1, .granularity = "unit", .speed = 50.0}}},
    {"LearnedThreshold", "element", {{.name = "learned_threshold", .strength = 1e-4}}},
    {"SoftMovement", "element", {{.name = "soft_movement", .strength = 1e-3, .speed = 300.0}}},
};

class RegularizersTest : public TrainerTest {
 protected:
  ScheduleSpec LateSchedule() const { return {"one_shot", fold_step_, fold_step_, 1, 0.0}; }
  int64_t fold_step_ = 25;
  PruneSpec SpecOf(const Way& way) const {
    PruneSpec spec;
    spec.granularity = way.granularity;
    spec.allocation = "threshold";
    spec.threshold = 0.0;
    return spec;
  }
  TrainResult TrainWith(const Way& way, const PruneSpec& spec, const TrainHooks& hooks = {}) {
    Pruner pruner = ValueOrDie(Pruner::Create(job_.graph, spec, LateSchedule(), {}));
    job_.pruner = &pruner;
    job_.regularizers = way.regularizers;
    job_.regularized = spec;
    return ValueOrDie(Train(job_, options_, hooks));
  }
  // Of a training that is `whole` without a stop.
  void ExpectSameBitsAfter(int64_t stop, const Way& way, const TrainResult& whole) {
    const TempDir dir;
    options_.checkpoint_path = dir.path("checkpoint");
    options_.resume = true;
    std::atomic<bool> cancel = false;
    TrainHooks hooks;
    hooks.cancel = &cancel;
    hooks.on_step = [&](const TrainProgress& progress) { cancel = progress.step == stop; };
    EXPECT_EQ(TrainWith(way, SpecOf(way), hooks).steps, stop);
    const TrainResult resumed = TrainWith(way, SpecOf(way));
    EXPECT_EQ(resumed.graph, whole.graph) << "stopped after step " << stop;
    EXPECT_EQ(resumed.masks, whole.masks);
  }
  // Which of the LSTM's units the pruner's masks keep, by the rows of its input matrix.
  static Keep UnitMaskOf(const TrainResult& result) {
    Keep kept(12, 1);
    const auto it = result.masks.find("lstm0.weight_ih");
    for (size_t unit = 0; it != result.masks.end() && unit < 12; ++unit) {
      kept[unit] = it->second.keep[unit * 3];
    }
    return kept;
  }
  // Units that the masks keep, of both layers.
  static size_t UnitsOf(const TrainResult& result) {
    const Coupling coupling = ValueOrDie(FindCoupling(result.graph));
    const Keep alive = AliveGroups(coupling, result.masks);
    int64_t units = 0;
    for (const UnitLayer& layer : coupling.layers) units += KeptCount(layer, alive);
    return static_cast<size_t>(units);
  }
  static size_t Units(const Graph& graph) {
    size_t units = 0;
    const Compacted compacted = ValueOrDie(CompactZeros(graph));
    for (const auto& [layer, kept] : KeptUnits(compacted.coupling, compacted.keep)) {
      units += kept.size();
    }
    return units;
  }
};

class EveryRegularizer : public RegularizersTest, public ::testing::WithParamInterface<Way> {};
INSTANTIATE_TEST_SUITE_P(Ways, EveryRegularizer, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(EveryRegularizer, GoesOnFromACheckpointToTheSameBits) {
  const TrainResult whole = TrainWith(GetParam(), SpecOf(GetParam()));
  EXPECT_GT(whole.epochs.back().valid_metric, 0.4) << "a quarter by chance";
  for (const int64_t stop : {1, 17, 25, 26, 30}) ExpectSameBitsAfter(stop, GetParam(), whole);
}

TEST_P(EveryRegularizer, MasksRankTheFoldedWeightsAtATargetSparsity) {
  PruneSpec spec = SpecOf(GetParam());
  spec.allocation = "uniform";
  spec.threshold.reset();
  spec.sparsity = 0.5;
  const TrainResult result = TrainWith(GetParam(), spec);
  EXPECT_GT(result.epochs.back().sparsity, 0.15);
  for (const auto& [name, mask] : result.masks) {
    const Tensor& weight = result.graph.weights.at(name);
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      if (mask.keep[i] != 0) continue;
      EXPECT_EQ(weight.values[i], 0.0f) << name << " element " << i;
    }
  }
}

// Units 3 and 7 of the LSTM are read by nobody, and masks keep it so: they have weights, and carry
// nothing.
TEST_F(RegularizersTest, FindAndRemoveUnitsThatCarryNothing) {
  options_.epochs = 6;
  fold_step_ = 65;
  for (const char* reader : {"lstm0.weight_hh", "gru0.weight_ih"}) {
    Tensor& weight = job_.graph.weights.at(reader);
    Mask& mask = job_.masks[reader] = Mask(weight.shape);
    for (int64_t row = 0; row < weight.dim(0); ++row) {
      for (const int64_t unit : {3, 7}) {
        const auto element = static_cast<size_t>(row * weight.dim(1) + unit);
        mask.keep[element] = 0;
        weight.values[element] = 0.0f;
      }
    }
  }
  const RegularizerSpec specs[] = {
      {.name = "proximal_group_lasso", .strength = 2.5},
      {.name = "hard_concrete", .strength = 0.002, .speed = 30.0},
  };
  const Way none = {"None", "unit", {}};
  EXPECT_EQ(UnitMaskOf(TrainWith(none, SpecOf(none))), Keep(12, 1)) << "they have weights";
  for (const RegularizerSpec& spec : specs) {
    const Way way = {"Some", "unit", {spec}};
    const TrainResult result = TrainWith(way, SpecOf(way));
    const Keep kept = UnitMaskOf(result);
    EXPECT_EQ(kept[3], 0) << spec.name;
    EXPECT_EQ(kept[7], 0) << spec.name;
    EXPECT_GE(std::count(kept.begin(), kept.end(), 1), 6) << spec.name << " takes what is worth";
    EXPECT_GT(result.epochs.back().valid_metric, 0.4) << spec.name;
    EXPECT_EQ(Units(result.graph), UnitsOf(result)) << "what is masked is found by compact";
  }
}

TEST_F(RegularizersTest, AStrongerOneLeavesLess) {
  for (const Way& way : {kWays[1], kWays[2], kWays[5], kWays[7], kWays[8]}) {
    const double before = TrainWith(way, SpecOf(way)).epochs.back().sparsity;
    Way stronger = way;
    for (RegularizerSpec& spec : stronger.regularizers) spec.strength *= 100.0;
    EXPECT_GT(TrainWith(stronger, SpecOf(way)).epochs.back().sparsity, before) << way.name;
  }
}

TEST_F(RegularizersTest, LeaveTheLossAloneAfterTheLastMasks) {
  // Without a pruner they act to the end, and the result is folded.
  job_.regularizers = {
      {.name = "hard_concrete", .strength = 1.0, .granularity = "unit", .speed = 50.0}};
  const TrainResult all = ValueOrDie(Train(job_, options_, {}));
  size_t zeros = 0;
  for (const float value : all.graph.weights.at("gru0.weight_hh").values) zeros += value == 0.0f;
  EXPECT_GT(zeros, 0u);
  const Evaluation folded = ValueOrDie(Evaluate(all.graph, valid_, EvaluateOptions()));
  EXPECT_NEAR(folded.loss, all.epochs.back().valid_loss, 1e-6) << "validation is of what is kept";
}

TEST_F(RegularizersTest, RefuseAScheduleThatLeavesThemNoStep) {
  PruneSpec spec;
  Pruner pruner = ValueOrDie(Pruner::Create(job_.graph, spec, {"one_shot", 0, 0, 1, 0.0}, {}));
  job_.pruner = &pruner;
  job_.regularizers = {{.name = "dropout", .strength = 0.5}};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"regularizers", "ends after the first step"});
}

TEST_F(RegularizersTest, RefuseToReconstructWhatIsNotYetLearned) {
  PruneSpec spec;
  Pruner pruner = ValueOrDie(Pruner::Create(job_.graph, spec, {"cubic", 5, 25, 5, 0.0}, {}));
  job_.pruner = &pruner;
  job_.reconstruct = Reconstruction::kWeights;
  job_.regularizers = {{.name = "dropout", .strength = 0.5}};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"reconstruct", "from step 5 to 25 found"});
}

// The best epoch of such a training is one in which they had done little yet.
TEST_F(RegularizersTest, RefuseToStopAtTheBestEpochWhileTheyAct) {
  job_.regularizers = {{.name = "proximal_group_lasso", .strength = 0.1}};
  options_.patience = 2;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"patience: 0 expected beside regularizers", "2 found"});
}

// A weight that the projection brings to 0 is 0 in the average too.
TEST_F(RegularizersTest, LeaveZerosInTheAveragesOfAsgd) {
  job_.regularized.granularity = "gate_row";
  job_.regularizers = {{.name = "proximal_group_lasso", .strength = 0.3}};
  options_.optimizer = {.kind = OptimizerKind::kAsgd, .average_after = 1};
  options_.learning_rate.peak = 0.5;
  options_.epochs = 12;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  double least = result.epochs[0].valid_loss;
  bool averages = false;  // as IsTimeToAverage has it, with average_after = 1
  for (size_t i = 2; i < result.epochs.size(); ++i) {
    averages = averages || result.epochs[i].valid_loss > least;
    least = std::min(least, result.epochs[i - 1].valid_loss);
  }
  ASSERT_TRUE(averages) << "validation never got worse, so nothing was averaged";
  size_t zeros = 0;
  for (const float value : result.graph.weights.at("lstm0.weight_hh").values) zeros += value == 0;
  EXPECT_GT(zeros, 12u);
}

// What has no noise must not depend on how often it is drawn: shares, penalties and gates'
// gradients add up. Batches are of 16 and, the last, of 8 sequences; draws of 5, 5 and 6, and of 2,
// 3 and 3.
TEST_F(RegularizersTest, DrawsOfABatchAddUpToIt) {
  // learned_threshold makes the weights of a step, without noise.
  for (const bool with_lasso : {false, true}) {
    Way way = {"Draws", "element", {{.name = "learned_threshold", .strength = 0.01}}};
    if (with_lasso) {
      way.regularizers.insert(way.regularizers.begin(), {.name = "group_lasso", .strength = 0.01});
    }
    options_.noise_draws = 1;
    const TrainResult once = TrainWith(way, SpecOf(way));
    options_.noise_draws = 3;
    const TrainResult thrice = TrainWith(way, SpecOf(way));
    EXPECT_NEAR(thrice.epochs[0].train_loss, once.epochs[0].train_loss, 1e-6) << with_lasso;
    EXPECT_NEAR(thrice.epochs[0].valid_loss, once.epochs[0].valid_loss, 1e-6) << with_lasso;
  }
}

TEST_F(RegularizersTest, DrawNoiseForEachSequenceIfAsked) {
  const Way way = {"Draws", "unit", {{.name = "hard_concrete", .strength = 0.02, .speed = 50.0}}};
  const TrainResult shared = TrainWith(way, SpecOf(way));
  options_.noise_draws = options_.batch_size;
  const TrainResult each = TrainWith(way, SpecOf(way));
  EXPECT_NE(each.graph.weights, shared.graph.weights);
  EXPECT_GT(each.epochs.back().valid_metric, 0.4) << "a quarter by chance";
  EXPECT_GT(each.epochs.back().sparsity, 0.0);
  ExpectSameBitsAfter(17, way, each);
}

TEST_F(RegularizersTest, AreWhatNoiseIsDrawnFor) {
  options_.noise_draws = 2;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"noise_draws", "1 expected", "regularizers", "2 found"});
  job_.regularizers = {{.name = "group_lasso", .strength = 0.1}};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"noise_draws", "draw noise", "2 found"});
  options_.noise_draws = 0;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"noise_draws", "1 to 16", "0 found"});
}

TEST_F(RegularizersTest, RefuseACheckpointOfAnotherThreshold) {
  const TempDir dir;
  options_.checkpoint_path = dir.path("checkpoint");
  options_.resume = true;
  const Way way = {"Proximal", "gate_row", {{.name = "proximal_group_lasso", .strength = 0.1}}};
  PruneSpec spec = SpecOf(way);
  TrainWith(way, spec);
  spec.threshold = 0.25;
  Pruner pruner = ValueOrDie(Pruner::Create(job_.graph, spec, LateSchedule(), {}));
  job_.pruner = &pruner;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"another training", "pruner.pool", "threshold"});
}

TEST_F(RegularizersTest, RefuseACheckpointOfOthers) {
  const TempDir dir;
  options_.checkpoint_path = dir.path("checkpoint");
  job_.regularizers = {{.name = "dropout", .strength = 0.5}};
  ASSERT_TRUE(Train(job_, options_, {}).ok());
  options_.resume = true;
  job_.regularizers[0].strength = 0.4;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"another training", "regularizer"});
}

}  // namespace
}  // namespace espalier
