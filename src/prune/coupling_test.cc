#include "prune/coupling.h"

#include <gmock/gmock.h>

#include "model/build.h"
#include "prune/units.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

const GraphInput kInput = {"x", {Element::kF32, Layout::kSequence, 3}};

// Positions of an axis that belong to a group.
std::vector<int64_t> PositionsOf(const std::vector<int32_t>& axis, int32_t group) {
  std::vector<int64_t> positions;
  for (size_t i = 0; i < axis.size(); ++i) {
    if (axis[i] == group) positions.push_back(static_cast<int64_t>(i));
  }
  return positions;
}

using Positions = std::vector<int64_t>;

TEST(Coupling, TakesOneRowPerGateAndTheColumnOfTheUnitItself) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  const Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 5).LastStep().Gemm(2).Finish());
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  const int32_t unit = coupling.layers.at(0).groups.at(3);
  for (const char* name :
       {"lstm0.weight_ih", "lstm0.weight_hh", "lstm0.bias_ih", "lstm0.bias_hh"}) {
    EXPECT_EQ(PositionsOf(coupling.weights.at(name).rows, unit), (Positions{3, 8, 13, 18})) << name;
  }
  EXPECT_EQ(PositionsOf(coupling.weights.at("lstm0.weight_ih").cols, unit), Positions{});
  EXPECT_EQ(PositionsOf(coupling.weights.at("lstm0.weight_hh").cols, unit), Positions{3});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.weight").cols, unit), Positions{3});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.weight").rows, unit), Positions{});
  for (const char* name : {"lstm0.h", "lstm0.c", "last_step0.last"}) {
    EXPECT_EQ(PositionsOf(coupling.states.at(name), unit), Positions{3}) << name;
  }
}

TEST(Coupling, FollowsTheOffsetOfTheReverseDirectionIntoBothDirectionsOfTheNextLayer) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 4, {Direction::kBidirectional, 0.0}).Dropout(0.1);
  builder.Recurrent(CellKind::kRnnTanhCell, 2, {Direction::kBidirectional, 0.0}).LastStep().Gemm(1);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  ASSERT_EQ(coupling.layers.size(), 4u);
  const int32_t unit = coupling.layers[1].groups.at(1);  // reverse unit 1: feature 4 + 1
  EXPECT_EQ(coupling.layers[1].name(), "gru0_reverse");
  EXPECT_EQ(PositionsOf(coupling.weights.at("gru0.weight_hh").cols, unit), Positions{});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gru0.weight_hh_reverse").cols, unit), Positions{1});
  EXPECT_EQ(PositionsOf(coupling.weights.at("rnn_tanh0.weight_ih").cols, unit), Positions{5});
  EXPECT_EQ(PositionsOf(coupling.weights.at("rnn_tanh0.weight_ih_reverse").cols, unit),
            Positions{5});
}

TEST(Coupling, FollowsAUnitIntoEveryTapOfAConv1d) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kLstmCell, 5).Conv1d(4, {3, 2}).LastStep().Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  const int32_t unit = coupling.layers[0].groups.at(3);
  EXPECT_EQ(PositionsOf(coupling.weights.at("conv1d0.weight").cols, unit), (Positions{3, 8, 13}));
  EXPECT_EQ(PositionsOf(coupling.weights.at("conv1d0.weight").rows, unit), Positions{});
  EXPECT_EQ(PositionsOf(coupling.states.at("conv1d0.past"), unit), (Positions{3, 8, 13, 18}));
}

TEST(Coupling, TakesAChannelOfAConv1dAsAUnit) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Conv1d(4, {3, 1}).Activation(Op::kRelu).Recurrent(CellKind::kGruCell, 2).LastStep();
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Gemm(1).Finish())));
  ASSERT_EQ(coupling.layers.size(), 2u);
  EXPECT_EQ(coupling.layers[0].name(), "conv1d0");
  const int32_t channel = coupling.layers[0].groups.at(2);
  EXPECT_EQ(coupling.groups.at(static_cast<size_t>(channel)).pinned, "");
  EXPECT_EQ(PositionsOf(coupling.weights.at("conv1d0.weight").rows, channel), Positions{2});
  EXPECT_EQ(PositionsOf(coupling.weights.at("conv1d0.weight").cols, channel), Positions{});
  EXPECT_EQ(PositionsOf(coupling.weights.at("conv1d0.bias").rows, channel), Positions{2});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gru0.weight_ih").cols, channel), Positions{2});
}

TEST(Coupling, FollowsEveryConsumerBehindConcat) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 4);
  const std::string first = builder.value();
  builder.Recurrent(CellKind::kGruCell, 3).Concat(first).Activation(Op::kTanh).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  const int32_t unit = coupling.layers[0].groups.at(2);
  EXPECT_EQ(PositionsOf(coupling.weights.at("gru1.weight_ih").cols, unit), Positions{2});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.weight").cols, unit), Positions{3 + 2});
}

