// Allocations on pools of single weights: who gets how much.
#include "prune/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"
#include "testing/testing.h"

namespace espalier {
namespace {

// A matrix of random weights of this standard deviation.
Pool PoolOf(int64_t rows, int64_t cols, float deviation, uint64_t seed) {
  Rng rng(seed);
  Pool pool;
  pool.rows = rows;
  pool.cols = cols;
  pool.size = rows * cols;
  pool.losses = {{0.0, 1.0}, {0.9, 2.0}};
  double squares = 0.0;
  for (int64_t i = 0; i < pool.size; ++i) {
    const float score = deviation * static_cast<float>(rng.Uniform());
    pool.pieces.push_back({.score = score});
    squares += static_cast<double>(score) * score;
  }
  pool.spread = std::sqrt(squares / static_cast<double>(pool.size));
  return pool;
}

std::vector<int64_t> Counts(const std::vector<Keep>& kept) {
  std::vector<int64_t> counts;
  for (const Keep& keep : kept) counts.push_back(std::count(keep.begin(), keep.end(), 1));
  return counts;
}

int64_t Sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

TEST(EveryAllocation, SpendsTheWholeBudgetAndKeepsTheBestOfEachPool) {
  std::vector<Pool> pools = {PoolOf(40, 7, 1.0f, 1), PoolOf(96, 24, 0.1f, 2),
                             PoolOf(5, 5, 3.0f, 3)};
  int64_t size = 0;
  for (const Pool& pool : pools) size += pool.size;
  for (const Allocation* allocation : AllAllocations()) {
    if (allocation->needs == AllocationNeeds::kThresholds) continue;  // spends no budget
    for (const int percent : {0, 10, 50, 90, 95}) {
      const double sparsity = percent / 100.0;
      for (Pool& pool : pools) pool.sparsity = sparsity;
      const std::vector<Keep> kept = allocation->allocate(pools, {sparsity, 0.02});
      const int64_t rounded =
          allocation->kind != AllocationKind::kShares ? 0 : 2;  // a part of a weight in each pool
      EXPECT_GE(Sum(Counts(kept)), size - size * percent / 100) << allocation->name;
      EXPECT_LE(Sum(Counts(kept)), size - size * percent / 100 + rounded) << allocation->name;
      for (size_t i = 0; i < pools.size(); ++i) {
        float least_kept = 1e9f, most_dropped = 0.0f;
        for (size_t j = 0; j < kept[i].size(); ++j) {
          const float score = pools[i].pieces[j].score;
          if (kept[i][j] != 0) least_kept = std::min(least_kept, score);
          if (kept[i][j] == 0) most_dropped = std::max(most_dropped, score);
        }
        EXPECT_GE(least_kept, most_dropped) << allocation->name << " pool " << i;
        if (allocation->kind != AllocationKind::kShares) {
          EXPECT_GE(Counts(kept)[i], pools[i].size / 50) << allocation->name << " pool " << i;
        }
      }
    }
  }
}

TEST(Threshold, KeepsWhatReachesItAndTheFloor) {
  Pool pool;
  for (const float score : {0.3f, 0.0f, 0.5f, 0.1f, 0.5f, 0.2f}) pool.pieces.push_back({score});
  pool.size = 6;
  pool.threshold = 0.4;
  const auto keep = [&](const Budget& budget) {
    return allocations::threshold.allocate(std::span(&pool, 1), budget)[0];
  };
  EXPECT_EQ(keep({}), (Keep{0, 0, 1, 0, 1, 0}));
  EXPECT_EQ(keep({.threshold_share = 0.5}), (Keep{1, 0, 1, 0, 1, 1})) << "0.2 is reached";
  EXPECT_EQ(keep({.threshold_share = 0.0}), (Keep{1, 0, 1, 1, 1, 1})) << "what is 0 goes";
  EXPECT_EQ(keep({.floor = 0.5}), (Keep{1, 0, 1, 0, 1, 0}));
}

TEST(ClassDistribution, IsBlindToTheScaleOfATensor) {
  const std::vector<Pool> pools = {PoolOf(30, 20, 1.0f, 1), PoolOf(30, 20, 1.0f, 2)};
  std::vector<Pool> scaled = pools;
  scaled[1].spread *= 1024.0;
  for (Piece& piece : scaled[1].pieces) piece.score *= 1024.0f;
  const Allocation& allocation = allocations::class_distribution;
  EXPECT_EQ(allocation.allocate(scaled, {0.8, 0.0}), allocation.allocate(pools, {0.8, 0.0}));
  EXPECT_NE(allocations::global.allocate(scaled, {0.8, 0.0}),
            allocations::global.allocate(pools, {0.8, 0.0}));
}

// Weights 1, 2, 3 have scores 1/14, 4/13, 1; weights 10, 10, 10 have 1/3, 1/2, 1 (ties by index).
TEST(Lamp, RanksByTheShareOfWhatIsLeft) {
  std::vector<Pool> pools(2);
  pools[0].pieces = {{1.0f}, {3.0f}, {2.0f}};
  pools[1].pieces = {{10.0f}, {10.0f}, {10.0f}};
  pools[0].size = pools[1].size = 3;
  const auto kept = [&](int64_t count) {
    return allocations::lamp.allocate(pools, {1.0 - static_cast<double>(count) / 6.0, 0.0});
  };
  EXPECT_EQ(kept(2), (std::vector<Keep>{{0, 1, 0}, {1, 0, 0}}));
  EXPECT_EQ(kept(4), (std::vector<Keep>{{0, 1, 0}, {1, 1, 1}}));
  EXPECT_EQ(kept(5), (std::vector<Keep>{{0, 1, 1}, {1, 1, 1}}));
}

TEST(Lamp, KeepsTheOrderOfScoresBelowZero) {
  std::vector<Pool> pools(1);
  pools[0].pieces = {{-2.0f}, {-1.0f}, {0.5f}};
  pools[0].size = 3;
  EXPECT_EQ(allocations::lamp.allocate(pools, {1.0 / 3.0, 0.0}), (std::vector<Keep>{{0, 1, 1}}));
}

// 8x8 : 40x40 = e 16 : e 80, 960 left of 1664 with a floor of nothing: the small one is full.
TEST(Erk, GivesDensitiesByTheSumOfSidesAndCapsThem) {
  const std::vector<Pool> pools = {PoolOf(8, 8, 1.0f, 1), PoolOf(40, 40, 1.0f, 2)};
  EXPECT_EQ(Counts(allocations::erk.allocate(pools, {1.0 - 96.0 / 1664.0, 0.0})),
            (std::vector<int64_t>{16, 80}));
  EXPECT_EQ(Counts(allocations::erk.allocate(pools, {1.0 - 960.0 / 1664.0, 0.0})),
            (std::vector<int64_t>{64, 896}));
}

TEST(Erk, SharesAmongWhatIsLeft) {
  std::vector<Pool> pools = {PoolOf(10, 10, 1.0f, 1), PoolOf(10, 10, 1.0f, 2)};
  pools[0].pieces.resize(20);  // 80 were dropped before
  EXPECT_EQ(Counts(allocations::erk.allocate(pools, {0.5, 0.0})), (std::vector<int64_t>{20, 80}));
}

TEST(Sensitivity, DropsWhereItCostsLeast) {
  std::vector<Pool> pools = {PoolOf(10, 10, 1.0f, 1), PoolOf(10, 10, 1.0f, 2)};
  pools[0].losses = {{0.0, 1.0}, {0.5, 1.1}, {0.9, 3.0}};  // 0.002 a weight, then 0.0475
  pools[1].losses = {{0.0, 1.0}, {0.8, 1.8}};              // 0.01 a weight
  const auto counts = [&](double sparsity) {
    return Counts(allocations::sensitivity.allocate(pools, {sparsity, 0.05}));
  };
  EXPECT_EQ(counts(0.2), (std::vector<int64_t>{60, 100}));
  EXPECT_EQ(counts(0.5), (std::vector<int64_t>{50, 50}));
  EXPECT_EQ(counts(0.725), (std::vector<int64_t>{50, 5}));  // down to the floor
  EXPECT_EQ(counts(0.9), (std::vector<int64_t>{15, 5}));
}

// A bump at 0.2 that the hull passes under, and losses that fall.
TEST(Sensitivity, CountsTheLowerHullOnly) {
  std::vector<Pool> pools = {PoolOf(10, 10, 1.0f, 1), PoolOf(10, 10, 1.0f, 2)};
  pools[0].losses = {{0.0, 1.0}, {0.2, 2.0}, {0.5, 1.1}, {0.9, 5.0}};
  pools[1].losses = {{0.0, 1.0}, {0.4, 0.9}, {0.8, 3.0}};
  EXPECT_EQ(Counts(allocations::sensitivity.allocate(pools, {0.3, 0.0})),
            (std::vector<int64_t>{80, 60}));
}

}  // namespace
}  // namespace espalier
