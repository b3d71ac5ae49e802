// Training on targets: a regression, scored by its mean squared error.
#include <cmath>

#include "model/build.h"
#include "testing/testing.h"
#include "train/autograd.h"
#include "train/trainer.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr ValueType kInput = {Element::kF32, Layout::kSequence, 2};

// Sequences of 1 to 6 steps; the target is the last step, in other order, and their sum.
Dataset MakeSeries(int64_t count, Layout labelled, uint64_t seed) {
  Rng rng(seed);
  Dataset data;
  data.input = kInput;
  data.labelled = labelled;
  data.metric = kMeanSquaredError;
  data.target_size = 3;
  data.offsets = {0};
  for (int64_t i = 0; i < count; ++i) {
    const int64_t length = 1 + static_cast<int64_t>(rng.Below(6));
    for (int64_t t = 0; t < length; ++t) {
      const float a = rng.Uniform(-1.0f, 1.0f);
      const float b = rng.Uniform(-1.0f, 1.0f);
      data.features.insert(data.features.end(), {a, b});
      const bool has_target = labelled == Layout::kSequence || t + 1 == length;
      if (has_target) data.targets.insert(data.targets.end(), {b, a, a + b});
    }
    data.offsets.push_back(data.offsets.back() + length);
  }
  return data;
}

class TrainerRegressionTest : public ::testing::TestWithParam<Layout> {
 protected:
  TrainerRegressionTest() {
    job_.graph = Network(3);
    job_.train = &train_;
    job_.valid = &valid_;
    options_.epochs = 15;
    options_.batch_size = 16;
    options_.learning_rate.peak = 0.02;
  }

  static GraphBuilder Layers(Rng* rng) {
    GraphBuilder builder("series", {"x", kInput}, rng);
    builder.Recurrent(CellKind::kLstmCell, 12);
    if (GetParam() == Layout::kVector) builder.LastStep();
    builder.Gemm(3);
    return builder;
  }
  static Graph Network(uint64_t seed) {
    Rng rng(seed);
    return ValueOrDie(Layers(&rng).Finish());
  }

  const Dataset train_ = MakeSeries(300, GetParam(), 1);
  const Dataset valid_ = MakeSeries(80, GetParam(), 2);
  TrainJob job_;
  TrainOptions options_;
};

TEST_P(TrainerRegressionTest, LearnsItsTargets) {
  options_.patience = 15;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_GT(result.epochs.front().valid_metric, 5 * result.epochs.back().valid_metric);
  for (const TrainEpoch& epoch : result.epochs) {
    EXPECT_EQ(epoch.valid_metric, epoch.valid_loss);
    EXPECT_GE(epoch.valid_metric,
              result.epochs[static_cast<size_t>(result.best_epoch - 1)].valid_metric);
  }
  const Evaluation evaluation = ValueOrDie(Evaluate(result.graph, valid_, {}));
  EXPECT_LT(evaluation.metric, 0.1);
  EXPECT_GT(evaluation.mean_absolute_error, 0.0);
  EXPECT_LT(evaluation.mean_absolute_error, std::sqrt(evaluation.metric));
  EXPECT_EQ(evaluation.outputs.size(), valid_.targets.size());
}

// The gradient is that of the loss that evaluation reports: steps without a target count for
// nothing.
TEST_P(TrainerRegressionTest, HasTheGradientOfItsLoss) {
  const auto autograd = ValueOrDie(Autograd::Create(job_.graph));
  LabelledBatch batch;
  MakeBatch(valid_, std::vector<int64_t>{0, 1, 2, 3, 4, 5}, &batch);
  const auto loss = [&] { return ValueOrDie(autograd->LossAndGradient(batch, {}, nullptr)); };
  const Dataset six = FirstOf(valid_, 6);
  EXPECT_NEAR(loss(), ValueOrDie(Evaluate(job_.graph, six, {})).loss, 1e-6);
  const std::vector<float> gradient(autograd->gradient().begin(), autograd->gradient().end());
  constexpr float kStep = 1e-2f;
  for (const WeightSlice& slice : autograd->slices()) {
    float& weight = autograd->weights()[slice.offset];
    const float exact = weight;
    weight = exact + kStep;
    const double above = loss();
    weight = exact - kStep;
    const double below = loss();
    weight = exact;
    EXPECT_NEAR((above - below) / (2.0 * static_cast<double>(kStep)), gradient[slice.offset], 1e-4)
        << slice.name;
  }
}

// The student sees targets of the other sign.
TEST_P(TrainerRegressionTest, DrawsAStudentToItsTeacher) {
  const Graph teacher = ValueOrDie(Train(job_, options_, {})).graph;
  Dataset other = train_;
  for (float& target : other.targets) target = -target;
  job_.graph = Network(5);
  job_.train = &other;
  job_.valid = nullptr;
  const auto error = [&](double weight) {
    job_.distillation = {&teacher, weight};
    return ValueOrDie(Evaluate(ValueOrDie(Train(job_, options_, {})).graph, valid_, {})).metric;
  };
  EXPECT_LT(error(1.0), 0.1);
  EXPECT_GT(error(0.0), 1.0);
}

TEST_P(TrainerRegressionTest, RefusesWhatOnlyClassesHave) {
  options_.label_smoothing = 0.1;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"label_smoothing", "regression", "0.1 found"});
  options_.label_smoothing = 0.0;
  options_.random_prefix = 0.5;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"random_prefix", "0.5 found"});
  options_.random_prefix = 0.0;
  job_.distillation = {&job_.graph, 0.5, 3.0};
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"distillation.temperature", "regression", "3 found"});
  job_.distillation = {};
  Rng rng(3);
  job_.graph = ValueOrDie(Layers(&rng).Activation(Op::kSoftmax).Finish());
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"training set", "no softmax expected for a regression"});
}

TEST_P(TrainerRegressionTest, RefusesTargetsOfAnotherSize) {
  Dataset two = train_;
  two.target_size = 2;
  two.targets.resize(train_.targets.size() / 3 * 2);
  job_.train = &two;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"3 numbers in a target expected", "2 found"});
}

INSTANTIATE_TEST_SUITE_P(AtTheEndAndAtEachStep, TrainerRegressionTest,
                         ::testing::Values(Layout::kVector, Layout::kSequence));

}  // namespace
}  // namespace espalier