TEST(Coupling, JoinsTheUnitsOfLayersThatAreAdded) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 4);
  const std::string first = builder.value();
  builder.Recurrent(CellKind::kLstmCell, 4).Add(first).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  EXPECT_EQ(coupling.layers[0].groups, coupling.layers[1].groups);
  const UnitGroup& group = coupling.groups.at(static_cast<size_t>(coupling.layers[0].groups[1]));
  ASSERT_EQ(group.units.size(), 2u);
  EXPECT_EQ(group.units[0].unit, 1);
  EXPECT_EQ(group.units[1].unit, 1);
}

TEST(Coupling, TakesTheRowOfAGemmThatIsAddedToAUnit) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  const std::string residual = builder.Gemm(4).value();
  builder.From("x").Recurrent(CellKind::kGruCell, 4).Add(residual).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  const int32_t unit = coupling.layers[0].groups.at(3);
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.weight").rows, unit), Positions{3});
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.bias").rows, unit), Positions{3});
}

std::string PinOf(GraphBuilder& builder) {
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  return coupling.groups.at(static_cast<size_t>(coupling.layers[0].groups[0])).pinned;
}

TEST(Coupling, PinsAUnitThatReachesAnOutput) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 3).Dropout(0.1).LastStep();
  EXPECT_EQ(PinOf(builder), "reaches output 'last_step0.out'");
}

TEST(Coupling, PinsAUnitThatASoftmaxReads) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 3).Activation(Op::kSoftmax).Gemm(2);
  EXPECT_EQ(PinOf(builder), "is read by softmax0, which mixes all features");
}

TEST(Coupling, PinsUnitsThatLayerNormalizationReads) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 3).Activation(Op::kTanh).LayerNorm().Gemm(2);
  EXPECT_EQ(PinOf(builder),
            "is read by layer_norm0, whose mean and variance are over all features");
}

TEST(Coupling, TellsTheUnitsOfAProjectionFromThoseOfTheCell) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kLstmPeepholeCell, 5, {Direction::kForward, 0.0, 2}).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  ASSERT_EQ(coupling.layers.size(), 2u);
  EXPECT_EQ(coupling.layers[0].name(), "lstm_peephole0");
  EXPECT_EQ(coupling.layers[1].name(), "lstm_peephole0_projection");
  const int32_t unit = coupling.layers[0].groups.at(3);
  const int32_t feature = coupling.layers[1].groups.at(1);
  const auto& weights = coupling.weights;
  EXPECT_EQ(PositionsOf(weights.at("lstm_peephole0.weight_hh").rows, unit),
            (Positions{3, 8, 13, 18}));
  EXPECT_EQ(PositionsOf(weights.at("lstm_peephole0.weight_hh").cols, feature), (Positions{1}));
  EXPECT_EQ(PositionsOf(weights.at("lstm_peephole0.weight_hr").rows, feature), (Positions{1}));
  EXPECT_EQ(PositionsOf(weights.at("lstm_peephole0.weight_hr").cols, unit), (Positions{3}));
  EXPECT_EQ(PositionsOf(weights.at("lstm_peephole0.weight_peephole").rows, unit),
            (Positions{3, 8, 13}));
  EXPECT_EQ(PositionsOf(weights.at("gemm0.weight").cols, feature), (Positions{1}));
  EXPECT_EQ(PositionsOf(coupling.states.at("lstm_peephole0.c"), unit), (Positions{3}));
  EXPECT_EQ(PositionsOf(coupling.states.at("lstm_peephole0.h"), feature), (Positions{1}));
}

TEST(Coupling, JoinsADecoderToWhatItStartsFrom) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  const std::string encoder = builder.Recurrent(CellKind::kLstmCell, 4).LastStep().value();
  const std::string c = builder.Gemm(4).value();
  builder.From("x").Recurrent(CellKind::kLstmCell, 4, {Direction::kForward, 0.0, 0, {encoder, c}});
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Gemm(1).Finish())));
  const int32_t unit = coupling.layers.at(0).groups.at(2);
  EXPECT_EQ(coupling.layers.at(1).groups.at(2), unit);
  EXPECT_EQ(coupling.groups[static_cast<size_t>(unit)].units.size(), 2u);
  EXPECT_EQ(PositionsOf(coupling.weights.at("gemm0.weight").rows, unit), (Positions{2}));
  EXPECT_FALSE(coupling.states.contains("lstm1.h"));
}

TEST(Coupling, JoinsADecoderToTheUnitsWhoseEndCItStartsFrom) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  const std::string encoder =
      builder.Recurrent(CellKind::kLstmCell, 4, {Direction::kForward, 0.0, 2}).value();
  const std::string c = builder.EndC().value();
  const std::string h = builder.From(encoder).LastStep().value();
  builder.From("x").Recurrent(CellKind::kLstmCell, 4, {Direction::kForward, 0.0, 2, {h, c}});
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Gemm(1).Finish())));
  ASSERT_EQ(coupling.layers.size(), 4u);
  EXPECT_EQ(coupling.layers[2].groups, coupling.layers[0].groups);  // c
  EXPECT_EQ(coupling.layers[3].groups, coupling.layers[1].groups);  // projected h
  EXPECT_NE(coupling.layers[0].groups[0], coupling.layers[1].groups[0]);
}

