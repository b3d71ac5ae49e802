#include "pipeline/dry_run.h"

#include <algorithm>

#include "base/strings.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

Result<std::vector<PlannedStage>> PlannedAll(const std::string& model, const std::string& stages) {
  return DryRun(ValueOrDie(
      ParseRecipe("{task: mnist-rows, model: [" + model + "], stages: [" + stages + "]}")));
}

// The prune stages.
Result<std::vector<PlannedStage>> Planned(const std::string& model, const std::string& stages) {
  ESPALIER_ASSIGN_OR_RETURN(std::vector<PlannedStage> all, PlannedAll(model, stages));
  std::erase_if(all, [](const PlannedStage& stage) { return stage.kind != StageKind::kPrune; });
  return all;
}

Status DryRunOf(const std::string& model, const std::string& stages) {
  return Planned(model, stages).status();
}

constexpr char kModel[] = "lstm: 24, last_step, gemm: 10";
constexpr char kTwoLayers[] = "lstm: 24, lstm: 24, last_step, gemm: 10";

TEST(DryRun, PassesWhatFits) {
  EXPECT_OK(DryRunOf(kModel,
                     "train, prune: {name: a, granularity: unit, sparsity: 0.3}, compact, "
                     "prune: {name: b, granularity: slot_8x8, sparsity: 0.5, epochs: 3}, compile"));
}

TEST(DryRun, RefusesEarlyEndsThatCannotBe) {
  EXPECT_OK(DryRunOf(kModel, "train: {random_prefix: 0.5}, compile, evaluate: {exit: {hold: 2}}"));
  ExpectError(DryRunOf("lstm: {hidden: 8, direction: bidirectional}, last_step, gemm: 10",
                       "train, compile, evaluate: {exit: {hold: 2}}"),
              Code::kInvalidArgument, {"stages[2].evaluate", "exit", "reverse direction"});
  const auto text = [](const std::string& stages) {
    return DryRun(ValueOrDie(ParseRecipe("{task: lm-words, model: [embedding: 4, lstm: 4, "
                                         "tied_gemm], stages: [" +
                                         stages + "]}")))
        .status();
  };
  ExpectError(text("train: {random_prefix: 0.5}"), Code::kInvalidArgument,
              {"stages[0].train", "random_prefix", "lm-words"});
  ExpectError(text("train, compile, evaluate: {exit: {hold: 2}}"), Code::kInvalidArgument,
              {"stages[2].evaluate", "exit", "lm-words"});
}

TEST(DryRun, SaysWhatTheGatesThatWeightsNameWillLose) {
  const std::vector<PlannedStage> stages =
      ValueOrDie(Planned(kModel,
                         "train, prune: {weights: ['lstm0.weight_hh[f]'], sparsity: 0.5}, prune: "
                         "{name: b, weights: lstm0.weight_hh, per: gate, sparsity: 0.5}"));
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0].per, "gate");
  ASSERT_EQ(stages[0].pools.size(), 1u);
  EXPECT_EQ(stages[0].pools[0].name, "lstm0.weight_hh[f]");
  EXPECT_EQ(stages[0].pools[0].sparsity, 0.5);
  EXPECT_EQ(stages[0].nonzeros - stages[1].nonzeros, 3 * 24 * 24 / 2);
}

TEST(DryRun, RefusesBiasesThatAreNotThere) {
  const std::string model = "lstm: {hidden: 24, projection: 8}, last_step, gemm: 10";
  ExpectError(DryRunOf(model, "train, prune: {weights: '*.weight_hr', reconstruct: bias}"),
              Code::kInvalidArgument, {"stages[1].prune", "reconstruct", "lstm0.weight_hr"});
  EXPECT_OK(DryRunOf(model, "train, prune: {reconstruct: bias}"));
}

TEST(DryRun, NamesTheFirstTensorWhoseFloorIsMoreThanItMayKeep) {
  ExpectError(DryRunOf(kModel, "train, prune: {allocation: global, sparsity: 0.9, floor: 0.5}"),
              Code::kInvalidArgument,
              {"stages[1].prune", "floor", "1 - sparsity", "0.5 found",
               "lstm0.weight_hh keeps 1152 of 2304 weights and not 231"});
}

