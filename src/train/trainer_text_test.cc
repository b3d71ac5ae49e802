// Training on text: a label at each step, a tied table, and a metric of which less is better.
#include <algorithm>
#include <cmath>

#include "model/build.h"
#include "testing/testing.h"
#include "train/autograd.h"
#include "train/statistics.h"
#include "train/trainer.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr int64_t kWords = 6;
constexpr ValueType kIds = {Element::kI32, Layout::kSequence, kWords};

// Windows of 1 to 9 words of a text in which a word is followed by the next one or the one after
// it.
Dataset MakeText(int64_t windows, uint64_t seed) {
  Rng rng(seed);
  Dataset text;
  text.input = kIds;
  text.classes = kWords;
  text.labelled = Layout::kSequence;
  text.metric = kPerplexity;
  text.offsets = {0};
  int32_t word = 0;
  for (int64_t i = 0; i < windows; ++i) {
    const int64_t length = 1 + static_cast<int64_t>(rng.Below(9));
    for (int64_t t = 0; t < length; ++t) {
      text.ids.push_back(word);
      word = static_cast<int32_t>((word + 1 + static_cast<int32_t>(rng.Below(2))) % kWords);
      text.labels.push_back(word);
    }
    text.offsets.push_back(text.offsets.back() + length);
  }
  return text;
}

class TrainerTextTest : public ::testing::Test {
 protected:
  TrainerTextTest() {
    Rng rng(3);
    GraphBuilder builder("text", {"x", kIds}, &rng);
    builder.Embedding(8).Recurrent(CellKind::kLstmCell, 8).TiedGemm("embedding0");
    job_.graph = ValueOrDie(builder.Finish());
    job_.train = &train_;
    job_.valid = &valid_;
    options_.epochs = 10;
    options_.batch_size = 16;
    options_.learning_rate.peak = 0.02;
  }

  const Dataset train_ = MakeText(200, 1);
  const Dataset valid_ = MakeText(60, 2);
  TrainJob job_;
  TrainOptions options_;
};

// Two words are equally likely, so no network is in doubt among fewer.
TEST_F(TrainerTextTest, LearnsWhichWordsMayFollow) {
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_LT(result.epochs.back().valid_metric, 2.1);
  EXPECT_GT(result.epochs.back().valid_metric, 1.95);
  EXPECT_NEAR(std::log(result.epochs.back().valid_metric), result.epochs.back().valid_loss, 1e-12);
}

// The rows of a tied embedding are looked up, too, so they stay; the bias of the Gemm makes up for
// the mean of what it lost: W[:, 3] mean(h_3).
TEST_F(TrainerTextTest, ReconstructsTheBiasOfATiedEmbedding) {
  const Graph& dense = job_.graph;
  const std::string table = "embedding0.weight";
  MaskSet masks;
  Mask& mask = masks[table] = Mask({kWords, 8});
  for (size_t row = 0; row < kWords; ++row) mask.keep[row * 8 + 3] = 0;
  TensorStore weights = dense.weights;
  ASSERT_TRUE(ApplyMasks(masks, &weights).ok());
  const Tensor masked = weights.at(table);
  CalibrationOptions options;
  options.sequences = train_.size();
  ASSERT_TRUE(Reconstruct(dense, train_, options, masks, &weights).ok());
  EXPECT_EQ(weights.at(table), masked);
  double sum = 0.0;
  int64_t steps = 0;
  for (int64_t i = 0; i < train_.size(); ++i) {
    LabelledBatch batch;
    MakeBatch(train_, std::vector<int64_t>{i}, &batch);
    StateSet states = ZeroStates(dense, 1);
    const MatrixInputFn look = [&](const std::string& weight, int64_t, std::span<double> x) {
      if (weight != table) return;
      sum += x[3];
      ++steps;
    };
    ASSERT_TRUE(RunReference(dense, batch.batch, &states, look).ok());
  }
  for (size_t row = 0; row < kWords; ++row) {
    const double lost =
        double{dense.weights.at(table).values[row * 8 + 3]} * sum / static_cast<double>(steps);
    EXPECT_NEAR(double{weights.at("gemm0.bias").values[row]} -
                    double{dense.weights.at("gemm0.bias").values[row]},
                lost, 1e-6);
  }
}

