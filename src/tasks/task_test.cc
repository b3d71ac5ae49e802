#include "tasks/task.h"

#include <cmath>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;

TEST(FindTask, SuggestsTheNearestName) {
  ExpectError(FindTask("mnist-row").status(), Code::kInvalidArgument,
              {"mnist-row", "did you mean 'mnist-rows'"});
}

TEST(ArgMax, TakesTheLowestOfEqualValues) {
  const float row[] = {1, 3, 3};
  EXPECT_EQ(ArgMax(row, 3), 1);
}

TEST(ArgMax, IsNoneIfAValueIsNan) {
  const float row[] = {1, std::nanf(""), 3};
  EXPECT_EQ(ArgMax(row, 3), -1);
}

Dataset Labels(std::vector<int32_t> labels, int64_t classes) {
  Dataset dataset;
  dataset.classes = classes;
  for (size_t i = 0; i <= labels.size(); ++i) dataset.offsets.push_back(static_cast<int64_t>(i));
  dataset.labels = std::move(labels);
  return dataset;
}

TEST(ScoreOf, CountsWhatWasTakenForWhat) {
  const Score score = ScoreOf({0, 1, 1, 1}, {1, 1, 1, 1}, 0.0, Labels({0, 0, 1, 1}, 2));
  EXPECT_EQ(score.metric, 0.75);
  EXPECT_EQ(score.class_metric, (std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(score.confusion, (std::vector<std::vector<int64_t>>{{1, 1}, {0, 2}}));
}

TEST(ScoreOf, CountsNoPredictionAsWrong) {
  const Score score = ScoreOf({-1, 0}, {0, 1}, 0.0, Labels({0, 0}, 2));
  EXPECT_EQ(score.metric, 0.5);
  EXPECT_EQ(score.class_metric[0], 0.5);
  EXPECT_EQ(score.confusion[0], (std::vector<int64_t>{1, 0}));
}

TEST(ScoreOf, IsZeroForAClassWithoutSequences) {
  const Score score = ScoreOf({0}, {1}, 0.0, Labels({0}, 2));
  EXPECT_EQ(score.class_metric[1], 0.0);
}

TEST(ScoreOf, IsThePerplexityOfTheLossWhereThatIsTheMetric) {
  Dataset dataset = Labels({0, 1}, 2);
  dataset.metric = kPerplexity;
  const Score score = ScoreOf({0, 0}, {1, 1}, std::log(5.0), dataset);
  EXPECT_DOUBLE_EQ(score.metric, 5.0);
  EXPECT_TRUE(score.class_metric.empty());
  EXPECT_TRUE(score.confusion.empty());
}

Dataset Roc(std::vector<int32_t> labels) {
  Dataset dataset = Labels(std::move(labels), 2);
  dataset.metric = kAuroc;
  return dataset;
}

// Leads of class 1: -2, 1 (of class 0) and 1, 3 (of class 1): of four pairs three are won and one
// is a tie.
TEST(ScoreOf, IsTheShareOfPairsInTheRightOrder) {
  const Score score = ScoreOf({0, 1, 1, 1}, {2, 1, 1, 3}, 0.0, Roc({0, 0, 1, 1}));
  EXPECT_EQ(score.metric, 0.875);
  EXPECT_TRUE(score.class_metric.empty());
  EXPECT_TRUE(score.confusion.empty());
  EXPECT_EQ(ScoreOf({0, 0, 1, 0}, {1, 2, 1, 3}, 0.0, Roc({1, 1, 0, 0})).metric, 0.5);
}

TEST(ScoreOf, LosesThePairsOfARowWithoutAPrediction) {
  EXPECT_EQ(ScoreOf({0, -1, 1, 1}, {2, 0, 1, 3}, 0.0, Roc({0, 0, 1, 1})).metric, 0.5);
  EXPECT_EQ(ScoreOf({0, 0, -1, 1}, {2, 1, 0, 3}, 0.0, Roc({0, 0, 1, 1})).metric, 0.5);
}

TEST(ScoreOf, SaysNothingWithoutPairs) {
  EXPECT_EQ(ScoreOf({0, 1}, {2, 1}, 0.0, Roc({1, 1})).metric, 0.5);
}

TEST(Margin, IsTheGapToTheSecondLargest) {
  const float row[] = {1, 3, 2.5f};
  EXPECT_EQ(Margin(row, 3), 0.5f);
  const float equal[] = {3, 3};
  EXPECT_EQ(Margin(equal, 2), 0.0f);
}

TEST(Margin, IsNanIfAValueIs) {
  const float row[] = {2, 2, std::nanf("")};
  EXPECT_TRUE(std::isnan(Margin(row, 3)));
}

TEST(CrossEntropy, IsTheLogarithmOfTheSoftmax) {
  const float row[] = {1000, 1000 + std::log(3.0f)};  // exp of these is no float
  EXPECT_NEAR(CrossEntropy(row, 2, 0), std::log(4.0), 1e-4);
  EXPECT_NEAR(CrossEntropy(row, 2, 1), std::log(4.0 / 3.0), 1e-4);
}

TEST(Metric, KnowsWhichValueIsBetter) {
  EXPECT_TRUE(IsBetter(kAccuracy, 0.9, 0.8));
  EXPECT_FALSE(IsBetter(kAccuracy, 0.8, 0.8));
  EXPECT_TRUE(IsBetter(kPerplexity, 80, 90));
  EXPECT_FALSE(IsBetter(kPerplexity, 90, 80));
  EXPECT_FALSE(IsBetter(kPerplexity, std::nan(""), 80));
  EXPECT_TRUE(IsBetter(kMeanSquaredError, 0.6, 0.7));
}

TEST(Metric, MindsHalfAPointOrOnePercent) {
  EXPECT_FALSE(IsClearlyWorse(kAccuracy, 0.896, 0.9));
  EXPECT_TRUE(IsClearlyWorse(kAccuracy, 0.894, 0.9));
  EXPECT_FALSE(IsClearlyWorse(kPerplexity, 100.9, 100));
  EXPECT_TRUE(IsClearlyWorse(kPerplexity, 101.1, 100));
  EXPECT_FALSE(IsClearlyWorse(kPerplexity, 50, 100));
}

TEST(Metric, IsFoundByItsName) {
  EXPECT_EQ(FindMetric("perplexity"), &kPerplexity);
  EXPECT_EQ(FindMetric("mse"), &kMeanSquaredError);
  EXPECT_EQ(FindMetric("auroc"), &kAuroc);
  EXPECT_EQ(FindMetric("F1"), nullptr);
}

TEST(AllTasks, SayWhatANetworkOfTheirsReadsAndMakes) {
  for (const TaskInfo& task : AllTasks()) {
    EXPECT_GE(task.input.features, 1) << task.name;
    EXPECT_EQ(task.output.element, Element::kF32) << task.name;
    EXPECT_EQ(FindMetric(task.metric.name) != nullptr, true) << task.name;
  }
}

}  // namespace
}  // namespace espalier