TEST(DryRun, SaysWhatEachTensorAndGateWillLose) {
  const std::vector<PlannedStage> stages = ValueOrDie(
      Planned(kModel,
              "train, prune: {name: a, sparsity: {lstm0.weight_ih: 0.5, lstm0.weight_hh: {f: "
              "0.25, o: 0.75}}}, prune: {name: b, granularity: unit, sparsity: 0.5}, prune: {name: "
              "c, allocation: lamp}"));
  ASSERT_EQ(stages.size(), 3u);
  EXPECT_EQ(stages[0].allocation, "given");
  EXPECT_EQ(stages[0].per, "gate");
  ASSERT_EQ(stages[0].pools.size(), 8u);
  EXPECT_EQ(stages[0].pools[1].name, "lstm0.weight_hh[f]");
  EXPECT_EQ(stages[0].pools[1].sparsity, 0.25);
  EXPECT_EQ(stages[0].pools[2].sparsity, 0.0);
  EXPECT_EQ(stages[0].pools[4].sparsity, 0.5);
  EXPECT_EQ(stages[1].pools[0].name, "lstm0");
  EXPECT_EQ(stages[1].pools[0].sparsity, 0.5);
  EXPECT_EQ(stages[2].pools[0].sparsity, -1.0);
  EXPECT_EQ(stages[2].sparsity, 0.9);
}

TEST(DryRun, CountsWhatErkGivesEachTensor) {
  const PlannedStage stage =
      ValueOrDie(Planned(kModel, "train, prune: {name: a, allocation: erk, sparsity: 0.8}"))[0];
  double kept = 0.0, size = 0.0;
  for (const PlannedPool& pool : stage.pools) {
    const auto weights = static_cast<double>(pool.rows * pool.cols);
    kept += (1.0 - pool.sparsity) * weights;
    size += weights;
  }
  EXPECT_NEAR(kept, 0.2 * size, 1.0);
  EXPECT_GT(stage.pools[1].sparsity, stage.pools[0].sparsity);  // 96x28 and 96x24
}

TEST(DryRun, RefusesASparsityAtWhichATensorDies) {
  ExpectError(DryRunOf(kModel, "train, prune: {granularity: row, per: gate, sparsity: 0.99}"),
              Code::kInvalidArgument, {"stages[1].prune", "lstm0.weight_hh[i]", "row"});
}

TEST(DryRun, LeavesToTheWeightsWhatAThresholdCuts) {
  const PlannedStage stage = ValueOrDie(Planned(
      kModel,
      "train, prune: {epochs: 2, allocation: threshold, threshold: 0, granularity: gate_row, "
      "regularizers: [{name: proximal_group_lasso, strength: 0.1}]}"))[0];
  EXPECT_EQ(stage.sparsity, -1.0);
  EXPECT_EQ(stage.pools[0].sparsity, -1.0);
}

TEST(DryRun, SaysWhatTheNetworkWillBe) {
  const std::vector<PlannedStage> stages = ValueOrDie(
      Planned(kModel,
              "train, prune: {name: a, granularity: unit, sparsity: 0.5}, compact, prune: {name: "
              "b, sparsity: 0.75}, prune: {name: c, epochs: 1, allocation: threshold, threshold: "
              "0.1}"));
  ASSERT_EQ(stages.size(), 3u);
  // LSTM of 12 units over 28 features, Gemm of 10; two biases.
  const int64_t matrices = 48 * (28 + 12) + 10 * 12;
  EXPECT_EQ(stages[0].multiply_adds, matrices);
  EXPECT_EQ(stages[1].multiply_adds, 48 * (28 + 12) / 4 + 10 * 12);
  EXPECT_EQ(stages[0].nonzeros - stages[1].nonzeros, 48 * (28 + 12) * 3 / 4);
  EXPECT_GT(stages[0].bytes, 4 * matrices);
  EXPECT_LT(stages[1].bytes, stages[0].bytes * 3 / 4);
  EXPECT_EQ(stages[0].certainty, Certainty::kExact);
  EXPECT_EQ(stages[1].certainty, Certainty::kExact);
  EXPECT_EQ(stages[2].certainty, Certainty::kAtMost) << "the weights say";
  EXPECT_EQ(stages[2].bytes, stages[1].bytes);
  EXPECT_EQ(stages[2].multiply_adds, stages[1].multiply_adds);
}

