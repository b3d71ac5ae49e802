#include "pipeline/plan_text.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

struct Plan {
  std::string text;
  nlohmann::json json;
};

Plan PlanOf(const std::string& stages, const std::string& model = "lstm: 24, last_step, gemm: 10") {
  const Recipe recipe = ValueOrDie(
      ParseRecipe("{task: mnist-rows, model: [" + model + "], stages: [" + stages + "]}"));
  const std::vector<PlannedStage> planned = ValueOrDie(DryRun(recipe));
  return {PlanText(recipe, planned), nlohmann::json::parse(PlanJson(recipe, planned))};
}

void ExpectParts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << part << text;
}

TEST(PlanText, ListsEveryStageWithWhatItDoes) {
  const Plan plan = PlanOf(
      "train: {name: dense, epochs: 6}, prune: {name: units, granularity: unit, sparsity: 0.5, "
      "epochs: 3, schedule: {end_epoch: 2, every_steps: 20}, distillation: {stage: dense}}, "
      "compact, "
      "prune: {name: slots, criterion: taylor, granularity: slot_8x8, per: gate, sparsity: 0.75}, "
      "compile: {measure: false, weight_type: bf16}, evaluate: {exit: {confidence: 0.9}}, bench",
      "lstm: 32, last_step, gemm: 10");
  ExpectParts(
      plan.text,
      {"dense (train): 6 epochs", "adam",
       "units (prune): unit by magnitude, uniform per tensor, 50.00 % in all; cubic from "
       "epoch 0 to 2",
       "every 20 steps; 3 epochs", "distilled from dense, weight 0.5",
       "looks at 256 training sequences", "compact (compact): ",
       "slots (prune): slot_8x8 by taylor, uniform per gate, 75.00 % in all; at once; no "
       "training",
       "lstm0.weight_hh[o] 16x16: 75.00 %", "compile (compile): bf16, all formats, the smallest",
       "evaluate (evaluate): the test split, also with early exit at a confidence of 90.0 %",
       "bench (bench): 200 repetitions", "Bytes are those of the smallest encoding"});
  ASSERT_EQ(plan.json.size(), 7u);
  EXPECT_EQ(plan.json[0].at("kind"), "train");
  EXPECT_EQ(plan.json[0].at("nonzeros"), 4 * 32 * (28 + 32 + 2) + 330);
  EXPECT_EQ(plan.json[3].at("parameters").at("criterion"), "taylor");
  EXPECT_EQ(plan.json[3].at("sparsity"), 0.75);
  EXPECT_EQ(plan.json[3].at("certainty"), "exact");
  EXPECT_LT(plan.json[3].at("bytes"), plan.json[2].at("bytes"));
  EXPECT_FALSE(plan.json[6].contains("bytes"));
}

// As in recipes/roles/ltlp.yaml: the first stage may have taken more of f, g and o than nothing,
// and more than 0.9 of i.
TEST(PlanText, SaysAtMostAfterWhatOnlyTheTrainedWeightsSay) {
  const Plan plan = PlanOf(
      "train, prune: {name: a, per: gate, allocation: threshold, sparsity: 0.8, weights: "
      "'*.weight_hh', epochs: 1}, prune: {name: b, sparsity: {lstm0.weight_hh: {i: 0.9}}}");
  ExpectParts(plan.text, {"as much as the trained weights say", "by the trained weights",
                          "weight_hh[i] 24x24: at least 90.00 %", "[f] 24x24: not cut; how much",
                          "leaves at most "});
  const nlohmann::json& first = plan.json[1];
  EXPECT_TRUE(first.at("sparsity").is_null());
  EXPECT_TRUE(first.at("nonzeros").is_null());
  EXPECT_EQ(first.at("at_most").at("nonzeros"), plan.json[0].at("nonzeros")) << "or nothing goes";
  const nlohmann::json& second = plan.json[2];
  EXPECT_TRUE(second.at("sparsity").is_null());
  EXPECT_TRUE(second.at("pools").at("lstm0.weight_hh[f]").is_null());
  EXPECT_EQ(second.at("at_least").at("lstm0.weight_hh[i]"), 0.9);
  EXPECT_TRUE(second.at("bytes").is_null());
}

// As in recipes/roles/dyntrim.yaml.
TEST(PlanText, SaysAtMostWhereUnitsMayDieOfNoise) {
  const Plan plan = PlanOf(
      "train, prune: {name: a, allocation: threshold, threshold: 0, epochs: 1, regularizers: "
      "[{name: "
      "sparse_vd, strength: 1, granularity: unit}]}, compact, prune: {name: b, granularity: "
      "slot_8x8, sparsity: 0.9}");
  ExpectParts(plan.text, {"as much as the trained weights say: what scores below 0; ",
                          "sparse_vd of strength 1 over unit",
                          "lstm0.weight_hh at most 96x24: at least 90.00 %"});
  for (const int stage : {1, 2, 3}) EXPECT_TRUE(plan.json[stage].at("bytes").is_null()) << stage;
  EXPECT_TRUE(PlanOf("train: {regularizers: [{name: hard_concrete, strength: 0.1, granularity: "
                     "unit}]}, prune: {granularity: unit, sparsity: 0.5}")
                  .json[1]
                  .at("bytes")
                  .is_null());
}

TEST(PlanText, SaysWhatASearchTries) {
  const Plan plan = PlanOf(
      "train, prune: {weights: '*.weight_hh', search: {sparsities: [0.5, 0.75], within: "
      "0.01}}");
  ExpectParts(plan.text, {"the highest of 50.00 %, 75.00 % that loses at most 1.00 % of the "
                          "validation metric",
                          "lstm0.weight_hh 96x24: by the trained weights", "leaves at most "});
  EXPECT_TRUE(plan.json[1].at("sparsity").is_null());
  EXPECT_EQ(plan.json[1].at("at_most").at("nonzeros"), plan.json[0].at("nonzeros"));
}

