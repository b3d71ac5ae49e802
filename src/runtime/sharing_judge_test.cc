#include "runtime/sharing_judge.h"

#include <gtest/gtest.h>

namespace espalier {
namespace {

struct Cost {
  int64_t shared_ns, alone_ns;
};

// Runs of one row. Returns how many of them were shared.
size_t RunAll(size_t runs, const Cost& cost, SharingJudge* judge) {
  size_t shared = 0;
  for (size_t i = 0; i < runs; ++i) {
    shared += judge->Shares() ? 1 : 0;
    judge->Took(judge->Shares() ? cost.shared_ns : cost.alone_ns, 1);
  }
  return shared;
}

constexpr size_t kComparison = 2 * (SharingJudge::kMostWarmUp + SharingJudge::kMostSamples);

TEST(SharingJudge, SharesWhatIsFasterShared) {
  SharingJudge judge;
  EXPECT_TRUE(judge.Shares());
  RunAll(kComparison, {5'000, 8'000}, &judge);
  EXPECT_EQ(RunAll(SharingJudge::kFirstRest / 2, {5'000, 8'000}, &judge),
            SharingJudge::kFirstRest / 2);
}

TEST(SharingJudge, DoesNotShareWhatIsSlowerShared) {
  SharingJudge judge;
  RunAll(kComparison, {8'000, 5'000}, &judge);
  EXPECT_EQ(RunAll(SharingJudge::kFirstRest / 2, {8'000, 5'000}, &judge), 0u);
}

TEST(SharingJudge, LooksAgainLessAndLessOften) {
  SharingJudge judge;
  const size_t shared = RunAll(200'000, {8'000, 5'000}, &judge);
  EXPECT_LT(shared, 25 * kComparison / 2);
  EXPECT_GT(shared, 10 * (SharingJudge::kMostSamples + 1));
}

TEST(SharingJudge, ChangesItsMind) {
  SharingJudge judge;
  RunAll(1'000, {5'000, 8'000}, &judge);
  RunAll(2'000, {8'000, 5'000}, &judge);
  EXPECT_LT(RunAll(1'000, {8'000, 5'000}, &judge), kComparison);
  RunAll(8'000, {5'000, 8'000}, &judge);
  EXPECT_GT(RunAll(1'000, {5'000, 8'000}, &judge), 1'000 - kComparison);
}

// The first runs fill caches, and a few are disturbed.
TEST(SharingJudge, GoesByTheMedianOfWarmRuns) {
  SharingJudge judge;
  for (size_t run = 0; run < kComparison; ++run) {
    const bool is_cold = run < 3;
    const bool is_disturbed = run % 4 == 3;
    judge.Took(is_cold || is_disturbed ? 100'000 : judge.Shares() ? 5'000 : 8'000, 1);
  }
  EXPECT_EQ(RunAll(100, {5'000, 8'000}, &judge), 100u);
}

TEST(SharingJudge, ComparesLongRunsByAFew) {
  SharingJudge judge;
  constexpr size_t kRuns = 2 * (1 + SharingJudge::kFewSamples);
  EXPECT_EQ(RunAll(kRuns, {5'000'000, 8'000'000}, &judge), kRuns / 2);
  EXPECT_EQ(RunAll(100, {5'000'000, 8'000'000}, &judge), 100u);
}

TEST(SharingJudge, LooksAgainAfterASecondAtTheLatest) {
  SharingJudge judge;
  RunAll(2 * (1 + SharingJudge::kFewSamples), {80'000'000, 50'000'000}, &judge);
  EXPECT_EQ(RunAll(20, {80'000'000, 50'000'000}, &judge), 0u);
  EXPECT_GT(RunAll(2 * SharingJudge::kFewSamples, {80'000'000, 50'000'000}, &judge), 0u);
}

TEST(SharingJudge, ComparesByRow) {
  SharingJudge judge;
  for (size_t run = 0; run < kComparison; ++run) {
    const size_t rows = judge.Shares() ? 4 : 2;
    judge.Took(static_cast<int64_t>(rows) * (judge.Shares() ? 5'000 : 8'000), rows);
  }
  EXPECT_TRUE(judge.Shares());
}

TEST(SharingJudge, GivesUpWhereWorkersAreAsleep) {
  SharingJudge judge;
  for (size_t run = 0; run < SharingJudge::kMostMissed; ++run) {
    ASSERT_TRUE(judge.Shares());
    judge.Missed();
  }
  EXPECT_FALSE(judge.Shares());
  EXPECT_EQ(RunAll(SharingJudge::kFirstRest - 1, {5'000, 8'000}, &judge), 0u);
  // Later it tries again, and gives up again where it shared before.
  EXPECT_GT(RunAll(kComparison + 200, {5'000, 8'000}, &judge), 200u);
  ASSERT_TRUE(judge.Shares());
  for (size_t run = 0; run < SharingJudge::kMostMissed; ++run) judge.Missed();
  EXPECT_FALSE(judge.Shares());
}

}  // namespace
}  // namespace espalier