TEST(DryRun, RefusesATeacherOfStatesThatAreNotThere) {
  ExpectError(DryRunOf("mean_over_time, gemm: 10",
                       "train, prune: {epochs: 2, weights: ['*'], distillation: {stage: train, "
                       "hidden: 0.1}}"),
              Code::kInvalidArgument,
              {"stages[1].prune", "distillation.hidden: a recurrent layer"});
}

TEST(DryRun, RefusesRegularizersWithoutPieces) {
  ExpectError(DryRunOf(kModel,
                       "train, prune: {epochs: 2, granularity: slot_8x8, sparsity: 0.5, "
                       "regularizers: [{name: proximal_group_lasso, strength: 0.1}]}"),
              Code::kInvalidArgument,
              {"stages[1].prune", "regularizer proximal_group_lasso", "slot_8x8 found"});
  ExpectError(DryRunOf(kModel,
                       "train: {regularizers: [{name: dropout, strength: 0.1, granularity: "
                       "embedding_row}]}"),
              Code::kInvalidArgument, {"stages[0].train", "regularizer dropout", "Embedding"});
  ExpectError(DryRunOf(kModel,
                       "train, prune: {epochs: 2, allocation: threshold, threshold: 0.1, "
                       "schedule: {name: iterative}}"),
              Code::kInvalidArgument, {"stages[1].prune", "ramps thresholds", "iterative found"});
}

TEST(DryRun, RefusesARampThatStartsAboveWhereItEnds) {
  ExpectError(DryRunOf(kModel,
                       "train, prune: {epochs: 2, sparsity: {lstm0.weight_ih: 0.9, "
                       "lstm0.weight_hh: 0.1}, schedule: {initial_sparsity: 0.8}}"),
              Code::kInvalidArgument, {"stages[1].prune", "initial_sparsity"});
}

TEST(DryRun, RefusesANetworkThatIsNoneForTheTask) {
  ExpectError(
      DryRunOf("lstm: 24, gemm: 10", "train"), Code::kInvalidArgument,
      {"model", "a label at each step expected for output 'gemm0.out'", "one for each sequence"});
  ExpectError(DryRunOf("lstm: 24, last_step, gemm: 5", "train"), Code::kInvalidArgument,
              {"model", "5 classes expected", "10 found"});
}

Status ForecastDryRun(const std::string& stages) {
  return DryRun(ValueOrDie(ParseRecipe("{task: 'forecast:2:variables=3', model: [lstm: 24, "
                                       "last_step, gemm: 6], stages: [" +
                                       stages + "]}")))
      .status();
}

TEST(DryRun, RefusesAnExitByWhatAreNoLogits) {
  ExpectError(DryRunOf("gru: 24, last_step, gemm: 10, sigmoid",
                       "train, compile, evaluate: {exit: {confidence: 0.9}}"),
              Code::kInvalidArgument, {"exit", "logits or softmax"});
}

TEST(DryRun, RefusesWhatOnlyClassesHaveInARegression) {
  EXPECT_OK(
      ForecastDryRun("train, prune: {name: a, epochs: 1, distillation: {stage: train}}, compile"));
  ExpectError(ForecastDryRun("train, compile, evaluate: {exit: {confidence: 0.9}}"),
              Code::kInvalidArgument, {"exit", "classes", "forecast"});
  ExpectError(ForecastDryRun("train, prune: {name: a, epochs: 1, label_smoothing: 0.1}"),
              Code::kInvalidArgument, {"stages[1].prune", "label_smoothing", "regression"});
  ExpectError(
      ForecastDryRun(
          "train, prune: {name: a, epochs: 1, distillation: {stage: train, temperature: 4}}"),
      Code::kInvalidArgument, {"stages[1].prune", "distillation.temperature", "4 found"});
}