TEST(Coupling, PinsUnitsWhoseEndCIsAnOutput) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kLstmCell, 3).EndC();
  EXPECT_EQ(PinOf(builder), "reaches output 'lstm0.end_c'");
}

// The Gemm's one row goes with a unit of the layer that is added to it.
TEST(Coupling, RefusesToEmptyAGemm) {
  Rng rng(4);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  const std::string below = builder.Recurrent(CellKind::kLstmCell, 3).value();
  const std::string both = builder.Gemm(1).Concat(below).value();
  builder.Recurrent(CellKind::kGruCell, 4).Add(both).Gemm(2);
  const Graph graph = ValueOrDie(builder.Finish());
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  Keep keep(coupling.groups.size(), 1);
  const auto row = static_cast<size_t>(coupling.weights.at("gemm0.weight").rows[0]);
  ASSERT_EQ(coupling.groups[row].units.size(), 1u);
  keep[row] = 0;
  ExpectError(ValidateKeep(coupling, keep), Code::kInvalidArgument,
              {"gemm0: at least 1 feature expected to stay, 0 of 1 found"});
  BalanceUnits(coupling, std::vector<float>(keep.size(), 1.0f), 1, &keep);
  EXPECT_OK(ValidateKeep(coupling, keep));
  EXPECT_EQ(keep[row], 1);
}

TEST(Coupling, RefusesToEmptyASlice) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 4).Slice(1, 2).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  Keep keep(coupling.groups.size(), 1);
  keep[static_cast<size_t>(coupling.layers[0].groups[1])] = 0;
  EXPECT_OK(ValidateKeep(coupling, keep));
  keep[static_cast<size_t>(coupling.layers[0].groups[2])] = 0;
  ExpectError(ValidateKeep(coupling, keep), Code::kInvalidArgument,
              {"slice0: at least 1 feature expected to stay, 0 of 2 found"});
}

TEST(Coupling, PinsAUnitThatIsAddedToAnInput) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 3).Add("x").Gemm(2);
  EXPECT_EQ(PinOf(builder), "is a feature of input 'x'");
}

TEST(Coupling, RefusesKeepSetsThatLeaveNoGraph) {
  Rng rng(1);
  GraphBuilder builder("g", kInput, &rng);
  builder.Recurrent(CellKind::kGruCell, 2, {Direction::kBidirectional, 0.0}).Gemm(2);
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  const auto without = [&](std::vector<int32_t> groups) {
    Keep keep(coupling.groups.size(), 1);
    for (const int32_t group : groups) keep[static_cast<size_t>(group)] = 0;
    return ValidateKeep(coupling, keep);
  };
  const auto& forward = coupling.layers[0].groups;
  const auto& reverse = coupling.layers[1].groups;
  EXPECT_OK(without({forward[1], reverse[0]}));
  ExpectError(without({forward[1]}), Code::kInvalidArgument, {"gru0", "1 and 2 found"});
  ExpectError(without({forward[0], forward[1], reverse[0], reverse[1]}), Code::kInvalidArgument,
              {"gru0", "at least 1 unit"});
  ExpectError(without({coupling.weights.at("gemm0.weight").rows[0]}), Code::kInvalidArgument,
              {"no hidden unit"});
  ExpectError(ValidateKeep(coupling, {}), Code::kInvalidArgument, {"0 found"});
}

TEST(Coupling, JoinsTheColumnsOfATiedTableWithWhatItsGemmReads) {
  Rng rng(1);
  GraphBuilder builder("text", {"x", {Element::kI32, Layout::kSequence, 6}}, &rng);
  builder.Embedding(4).Recurrent(CellKind::kLstmCell, 4).TiedGemm("embedding0");
  const Coupling coupling = ValueOrDie(FindCoupling(ValueOrDie(builder.Finish())));
  const int32_t unit = coupling.layers.at(0).groups.at(2);
  EXPECT_EQ(PositionsOf(coupling.weights.at("embedding0.weight").cols, unit), Positions{2});
  EXPECT_EQ(PositionsOf(coupling.weights.at("lstm0.weight_ih").cols, unit), Positions{2});
  EXPECT_EQ(PositionsOf(coupling.weights.at("lstm0.weight_hh").cols, unit), Positions{2});
  EXPECT_EQ(coupling.groups.at(static_cast<size_t>(unit)).pinned, "");
  const WeightAxes& table = coupling.weights.at("embedding0.weight");
  EXPECT_EQ(table.rows, coupling.weights.at("gemm0.bias").rows);
  for (const int32_t row : table.rows) {
    EXPECT_THAT(coupling.groups.at(static_cast<size_t>(row)).pinned,
                ::testing::HasSubstr("embedding0.weight"));
  }
}

}  // namespace
}  // namespace espalier
