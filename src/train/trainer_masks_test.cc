// Masks that are made again while a network trains: soft ones, regrowth, rewinding, reconstruction,
// and criteria that follow the training.
#include <atomic>
#include <cmath>

#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

PruneSpec SpecOf(const std::string& criterion) {
  PruneSpec spec;
  spec.criterion = criterion;
  spec.sparsity = 0.75;
  return spec;
}

struct Way {
  const char* name;
  PruneSpec spec;
  ScheduleSpec schedule;
  Reconstruction reconstruct = Reconstruction::kNone;
  bool rewind = false;
};

const Way kWays[] = {
    {"Soft", SpecOf("magnitude"), {"cubic", 0, 25, 4, 0.0, MaskMode::kSoft}},
    {"SoftMovement", SpecOf("movement"), {"cubic", 0, 25, 4, 0.0, MaskMode::kSoft}},
    {"Set", SpecOf("magnitude"), {"one_shot", 0, 25, 4, 0.0, MaskMode::kHard, {"random", 0.4}}},
    {"RigL", SpecOf("magnitude"), {"one_shot", 0, 25, 4, 0.0, MaskMode::kHard, {"gradient", 0.4}}},
    {"Snfs", SpecOf("magnitude"), {"one_shot", 0, 25, 4, 0.0, MaskMode::kHard, {"momentum", 0.4}}},
    {"Taylor", SpecOf("taylor"), {"cubic", 0, 25, 4, 0.0}},
    {"Reconstruct", SpecOf("obs"), {"cubic", 0, 25, 8, 0.0}, Reconstruction::kWeights},
    {"Biases", SpecOf("magnitude"), {"cubic", 0, 25, 8, 0.0}, Reconstruction::kBias},
    {"Rewind", SpecOf("magnitude"), {"iterative", 5, 25, 10, 0.0}, Reconstruction::kNone, true},
};

class MasksTest : public TrainerTest, public ::testing::WithParamInterface<Way> {
 protected:
  MasksTest() {
    job_.calibration.sequences = 20;
    job_.reconstruct = GetParam().reconstruct;
    start_ = job_.graph.weights;
    if (GetParam().rewind) job_.rewind = &start_;
  }
  Pruner MakePruner() const {
    return ValueOrDie(Pruner::Create(job_.graph, GetParam().spec, GetParam().schedule, {}));
  }
  TrainResult TrainWith(Pruner pruner, const TrainHooks& hooks = {}) {
    job_.pruner = &pruner;
    return ValueOrDie(Train(job_, options_, hooks));
  }
  TensorStore start_;
};
INSTANTIATE_TEST_SUITE_P(Ways, MasksTest, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(MasksTest, EndsAtTheExactSparsityWithZeroesWhereItsMasksSay) {
  const TrainResult result = TrainWith(MakePruner());
  for (const auto& [name, mask] : result.masks) {
    EXPECT_EQ(mask.KeptCount(), mask.keep.size() - mask.keep.size() * 3 / 4) << name;
    const Tensor& weight = result.graph.weights.at(name);
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      EXPECT_EQ(weight.values[i] == 0.0f, mask.keep[i] == 0) << name << " element " << i;
    }
  }
  EXPECT_GT(result.epochs.back().valid_metric, 0.4) << "a quarter by chance";
}

TEST_P(MasksTest, GoesOnFromACheckpointToTheSameBits) {
  const TrainResult whole = TrainWith(MakePruner());
  for (const int64_t stop : {1, 6, 17, 30}) {
    const TempDir dir;
    options_.checkpoint_path = dir.path("checkpoint");
    options_.resume = true;
    std::atomic<bool> cancel = false;
    TrainHooks hooks;
    hooks.cancel = &cancel;
    hooks.on_step = [&](const TrainProgress& progress) { cancel = progress.step == stop; };
    EXPECT_EQ(TrainWith(MakePruner(), hooks).steps, stop);
    const TrainResult resumed = TrainWith(MakePruner());
    EXPECT_EQ(resumed.graph, whole.graph) << "stopped after step " << stop;
    EXPECT_EQ(resumed.masks, whole.masks);
  }
}

