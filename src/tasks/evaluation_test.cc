#include "tasks/evaluation.h"

#include <cmath>

#include "testing/testing.h"

namespace espalier {
namespace {

Dataset TwoTargets() {
  Dataset dataset;
  dataset.metric = kMeanSquaredError;
  dataset.target_size = 2;
  dataset.offsets = {0, 1, 2};
  dataset.targets = {1, 2, 3, 4};
  return dataset;
}

TEST(Scorer, MeasuresTheErrorsOfARegression) {
  const Dataset dataset = TwoTargets();
  Scorer scorer(dataset);
  scorer.Add(1, std::vector<float>{3, 1});
  scorer.Add(0, std::vector<float>{2, 2});
  const Evaluation evaluation = scorer.Finish();
  EXPECT_DOUBLE_EQ(evaluation.loss, 10.0 / 4.0);
  EXPECT_DOUBLE_EQ(evaluation.metric, 10.0 / 4.0);
  EXPECT_DOUBLE_EQ(evaluation.mean_absolute_error, 4.0 / 4.0);
  EXPECT_EQ(evaluation.outputs, (std::vector<float>{2, 2, 3, 1}));
  EXPECT_TRUE(evaluation.predictions.empty());
  EXPECT_TRUE(evaluation.confusion.empty());
}

TEST(Scorer, TakesLogitsAndProbabilitiesForTheSame) {
  Dataset dataset;
  dataset.classes = 2;
  dataset.offsets = {0, 1};
  dataset.labels = {0};
  Scorer logits(dataset, Scorer::Form::kLogits, Scorer::Keep::kOutputs);
  logits.Add(0, std::vector<float>{std::log(3.0f), 0});
  const Evaluation by_logits = logits.Finish();
  Scorer shares(dataset, Scorer::Form::kProbabilities);
  shares.Add(0, std::vector<float>{0.75f, 0.25f});
  const Evaluation by_shares = shares.Finish();
  EXPECT_NEAR(by_logits.loss, -std::log(0.75), 1e-6);
  EXPECT_NEAR(by_shares.loss, by_logits.loss, 1e-6);
  EXPECT_EQ(by_logits.predictions, std::vector<int32_t>{0});
  EXPECT_EQ(by_logits.metric, 1.0);
  EXPECT_EQ(by_logits.outputs.size(), 2u);
  EXPECT_TRUE(by_shares.outputs.empty());
}

}  // namespace
}  // namespace espalier
