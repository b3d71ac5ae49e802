// Sessions whose rules gain nothing: when they rest, what a step at rest is, and who sees it.
#include "runtime/rest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "model/without_rules.h"
#include "runtime/pool.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr FormatSpec kSlots{FormatId::k_slot, 8, 8};
constexpr size_t kUnits = 32;

// One rule that leaves out next to nothing, and the steps that follow it (T) or are plain (r).
struct Case {
  std::string name;
  GraphBuilder::RecurrentOptions options;
  std::string pattern;
};

std::string Rests(size_t count) { return std::string(count, 'r') + "T"; }

std::vector<Case> Cases() {
  const std::string longer = Rests(4) + Rests(16) + Rests(64) + Rests(64);
  // The first step of a stream with delta multiplies anew whatever has changed.
  Case delta{"delta", {}, "TT" + Rests(1) + Rests(4) + Rests(8) + Rests(8)};
  delta.options.delta = Delta{0.0, 0.002};
  Case banks{"banks", {}, std::string(8, 'T') + Rests(1) + Rests(3) + Rests(3)};
  banks.options.banks = UnitBanks{8, 0};
  Case idle{"idle", {}, "T" + longer};
  idle.options.idle = IdleCandidates{0.001};
  Case predicted{"predicted", {}, "T" + longer};
  predicted.options.predicted = PredictedRows{3, 1e-6};
  return {delta, banks, idle, predicted};
}

Graph Network(const Case& rule) {
  Rng rng(4);
  GraphBuilder builder("rest", kFeatures, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, kUnits, rule.options).Finish());
  ZeroRandomWeights(0.7, &rng, &graph);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_banks") != std::string::npos) {
      std::fill(weight.values.begin(), weight.values.end(), 100.0f);
    }
  }
  // Two of 32 candidates are idle, 2 % of all rows.
  std::fill_n(graph.weights.at("gru0.bias_ih").values.begin() + kUnits, 2, 20.0f);
  return graph;
}

// Whether what one step has added to the counters is of a step by the rules.
bool WasByRules(const LayerCounters& before, const LayerCounters& after) {
  const auto added = [&](uint64_t LayerCounters::*counter) {
    return after.*counter - before.*counter;
  };
  return added(&LayerCounters::h_sent) < added(&LayerCounters::h_columns) ||
         added(&LayerCounters::rows_run) < added(&LayerCounters::rows) ||
         added(&LayerCounters::multiply_adds) > added(&LayerCounters::multiply_adds_without);
}

std::vector<float> HiddenOf(const Session& session) {
  std::vector<float> h(kUnits);
  EXPECT_OK(session.GetState("gru0.h", h));
  return h;
}

TEST(Rest, StepsAtRestArePlainAndEachRestIsLonger) {
  for (const Case& rule : Cases()) {
    const Graph graph = Network(rule);
    const Artifact artifact = ArtifactOf(graph, kSlots);
    const Artifact plain_artifact = ArtifactOf(WithoutRules(graph), kSlots);
    Session session = SessionOf(artifact, 1, 1);
    Session plain = SessionOf(plain_artifact, 1, 1);
    Rng rng(5);
    std::string pattern;
    for (size_t step = 0; step < rule.pattern.size(); ++step) {
      const std::vector<float> x = RandomBatch(graph, 1, 1, 1, &rng).features;
      const LayerCounters before = session.Activity(0).counters;
      ASSERT_OK(plain.SetState("gru0.h", HiddenOf(session)));
      ASSERT_OK(session.Step(x));
      const LayerCounters after = session.Activity(0).counters;
      EXPECT_EQ(after.steps, before.steps + 1);
      pattern += WasByRules(before, after) ? 'T' : 'r';
      if (pattern.back() == 'T') continue;
      ASSERT_OK(plain.Step(x));
      EXPECT_EQ(HiddenOf(session), HiddenOf(plain)) << rule.name << " at " << step;
      EXPECT_EQ(after.multiply_adds - before.multiply_adds,
                after.multiply_adds_without - before.multiply_adds_without);
    }
    EXPECT_EQ(pattern, rule.pattern) << rule.name;
  }
}

TEST(Rest, IsTheSameInChunksAndBatches) {
  for (const Case& rule : Cases()) {
    const Graph graph = Network(rule);
    ExpectSameInChunksAndBatches(graph, ArtifactOf(graph, kSlots), 150, {1, 7, 64});
  }
}

// Steps that are those of rules: all, unless rules may rest.
size_t CountByRules(const Graph& graph, size_t steps, Session* session) {
  Rng rng(5);
  size_t count = 0;
  for (size_t step = 0; step < steps; ++step) {
    const LayerCounters before = session->Activity(0).counters;
    EXPECT_OK(session->Step(RandomBatch(graph, 1, 1, 1, &rng).features));
    count += WasByRules(before, session->Activity(0).counters) ? 1 : 0;
  }
  return count;
}

