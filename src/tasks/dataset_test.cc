#include "tasks/dataset.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;

// `count` sequences of length 1 to `longest`; every feature of sequence i is i + its step / 100.
Dataset Ragged(int64_t count, int64_t longest, uint64_t seed) {
  Rng rng(seed);
  Dataset dataset;
  dataset.input = {Element::kF32, Layout::kSequence, 3};
  dataset.classes = 4;
  dataset.offsets = {0};
  for (int64_t i = 0; i < count; ++i) {
    const auto length = static_cast<int64_t>(rng.Below(static_cast<uint64_t>(longest))) + 1;
    for (int64_t t = 0; t < length; ++t) {
      dataset.features.insert(dataset.features.end(), 3,
                              static_cast<float>(i) + static_cast<float>(t) / 100.0f);
    }
    dataset.offsets.push_back(dataset.offsets.back() + length);
    dataset.labels.push_back(static_cast<int32_t>(i % 4));
  }
  return dataset;
}

TEST(MakeBatch, PlacesEachStepAndPadsWithZeros) {
  const Dataset dataset = Ragged(20, 6, 1);
  const std::vector<int64_t> indices = {3, 11, 0};
  LabelledBatch out;
  MakeBatch(dataset, indices, &out);
  ASSERT_EQ(out.batch.size, 3);
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t i = indices[static_cast<size_t>(b)];
    EXPECT_EQ(out.batch.lengths[static_cast<size_t>(b)], dataset.length(i));
    for (int64_t t = 0; t < out.batch.steps; ++t) {
      const float expected =
          t < dataset.length(i) ? static_cast<float>(i) + static_cast<float>(t) / 100.0f : 0.0f;
      EXPECT_EQ(out.batch.features[static_cast<size_t>((t * 3 + b) * 3)], expected);
    }
  }
}

TEST(MakeEpoch, VisitsEverySequenceOnce) {
  const Dataset dataset = Ragged(1003, 50, 2);
  Rng rng(3);
  std::multiset<int64_t> seen;
  for (const auto& batch : MakeEpoch(dataset, {32, 4}, &rng)) {
    EXPECT_LE(batch.size(), 32u);
    seen.insert(batch.begin(), batch.end());
  }
  EXPECT_EQ(seen.size(), 1003u);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 1003u);
}

TEST(MakeEpoch, BucketsByLengthSoThatLittleIsPadded) {
  const Dataset dataset = Ragged(3000, 100, 4);
  Rng rng(5);
  int64_t valid = 0;
  int64_t padded = 0;
  for (const auto& indices : MakeEpoch(dataset, {32, 50}, &rng)) {
    LabelledBatch out;
    MakeBatch(dataset, indices, &out);
    for (const int32_t length : out.batch.lengths) valid += length;
    padded += out.batch.steps * out.batch.size;
  }
  // Unsorted batches of 32 would be half padding.
  EXPECT_GT(static_cast<double>(valid) / static_cast<double>(padded), 0.95);
}

TEST(MakeEpoch, RepeatsItselfForASeedAndDiffersForAnother) {
  const Dataset dataset = Ragged(200, 9, 6);
  Rng a(7);
  Rng b(7);
  Rng c(8);
  const auto first = MakeEpoch(dataset, {16, 4}, &a);
  EXPECT_EQ(first, MakeEpoch(dataset, {16, 4}, &b));
  EXPECT_NE(first, MakeEpoch(dataset, {16, 4}, &c));
}

