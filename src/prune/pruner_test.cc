#include "prune/pruner.h"

#include <algorithm>

#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

class PrunerTest : public ::testing::Test {
 protected:
  PrunerTest() {
    Rng rng(5);
    GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 8}}, &rng);
    graph_ = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 16).LastStep().Gemm(4).Finish());
  }
  Pruner Make(MaskSet masks = {}) {
    return ValueOrDie(
        Pruner::Create(graph_, PruneSpec(), {"cubic", 2, 8, 3, 0.0}, std::move(masks)));
  }
  // A training step that moves every weight, masked ones too, as an optimiser would.
  void Move() {
    Rng rng(static_cast<uint64_t>(++moves_));
    for (auto& [name, tensor] : graph_.weights) {
      for (float& value : tensor.values) value += rng.Uniform(-0.1f, 0.1f);
    }
  }
  bool Update(Pruner* pruner, int64_t step) {
    return ValueOrDie(pruner->Update(step, StatisticsOf(graph_.weights)));
  }

  Graph graph_;
  int moves_ = 0;
};

TEST_F(PrunerTest, FollowsTheScheduleToTheExactSparsity) {
  Pruner pruner = Make();
  std::vector<int64_t> changed;
  for (int64_t step = 0; step < 12; ++step) {
    if (Update(&pruner, step)) changed.push_back(step);
    Move();
  }
  EXPECT_EQ(changed, (std::vector<int64_t>{2, 5, 8}));
  for (const auto& [name, mask] : pruner.masks()) {
    EXPECT_EQ(mask.KeptCount(), mask.keep.size() - mask.keep.size() * 9 / 10) << name;
  }
}

// For hidden units fisher goes by what is known of units, not by sums over their weights.
TEST_F(PrunerTest, RanksUnitsByTheGradientsOfUnits) {
  PruneSpec spec;
  spec.criterion = "fisher";
  EXPECT_EQ(ValueOrDie(Pruner::Create(graph_, spec, {}, {})).needs() & kNeedsUnitGradient, 0u);
  spec.granularity = "unit";
  spec.sparsity = 0.25;
  Pruner pruner = ValueOrDie(Pruner::Create(graph_, spec, {}, {}));
  EXPECT_NE(pruner.needs() & kNeedsUnitGradient, 0u);
  StatisticsSet statistics = StatisticsOf(graph_.weights);
  ExpectError(pruner.Update(0, statistics).status(), Code::kInvalidArgument,
              {"unit", "fisher", "gradients of units", "0 found"});
  const Coupling& coupling = pruner.plan().coupling;
  std::vector<float> squares(coupling.groups.size(), 1.0f);
  const std::vector<int32_t>& units = coupling.layers[0].groups;
  const std::vector<size_t> worst = {1, 6, 7, 12};
  for (const size_t unit : worst) squares[static_cast<size_t>(units[unit])] = 0.5f;
  statistics.squared_unit_gradient = squares;
  EXPECT_TRUE(ValueOrDie(pruner.Update(0, statistics)));
  const Mask& bias = pruner.masks().at("lstm0.bias_ih");
  for (size_t unit = 0; unit < 16; ++unit) {
    const bool is_kept = std::find(worst.begin(), worst.end(), unit) == worst.end();
    EXPECT_EQ(bias.keep[unit] != 0, is_kept) << unit;
  }
}

TEST_F(PrunerTest, GoesOnFromACheckpointAsIfNothingHadHappened) {
  Pruner whole = Make();
  Pruner resumed = Make();
  for (int64_t step = 0; step < 12; ++step) {
    if (step == 6) {
      Pruner fresh = Make();
      fresh.Restore(resumed.masks(), resumed.last_step());
      resumed = std::move(fresh);
    }
    EXPECT_EQ(Update(&whole, step), Update(&resumed, step)) << "step " << step;
    Move();
  }
  EXPECT_EQ(whole.masks(), resumed.masks());
}

TEST_F(PrunerTest, KeepsTheMasksThatWereInForceBefore) {
  MaskSet masks = {{"gemm0.weight", Mask({4, 16}, 0)}};
  Pruner pruner = Make(masks);
  EXPECT_EQ(pruner.masks(), masks);
  for (int64_t step = 0; step < 12; ++step) Update(&pruner, step);
  EXPECT_EQ(pruner.masks().at("gemm0.weight"), masks.at("gemm0.weight"));
}

TEST_F(PrunerTest, KeepsItsMasksIfAnUpdateFails) {
  Pruner pruner = Make();
  Update(&pruner, 2);
  const MaskSet before = pruner.masks();
  EXPECT_FALSE(pruner.Update(8, {}).ok());
  EXPECT_EQ(pruner.masks(), before);
  EXPECT_TRUE(pruner.IsDue(8));
}

TEST_F(PrunerTest, RefusesAMaskThatFitsNoWeight) {
  const auto create = [&](MaskSet masks) {
    return Pruner::Create(graph_, PruneSpec(), ScheduleSpec(), std::move(masks)).status();
  };
  ExpectError(create({{"lstm1.weight_hh", Mask({4, 4})}}), Code::kInvalidArgument,
              {"lstm1.weight_hh", "no such weight"});
  ExpectError(create({{"gemm0.weight", Mask({4, 4})}}), Code::kInvalidArgument,
              {"gemm0.weight", "4x16 expected", "4x4 found"});
}

}  // namespace
}  // namespace espalier