TEST(DryRun, NamesTheStageThatDoesNotFit) {
  ExpectError(DryRunOf(kModel, "train, prune: {weights: [nope]}"), Code::kInvalidArgument,
              {"stages[1].prune", "nope"});
  ExpectError(DryRunOf(kModel, "train, prune: {granularity: slot_7x3}"), Code::kInvalidArgument,
              {"stages[1].prune", "slot_7x3"});
}

TEST(DryRun, RefusesWhatHasNothingToActOn) {
  const std::string dropped = "lstm: 24, dropout: 0.1, last_step, gemm: 10";
  ASSERT_OK(DryRunOf(dropped, "train, prune: {sparsity: 0, epochs: 1, dropout: 0.3}"));
  ExpectError(DryRunOf(kModel, "train, prune: {sparsity: 0, epochs: 1, dropout: 0.3}"),
              Code::kInvalidArgument, {"stages[1].prune", "dropout", "0.3 found"});
  ExpectError(DryRunOf(kModel, "train: {noise_draws: 2}"), Code::kInvalidArgument,
              {"stages[0].train", "noise_draws", "2 found"});
  for (const char* penalty : {"send_penalty", "update_penalty", "delta_penalty"}) {
    ExpectError(DryRunOf(kModel, StrCat("train: {", penalty, ": 2}")), Code::kInvalidArgument,
                {"stages[0].train", penalty, "2 found"});
  }
  // A regularizer without noise has none to draw.
  ExpectError(
      DryRunOf(kModel, "train: {noise_draws: 2, regularizers: [{name: group_lasso, strength: 1}]}"),
      Code::kInvalidArgument, {"stages[0].train", "noise_draws", "2 found"});
}

TEST(DryRun, HoldsWhatComesBackAgainstTheWeights) {
  ExpectError(DryRunOf(kModel,
                       "train, prune: {sparsity: 0.5, epochs: 2, weights: '*', schedule: {regrow: "
                       "{criterion: jacobian}}}"),
              Code::kInvalidArgument, {"stages[1].prune", "schedule.regrow", "gemm0.weight"});
  ExpectError(DryRunOf(kModel,
                       "train, prune: {sparsity: 0.5, epochs: 2, schedule: {name: one_shot, "
                       "end_epoch: 0, regrow: {criterion: random}}}"),
              Code::kInvalidArgument, {"stages[1].prune", "schedule.regrow", "more than once"});
}

TEST(DryRun, SaysHowManyUnitsGo) {
  const auto planned =
      ValueOrDie(Planned(kModel, "train, prune: {granularity: unit, sparsity: 0.4, multiple: 8}"));
  EXPECT_NEAR(planned[0].pools[0].sparsity, 8.0 / 24.0, 1e-9);
  ExpectError(DryRunOf(kModel, "train, prune: {granularity: unit, sparsity: 0.3, multiple: 8}"),
              Code::kInvalidArgument, {"stages[1].prune", "sparsity", "0.3", "a multiple of 8"});
}

TEST(DryRun, RefusesARankingThatAsksForLessThanIsGone) {
  const std::string first = "train, prune: {name: a, sparsity: 0.9}, ";
  ExpectError(DryRunOf(kModel, first + "prune: {name: b, allocation: global, sparsity: 0.5}"),
              Code::kInvalidArgument, {"stages[2].prune", "90.0 % of all", "50.0 % found"});
  ASSERT_OK(DryRunOf(kModel, first + "prune: {name: b, allocation: global, sparsity: 0.95}"));
}

// Rows of gates lie in two matrices.
TEST(DryRun, RefusesFewerRowsOfGatesThanAreGone) {
  const std::string first = "train, prune: {name: a, granularity: gate_row, sparsity: 0.75}, ";
  ExpectError(DryRunOf(kModel, first + "prune: {name: b, granularity: gate_row, sparsity: 0.5}"),
              Code::kInvalidArgument, {"stages[2].prune", "75.0 % of lstm0", "50.0 % found"});
  ASSERT_OK(DryRunOf(kModel, first + "prune: {name: b, granularity: gate_row, sparsity: 0.875}"));
}