TEST(PlanText, SaysWhatTheBudgetOfASearchIs) {
  ExpectParts(PlanOf("train: {name: dense}, prune: {search: {sparsities: [0.5, 0.75], bytes: 0.25, "
                     "time: 0.5, against: dense}}")
                  .text,
              {"loses at most 1.00 % of the validation metric, none above the first that leaves at "
               "most 25.00 % of the bytes and 50.00 % of the time, against dense"});
}

TEST(PlanText, SaysThatAStageMayHaveNothingToCut) {
  const Plan plan = PlanOf(
      "train, prune: {name: a, search: {sparsities: [0.9, 0.95], within: 0.01}}, "
      "prune: {name: b, sparsity: 0.8}");
  ExpectParts(plan.text, {"b (prune): element by magnitude, uniform per tensor, at least 80.00 % "
                          "in all, of which stages before may have cut all"});
}

TEST(PlanText, SaysAboutWhereARankingSharesOut) {
  const Plan plan = PlanOf("train, prune: {allocation: global, sparsity: 0.9}");
  ExpectParts(plan.text,
              {"90.00 % in all", "lstm0.weight_hh 96x24: by the trained weights", "leaves about "});
  EXPECT_EQ(plan.json[1].at("sparsity"), 0.9);
  EXPECT_EQ(plan.json[1].at("certainty"), "about");
}

// As in recipes/icu-mortality-delta.yaml and recipes/speech-keywords-skip.yaml.
TEST(PlanText, SaysRulesPenaltiesAndWhichThresholdsAreLookedFor) {
  const Plan plan = PlanOf(
      "train: {name: dense, clip_norm: 1, weight_decay: 0.01, dropout: 0.25, random_prefix: 0.5}, "
      "train: {name: budget, dynamic: [{name: delta, layers: [gru0], x: 0.2, h: 0.1}, {name: "
      "skip}], update_penalty: 0.5, delta_penalty: 0.1, send_penalty: 0.02}, "
      "thresholds: {scale: own, loss: 0.004, layers: '*'}, "
      "compile: {batched_rows: 1}, evaluate: {exit: {confidence: 0.9, hold: 3, every: 5}}",
      "gru: 24, last_step, dropout: 0.5, gemm: 10");
  ExpectParts(
      plan.text,
      {"clip_norm 1", "weight_decay 0.01", "dropout 0.25 in the place of the model's",
       "random_prefix 0.5, the share of the sequences that are cut",
       "delta in gru0 (x 0.2, h 0.1, bank 1); skip in *;",
       "update_penalty 0.5 on the share of updates", "delta_penalty 0.1 on the changes of h",
       "send_penalty 0.02 on the share of x and h that is sent",
       "thresholds (thresholds): thresholds of delta in gru0, in proportion to those that "
       "layers have; those of the least work that lose at most 0.40 % of the validation "
       "metric",
       "the fastest by measured times, in single steps",
       "at a confidence of 90.0 % at 3 looks in a row, one every 5 steps"});
  EXPECT_EQ(plan.json[2].at("layers"), nlohmann::json({"gru0"}));
  EXPECT_EQ(plan.json[1].at("parameters").at("update_penalty"), 0.5);
}

TEST(PlanText, SaysHowThresholdsAreFound) {
  const auto text = [](const std::string& thresholds, const std::string& rules = "") {
    return PlanOf("train: {dynamic: [" + rules + "]}, thresholds: {" + thresholds + "}",
                  "gru: 24, gru: 24, last_step, gemm: 10")
        .text;
  };
  ExpectParts(
      text("sent: 0.3"),
      {"delta in gru0 gru1, in proportion to the changes of x and h, fitted to the loss; the "
       "smallest that send at most 30.00 % of the columns"});
  ExpectParts(text("multiply_adds: 0.5, scale: common, layers: gru1"),
              {"delta in gru1, the same everywhere; the smallest that do at most 50.00 % of the "
               "multiply-adds"});
  ExpectParts(text("rows: 0.4, method: predicted, predictor: 8"),
              {"epsilons of predicted in gru0 gru1, the same everywhere, predictors of 8; the "
               "smallest that run at most 40.00 % of the rows"});
  ExpectParts(text("loss: 0.01", "{name: skip}"),
              {"no thresholds to find: skipping stays if it loses at most 1.00 % of the validation "
               "metric"});
}

TEST(PlanText, SaysAllOfRegularizers) {
  ExpectParts(PlanOf("train: {regularizers: [{name: targeted_dropout, strength: 0.5, share: 0.75, "
                     "granularity: unit, weights: '*.weight_hh', warmup_epochs: 2}]}")
                  .text,
              {"targeted_dropout of strength 0.5 over unit of *.weight_hh, share 75 %, from 0 over "
               "2 epochs"});
}

TEST(PlanText, ShowsNothingThatIsNot0As0) {
  const Plan plan = PlanOf(
      "train: {regularizers: [{name: targeted_dropout, strength: 0.5, share: 0.0004, "
      "warmup_epochs: 0.002}]}, prune: {sparsity: 0.5, epochs: 1, schedule: {begin_epoch: 0.0001, "
      "end_epoch: 0.75, regrow: {criterion: random, fraction: 0.001}}}, "
      "prune: {name: more, search: {sparsities: [0.5, 0.75], within: 0.00002}}");
  ExpectParts(plan.text,
              {"share 0.04 %, from 0 over 0.002 epochs", "from epoch 0.0001 to 0.75",
               "regrowing 0.1 % by random", "loses at most 0.002 % of the validation metric"});
}

}  // namespace
}  // namespace espalier