TEST_F(TrainerTextTest, ReturnsTheEpochOfTheLowestPerplexity) {
  options_.epochs = 30;
  options_.patience = 2;
  options_.learning_rate.peak = 0.1;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  ASSERT_EQ(result.stopped, StopReason::kNoImprovement);
  const Evaluation evaluation = ValueOrDie(Evaluate(result.graph, valid_, {}));
  EXPECT_DOUBLE_EQ(evaluation.metric,
                   result.epochs[static_cast<size_t>(result.best_epoch - 1)].valid_metric);
  for (const TrainEpoch& epoch : result.epochs) EXPECT_GE(epoch.valid_metric, evaluation.metric);
}

// Both places that read the table add to its gradient, and steps past a length to none.
TEST_F(TrainerTextTest, HasTheGradientOfBothReadersOfTheTable) {
  const auto autograd = ValueOrDie(Autograd::Create(job_.graph));
  LabelledBatch batch;
  MakeBatch(train_, std::vector<int64_t>{0, 1, 2, 3}, &batch);
  ASSERT_LT(batch.label_count, static_cast<int64_t>(batch.labels.size()));
  const auto loss = [&] {
    return ValueOrDie(autograd->LossAndGradient(batch, LossOptions(), nullptr));
  };
  loss();
  const std::vector<float> gradient(autograd->gradient().begin(), autograd->gradient().end());
  ASSERT_EQ(autograd->slices()[0].name, "embedding0.weight");
  for (size_t i = 0; i < autograd->slices()[0].size; i += 5) {
    constexpr float kStep = 1e-2f;
    float& weight = autograd->weights()[i];
    const float before = weight;
    weight = before + kStep;
    const double above = loss();
    weight = before - kStep;
    const double below = loss();
    weight = before;
    EXPECT_NEAR((above - below) / (2.0 * kStep), gradient[i], 2e-4) << i;
  }
}

TEST_F(TrainerTextTest, WeighsEveryStepTheSame) {
  const Evaluation whole = ValueOrDie(Evaluate(job_.graph, valid_, {.batch_size = 7}));
  const Evaluation one = ValueOrDie(Evaluate(job_.graph, valid_, {.batch_size = 1}));
  EXPECT_NEAR(whole.loss, one.loss, 1e-6);
  ASSERT_EQ(whole.predictions.size(), valid_.labels.size());
  EXPECT_EQ(whole.predictions, one.predictions);
  double sum = 0.0;
  for (int64_t i = 0; i < valid_.size(); ++i) {
    Dataset alone = valid_;
    const int64_t first = valid_.offsets[static_cast<size_t>(i)];
    const int64_t length = valid_.length(i);
    alone.offsets = {0, length};
    alone.ids.assign(valid_.ids.begin() + first, valid_.ids.begin() + first + length);
    alone.labels.assign(valid_.labels.begin() + first, valid_.labels.begin() + first + length);
    sum += ValueOrDie(Evaluate(job_.graph, alone, {})).loss * static_cast<double>(length);
  }
  EXPECT_NEAR(whole.loss, sum / static_cast<double>(valid_.labels.size()), 1e-6);
}

TEST_F(TrainerTextTest, DistilsOverTheStepsThatHaveALabel) {
  const Graph teacher = ValueOrDie(Train(job_, options_, {})).graph;
  job_.distillation.teacher = &teacher;
  job_.distillation.weight = 1.0;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_LT(result.epochs.back().valid_metric, 2.1);
}

TEST_F(TrainerTextTest, RefusesANetworkWithOneLabelASequence) {
  Rng rng(3);
  GraphBuilder builder("text", {"x", kIds}, &rng);
  builder.Embedding(8).Recurrent(CellKind::kLstmCell, 8).LastStep().TiedGemm("embedding0");
  job_.graph = ValueOrDie(builder.Finish());
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"training set: a label for each sequence expected", "'gemm0.out'", "f32 [B, 6]",
               "one at each step found"});
}

}  // namespace
}  // namespace espalier