// lstm0 has 24 units: 96 rows, of which each gate keeps one.
TEST(DryRun, SaysWhatAShareComesToThatLeavesFewerPiecesThanGates) {
  const auto stage = [](const std::string& prune) {
    return ValueOrDie(Planned(kModel, "train, prune: " + prune)).at(0);
  };
  const PlannedStage rows =
      stage("{granularity: gate_row, sparsity: 0.98, weights: [\"lstm0.*\"]}");
  EXPECT_DOUBLE_EQ(rows.pools.at(0).sparsity, 1.0 - 4.0 / 96.0);
  EXPECT_DOUBLE_EQ(rows.sparsity, 1.0 - 4.0 / 96.0);
  const PlannedStage two =
      stage("{granularity: row, sparsity: {lstm0.weight_ih: 0.5, lstm0.weight_hh: 0.98}}");
  for (const PlannedPool& pool : two.pools) {
    EXPECT_DOUBLE_EQ(pool.sparsity, pool.name == "lstm0.weight_hh" ? 1.0 - 4.0 / 96.0 : 0.5)
        << pool.name;
  }
}

TEST(DryRun, RefusesAShareOfATensorBesideAGate) {
  for (const char* what :
       {"weights: 'lstm0.weight_hh[f]'", "sparsity: {lstm0.weight_hh: {f: 0.5}}"})
    ExpectError(DryRunOf(kModel, StrCat("train, prune: {per: tensor, ", what, "}")),
                Code::kInvalidArgument,
                {"stages[1].prune", "per: gate expected", "'lstm0.weight_hh[f]'", "tensor found"});
}

TEST(DryRun, RefusesFewerUnitsThanAreGone) {
  const std::string first = "train, prune: {name: a, granularity: unit, sparsity: 0.75}, ";
  ExpectError(DryRunOf(kModel, first + "prune: {name: b, granularity: unit, sparsity: 0.5}"),
              Code::kInvalidArgument, {"stages[2].prune", "75.0 % of lstm0", "50.0 % found"});
  ASSERT_OK(DryRunOf(kModel, first + "prune: {name: b, granularity: unit, sparsity: 0.8}"));
}

TEST(DryRun, RefusesThresholdsWhereNoLayerCanHaveThem) {
  ExpectError(
      DryRunOf(kModel, "train: {dynamic: [{name: banks, size: 4}]}, thresholds: {loss: 0.1}"),
      Code::kInvalidArgument, {"stages[1].thresholds", "delta expected", "none found"});
}

// Units that a predictor reads can go; nothing is fitted for it.
TEST(DryRun, TakesUnitsBelowALayerWithPredictedRows) {
  const std::string rule =
      "train: {dynamic: [{name: predicted, layers: ['gru*'], predictor: 4}]}, ";
  const std::string units = "prune: {name: a, granularity: unit, weights: [";
  EXPECT_OK(DryRunOf("lstm: 24, gru: 8, last_step, gemm: 10",
                     rule + units + "'lstm0.*'], sparsity: 0.5}, compact"));
  ExpectError(DryRunOf("lstm: 24, gru: 8, last_step, gemm: 10",
                       rule + units + "'gru0.*'], sparsity: 0.5}, compact"),
              Code::kUnsupported, {"stages[1].prune", "gru0", "predicts rows"});
}

TEST(DryRun, HoldsAFixedSparsityWhereShapesAreOpen) {
  ASSERT_OK(DryRunOf(kTwoLayers,
                     "train, prune: {name: a, granularity: unit, allocation: global, sparsity: "
                     "0.5}, compact, prune: {name: b, granularity: nm_16x4x2, sparsity: "
                     "{'*.weight_hh': 0.5}}"));
  ExpectError(DryRunOf(kTwoLayers,
                       "train, prune: {name: a, granularity: unit, allocation: global, sparsity: "
                       "0.5}, compact, prune: {name: b, granularity: nm_16x4x2, sparsity: 0.9}"),
              Code::kInvalidArgument, {"stages[3].prune", "sparsity", "nm_16x4x2", "0.9 found"});
  ExpectError(DryRunOf(kTwoLayers,
                       "train, prune: {name: a, granularity: unit, allocation: global, sparsity: "
                       "0.5}, compact, prune: {name: b, granularity: embedding_row}"),
              Code::kInvalidArgument, {"stages[3].prune", "Embedding"});
}

