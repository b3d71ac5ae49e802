#include "runtime/budget.h"

#include <limits>

#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

BudgetOptions Microseconds(int64_t us) {
  BudgetOptions options;
  options.step_ns = us * 1000;
  return options;
}

TEST(BudgetController, RaisesWhatIsLateAndLowersItSlowly) {
  BudgetController budget(Microseconds(100));
  EXPECT_FALSE(budget.Update(1, 70'000));  // neither
  EXPECT_EQ(budget.report().factor, 1.0f);
  EXPECT_TRUE(budget.Update(1, 95'000));  // not late, but near it
  EXPECT_EQ(budget.report().factor, 1.25f);
  EXPECT_EQ(budget.report().late, 0);
  EXPECT_TRUE(budget.Update(1, 150'000));
  EXPECT_EQ(budget.report().late, 1);
  EXPECT_FALSE(budget.Update(1, 70'000));
  int steps = 0;
  while (budget.report().factor > 1.0f) {
    ASSERT_TRUE(budget.Update(1, 10'000));
    ++steps;
  }
  EXPECT_GT(steps, 20);
  EXPECT_FALSE(budget.Update(1, 10'000));
  EXPECT_EQ(budget.ThresholdOfX(0.3f), 0.3f);  // exactly
  EXPECT_EQ(budget.report().raised, steps + 2);
  EXPECT_EQ(budget.report().slowest_ns, 150'000);
}

TEST(BudgetController, StopsAtTheLargestFactorAndSaysSo) {
  BudgetOptions options = Microseconds(1);
  options.most = 2.0f;
  BudgetController budget(options);
  for (int i = 0; i < 10; ++i) budget.Update(1, 5'000);
  EXPECT_EQ(budget.report().factor, 2.0f);
  EXPECT_EQ(budget.report().late, 10);
  EXPECT_EQ(budget.report().late_at_most, 6);  // 1.25^4 > 2
  budget.ResetCounters();
  EXPECT_EQ(budget.report().late, 0);
  EXPECT_EQ(budget.report().factor, 2.0f);
  EXPECT_EQ(budget.report().step_ns, 1'000);
}

TEST(BudgetController, TakesTheMeanOfStepsThatRanTogether) {
  BudgetController budget(Microseconds(100));
  EXPECT_FALSE(budget.Update(10, 700'000));
  EXPECT_TRUE(budget.Update(10, 1'100'000));
  EXPECT_EQ(budget.report().steps, 20);
  EXPECT_EQ(budget.report().late, 10);
}

TEST(BudgetController, RaisesThresholdsOfZeroFromTheBase) {
  BudgetOptions options = Microseconds(1);
  options.base_x = 0.1f;
  options.base_h = 0.0f;
  BudgetController budget(options);
  EXPECT_EQ(budget.ThresholdOfX(0.0f), 0.0f);
  while (budget.report().factor < 8.0f) budget.Update(1, 5'000);
  EXPECT_FLOAT_EQ(budget.ThresholdOfX(0.0f), 0.7f);
  EXPECT_FLOAT_EQ(budget.ThresholdOfX(0.2f), 1.6f);
  EXPECT_EQ(budget.ThresholdOfH(0.0f), 0.0f);
  EXPECT_EQ(budget.ThresholdOfH(3e38f), std::numeric_limits<float>::max());
}

// A clock whose every second reading is `step_ns` after the one before.
struct FakeClock {
  int64_t now = 0;
  int64_t step_ns = 0;

  static int64_t Now(void* context) {
    auto* clock = static_cast<FakeClock*>(context);
    return clock->now += clock->step_ns;
  }
};

Graph WithRules(const Delta& delta, bool skip) {
  Rng rng(3);
  GraphBuilder builder("budget", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.delta = delta;
  options.skip = skip;
  return ValueOrDie(builder.Recurrent(CellKind::kGruCell, 24, options).Gemm(4).Finish());
}

class SessionBudget : public ::testing::Test {
 protected:
  SessionBudget() {
    Rng rng(4);
    for (float& value : x_) value = rng.Uniform(-1.0f, 1.0f);
    options_ = Microseconds(100);
    options_.clock = {&FakeClock::Now, &clock_};
  }

  // 40 steps of a new sequence, each of which takes so long; returns how many columns were sent.
  uint64_t Run(Session* session, int64_t step_ns) {
    clock_.step_ns = step_ns;
    session->ResetCounters();
    session->Reset();
    std::vector<float> x = x_;
    for (int t = 0; t < 40; ++t) {
      for (float& value : x) value += t % 2 == 0 ? 0.15f : -0.15f;
      EXPECT_OK(session->Step(std::span<const float>(x)));
    }
    const LayerCounters counters = session->Activity(0).counters;
    return counters.x_sent + counters.h_sent;
  }

  const Artifact artifact_ = ArtifactOf(WithRules({0.1, 0.05, 1}, true), {FormatId::k_slot, 8, 8});
  FakeClock clock_;
  BudgetOptions options_;
  std::vector<float> x_ = std::vector<float>(13);
};

TEST_F(SessionBudget, SendsLessWhenStepsAreLateAndAllAgainWhenTheyAreNot) {
  Session session = SessionOf(artifact_, 1, 1);
  const uint64_t own = Run(&session, 0);
  ASSERT_OK(session.SetBudget(options_));
  EXPECT_EQ(Run(&session, 50'000), own);
  EXPECT_EQ(session.Budget().raised, 0);
  const uint64_t late = Run(&session, 200'000);
  EXPECT_LT(late * 2, own);
  EXPECT_EQ(session.Budget().late, 40);
  EXPECT_EQ(session.Budget().raised, 39);
  EXPECT_FLOAT_EQ(session.Activity(0).rules.delta_x, 0.8f);
  EXPECT_FLOAT_EQ(session.Activity(0).rules.delta_h, 0.4f);
  for (int i = 0; i < 3; ++i) Run(&session, 1'000);
  EXPECT_EQ(session.Activity(0).rules.delta_x, 0.1f);
  EXPECT_EQ(session.Activity(0).rules.delta_h, 0.05f);
}

// A clock of steps that take 10 us and 1 us for each column that they send.
struct ColumnClock {
  const Session* session = nullptr;
  int64_t now = 0;

  static int64_t Now(void* context) {
    auto* clock = static_cast<ColumnClock*>(context);
    const LayerCounters counters = clock->session->Activity(0).counters;
    return clock->now = static_cast<int64_t>(10'000 * counters.steps +
                                             1'000 * (counters.x_sent + counters.h_sent));
  }
};

// The same network where its times are known and where they are not: a jump of the input makes a
// step late, but not if it is foreseen. (The first steps of a stream are late in any case.)
TEST_F(SessionBudget, RaisesThresholdsForTheStepThatWouldBeLate) {
  const Graph graph = WithRules({0.1, 0.05, 1}, false);
  for (const bool is_timed : {false, true}) {
    ArtifactContent content;
    for (const std::string weight : {"gru0.weight_ih", "gru0.weight_hh"}) {
      const double cols = weight == "gru0.weight_ih" ? 13.0 : 24.0;
      content.choices[weight].ns = is_timed ? 1e6 : 0.0;
      content.choices[ColumnsPartName(weight)] = {
          kColumnsSpec, "", is_timed ? 1e3 * cols : 0.0, {}};
    }
    const Artifact artifact =
        ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
    Session session = SessionOf(artifact, 1, 1);
    ColumnClock clock{&session};
    BudgetOptions options = Microseconds(20);
    options.clock = {&ColumnClock::Now, &clock};
    ASSERT_OK(session.SetBudget(options));
    session.SetRests(false);
    std::vector<float> x = x_;
    for (int t = 0; t < 60; ++t) ASSERT_OK(session.Step(std::span<const float>(x)));
    const BudgetReport quiet = session.Budget();
    EXPECT_LE(quiet.late, 2);
    EXPECT_EQ(quiet.foreseen, 0);
    EXPECT_EQ(quiet.factor, 1.0f);
    for (int t = 0; t < 8; ++t) {
      for (float& value : x) value += t % 2 == 0 ? 0.5f : -0.5f;
      ASSERT_OK(session.Step(std::span<const float>(x)));
      EXPECT_EQ(session.Activity(0).rules.delta_x, 0.1f * session.Budget().factor) << t;
    }
    const BudgetReport report = session.Budget();
    EXPECT_EQ(report.late > quiet.late, !is_timed);
    EXPECT_EQ(report.slowest_ns > quiet.slowest_ns, !is_timed);
    EXPECT_EQ(report.foreseen > 0, is_timed);
    EXPECT_GE(report.raised - quiet.raised, report.foreseen);
  }
}

// Thresholds of 0 with a base of 0 stay, whatever the factor: nothing was raised, and nothing is
// left to raise.
TEST_F(SessionBudget, CountsNothingAsRaisedThatCannotBe) {
  const Graph graph = WithRules({0.0, 0.0, 1}, false);
  ArtifactContent content;
  for (const std::string weight : {"gru0.weight_ih", "gru0.weight_hh"}) {
    const double cols = weight == "gru0.weight_ih" ? 13.0 : 24.0;
    content.choices[weight].ns = 1e6;
    content.choices[ColumnsPartName(weight)] = {kColumnsSpec, "", 1e3 * cols, {}};
  }
  const Artifact artifact =
      ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
  Session session = SessionOf(artifact, 1, 1);
  options_.base_x = options_.base_h = 0.0f;
  ASSERT_OK(session.SetBudget(options_));
  session.SetRests(false);
  Run(&session, 95'000);  // above what a step is to take by its columns, and not late
  EXPECT_EQ(session.Budget().foreseen, 0);
  Run(&session, 200'000);
  EXPECT_EQ(session.Budget().foreseen, 0);
  EXPECT_EQ(session.Budget().late, 40);
  EXPECT_GT(session.Budget().late_at_most, 24);
}

// Also what SetRules said meanwhile.
TEST_F(SessionBudget, GivesTheRulesBackWhenItIsTakenAway) {
  Session session = SessionOf(artifact_, 1, 1);
  ASSERT_OK(session.SetBudget(options_));
  Run(&session, 200'000);
  session.ClearBudget();
  EXPECT_EQ(session.Activity(0).rules.delta_x, 0.1f);
  EXPECT_TRUE(session.Activity(0).rules.skip);
  EXPECT_EQ(session.Budget().step_ns, 0);
  ASSERT_OK(session.SetBudget(options_));
  Run(&session, 200'000);
  ASSERT_OK(session.SetRules("gru0", {0.0f, 0.2f, false}));
  EXPECT_FLOAT_EQ(session.Activity(0).rules.delta_x, 0.35f);  // 0.05 (8 - 1)
  EXPECT_FLOAT_EQ(session.Activity(0).rules.delta_h, 1.6f);
  session.ClearBudget();
  EXPECT_EQ(session.Activity(0).rules.delta_x, 0.0f);
  EXPECT_EQ(session.Activity(0).rules.delta_h, 0.2f);
  EXPECT_FALSE(session.Activity(0).rules.skip);
}

// With a real clock, and no claim on how long anything takes.
TEST_F(SessionBudget, OfAnHourChangesNothingAndOneOfANanosecondRaisesAll) {
  Session plain = SessionOf(artifact_, 1, 1);
  Session hour = SessionOf(artifact_, 1, 1);
  Session nanosecond = SessionOf(artifact_, 1, 1);
  BudgetOptions options;
  options.step_ns = int64_t{3600} * 1'000'000'000;
  ASSERT_OK(hour.SetBudget(options));
  options.step_ns = 1;
  ASSERT_OK(nanosecond.SetBudget(options));
  for (int t = 0; t < 40; ++t) {
    x_[0] += 0.15f;
    for (Session* session : {&plain, &hour, &nanosecond}) {
      ASSERT_OK(session->Step(std::span<const float>(x_)));
    }
    ASSERT_TRUE(std::ranges::equal(plain.Output(0), hour.Output(0)));
  }
  EXPECT_EQ(hour.Budget().late, 0);
  EXPECT_EQ(nanosecond.Budget().late, 40);
  EXPECT_EQ(nanosecond.Budget().factor, 8.0f);
}

TEST_F(SessionBudget, SaysWhatIsWrong) {
  Session session = SessionOf(artifact_, 1, 1);
  const auto error = [&](const BudgetOptions& options) {
    const Status status = session.SetBudget(options);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  };
  BudgetOptions options;
  EXPECT_EQ(error(options), "budget: step_ns of at least 1 expected, 0 found");
  options.step_ns = 1000;
  options.most = 1.0f;
  EXPECT_EQ(error(options), "budget: most in (1, 1000] expected, 1 found");
  options.most = 2.0f;
  options.base_h = -0.5f;
  EXPECT_EQ(error(options), "budget: base_x and base_h of at least 0 expected, -0.5 found");
  Session two = SessionOf(artifact_, 2, 1);
  EXPECT_EQ(two.SetBudget(options_).message(),
            "budget: a session of one stream expected, max_batch = 2 found");
}

TEST_F(SessionBudget, IsRefusedWhereNothingCanBeRaised) {
  Rng rng(3);
  for (const bool has_idle : {false, true}) {
    GraphBuilder builder("no delta", kFeatures, &rng);
    Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 8).Finish());
    if (has_idle) graph.nodes[0].idle = IdleCandidates{0.1};
    const Artifact artifact = ArtifactOf(graph, {FormatId::k_dense});
    Session session = SessionOf(artifact, 1, 1);
    const Status status = session.SetBudget(options_);
    EXPECT_EQ(status.code(), Code::kUnsupported);
    EXPECT_EQ(status.message(),
              std::string("budget: a network with a layer that has delta expected, ") +
                  (has_idle ? "only layers with other rules, without thresholds," : "none") +
                  " found; give it delta, with thresholds of 0 if need be, before it is compiled");
  }
}

TEST_F(SessionBudget, LeastStepIsATime) {
  EXPECT_GT(ValueOrDie(LeastStepNs(artifact_, SessionOptions())), 0);
  SessionOptions options;
  options.target = "Z80";
  EXPECT_EQ(LeastStepNs(artifact_, options).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace espalier
