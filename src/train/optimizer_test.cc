#include "train/optimizer.h"

#include <cmath>

#include "base/rng.h"
#include "testing/testing.h"

namespace espalier {
namespace {

std::vector<float> RandomVector(size_t size, Rng* rng) {
  std::vector<float> values(size);
  for (float& value : values) value = static_cast<float>(rng->Normal());
  return values;
}

// Algorithm 1 of Kingma and Ba 2015, in double, one element at a time.
TEST(Optimizer, TakesAdamsSteps) {
  constexpr size_t kSize = 13;
  Rng rng(1);
  const OptimizerOptions options;
  std::vector<float> weights = RandomVector(kSize, &rng);
  std::vector<double> expected(weights.begin(), weights.end());
  std::vector<double> m(kSize, 0.0), v(kSize, 0.0);
  Optimizer optimizer(options, kSize);
  for (int t = 1; t <= 20; ++t) {
    const std::vector<float> gradient = RandomVector(kSize, &rng);
    optimizer.Step(0.01, 0.5, gradient, weights);
    for (size_t i = 0; i < kSize; ++i) {
      const double g = 0.5 * static_cast<double>(gradient[i]);
      m[i] = options.beta1 * m[i] + (1.0 - options.beta1) * g;
      v[i] = options.beta2 * v[i] + (1.0 - options.beta2) * g * g;
      expected[i] -= 0.01 * (m[i] / (1.0 - std::pow(options.beta1, t))) /
                     (std::sqrt(v[i] / (1.0 - std::pow(options.beta2, t))) + options.epsilon);
    }
  }
  for (size_t i = 0; i < kSize; ++i) EXPECT_NEAR(weights[i], expected[i], 2e-6) << i;
}

// With the numbers that each weight has had since averaging began, or since it came back.
TEST(Optimizer, AveragesEachWeightSinceItWasLastDropped) {
  constexpr size_t kSize = 6;
  Rng rng(4);
  OptimizerOptions options;
  options.kind = OptimizerKind::kAsgd;
  std::vector<float> weights = RandomVector(kSize, &rng);
  std::vector<std::vector<double>> seen(kSize);
  Optimizer optimizer(options, kSize);
  for (int t = 0; t < 30; ++t) {
    std::vector<float> gradient = RandomVector(kSize, &rng);
    if (t == 5) optimizer.StartAveraging();
    const bool is_dropped = t >= 12 && t < 20;  // weight 2
    if (t == 12) {
      optimizer.Mask(std::vector<float>{1.0f, 1.0f, 0.0f, 1.0f, 1.0f, 1.0f});
      weights[2] = 0.0f;
      seen[2].clear();
    }
    if (is_dropped) gradient[2] = 0.0f;
    std::vector<float> before = weights;
    optimizer.Step(0.1, 0.5, gradient, weights);
    optimizer.Accumulate(weights);
    for (size_t i = 0; i < kSize; ++i) {
      EXPECT_NEAR(weights[i], before[i] - 0.05f * gradient[i], 1e-6);
      if (t >= 5 && !(i == 2 && is_dropped)) seen[i].push_back(static_cast<double>(weights[i]));
    }
    std::vector<float> averaged = weights;
    optimizer.Average(averaged);
    for (size_t i = 0; i < kSize; ++i) {
      double sum = 0.0;
      for (const double weight : seen[i]) sum += weight;
      const double expected = seen[i].empty() ? static_cast<double>(weights[i])
                                              : sum / static_cast<double>(seen[i].size());
      EXPECT_NEAR(static_cast<double>(averaged[i]), expected, 1e-5) << t << " " << i;
    }
  }
  EXPECT_EQ(seen[2].size(), 10u);
}

TEST(Optimizer, AveragesWhatTheStepLeavesAndNothingOfBeforeARestart) {
  OptimizerOptions options;
  options.kind = OptimizerKind::kAsgd;
  Optimizer optimizer(options, 2);
  optimizer.StartAveraging();
  std::vector<float> weights = {1.0f, 1.0f};
  const auto step = [&](float projected) {
    optimizer.Step(0.1, 1.0, std::vector<float>{1.0f, 1.0f}, weights);
    weights[1] = projected;
    optimizer.Accumulate(weights);
  };
  step(0.5f);
  step(0.0f);  // the projection drops it
  std::vector<float> averaged = weights;
  optimizer.Average(averaged);
  EXPECT_NEAR(averaged[0], 0.85f, 1e-6);
  EXPECT_EQ(averaged[1], 0.0f);
  optimizer.RestartAverages();
  EXPECT_TRUE(optimizer.averages());
  step(0.25f);
  averaged = weights;
  optimizer.Average(averaged);
  EXPECT_EQ(averaged, weights);
}

TEST(Optimizer, AveragesOnceValidationIsWorseThanLongBefore) {
  const OptimizerOptions options = {.kind = OptimizerKind::kAsgd, .average_after = 2};
  const auto is_time = [&](std::vector<double> losses, OptimizerKind kind) {
    std::vector<TrainEpoch> epochs;
    for (const double loss : losses) epochs.emplace_back().valid_loss = loss;
    OptimizerOptions asked = options;
    asked.kind = kind;
    return IsTimeToAverage(asked, epochs);
  };
  EXPECT_FALSE(is_time({3.0, 2.0, 4.0}, OptimizerKind::kAsgd)) << "too early";
  EXPECT_TRUE(is_time({3.0, 2.0, 2.5, 3.5}, OptimizerKind::kAsgd));
  EXPECT_FALSE(is_time({3.0, 1.0, 2.0, 2.5}, OptimizerKind::kAsgd)) << "1.0 is not long ago";
  EXPECT_TRUE(is_time({3.0, 1.0, 2.0, 2.5, 2.4}, OptimizerKind::kAsgd));
  EXPECT_FALSE(is_time({3.0, 2.0, 2.5, 3.5}, OptimizerKind::kSgd));
}

class SgdTest : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Nesterov, SgdTest, ::testing::Bool());

TEST_P(SgdTest, TakesTheStepsOfSutskeverAsPyTorchWritesThem) {
  constexpr size_t kSize = 9;
  Rng rng(2);
  OptimizerOptions options;
  options.kind = OptimizerKind::kSgd;
  options.nesterov = GetParam();
  std::vector<float> weights = RandomVector(kSize, &rng);
  std::vector<double> expected(weights.begin(), weights.end());
  std::vector<double> velocity(kSize, 0.0);
  Optimizer optimizer(options, kSize);
  for (int t = 0; t < 20; ++t) {
    const std::vector<float> gradient = RandomVector(kSize, &rng);
    optimizer.Step(0.01, 1.0, gradient, weights);
    for (size_t i = 0; i < kSize; ++i) {
      const auto g = static_cast<double>(gradient[i]);
      velocity[i] = options.momentum * velocity[i] + g;
      expected[i] -= 0.01 * (options.nesterov ? g + options.momentum * velocity[i] : velocity[i]);
    }
  }
  for (size_t i = 0; i < kSize; ++i) EXPECT_NEAR(weights[i], expected[i], 2e-6) << i;
}

TEST(Optimizer, ForgetsTheMomentsOfMaskedWeights) {
  Rng rng(3);
  for (const OptimizerKind kind : {OptimizerKind::kAdam, OptimizerKind::kSgd}) {
    OptimizerOptions options;
    options.kind = kind;
    Optimizer optimizer(options, 4);
    std::vector<float> weights = {1.0f, 2.0f, 3.0f, 4.0f};
    optimizer.Step(0.1, 1.0, RandomVector(4, &rng), weights);
    const std::vector<float> keep = {1.0f, 0.0f, 1.0f, 0.0f};
    optimizer.Mask(keep);
    weights[1] = weights[3] = 0.0f;
    for (int t = 0; t < 5; ++t) {
      std::vector<float> gradient = RandomVector(4, &rng);
      MaskedNorm(keep, gradient);
      optimizer.Step(0.1, 1.0, gradient, weights);
    }
    EXPECT_EQ(weights[1], 0.0f);
    EXPECT_EQ(weights[3], 0.0f);
    EXPECT_NE(weights[0], 0.0f);
  }
}

// Element 1 moves, is dropped for a step, and comes back. From then on it moves as one
// that was never touched.
TEST(Optimizer, LetsAWeightComeBackWithoutItsOldMoments) {
  for (const OptimizerKind kind : {OptimizerKind::kAdam, OptimizerKind::kSgd}) {
    OptimizerOptions options;
    options.kind = kind;
    Optimizer optimizer(options, 2);
    Optimizer untouched(options, 2);
    std::vector<float> weights = {1.0f, 2.0f};
    std::vector<float> expected = {1.0f, 0.0f};
    optimizer.Step(0.1, 1.0, std::vector<float>{1.0f, -1.0f}, weights);
    untouched.Step(0.1, 1.0, std::vector<float>{1.0f, 0.0f}, expected);
    optimizer.Mask(std::vector<float>{1.0f, 0.0f});
    weights[1] = 0.0f;
    optimizer.Step(0.1, 1.0, std::vector<float>{0.5f, 0.0f}, weights);
    untouched.Step(0.1, 1.0, std::vector<float>{0.5f, 0.0f}, expected);
    for (int t = 0; t < 3; ++t) {
      optimizer.Step(0.1, 1.0, std::vector<float>{0.2f, 0.3f}, weights);
      untouched.Step(0.1, 1.0, std::vector<float>{0.2f, 0.3f}, expected);
    }
    EXPECT_EQ(weights, expected);
    EXPECT_LT(weights[1], 0.0f);
  }
}

TEST(MaskedNorm, CountsOnlyWhatIsKept) {
  std::vector<float> gradient = {3.0f, 100.0f, 4.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 12.0f};
  const std::vector<float> keep = {1, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_DOUBLE_EQ(MaskedNorm(keep, gradient), 13.0);
  EXPECT_EQ(gradient[1], 0.0f);
}

TEST(MaskedNorm, IsFiniteForTheLargestFloats) {
  std::vector<float> gradient = {3e38f, 3e38f};
  EXPECT_TRUE(std::isfinite(MaskedNorm({}, gradient)));
}

}  // namespace
}  // namespace espalier