// Strips of 64 rows fit the 96 of 24 units, and not the 48 of the 12 that stay.
TEST(DryRun, LooksAtTheNetworkThatAStageWouldGet) {
  ExpectError(DryRunOf(kModel,
                       "train, prune: {name: a, granularity: unit, sparsity: 0.5}, compact, "
                       "prune: {name: b, granularity: slot_64x8}"),
              Code::kInvalidArgument, {"stages[3].prune", "slot_64x8"});
}

TEST(DryRun, RefusesThresholdsOfALayerThatCannotHaveThem) {
  ASSERT_OK(DryRunOf(kModel, "train, thresholds: {loss: 0.01}"));
  ExpectError(DryRunOf(kModel, "train, thresholds: {loss: 0.01, layers: gru9}"),
              Code::kInvalidArgument, {"stages[1].thresholds", "gru9", "lstm0"});
  ExpectError(DryRunOf("last_step, gemm: 10", "train, thresholds: {loss: 0.01}"),
              Code::kInvalidArgument, {"stages[1].thresholds", "a recurrent layer expected"});
}

// Of two layers a ranking shares units out by the trained weights: 24 of 48 stay.
constexpr char kOpen[] =
    "train, prune: {name: a, granularity: unit, allocation: global, sparsity: 0.5}, compact, ";

// Shapes are then known to nobody, names and criteria are.
TEST(DryRun, GoesOnWhereTheTrainedWeightsDecideTheShapes) {
  const auto planned =
      ValueOrDie(Planned(kTwoLayers, StrCat(kOpen, "prune: {name: b, granularity: slot_64x8}")));
  ASSERT_EQ(planned.size(), 2u);
  EXPECT_EQ(planned[0].pools[0].sparsity, -1.0);
  EXPECT_EQ(planned[0].certainty, Certainty::kAtMost);
  EXPECT_EQ(planned[1].certainty, Certainty::kAtMost);
  EXPECT_LT(planned[1].nonzeros, planned[0].nonzeros / 2);
  ExpectError(DryRunOf(kTwoLayers, StrCat(kOpen, "prune: {name: b, weights: '*.nonsense'}")),
              Code::kInvalidArgument, {"stages[3].prune", "*.nonsense"});
  ExpectError(
      DryRunOf(kTwoLayers, StrCat(kOpen, "prune: {name: b, weights: '*', criterion: jacobian}")),
      Code::kInvalidArgument, {"stages[3].prune", "jacobian", "gemm0.weight"});
}

// A ranking of one pool takes as much as equal shares: 12 of 24 units, then 2 of the 12.
TEST(DryRun, KnowsWhatARankingOfOnePoolLeaves) {
  const auto planned = ValueOrDie(
      Planned(kModel, StrCat(kOpen, "prune: {name: b, granularity: unit, sparsity: 0.2}")));
  EXPECT_EQ(planned[0].pools[0].sparsity, 0.5);
  EXPECT_EQ(planned[0].certainty, Certainty::kExact);
  EXPECT_NEAR(planned[1].pools[0].sparsity, 2.0 / 12.0, 1e-9);
  ExpectError(DryRunOf(kModel, StrCat(kOpen, "prune: {name: b, granularity: slot_64x8}")),
              Code::kInvalidArgument, {"stages[3].prune", "slot_64x8", "48 rows"});
  ExpectError(DryRunOf(kModel, StrCat(kOpen,
                                      "prune: {name: b, granularity: unit, sparsity: 0.2}, prune: "
                                      "{name: c, granularity: slot_8x8, sparsity: 0.999}")),
              Code::kInvalidArgument, {"stages[4].prune", "lstm0.weight_hh", "none found"});
  ExpectError(DryRunOf(kModel,
                       "train, prune: {name: a, granularity: unit, allocation: lamp, sparsity: "
                       "0.5}, prune: {name: b, granularity: unit, sparsity: 0.2}"),
              Code::kInvalidArgument, {"stages[2].prune", "50.0 % of lstm0", "found"});
  const auto both =
      ValueOrDie(Planned("lstm: {hidden: 24, direction: bidirectional}, last_step, gemm: 10",
                         kOpen + std::string("compile")));
  EXPECT_EQ(both[0].pools[1].sparsity, 0.5) << "directions keep equally many";
}

