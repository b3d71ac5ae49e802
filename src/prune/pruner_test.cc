#include "prune/pruner.h"

#include <algorithm>
#include <map>
#include <string>

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

// Over hundreds of exchanges of pieces whose sizes differ, at edges and in slots that are not full.
TEST(Regrowth, KeepsTheDensityAndSomethingOfEachGate) {
  Rng rng(6);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 11}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 37)
                               .Recurrent(CellKind::kLstmCell, 20)
                               .LastStep()
                               .Gemm(4)
                               .Finish());
  struct Case {
    const char* granularity;
    double tolerance;  // weights: a piece that was not full before, or slots of other sizes
    const char* allocation;
  };
  for (const Case& each : {Case{"slot_64x16", 64, "uniform"},
                           {"slot_8x8", 8, "global"},
                           {"blocked_8x8", 64, "uniform"},
                           {"blocked_8x8", 64, "lamp"},
                           {"blocked_8x8", 64, "erk"},
                           {"blocked_8x8", 64, "global"},
                           {"diagonal_16x1", 16, "uniform"},
                           {"element", 1, "global"}}) {
    PruneSpec spec;
    spec.granularity = each.granularity;
    spec.allocation = each.allocation;
    spec.sparsity = 0.7;
    Pruner pruner = ValueOrDie(Pruner::Create(
        graph, spec, {"one_shot", 0, 300, 1, 0.0, MaskMode::kHard, {"random", 0.5}}, {}));
    std::map<std::string, int64_t> first;  // kept of each weight by the first masks
    size_t changes = 0;
    for (int64_t step = 0; step <= 300; ++step) {
      for (auto& [name, tensor] : graph.weights) {
        for (float& value : tensor.values) value = rng.Uniform(-1.0f, 1.0f);
      }
      const MaskSet before = pruner.masks();
      ASSERT_TRUE(pruner.Update(step, StatisticsOf(graph.weights)).ok());
      changes += before != pruner.masks() ? 1 : 0;
      for (const auto& [name, mask] : pruner.masks()) {
        const auto kept = static_cast<int64_t>(mask.KeptCount());
        if (step == 0) first[name] = kept;
        EXPECT_NEAR(static_cast<double>(kept), static_cast<double>(first[name]), each.tolerance)
            << each.granularity << " " << each.allocation << " " << name << " at step " << step;
        const size_t gates = name.starts_with("gru") ? 3 : 4;
        const size_t gate = mask.keep.size() / gates;
        for (size_t g = 0; g < gates; ++g) {
          const auto from = mask.keep.begin() + static_cast<ptrdiff_t>(g * gate);
          EXPECT_NE(std::find(from, from + static_cast<ptrdiff_t>(gate), 1),
                    from + static_cast<ptrdiff_t>(gate))
              << each.granularity << " " << name << " gate " << g << " at step " << step;
        }
      }
    }
    EXPECT_GT(changes, 250u) << each.granularity;
  }
}

TEST(Regrowth, RefusesWhatCannotBringAnythingBack) {
  Rng rng(6);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 8}}, &rng);
  const Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kGruCell, 16).LastStep().Gemm(4).Finish());
  const auto create = [&](const PruneSpec& spec, const char* regrow) {
    return Pruner::Create(graph, spec, {"one_shot", 0, 10, 1, 0.0, MaskMode::kHard, {regrow, 0.5}},
                          {})
        .status();
  };
  for (const char* regrow : {"magnitude", "taylor", "movement", "wanda"}) {
    ExpectError(create(PruneSpec(), regrow), Code::kInvalidArgument,
                {"schedule.regrow", "random", "gradient", "momentum", regrow});
  }
  PruneSpec spec;
  spec.allocation = "threshold";
  spec.threshold = 0.1;
  ExpectError(create(spec, "random"), Code::kInvalidArgument,
              {"schedule.regrow", "shares", "threshold found"});
}

