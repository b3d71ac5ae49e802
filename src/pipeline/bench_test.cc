#include "pipeline/bench.h"

#include <atomic>
#include <limits>

#include "compile/compile.h"
#include "pipeline/layers.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

class RunBenchTest : public ::testing::Test {
 protected:
  RunBenchTest() {
    Rng rng(5);
    graph_ = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                     ValueOrDie(ParseLayers("lstm:8 last_step gemm:3")), &rng));
    CompileOptions compile;
    compile.tuning = Tuning::kOff;
    artifact_ = ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(graph_, compile))));
    options_.shape.steps = 6;
    options_.repetitions = 2;
    systems_ = {ValueOrDie(EspalierSystem("espalier", *artifact_, graph_, options_.shape, {}))};
  }

  // Adds `error` to the output of call `call` of `run`, counted from 0.
  void Spoil(std::function<Status(std::span<const float>)> BenchSystem::*run, int call,
             float error) {
    BenchSystem& system = systems_[0];
    auto calls = std::make_shared<int>(0);
    auto spoilt = std::make_shared<bool>(false);
    system.*run = [inner = system.*run, calls, spoilt, call](std::span<const float> x) {
      *spoilt = (*calls)++ == call;
      return inner(x);
    };
    auto copy = std::make_shared<std::vector<float>>();
    system.output = [inner = system.output, copy, spoilt, error] {
      const std::span<const float> y = inner();
      copy->assign(y.begin(), y.end());
      if (*spoilt) (*copy)[1] += error;
      return std::span<const float>(*copy);
    };
  }

  Graph graph_;
  std::optional<Artifact> artifact_;
  BenchOptions options_;
  std::vector<BenchSystem> systems_;
};

TEST_F(RunBenchTest, TimesSequencesAndSteps) {
  const BenchRecord record = ValueOrDie(RunBench(systems_, options_));
  ASSERT_EQ(record.systems.size(), 1u);
  const SystemRecord& system = record.systems[0];
  EXPECT_EQ(system.system, "espalier");
  EXPECT_GT(system.us_per_sequence.median, 0.0);
  EXPECT_LE(system.us_per_sequence.p25, system.us_per_sequence.p75);
  ASSERT_TRUE(system.us_per_step.has_value());
  // Quartiles, since another program may take the core for most of one of the two.
  EXPECT_LT(system.us_per_step->p25, system.us_per_sequence.p75);
}

TEST_F(RunBenchTest, RefusesASystemThatIsWrongInTheLastSequenceOnly) {
  Spoil(&BenchSystem::run_sequence, 31, 1e-4f);
  ExpectError(RunBench(systems_, options_).status(), Code::kInternal,
              {"espalier", "sequence 31", "as a whole", "element 1"});
}

TEST_F(RunBenchTest, RefusesASystemThatIsWrongInTheLastStepOnly) {
  Spoil(&BenchSystem::run_step, 32 * 6 - 1, 1e-4f);
  ExpectError(RunBench(systems_, options_).status(), Code::kInternal,
              {"espalier", "sequence 31", "step by step", "element 1"});
}

TEST_F(RunBenchTest, RefusesANan) {
  Spoil(&BenchSystem::run_sequence, 0, std::numeric_limits<float>::quiet_NaN());
  ExpectError(RunBench(systems_, options_).status(), Code::kInternal, {"nan found"});
}

TEST_F(RunBenchTest, RefusesARunWithoutRepetitions) {
  options_.repetitions = 0;
  ExpectError(RunBench(systems_, options_).status(), Code::kInvalidArgument, {"repetition", "0"});
}

TEST_F(RunBenchTest, TimesBatchesOfStreams) {
  options_.shape.batch = 3;
  options_.what = BenchWhat::kSteps;
  systems_ = {ValueOrDie(EspalierSystem("espalier", *artifact_, graph_, options_.shape, {}))};
  const std::vector<SystemTiming> timings = ValueOrDie(TimeSystems(systems_, options_));
  ASSERT_EQ(timings.size(), 1u);
  EXPECT_LT(timings[0].error, 1e-5);
  EXPECT_FALSE(timings[0].us_per_sequence.has_value());
  EXPECT_GT(timings[0].us_per_step->median, 0.0);
}

// Nothing brings weights back that other work has taken, and each sample is one call.
TEST_F(RunBenchTest, TimesOneCallAfterOtherWork) {
  options_.cache = CacheState::kCold;
  options_.what = BenchWhat::kSequences;
  options_.sequence_count = 2;
  int calls = 0;
  systems_[0].run_sequence = [&, inner = systems_[0].run_sequence](std::span<const float> x) {
    ++calls;
    return inner(x);
  };
  ASSERT_TRUE(TimeSystems(systems_, options_).ok());
  constexpr int kVerified = 2, kFirst = 4, kTimed = 2;
  EXPECT_EQ(calls, kVerified + kFirst + kTimed);
}

TEST_F(RunBenchTest, StopsWhenItIsCancelled) {
  const std::atomic<bool> cancel{true};
  options_.cancel = &cancel;
  ExpectError(RunBench(systems_, options_).status(), Code::kCancelled, {"bench"});
}

// One id a step, a prediction at each: verified against the reference, as all is.
TEST_F(RunBenchTest, TimesANetworkThatReadsIds) {
  Rng rng(5);
  graph_ = ValueOrDie(BuildNetwork("text", {Element::kI32, Layout::kSequence, 9},
                                   ValueOrDie(ParseLayers("embedding:8 lstm:8 tied_gemm")), &rng));
  CompileOptions compile;
  compile.tuning = Tuning::kOff;
  artifact_ = ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(graph_, compile))));
  systems_ = {ValueOrDie(EspalierSystem("espalier", *artifact_, graph_, options_.shape, {}))};
  const BenchRecord record = ValueOrDie(RunBench(systems_, options_));
  EXPECT_GT(record.systems[0].us_per_sequence.median, 0.0);
  EXPECT_TRUE(record.systems[0].us_per_step.has_value());
}

}  // namespace
}  // namespace espalier