TEST(DryRun, HoldsLaterStagesAgainstTheMostThatMayBeLeft) {
  // Each of the two layers has at most 4 of the 5 units that stay.
  const std::string few =
      "train, prune: {name: a, granularity: unit, allocation: global, sparsity: 0.9}, ";
  const auto planned =
      ValueOrDie(Planned(kTwoLayers, few + "compact, prune: {name: b, sparsity: 0.5}"));
  EXPECT_EQ(planned[1].pools[0].rows, 16);
  for (const char* per : {"tensor", "gate"}) {
    ExpectError(DryRunOf(kTwoLayers, StrCat(few,
                                            "compact, prune: {name: b, granularity: slot_32x8, "
                                            "sparsity: 0.5, per: ",
                                            per, "}")),
                Code::kInvalidArgument,
                {"stages[3].prune", "the largest network that may be left", "slot_32x8"});
  }
  ExpectError(DryRunOf(kTwoLayers, StrCat(few,
                                          "compact, prune: {name: b, granularity: unit, multiple: "
                                          "8, sparsity: 0.5}")),
              Code::kInvalidArgument, {"stages[3].prune", "multiple: at most 4", "8 found"});
  ExpectError(DryRunOf(kTwoLayers, StrCat(few,
                                          "compact, prune: {name: b, epochs: 1, sparsity: 0.5, "
                                          "schedule: {name: iterative, rewind: train}}")),
              Code::kInvalidArgument, {"stages[3].prune", "schedule.rewind", "'train'"});
  // How many rows a gate has, and so what divides them, is not known.
  EXPECT_OK(DryRunOf(kTwoLayers, StrCat(kOpen,
                                        "prune: {name: b, granularity: slot_8x8, per: gate, "
                                        "sparsity: 0.5}")));
  EXPECT_OK(DryRunOf(kTwoLayers, StrCat(kOpen,
                                        "prune: {name: b, granularity: unit, multiple: 8, "
                                        "sparsity: 0.3}")));
}

TEST(DryRun, RefusesASearchOfWhichOneSparsityDoesNotFit) {
  const std::string stage = "train, prune: {granularity: slot_8x8, search: {sparsities: [0.5, ";
  EXPECT_OK(DryRunOf(kModel, stage + "0.9]}}"));
  ExpectError(DryRunOf(kModel, stage + "0.999]}}"), Code::kInvalidArgument,
              {"stages[1].prune", "search", "none found at sparsity 0.999"});
}

TEST(DryRun, HoldsLaterStagesAgainstWhatIsGoneInAll) {
  const std::string units =
      "train, prune: {name: a, granularity: unit, allocation: global, sparsity: 0.5}, ";
  ExpectError(DryRunOf(kTwoLayers, units + "prune: {name: b, granularity: unit, sparsity: 0.2}"),
              Code::kInvalidArgument, {"stages[2].prune", "50.0 % of all hidden units", "found"});
  EXPECT_OK(DryRunOf(kTwoLayers, units + "prune: {name: b, granularity: unit, sparsity: 0.6}"));
  const std::string ranked = "train, prune: {name: a, allocation: global, sparsity: 0.9}, ";
  ExpectError(DryRunOf(kModel, ranked + "prune: {name: b, sparsity: 0.5}"), Code::kInvalidArgument,
              {"stages[2].prune", "90.0 % of all that is cut", "50.0 % found"});
  // Of one of the two tensors less may be gone.
  EXPECT_OK(DryRunOf(kModel, ranked + "prune: {name: b, weights: '*.weight_hh', sparsity: 0.8}"));
}