// SNT-ASGD over random regrowth (Selfish-RNN): averages begin when validation stops getting better,
// and the result is of averages, 0 where masked.
class SelfishTest : public TrainerTest {
 protected:
  TrainResult TrainWith(const OptimizerOptions& optimizer, const TrainHooks& hooks = {}) {
    const Way& way = kWays[2];
    Pruner pruner = ValueOrDie(Pruner::Create(
        job_.graph, way.spec, {"one_shot", 0, 90, 4, 0.0, MaskMode::kHard, {"random", 0.4}}, {}));
    job_.pruner = &pruner;
    options_.epochs = 8;
    options_.learning_rate.peak = 1.0;
    options_.optimizer = optimizer;
    return ValueOrDie(Train(job_, options_, hooks));
  }
};

TEST_F(SelfishTest, AveragesAndKeepsItsZeroes) {
  const OptimizerOptions asgd = {.kind = OptimizerKind::kAsgd, .average_after = 1};
  const TrainResult averaged = TrainWith(asgd);
  const TrainResult plain = TrainWith({.kind = OptimizerKind::kSgd, .momentum = 0.0});
  EXPECT_NE(averaged.graph, plain.graph) << "no average was taken";
  EXPECT_EQ(averaged.masks, plain.masks) << "masks are of the weights, not of averages";
  EXPECT_GT(averaged.epochs.back().valid_metric, 0.4);
  for (const auto& [name, mask] : averaged.masks) {
    const Tensor& weight = averaged.graph.weights.at(name);
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      EXPECT_EQ(weight.values[i] == 0.0f, mask.keep[i] == 0) << name << " element " << i;
    }
  }
  const Evaluation found = ValueOrDie(Evaluate(averaged.graph, valid_, EvaluateOptions()));
  EXPECT_NEAR(found.loss, averaged.epochs.back().valid_loss, 1e-6);
}

TEST_F(SelfishTest, GoesOnFromACheckpointToTheSameBits) {
  const OptimizerOptions asgd = {.kind = OptimizerKind::kAsgd, .average_after = 1};
  const TrainResult whole = TrainWith(asgd);
  for (const int64_t stop : {39, 70, 95, 100}) {
    const TempDir dir;
    options_.checkpoint_path = dir.path("checkpoint");
    options_.resume = true;
    std::atomic<bool> cancel = false;
    TrainHooks hooks;
    hooks.cancel = &cancel;
    hooks.on_step = [&](const TrainProgress& progress) { cancel = progress.step == stop; };
    EXPECT_EQ(TrainWith(asgd, hooks).steps, stop);
    EXPECT_EQ(TrainWith(asgd).graph, whole.graph) << "stopped after step " << stop;
  }
}

TEST_F(SelfishTest, NeedsValidationToKnowWhenToAverage) {
  job_.valid = nullptr;
  options_.optimizer.kind = OptimizerKind::kAsgd;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"optimizer", "validation set", "asgd found"});
}

class MaskChangesTest : public TrainerTest {
 protected:
  // The masks after each of the given steps.
  std::vector<MaskSet> MasksAfter(const Way& way, std::vector<int64_t> steps) {
    std::vector<MaskSet> found;
    Pruner pruner = ValueOrDie(Pruner::Create(job_.graph, way.spec, way.schedule, {}));
    job_.pruner = &pruner;
    job_.calibration.sequences = 20;
    TrainHooks hooks;
    hooks.on_step = [&](const TrainProgress& progress) {
      for (const int64_t step : steps) {
        if (step == progress.step) found.push_back(pruner.masks());
      }
    };
    EXPECT_TRUE(Train(job_, options_, hooks).ok());
    return found;
  }
  static int64_t CameBack(const MaskSet& before, const MaskSet& after) {
    int64_t count = 0;
    for (const auto& [name, mask] : after) {
      for (size_t i = 0; i < mask.keep.size(); ++i) {
        count += mask.keep[i] != 0 && before.at(name).keep[i] == 0;
      }
    }
    return count;
  }
};

