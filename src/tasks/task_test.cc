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
  dataset.labels = std::move(labels);
  return dataset;
}

TEST(ScoreOf, CountsWhatWasTakenForWhat) {
  const Score score = ScoreOf({0, 1, 1, 1}, Labels({0, 0, 1, 1}, 2));
  EXPECT_EQ(score.metric, 0.75);
  EXPECT_EQ(score.class_metric, (std::vector<double>{0.5, 1.0}));
  EXPECT_EQ(score.confusion, (std::vector<std::vector<int64_t>>{{1, 1}, {0, 2}}));
}

TEST(ScoreOf, CountsNoPredictionAsWrong) {
  const Score score = ScoreOf({-1, 0}, Labels({0, 0}, 2));
  EXPECT_EQ(score.metric, 0.5);
  EXPECT_EQ(score.class_metric[0], 0.5);
  EXPECT_EQ(score.confusion[0], (std::vector<int64_t>{1, 0}));
}

TEST(ScoreOf, IsZeroForAClassWithoutSequences) {
  const Score score = ScoreOf({0}, Labels({0}, 2));
  EXPECT_EQ(score.class_metric[1], 0.0);
}

}  // namespace
}  // namespace espalier