TEST(SplitOff, KeepsEverySequenceInExactlyOnePart) {
  Dataset dataset = Ragged(100, 5, 9);
  Dataset valid;
  Rng rng(1);
  ASSERT_OK(SplitOff(30, &rng, &dataset, &valid));
  EXPECT_EQ(dataset.size(), 70);
  EXPECT_EQ(valid.size(), 30);
  std::set<int64_t> seen;
  for (const Dataset* part : {&dataset, &valid}) {
    EXPECT_OK(ValidateDataset(*part));
    for (int64_t i = 0; i < part->size(); ++i) {
      const int64_t first_step = part->offsets[static_cast<size_t>(i)];
      seen.insert(std::lround(std::floor(part->features[static_cast<size_t>(first_step * 3)])));
    }
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST(SplitOff, RefusesToTakeEverything) {
  Dataset dataset = Ragged(10, 5, 9);
  Dataset valid;
  Rng rng(1);
  ExpectError(SplitOff(10, &rng, &dataset, &valid), Code::kInvalidArgument, {"1 to 9", "10 found"});
}

TEST(ValidateDataset, NamesTheLabelOutOfRange) {
  Dataset dataset = Ragged(10, 5, 9);
  dataset.labels[6] = 4;
  ExpectError(ValidateDataset(dataset), Code::kBadFormat, {"label 6", "0 to 3", "4 found"});
}

// A label at each step: 10 times the sequence's number plus the step.
Dataset Labelled(const std::vector<int64_t>& lengths) {
  Dataset dataset;
  dataset.input = {Element::kI32, Layout::kSequence, 7};
  dataset.classes = 100;
  dataset.labelled = Layout::kSequence;
  dataset.offsets = {0};
  for (size_t i = 0; i < lengths.size(); ++i) {
    for (int64_t t = 0; t < lengths[i]; ++t) {
      dataset.ids.push_back(static_cast<int32_t>(t % 7));
      dataset.labels.push_back(static_cast<int32_t>(10 * static_cast<int64_t>(i) + t));
    }
    dataset.offsets.push_back(dataset.offsets.back() + lengths[i]);
  }
  return dataset;
}

TEST(MakeBatch, PlacesTheLabelOfEachStep) {
  const Dataset dataset = Labelled({3, 1, 2});
  ASSERT_OK(ValidateDataset(dataset));
  LabelledBatch out;
  MakeBatch(dataset, std::vector<int64_t>{2, 0}, &out);
  EXPECT_EQ(out.labels, (std::vector<int32_t>{20, 0, 21, 1, kNoLabel, 2}));
  EXPECT_EQ(out.label_count, 5);
}

TEST(ForEachLabel, PairsRowsOfTheBatchWithLabelsOfTheDataSet) {
  const Dataset dataset = Labelled({3, 1, 2});
  LabelledBatch out;
  MakeBatch(dataset, std::vector<int64_t>{2, 0}, &out);
  size_t count = 0;
  ForEachLabel(dataset, out, [&](size_t row, size_t label) {
    EXPECT_EQ(out.labels[row], dataset.labels[label]);
    ++count;
  });
  EXPECT_EQ(count, 5u);
}

TEST(SplitOff, TakesTheLabelsOfEachStepAlong) {
  Dataset dataset = Labelled({3, 1, 2, 5});
  Dataset valid;
  Rng rng(1);
  ASSERT_OK(SplitOff(2, &rng, &dataset, &valid));
  EXPECT_OK(ValidateDataset(dataset));
  EXPECT_OK(ValidateDataset(valid));
  EXPECT_EQ(valid.labelled, Layout::kSequence);
  EXPECT_EQ(dataset.labels.size() + valid.labels.size(), 11u);
}

TEST(EvaluationBatch, BoundsTheOutputs) {
  Dataset dataset = Labelled({300, 200});
  dataset.classes = 1000;
  EXPECT_EQ(EvaluationBatch(dataset, 256), (int64_t{1} << 24) / 300000);
  EXPECT_EQ(EvaluationBatch(dataset, 8), 8);
  dataset.classes = int64_t{1} << 24;
  EXPECT_EQ(EvaluationBatch(dataset, 8), 1);
}

TEST(ValidateDataset, WantsALabelAtEachStep) {
  Dataset dataset = Labelled({3, 1});
  dataset.labels.pop_back();
  ExpectError(ValidateDataset(dataset), Code::kInvalidArgument, {"4 labels", "3 found"});
}

// Two numbers a target: the sequence's number and, under it, the step's.
Dataset WithTargets(const std::vector<int64_t>& lengths) {
  Dataset dataset = Labelled(lengths);
  dataset.classes = 0;
  dataset.metric = kMeanSquaredError;
  dataset.target_size = 2;
  for (const int32_t label : dataset.labels) {
    dataset.targets.push_back(static_cast<float>(label / 10));
    dataset.targets.push_back(-static_cast<float>(label % 10));
  }
  dataset.labels.clear();
  return dataset;
}

TEST(MakeBatch, PlacesTargetsInThePlaceOfLabels) {
  const Dataset dataset = WithTargets({3, 1, 2});
  ASSERT_OK(ValidateDataset(dataset));
  EXPECT_EQ(dataset.label_count(), 6);
  EXPECT_EQ(dataset.output(), (ValueType{Element::kF32, Layout::kSequence, 2}));
  LabelledBatch out;
  MakeBatch(dataset, std::vector<int64_t>{2, 0}, &out);
  EXPECT_EQ(out.labels, (std::vector<int32_t>{0, 0, 0, 0, kNoLabel, 0}));
  EXPECT_EQ(out.targets, (std::vector<float>{2, 0, 0, 0, 2, -1, 0, -1, 0, 0, 0, -2}));
  EXPECT_EQ(out.label_count, 5);
}

TEST(FirstOf, TakesTargetsAlong) {
  const Dataset first = FirstOf(WithTargets({3, 1, 2}), 2);
  ASSERT_OK(ValidateDataset(first));
  EXPECT_EQ(first.size(), 2);
  EXPECT_EQ(first.targets, (std::vector<float>{0, 0, 0, -1, 0, -2, 1, 0}));
  EXPECT_EQ(FirstOf(WithTargets({3, 1, 2}), 9).size(), 3);
}

TEST(ValidateDataset, WantsFiniteTargetsAndAllOfThem) {
  Dataset dataset = WithTargets({3, 1});
  dataset.targets[5] = std::nanf("");
  ExpectError(ValidateDataset(dataset), Code::kBadFormat, {"target element 5", "finite"});
  dataset.targets.resize(6);
  ExpectError(ValidateDataset(dataset), Code::kInvalidArgument,
              {"8 numbers in targets", "6 found"});
  dataset.target_size = 0;
  ExpectError(ValidateDataset(dataset), Code::kInvalidArgument, {"at least 1 target"});
}

}  // namespace
}  // namespace espalier
