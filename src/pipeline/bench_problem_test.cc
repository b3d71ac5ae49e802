#include "pipeline/bench_problem.h"

#include <atomic>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

BenchProblem Small() {
  return ValueOrDie(
      ParseBenchProblem("{name: small, cell: gru, hidden: [24, 40], input: 5, density: [0.3, 0.5], "
                        "steps: [1, 3], batch: [1, 2], formats: [slot_8x8, csr, blocked_8x4], "
                        "peers: [], repetitions: 2}"));
}

TEST(BenchProblem, TimesEverySystemInEveryCase) {
  size_t seen = 0;
  BenchProblemOptions options;
  options.on_row = [&](const BenchRow&) { ++seen; };
  const std::vector<BenchRow> rows = ValueOrDie(RunBenchProblem(Small(), options));
  ASSERT_EQ(rows.size(), 2u * 2 * 2 * 2 * 4);
  EXPECT_EQ(seen, rows.size());
  for (const BenchRow& row : rows) {
    EXPECT_EQ(row.cell, "gru");
    EXPECT_EQ(row.input, 5);
    EXPECT_GT(row.us.median, 0.0);
    EXPECT_LE(row.us.p25, row.us.p75);
    EXPECT_GT(row.roofline_us, 0.0);
    EXPECT_GE(row.error, 0.0);
    EXPECT_EQ(row.format == "dense", row.density == 1.0);
  }
  EXPECT_EQ(rows[1].format, "slot_8x8");
  EXPECT_EQ(rows[1].density, 0.3);
  EXPECT_LT(rows[1].bytes, rows[0].bytes);
}

// The least time of a step of a long sequence is about that of weight_hh alone, an eighth of it
// all.
TEST(BenchProblem, ReadsTheInputMatrixOnceASequence) {
  const BenchProblem problem = ValueOrDie(
      ParseBenchProblem("{cell: gru, hidden: 128, input: 896, steps: [1, 100], peers: [], "
                        "formats: [], repetitions: 1}"));
  const std::vector<BenchRow> rows = ValueOrDie(RunBenchProblem(problem, {}));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].bytes, rows[1].bytes);
  EXPECT_LT(rows[1].roofline_us, rows[0].roofline_us / 3);
}

TEST(BenchProblem, TimesOurSessionsWithSoManyThreads) {
  const BenchProblem problem = ValueOrDie(
      ParseBenchProblem("{hidden: [8, 256], threads: [1, 2], peers: [], repetitions: 1}"));
  const std::vector<BenchRow> rows = ValueOrDie(RunBenchProblem(problem, {}));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[1].threads, 1);  // too small to be shared
  EXPECT_EQ(rows[2].threads, 1);
  EXPECT_EQ(rows[3].threads, 2);
}

TEST(BenchProblem, LeavesOutFormatsThatDoNotSuitAndGoesOn) {
  // N:M keeps half of a matrix, and slots are of the columns that there are.
  const BenchProblem problem = ValueOrDie(ParseBenchProblem(
      "{hidden: 16, density: [0.2, 0.5], formats: [nm_16x4x2, csr], peers: [], repetitions: 1}"));
  std::vector<std::string> notes;
  BenchProblemOptions options;
  options.on_note = [&](const std::string& note) { notes.push_back(note); };
  const std::vector<BenchRow> rows = ValueOrDie(RunBenchProblem(problem, options));
  ASSERT_EQ(rows.size(), 2u + 3u);
  EXPECT_EQ(rows[1].format, "csr");
  EXPECT_EQ(rows[3].format, "nm_16x4x2");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("nm_16x4x2 is not timed at H = 16, I = 16, density 0.2: "),
            std::string::npos)
      << notes[0];
}

TEST(BenchProblem, SaysWhereTheWeightsWere) {
  for (const std::string cache : {"warm", "cold"}) {
    const std::string yaml = "{hidden: 8, peers: [], repetitions: 1, cache: " + cache + "}";
    const BenchProblem problem = ValueOrDie(ParseBenchProblem(yaml));
    EXPECT_EQ(problem.cache == CacheState::kCold, cache == "cold");
    EXPECT_EQ(ValueOrDie(RunBenchProblem(problem, {})).front().cache, problem.cache);
  }
}

TEST(BenchProblem, NamesTheKeyAndTheValueThatIsWrong) {
  const auto expect = [](const std::string& yaml, const std::vector<std::string>& parts) {
    ExpectError(ParseBenchProblem(yaml).status(), Code::kInvalidArgument, parts);
  };
  expect("{cell: lstm}", {"hidden"});
  expect("{hidden: 0}", {"hidden", "1 to 100000", "'0'"});
  expect("{hidden: []}", {"hidden", "at least 1"});
  expect("{hidden: 8, density: 1.5}", {"density", "0.001 to 1", "'1.5'"});
  expect("{hidden: 8, density: nan}", {"density", "'nan'"});
  expect("{hidden: 8, threads: 65}", {"threads", "1 to 64", "'65'"});
  expect("{hidden: 8, steps: many}", {"steps", "'many'"});
  expect("{hidden: 8, cell: lstn}", {"cell", "did you mean 'lstm'"});
  expect("{hidden: 8, formats: slot_8x9}", {"formats", "slot_8x9"});
  expect("{hidden: 8, peers: onnxruntime_i4}", {"peers", "did you mean 'onnxruntime_i8'"});
  expect("{hidden: 8, hiden: 8}", {"hiden", "did you mean 'hidden'"});
  expect("{hidden: 8, repetitions: 0}", {"repetitions", "0 found"});
  expect("{hidden: 8, cache: cool}", {"cache", "warm or cold", "'cool'"});
}

TEST(BenchProblem, StopsWhenItIsCancelled) {
  const std::atomic<bool> cancel{true};
  BenchProblemOptions options;
  options.cancel = &cancel;
  ExpectError(RunBenchProblem(Small(), options).status(), Code::kCancelled, {"H = 24"});
}

}  // namespace
}  // namespace espalier
