#include "prune/schedule.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;

class EverySchedule : public ::testing::TestWithParam<const Schedule*> {
 protected:
  ScheduleSpec Spec() const { return {GetParam()->name, 100, 900, 50, 0.2}; }
};
INSTANTIATE_TEST_SUITE_P(List, EverySchedule,
                         ::testing::ValuesIn(AllSchedules().begin(), AllSchedules().end()),
                         [](const auto& schedule) { return std::string(schedule.param->name); });

TEST_P(EverySchedule, StartsAtTheInitialSparsity) {
  EXPECT_EQ(SparsityAt(Spec(), 0.9, 0), 0.2);
  EXPECT_EQ(SparsityAt(Spec(), 0.9, 99), 0.2);
}

TEST_P(EverySchedule, EndsAtTheFinalSparsity) {
  EXPECT_EQ(SparsityAt(Spec(), 0.9, 900), 0.9);
  EXPECT_EQ(SparsityAt(Spec(), 0.9, 1'000'000), 0.9);
}

TEST_P(EverySchedule, NeverFalls) {
  double before = 0.0;
  for (int64_t step = 0; step < 1000; ++step) {
    const double now = SparsityAt(Spec(), 0.9, step);
    EXPECT_GE(now, before) << "step " << step;
    before = now;
  }
}

TEST_P(EverySchedule, ReachesTheEndInOneStepIfThatIsAllThereIs) {
  const ScheduleSpec spec = {GetParam()->name, 10, 10, 1, 0.0};
  EXPECT_EQ(SparsityAt(spec, 0.5, 9), 0.0);
  EXPECT_EQ(SparsityAt(spec, 0.5, 10), 0.5);
}

// Zhu and Gupta 2017, eq. 1, halfway: 0.9 + (0 - 0.9) (1/2)^3.
TEST(CubicSchedule, IsThePapersEquation) {
  const ScheduleSpec spec = {"cubic", 0, 200, 10, 0.0};
  EXPECT_NEAR(SparsityAt(spec, 0.9, 100), 0.7875, 1e-12);
  EXPECT_NEAR(SparsityAt(spec, 0.9, 50), 0.9 - 0.9 * 0.421875, 1e-12);
}

// Narang et al. 2017: slope theta up to the middle, 1.5 theta from there on.
TEST(TwoSlopesSchedule, IsOneAndAHalfTimesAsSteepInItsSecondHalf) {
  const ScheduleSpec spec = {"two_slopes", 0, 200, 10, 0.0};
  EXPECT_NEAR(ThresholdShareAt(spec, 50), 0.2, 1e-12);
  EXPECT_NEAR(ThresholdShareAt(spec, 100), 0.4, 1e-12);
  EXPECT_NEAR(ThresholdShareAt(spec, 150), 0.7, 1e-12);
  EXPECT_EQ(ThresholdShareAt(spec, 200), 1.0);
}

TEST(Schedule, IsDueAtBeginAtEveryIntervalAndAtEnd) {
  const ScheduleSpec spec = {"cubic", 5, 12, 3, 0.0};
  std::vector<int64_t> due;
  int64_t last = -1;
  for (int64_t step = 0; step < 30; ++step) {
    if (!IsDue(spec, last, step)) continue;
    due.push_back(step);
    last = step;
  }
  EXPECT_EQ(due, (std::vector<int64_t>{5, 8, 11, 12}));
}

TEST(Schedule, CatchesUpOnAMissedStep) {
  const ScheduleSpec spec = {"cubic", 5, 12, 3, 0.0};
  EXPECT_TRUE(IsDue(spec, 5, 10));  // 8 was missed
  EXPECT_FALSE(IsDue(spec, 10, 10));
  EXPECT_TRUE(IsDue(spec, 11, 1000));  // 12 was missed
}

TEST(Schedule, NamesTheFieldThatIsWrong) {
  const auto expect = [](ScheduleSpec spec, const std::vector<std::string>& parts) {
    ExpectError(ValidateSchedule(spec, 0.9), Code::kInvalidArgument, parts);
  };
  expect({"cubik", 0, 1, 1, 0.0}, {"'cubik'", "did you mean 'cubic'"});
  expect({"cubic", 7, 3, 1, 0.0}, {"begin = 7", "end = 3"});
  expect({"cubic", -1, 3, 1, 0.0}, {"begin = -1"});
  expect({"cubic", 0, 3, 0, 0.0}, {"every", "0 found"});
  expect({"cubic", 0, 3, 1, 0.95}, {"initial_sparsity", "0.95 found"});
  expect({"one_shot", 0, 3, 1, 0.5}, {"initial_sparsity", "one_shot", "0.5 found"});
  EXPECT_OK(ValidateSchedule({"one_shot", 0, 0, 1, 0.0}, 0.0));
}

}  // namespace
}  // namespace espalier
