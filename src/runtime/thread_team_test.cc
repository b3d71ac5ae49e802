#include "runtime/thread_team.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/stopwatch.h"

namespace espalier {
namespace {

constexpr int64_t kLong = 1'000'000'000;  // a run that is worth waking the workers

class Team : public ::testing::TestWithParam<size_t> {};

INSTANTIATE_TEST_SUITE_P(ThreadTeam, Team, ::testing::Values(2, 3, 7));

TEST_P(Team, CallsEveryChunkOnce) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(GetParam()).ok());
  for (const size_t per_thread : {1, 2, 8}) {
    for (int run = 0; run < 50; ++run) {
      team.Begin(run % 2 == 0 ? kLong : 0);
      for (int loop = 0; loop < 20; ++loop) {
        std::vector<int> calls(team.size() * per_thread, 0);
        team.For(per_thread, [&](size_t chunk) { ++calls[chunk]; });
        ASSERT_EQ(calls, std::vector<int>(calls.size(), 1)) << "run " << run << " loop " << loop;
      }
      team.End();
    }
  }
}

// Each loop reads what any thread wrote in the loop before.
TEST_P(Team, HandsOnWhatALoopWrote) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(GetParam()).ok());
  const size_t chunks = team.size() * 4;
  std::vector<int> from(chunks, 0);
  std::vector<int> to(chunks, 0);
  team.Begin(kLong);
  for (int loop = 0; loop < 2000; ++loop) {
    team.For(4, [&](size_t chunk) { to[chunk] = from[(chunk + 1) % chunks] + 1; });
    std::swap(from, to);
  }
  team.End();
  EXPECT_EQ(from, std::vector<int>(chunks, 2000));
}

// States of the threads of this process but this one, e.g. {"S"}: S sleeps, R runs.
std::multiset<std::string> WorkerStates() {
  std::multiset<std::string> states;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    if (entry.path().filename() == std::to_string(::getpid())) continue;
    std::ifstream file(entry.path() / "stat");
    std::string word;
    while (file >> word && word.back() != ')') continue;  // pid and (name)
    if (file >> word) states.insert(word);
  }
  return states;
}

// Waits until none but this thread runs. A thread that was joined may be listed for a moment more,
// and TSan and qemu have some of their own.
void AwaitSleep(const ThreadTeam& team) {
  const Stopwatch watch;
  for (;;) {
    const std::multiset<std::string> states = WorkerStates();
    if (states.size() >= team.size() - 1 && states.count("S") == states.size()) return;
    ASSERT_LT(watch.ElapsedNs(), 30e9) << "a worker still runs";
  }
}

TEST_P(Team, SleepsWhenThereIsNothingToDo) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(GetParam()).ok());
  team.Begin(kLong);
  team.For(1, [](size_t) {});
  team.End();
  AwaitSleep(team);
}

TEST_P(Team, DoesAShortRunAloneWhenTheWorkersSleep) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(GetParam()).ok());
  ASSERT_NO_FATAL_FAILURE(AwaitSleep(team));
  std::vector<std::thread::id> ids(team.size());
  team.Begin(0);
  team.For(1, [&](size_t chunk) { ids[chunk] = std::this_thread::get_id(); });
  team.End();
  EXPECT_EQ(ids, std::vector<std::thread::id>(team.size(), std::this_thread::get_id()));
}

TEST_P(Team, WakesForALongRun) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(GetParam()).ok());
  ASSERT_NO_FATAL_FAILURE(AwaitSleep(team));
  std::set<std::thread::id> ids;
  team.Begin(kLong);
  const Stopwatch watch;
  while (ids.size() < 2 && watch.ElapsedNs() < 30e9) {
    std::vector<std::thread::id> takers(team.size());
    team.For(1, [&](size_t chunk) {
      takers[chunk] = std::this_thread::get_id();
      std::this_thread::yield();  // to a worker, if there is but one core
    });
    ids.insert(takers.begin(), takers.end());
  }
  team.End();
  EXPECT_GE(ids.size(), 2u);
}

TEST(ThreadTeam, EndsWithoutARun) {
  ThreadTeam team;
  ASSERT_TRUE(team.Start(4).ok());
}

}  // namespace
}  // namespace espalier