// For hidden units fisher goes by what is known of units, not by sums over their weights.
TEST_F(PrunerTest, RanksUnitsByTheGradientsOfUnits) {
  PruneSpec spec;
  spec.criterion = "fisher";
  EXPECT_EQ(ValueOrDie(Pruner::Create(graph_, spec, {}, {})).needs() & kNeedsGroupGradient, 0u);
  spec.granularity = "unit";
  spec.sparsity = 0.25;
  Pruner pruner = ValueOrDie(Pruner::Create(graph_, spec, {}, {}));
  EXPECT_NE(pruner.needs() & kNeedsGroupGradient, 0u);
  StatisticsSet statistics = StatisticsOf(graph_.weights);
  ExpectError(pruner.Update(0, statistics).status(), Code::kInvalidArgument,
              {"unit", "fisher", "gradients of groups", "0 found"});
  const Coupling& coupling = pruner.plan().coupling;
  std::vector<float> squares(coupling.groups.size(), 1.0f);
  const std::vector<int32_t>& units = coupling.layers[0].groups;
  const std::vector<size_t> worst = {1, 6, 7, 12};
  for (const size_t unit : worst) squares[static_cast<size_t>(units[unit])] = 0.5f;
  statistics.squared_group_gradient = squares;
  EXPECT_TRUE(ValueOrDie(pruner.Update(0, statistics)));
  const Mask& bias = pruner.masks().at("lstm0.bias_ih");
  for (size_t unit = 0; unit < 16; ++unit) {
    const bool is_kept = std::find(worst.begin(), worst.end(), unit) == worst.end();
    EXPECT_EQ(bias.keep[unit] != 0, is_kept) << unit;
  }
}

// Pieces that are known before saliencies are go as wholes, too; those that follow them do not.
TEST_F(PrunerTest, RanksFixedPiecesByTheGradientsOfPieces) {
  PruneSpec spec;
  spec.criterion = "fisher";
  spec.sparsity = 0.5;
  spec.weights = {"lstm0.weight_hh"};
  const auto asks = [&](const char* granularity) {
    spec.granularity = granularity;
    return (ValueOrDie(Pruner::Create(graph_, spec, {}, {})).needs() & kNeedsGroupGradient) != 0;
  };
  for (const char* fixed : {"blocked_4x4", "diagonal_4x4", "row", "column", "gate_row"}) {
    EXPECT_TRUE(asks(fixed)) << fixed;
  }
  for (const char* other : {"element", "slot_8x8", "bank_8", "column_balanced_8", "nm_16x4x2"}) {
    EXPECT_FALSE(asks(other)) << other;
  }
  spec.granularity = "row";
  Pruner pruner = ValueOrDie(Pruner::Create(graph_, spec, {}, {}));
  ASSERT_EQ(pruner.plan().groups, 64);
  StatisticsSet statistics = StatisticsOf(graph_.weights);
  ExpectError(pruner.Update(0, statistics).status(), Code::kInvalidArgument,
              {"'row'", "fisher", "64 gradients of groups", "0 found"});
  std::vector<float> squares(64);
  for (size_t row = 0; row < 64; ++row) squares[row] = row % 2 == 0 ? 0.5f : 1.0f;
  statistics.squared_group_gradient = squares;
  EXPECT_TRUE(ValueOrDie(pruner.Update(0, statistics)));
  const Mask& mask = pruner.masks().at("lstm0.weight_hh");
  for (size_t i = 0; i < mask.keep.size(); ++i) EXPECT_EQ(mask.keep[i], i / 16 % 2) << i;
}

// What a row is worth, by its weights that are left: half a row that is worth as much as a whole
// one comes first.
TEST_F(PrunerTest, RanksAPieceByItsGradientAWeightThatIsLeft) {
  PruneSpec spec;
  spec.criterion = "fisher";
  spec.granularity = "row";
  spec.weights = {"gemm0.weight"};
  spec.sparsity = 0.75;
  MaskSet before = {{"gemm0.weight", Mask({4, 16})}};
  std::vector<uint8_t>& keep = before["gemm0.weight"].keep;
  std::fill(keep.begin() + 32, keep.begin() + 40, uint8_t{0});
  const Plan plan = ValueOrDie(MakePlan(graph_, spec));
  StatisticsSet statistics = StatisticsOf(graph_.weights);
  const std::vector<float> squares = {1.0f, 1.1f, 1.0f, 1.0f};
  statistics.squared_group_gradient = squares;
  const SaliencySet saliency = ValueOrDie(SaliencyOfPlan(plan, statistics, before));
  EXPECT_FLOAT_EQ(saliency.at("gemm0.weight")[0], 0.5f / 16.0f);
  EXPECT_FLOAT_EQ(saliency.at("gemm0.weight")[47], 0.5f / 8.0f);
  const MaskSet masks = ValueOrDie(MakeMasks(plan, 0.75, statistics, before));
  const Mask& mask = masks.at("gemm0.weight");
  EXPECT_EQ(mask.KeptCount(), 8u);
  EXPECT_EQ(mask.keep[47], 1);
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