TEST_F(MaskChangesTest, HardMasksLetNothingBackSoftOnesDo) {
  Way way = kWays[0];
  const std::vector<MaskSet> soft = MasksAfter(way, {10, 30});
  EXPECT_GT(CameBack(soft[0], soft[1]), 0);
  way.schedule.masks = MaskMode::kHard;
  const std::vector<MaskSet> hard = MasksAfter(way, {10, 30});
  EXPECT_EQ(CameBack(hard[0], hard[1]), 0);
}

TEST_F(MaskChangesTest, RegrowthExchangesItsShareAndKeepsTheCount) {
  for (const Way& way : {kWays[2], kWays[3], kWays[4]}) {
    const std::vector<MaskSet> masks = MasksAfter(way, {4, 5});
    const double share = RegrowShareAt(way.schedule, 4);
    EXPECT_NEAR(share, 0.2 * (1.0 + std::cos(3.14159265 * 4.0 / 25.0)), 1e-6);
    for (const auto& [name, mask] : masks[1]) {
      const auto kept = static_cast<double>(mask.KeptCount());
      EXPECT_EQ(mask.KeptCount(), masks[0].at(name).KeptCount());
      const auto back = static_cast<double>(CameBack({{name, masks[0].at(name)}}, {{name, mask}}));
      EXPECT_LE(back, share * kept + 1.0) << way.name << " " << name;
      // Some of those that went may come back at once.
      EXPECT_GT(back, 0.3 * share * kept) << way.name << " " << name;
    }
  }
}

TEST_F(MaskChangesTest, ExchangesTheSameShareOfEachTensorWhateverItsSparsity) {
  Way way = kWays[2];
  way.spec.sparsities = {{"lstm0.weight_hh", 0.9}, {"gru0.weight_hh", 0.5}};
  way.spec.allocation = "given";
  const std::vector<MaskSet> masks = MasksAfter(way, {4, 5});
  const double share = RegrowShareAt(way.schedule, 4);
  for (const auto& [name, mask] : masks[1]) {
    const auto kept = static_cast<double>(mask.KeptCount());
    EXPECT_EQ(mask.KeptCount(), masks[0].at(name).KeptCount());
    const auto back = static_cast<double>(CameBack({{name, masks[0].at(name)}}, {{name, mask}}));
    EXPECT_GT(back, 0.3 * share * kept) << name;
    EXPECT_LE(back, share * kept + 1.0) << name;
  }
}

TEST_F(MaskChangesTest, RefusesWhatExcludesEachOther) {
  const auto create = [&](const PruneSpec& spec, const ScheduleSpec& schedule) {
    return Pruner::Create(job_.graph, spec, schedule, {}).status();
  };
  ExpectError(
      create(SpecOf("magnitude"), {"cubic", 0, 25, 4, 0.0, MaskMode::kSoft, {"random", 0.4}}),
      Code::kInvalidArgument, {"schedule.regrow", "hard masks expected"});
  ExpectError(create(SpecOf("movement"), {"one_shot", 0, 0, 1, 0.0}), Code::kInvalidArgument,
              {"criterion movement", "after the first step"});
  PruneSpec units = SpecOf("magnitude");
  units.granularity = "unit";
  ExpectError(create(units, {"one_shot", 0, 25, 4, 0.0, MaskMode::kHard, {"random", 0.4}}),
              Code::kInvalidArgument, {"schedule.regrow", "unit found"});
  ExpectError(
      create(SpecOf("magnitude"), {"one_shot", 0, 25, 4, 0.0, MaskMode::kHard, {"rigl", 0.4}}),
      Code::kInvalidArgument, {"schedule.regrow.criterion", "'rigl'"});
}

}  // namespace
}  // namespace espalier
