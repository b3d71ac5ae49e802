#include "train/random_prefix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace espalier {
namespace {

// Sequences of 20, 8 and 1 steps; the features of sequence b at step t are 100 b + t.
LabelledBatch ThreeSequences() {
  LabelledBatch labelled;
  Batch& batch = labelled.batch;
  batch.size = 3;
  batch.steps = 20;
  batch.lengths = {20, 8, 1};
  labelled.labels = {0, 1, 2};
  for (int t = 0; t < 20; ++t) {
    for (int b = 0; b < 3; ++b) {
      const bool is_there = t < batch.lengths[static_cast<size_t>(b)];
      batch.features.push_back(is_there ? static_cast<float>(100 * b + t) : 0.0f);
    }
  }
  return labelled;
}

TEST(RandomPrefix, CutsToAnyLengthFromAQuarterOn) {
  Rng rng(1);
  std::set<int32_t> first, second;
  for (int i = 0; i < 500; ++i) {
    LabelledBatch labelled = ThreeSequences();
    CutToPrefixes(1.0, &rng, &labelled);
    first.insert(labelled.batch.lengths[0]);
    second.insert(labelled.batch.lengths[1]);
    EXPECT_EQ(labelled.batch.lengths[2], 1);
  }
  EXPECT_EQ(*first.begin(), 5);
  EXPECT_EQ(*first.rbegin(), 20);
  EXPECT_EQ(first.size(), 16u);
  EXPECT_EQ(*second.begin(), 2);
  EXPECT_EQ(second.size(), 7u);
}

TEST(RandomPrefix, KeepsAsManyStepsAsTheLongestHas) {
  Rng rng(2);
  for (int i = 0; i < 50; ++i) {
    LabelledBatch labelled = ThreeSequences();
    CutToPrefixes(1.0, &rng, &labelled);
    const Batch& batch = labelled.batch;
    EXPECT_EQ(batch.steps, std::max(batch.lengths[0], batch.lengths[1]));
    ASSERT_EQ(batch.features.size(), static_cast<size_t>(batch.steps * 3));
    EXPECT_EQ(batch.features[static_cast<size_t>((batch.lengths[1] - 1) * 3 + 1)],
              static_cast<float>(100 + batch.lengths[1] - 1));
  }
}

TEST(RandomPrefix, CutsTheShareThatIsAskedFor) {
  Rng rng(3);
  int cut = 0;
  for (int i = 0; i < 2000; ++i) {
    LabelledBatch labelled = ThreeSequences();
    CutToPrefixes(0.5, &rng, &labelled);
    cut += labelled.batch.lengths[0] < 20 ? 1 : 0;
  }
  EXPECT_NEAR(cut / 2000.0, 0.5 * 15.0 / 16.0, 0.05);
}

TEST(RandomPrefix, OfNoShareNeitherCutsNorDraws) {
  Rng rng(4), untouched(4);
  LabelledBatch labelled = ThreeSequences();
  CutToPrefixes(0.0, &rng, &labelled);
  EXPECT_EQ(labelled.batch.features, ThreeSequences().batch.features);
  EXPECT_EQ(rng.Next(), untouched.Next());
}

}  // namespace
}  // namespace espalier
