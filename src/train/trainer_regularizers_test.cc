// Regularizers while a network trains: what they learn to do without, that it is folded in before
// the last masks are made, and that a stop changes no bit.
#include <atomic>
#include <cmath>

#include "prune/compact.h"
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
    {"ProximalBlocks", "blocked_4x4", {{.name = "proximal_group_lasso", .strength = 0.05}}},
    {"Dropout", "unit", {{.name = "dropout", .strength = 0.2}}},
    {"TargetedDropout", "gate_row", {{.name = "targeted_dropout", .strength = 0.7}}},
    {"HardConcrete", "unit", {{.name = "hard_concrete", .strength = 0.02}}},
    {"HardConcreteInputs", "input_feature", {{.name = "hard_concrete", .strength = 0.02}}},
    {"SparseVd",
     "element",
     {{.name = "sparse_vd", .strength = 0.1},
      {.name = "sparse_vd", .strength = 0.1, .granularity = "gate_row"},
      {.name = "sparse_vd", .strength = 0.1, .granularity = "unit"}}},
    {"LearnedThreshold", "element", {{.name = "learned_threshold", .strength = 1e-4}}},
};

class RegularizersTest : public TrainerTest {
 protected:
  static ScheduleSpec LateSchedule() { return {"one_shot", 25, 25, 1, 0.0}; }
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
  for (const int64_t stop : {1, 17, 25, 26, 30}) {
    const TempDir dir;
    options_.checkpoint_path = dir.path("checkpoint");
    options_.resume = true;
    std::atomic<bool> cancel = false;
    TrainHooks hooks;
    hooks.cancel = &cancel;
    hooks.on_step = [&](const TrainProgress& progress) { cancel = progress.step == stop; };
    EXPECT_EQ(TrainWith(GetParam(), SpecOf(GetParam()), hooks).steps, stop);
    const TrainResult resumed = TrainWith(GetParam(), SpecOf(GetParam()));
    EXPECT_EQ(resumed.graph, whole.graph) << "stopped after step " << stop;
    EXPECT_EQ(resumed.masks, whole.masks);
  }
}

TEST_P(EveryRegularizer, MasksRankTheFoldedWeightsAtATargetSparsity) {
  PruneSpec spec = SpecOf(GetParam());
  spec.allocation = "uniform";
  spec.threshold.reset();
  spec.sparsity = 0.5;
  const TrainResult result = TrainWith(GetParam(), spec);
  EXPECT_GE(result.epochs.back().sparsity, 0.25);
  for (const auto& [name, mask] : result.masks) {
    const Tensor& weight = result.graph.weights.at(name);
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      if (mask.keep[i] != 0) continue;
      EXPECT_EQ(weight.values[i], 0.0f) << name << " element " << i;
    }
  }
}

// Units 3 and 7 of the LSTM are read by nobody, and the training cannot wake them: their columns
// begin as zeros and all of what they compute is worth nothing.
TEST_F(RegularizersTest, FindAndRemoveUnitsThatCarryNothing) {
  options_.epochs = 4;
  for (const Way& way : {kWays[1], kWays[5]}) {
    job_.graph = MakeGraph(0.0, 0.0);
    for (const char* reader : {"lstm0.weight_hh", "gru0.weight_ih"}) {
      Tensor& weight = job_.graph.weights.at(reader);
      for (int64_t row = 0; row < weight.dim(0); ++row) {
        for (const int64_t unit : {3, 7}) {
          weight.values[static_cast<size_t>(row * weight.dim(1) + unit)] = 0.0f;
        }
      }
    }
    for (const char* made : {"lstm0.weight_ih", "lstm0.weight_hh"}) {
      Tensor& weight = job_.graph.weights.at(made);
      for (int64_t gate = 0; gate < 4; ++gate) {
        for (const int64_t unit : {3, 7}) {
          const auto first = weight.values.begin() + (gate * 12 + unit) * weight.dim(1);
          std::fill(first, first + weight.dim(1), 0.0f);
        }
      }
    }
    Way gentle = way;
    gentle.regularizers[0].strength /= 10.0;
    const TrainResult result = TrainWith(gentle, SpecOf(way));
    const auto& axes = result.masks;
    ASSERT_TRUE(axes.contains("gru0.weight_ih")) << way.name;
    const Mask& mask = axes.at("gru0.weight_ih");
    EXPECT_EQ(mask.keep[3], 0) << way.name;
    EXPECT_EQ(mask.keep[7], 0) << way.name;
    EXPECT_LE(Units(result.graph), 12u + 9u - 2u) << way.name;
    EXPECT_GE(Units(result.graph), 8u) << way.name << " takes more than what is worth nothing";
    EXPECT_GT(result.epochs.back().valid_metric, 0.5) << way.name;
  }
}

TEST_F(RegularizersTest, AStrongerOneLeavesLess) {
  for (const Way& way : {kWays[1], kWays[2], kWays[5], kWays[7], kWays[8]}) {
    const double before = TrainWith(way, SpecOf(way)).epochs.back().sparsity;
    Way stronger = way;
    for (RegularizerSpec& spec : stronger.regularizers) spec.strength *= 30.0;
    EXPECT_GT(TrainWith(stronger, SpecOf(way)).epochs.back().sparsity, before) << way.name;
  }
}

TEST_F(RegularizersTest, LeaveTheLossAloneAfterTheLastMasks) {
  // Without a pruner they act to the end, and the result is folded.
  job_.regularizers = {{.name = "hard_concrete", .strength = 1.0, .granularity = "unit"}};
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
  job_.reconstruct = true;
  job_.regularizers = {{.name = "dropout", .strength = 0.5}};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"reconstruct", "from step 5 to 25 found"});
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