TEST(Rest, SetRestsKeepsRulesInEveryStep) {
  for (const Case& rule : Cases()) {
    const Graph graph = Network(rule);
    const Artifact artifact = ArtifactOf(graph, kSlots);
    Session session = SessionOf(artifact, 1, 1);
    EXPECT_TRUE(session.rests());
    EXPECT_LT(CountByRules(graph, 30, &session), 20u) << rule.name;
    session.SetRests(false);
    EXPECT_FALSE(session.rests());
    EXPECT_EQ(CountByRules(graph, 30, &session), 30u) << rule.name;
    session.SetRests(true);
    EXPECT_LT(CountByRules(graph, 30, &session), 20u) << rule.name;
  }
}

// A stream that begins anew looks anew, and so do all once rules change.
TEST(Rest, EndsWithTheStreamAndWithTheRules) {
  const Case rule = Cases()[3];
  const Graph graph = Network(rule);
  const Artifact artifact = ArtifactOf(graph, kSlots);
  Session session = SessionOf(artifact, 1, 1);
  EXPECT_EQ(CountByRules(graph, 2, &session), 1u);
  session.Reset();
  EXPECT_EQ(CountByRules(graph, 2, &session), 1u);
  ASSERT_OK(session.SetRules("gru0", {.predicted = 1e-7f}));
  EXPECT_EQ(CountByRules(graph, 2, &session), 1u);
}

TEST(Rest, GoesOnWhereSomethingIsGained) {
  Case rule = Cases()[2];
  rule.options.idle = IdleCandidates{0.5};  // half of the candidates, a sixth of all rows
  const Graph graph = Network(rule);
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_rows});
  Session session = SessionOf(artifact, 1, 1);
  EXPECT_EQ(CountByRules(graph, 30, &session), 30u);
}

// With a second of the recurrent matrix in another format, which steps at rest multiply, and all
// steps without rules.
TEST(Rest, MultipliesTheSecondOfAMatrixByRow) {
  const Case rule = Cases()[3];
  const Graph graph = Network(rule);
  const auto artifact_of = [](const Graph& each, const std::string& matrix,
                              const FormatSpec& spec) {
    ArtifactContent content;
    content.choices["gru0.weight_hh"].spec = {FormatId::k_rows};
    content.choices[matrix].spec = spec;
    return ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(each, content))));
  };
  const Artifact artifact = artifact_of(graph, PlainPartName("gru0.weight_hh"), kSlots);
  const Artifact plain_artifact = artifact_of(WithoutRules(graph), "gru0.weight_hh", kSlots);
  Session session = SessionOf(artifact, 1, 1);
  Session plain = SessionOf(plain_artifact, 1, 1);
  Rng rng(5);
  for (int step = 0; step < 30; ++step) {
    const std::vector<float> x = RandomBatch(graph, 1, 1, 1, &rng).features;
    const LayerCounters before = session.Activity(0).counters;
    ASSERT_OK(plain.SetState("gru0.h", HiddenOf(session)));
    ASSERT_OK(session.Step(x));
    ASSERT_OK(plain.Step(x));
    if (WasByRules(before, session.Activity(0).counters)) {
      ExpectNear(HiddenOf(plain), HiddenOf(session), kTolerance, "a step by the rules");
    } else {
      EXPECT_EQ(HiddenOf(session), HiddenOf(plain)) << step;
    }
  }
  session.SetRests(false);
  ASSERT_OK(session.SetRules("gru0", LayerRules()));
  ASSERT_OK(plain.SetState("gru0.h", HiddenOf(session)));
  const std::vector<float> x = RandomBatch(graph, 1, 1, 1, &rng).features;
  ASSERT_OK(session.Step(x));
  ASSERT_OK(plain.Step(x));
  EXPECT_EQ(HiddenOf(session), HiddenOf(plain));
  ExpectSameInChunksAndBatches(graph, artifact, 150, {1, 7, 64});
  Session checked = SessionOf(artifact, 3, 12);
  ExpectMatchesReference(graph, RandomBatch(graph, 12, 3, 0, &rng), ZeroStates(graph, 3), &checked);
}

TEST(Rest, PoolsRestByStream) {
  const Case rule = Cases()[3];
  const Graph graph = Network(rule);
  const Artifact artifact = ArtifactOf(graph, kSlots);
  PoolOptions options;
  options.max_streams = 2;
  StreamPool pool = ValueOrDie(StreamPool::Create(artifact, options));
  Session session = SessionOf(artifact, 1, 1);
  EXPECT_TRUE(pool.rests());
  const int32_t late = ValueOrDie(pool.Add()), early = ValueOrDie(pool.Add());
  Rng rng(5);
  for (int step = 0; step < 40; ++step) {
    const std::vector<float> x = RandomBatch(graph, 1, 2, 1, &rng).features;
    const size_t width = x.size() / 2;
    const std::vector<int32_t> streams = step < 3 ? std::vector{early} : std::vector{early, late};
    ASSERT_OK(pool.Step({streams, std::span(x).first(width * streams.size()), {}}));
    ASSERT_OK(session.Step(std::span(x).first(width)));
    const std::span<const float> first = pool.Output(0).first(kUnits);
    ASSERT_TRUE(std::ranges::equal(first, session.Output(0))) << step;
  }
  pool.SetRests(false);
  EXPECT_FALSE(pool.rests());
}

}  // namespace
}  // namespace espalier
