// What the tests of the trainer share: a small learnable data set, a small network, a short
// training.
#ifndef ESPALIER_TRAIN_TRAINER_TEST_SUPPORT_H_
#define ESPALIER_TRAIN_TRAINER_TEST_SUPPORT_H_

#include <gtest/gtest.h>

#include "model/build.h"
#include "testing/testing.h"
#include "train/trainer.h"

namespace espalier {

inline const ValueType kInput = {Element::kF32, Layout::kSequence, 3};
inline constexpr int64_t kClasses = 4;

// Sequences of 2 to 7 steps around 0; the class is the place of the largest mean, or the last if
// all are negative: learnable by a small network, not trivial.
inline Dataset MakeData(int64_t count, uint64_t seed) {
  Rng rng(seed);
  Dataset data;
  data.input = kInput;
  data.classes = kClasses;
  data.offsets = {0};
  for (int64_t i = 0; i < count; ++i) {
    const int64_t length = 2 + static_cast<int64_t>(rng.Below(6));
    const auto label = static_cast<int32_t>(rng.Below(kClasses));
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t f = 0; f < kInput.features; ++f) {
        const float shift = label == kClasses - 1 ? -0.7f : (f == label ? 1.0f : 0.0f);
        data.features.push_back(shift + static_cast<float>(rng.Normal()));
      }
    }
    data.offsets.push_back(data.offsets.back() + length);
    data.labels.push_back(label);
  }
  return data;
}

inline Graph MakeGraph(double dropout, double recurrent_dropout) {
  Rng rng(7);
  GraphBuilder builder("small", {"x", kInput}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 12, {Direction::kForward, recurrent_dropout});
  builder.Dropout(dropout).Recurrent(CellKind::kGruCell, 9).LastStep().Gemm(kClasses);
  return testing::ValueOrDie(builder.Finish());
}

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() {
    job_.graph = MakeGraph(0.0, 0.0);
    job_.train = &train_;
    job_.valid = &valid_;
    options_.epochs = 3;
    options_.batch_size = 16;
    options_.learning_rate.peak = 0.01;
  }

  const Dataset train_ = MakeData(200, 1);
  const Dataset valid_ = MakeData(60, 2);
  TrainJob job_;
  TrainOptions options_;
};

}  // namespace espalier

#endif  // ESPALIER_TRAIN_TRAINER_TEST_SUPPORT_H_