// The criterion itself, its schedule and what it needs, not those of a stand-in.
TEST(DryRun, LooksAtTheCriterionAndTheScheduleOfTheStage) {
  const auto refuses = [](const std::string& stage, const std::vector<std::string>& parts) {
    std::vector<std::string> all = parts;
    all.emplace_back("stages[1].prune");
    ExpectError(DryRunOf(kModel, "train, prune: {" + stage + "}"), Code::kInvalidArgument, all);
  };
  refuses("criterion: jacobian, weights: '*', epochs: 1", {"jacobian", "gemm0.weight"});
  for (const char* criterion : {"momentum", "movement"}) {
    refuses(
        StrCat("criterion: ", criterion, ", epochs: 1, schedule: {name: one_shot, end_epoch: 0}"),
        {criterion, "a schedule that cuts after the first step"});
  }
  refuses("granularity: bank_4, epochs: 2, schedule: {regrow: {criterion: random}}",
          {"schedule.regrow", "bank"});
  refuses("granularity: unit, sparsity: 0.5, epochs: 2, schedule: {regrow: {criterion: random}}",
          {"schedule.regrow", "unit"});
  refuses("criterion: taylor, allocation: threshold, sparsity: 0.5, epochs: 1",
          {"threshold: a number expected", "taylor"});
  ExpectError(DryRunOf("lstm: 8, conv1d: {outputs: 4, kernel_size: 3}, last_step, gemm: 10",
                       "train, prune: {criterion: jacobian, granularity: unit, weights: '*', "
                       "sparsity: 0.5}"),
              Code::kInvalidArgument, {"stages[1].prune", "jacobian", "unit 0 of conv1d0"});
  ASSERT_OK(DryRunOf("lstm: {hidden: 8, projection: 4}, last_step, gemm: 10",
                     "train, prune: {criterion: jacobian, sparsity: 0.5}"));
  ASSERT_OK(DryRunOf(kModel, "train, prune: {criterion: jacobian, sparsity: 0.5}"));
  ASSERT_OK(
      DryRunOf(kModel, "train, prune: {criterion: jacobian, granularity: unit, sparsity: 0.5}"));
  ASSERT_OK(DryRunOf(kModel, "train, prune: {criterion: movement, epochs: 1}"));
}

TEST(DryRun, RefusesARewindToOtherShapes) {
  ExpectError(DryRunOf(kModel,
                       "train: {name: dense}, prune: {name: a, granularity: unit, sparsity: 0.5}, "
                       "compact, prune: {name: b, epochs: 1, schedule: {rewind: dense}}"),
              Code::kInvalidArgument, {"stages[3].prune", "schedule.rewind", "'dense'", "10x24"});
  ASSERT_OK(DryRunOf(
      kModel, "train: {name: dense}, prune: {name: b, epochs: 1, schedule: {rewind: dense}}"));
}

TEST(DryRun, RefusesAStageThatAsksForLessThanIsGone) {
  const std::string first = "train, prune: {name: a, sparsity: 0.9}, ";
  ExpectError(DryRunOf(kModel, first + "prune: {name: b, granularity: slot_8x4, sparsity: 0.5}"),
              Code::kInvalidArgument,
              {"stages[2].prune", "sparsity", "90.0 % of lstm0.weight_hh", "50.0 % found"});
  ASSERT_OK(DryRunOf(kModel, first + "prune: {name: b, granularity: slot_8x4, sparsity: 0.9}"));
  ASSERT_OK(DryRunOf(kModel, first + "train: {name: again, keep_zeros: false}, prune: {name: b, "
                                     "granularity: slot_8x4, sparsity: 0.5}"));
}

// The units of lstm0 are one with the statistics of a layer norm.
TEST(DryRun, RefusesALayerOfWhichNoUnitCanGo) {
  const std::string model = "lstm: 8, layer_norm, lstm: 8, last_step, gemm: 10";
  ExpectError(DryRunOf(model, "train, prune: {granularity: unit, sparsity: 0.5}"),
              Code::kUnsupported, {"stages[1].prune", "of lstm0", "choose other layers"});
  ASSERT_OK(
      DryRunOf(model, "train, prune: {granularity: unit, sparsity: 0.5, weights: ['lstm1.*']}"));
}

}  // namespace
}  // namespace espalier
