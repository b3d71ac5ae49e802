// Training for rounded matrices (TrainOptions::weight_type).
#include <cmath>
#include <numeric>

#include "train/autograd.h"
#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

bool Holds(WeightType type, const Graph& graph) {
  for (const auto& [name, weight] : graph.weights) {
    if (weight.shape.size() != 2) continue;
    const auto cols = static_cast<size_t>(weight.dim(1));
    for (size_t begin = 0; begin < weight.values.size(); begin += cols) {
      if (!HoldsRow(type, std::span(weight.values).subspan(begin, cols))) return false;
    }
  }
  return true;
}

TEST_F(TrainerTest, TrainsForRoundedMatrices) {
  options_.epochs = 12;
  options_.learning_rate.schedule = LrSchedule::kOneCycle;
  options_.weight_type = WeightType::kI8;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_TRUE(Holds(WeightType::kI8, result.graph));
  EXPECT_GT(result.epochs.back().valid_metric, 0.75);
  // What was validated is what came out.
  const Evaluation evaluation = ValueOrDie(Evaluate(result.graph, valid_, EvaluateOptions()));
  EXPECT_EQ(evaluation.metric, result.epochs.back().valid_metric);
  EXPECT_DOUBLE_EQ(evaluation.loss, result.epochs.back().valid_loss);
}

// One step of SGD: the gradient at the rounded weights moves the exact ones.
TEST_F(TrainerTest, PassesTheGradientOfRoundedMatricesStraightThrough) {
  options_.epochs = 1;
  options_.batch_size = train_.size();
  options_.optimizer.kind = OptimizerKind::kSgd;
  options_.optimizer.momentum = 0.0;
  options_.learning_rate.peak = 0.5;
  options_.weight_type = WeightType::kBf16;
  Graph rounded = job_.graph;
  for (auto& [name, weight] : rounded.weights) {
    if (weight.shape.size() == 2) RoundMatrix(WeightType::kBf16, weight.dim(1), weight.values);
  }
  const auto autograd = ValueOrDie(Autograd::Create(rounded));
  LabelledBatch batch;
  std::vector<int64_t> all(static_cast<size_t>(train_.size()));
  std::iota(all.begin(), all.end(), int64_t{0});
  MakeBatch(train_, all, &batch);
  Rng dropout(1);
  ASSERT_OK(autograd->LossAndGradient(batch, {}, &dropout));
  Graph expected = job_.graph;
  for (const WeightSlice& slice : autograd->slices()) {
    Tensor& weight = expected.weights.at(slice.name);
    for (size_t i = 0; i < slice.size; ++i) {
      weight.values[i] -= 0.5f * autograd->gradient()[slice.offset + i];
    }
    if (weight.shape.size() == 2) RoundMatrix(WeightType::kBf16, weight.dim(1), weight.values);
  }
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  for (const auto& [name, weight] : expected.weights) {
    const std::vector<float>& found = result.graph.weights.at(name).values;
    for (size_t i = 0; i < found.size(); ++i) {  // one bf16 step apart at most
      ASSERT_NEAR(found[i], weight.values[i], 0x1p-7 * std::abs(weight.values[i]) + 1e-6) << name;
    }
  }
}

TEST_F(TrainerTest, ResumesATrainingForRoundedMatricesToTheBit) {
  TempDir dir;
  options_.weight_type = WeightType::kI8;
  const TrainResult whole = ValueOrDie(Train(job_, options_, {}));
  options_.checkpoint_path = dir.path("state");
  TrainOptions first = options_;
  std::atomic<bool> cancel{false};
  int steps = 0;
  TrainHooks hooks;
  hooks.cancel = &cancel;
  hooks.on_step = [&](const TrainProgress&) { cancel = ++steps == 17; };
  EXPECT_EQ(ValueOrDie(Train(job_, first, hooks)).stopped, StopReason::kCancelled);
  options_.resume = true;
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph, whole.graph);
}

}  // namespace
}  // namespace espalier
