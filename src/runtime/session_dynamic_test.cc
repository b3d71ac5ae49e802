// Sessions with delta and skipped updates against the reference executor and against plain
// sessions.
#include <gtest/gtest.h>

#include "base/strings.h"
#include "model/without_rules.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

struct Rules {
  std::optional<Delta> delta;
  bool skip = false;
};

// Two layers of a cell, sparse, with an output at each step.
Graph Network(CellKind cell, const Rules& rules, Direction direction = Direction::kForward) {
  Rng rng(21);
  GraphBuilder builder("dynamic", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = direction;
  options.delta = rules.delta;
  options.skip = rules.skip;
  builder.Recurrent(cell, 21, options).Recurrent(cell, 10, options);
  Graph graph = ValueOrDie(builder.Gemm(4).Finish());
  ZeroRandomWeights(0.6, &rng, &graph);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_skip") != std::string::npos) weight.values = {-0.8f};
  }
  return graph;
}

class DynamicOnEveryTarget : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Targets, DynamicOnEveryTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

// Of random lengths and states, in batches of many sequences. A threshold that a value meets within
// rounding would send it in one and not in the other: none of these does.
TEST_P(DynamicOnEveryTarget, DeltaEqualsTheReference) {
  for (const CellKind cell : CellsThatMultiplyH()) {
    for (const Delta& delta : {Delta{0.4, 0.1, 1}, Delta{0.8, 0.15, 4}, Delta{0.0, 0.0, 1}}) {
      Graph graph = Network(cell, {delta, false}, Direction::kBidirectional);
      if (delta.bank == 4) graph = WithOneBias(graph);
      const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
      Session session = SessionOf(artifact, 5, 12, GetParam());
      Rng rng(7);
      for (int repetition = 0; repetition < 4; ++repetition) {
        const int64_t size = 1 + static_cast<int64_t>(rng.Below(5));
        ExpectMatchesReference(graph, RandomBatch(graph, 12, size, 0, &rng),
                               RandomStates(graph, size, &rng), &session);
      }
      EXPECT_GT(session.Activity(0).counters.x_sent, 0u);
    }
  }
}

TEST_P(DynamicOnEveryTarget, SkipEqualsTheReference) {
  for (const CellInfo& cell : kCells) {
    for (const bool with_delta : {false, true}) {
      if (with_delta && cell.reset_before) continue;
      Rules rules{std::nullopt, true};
      if (with_delta) rules.delta = Delta{0.4, 0.1, 1};
      const Graph graph = Network(cell.kind, rules, Direction::kBidirectional);
      const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
      Session session = SessionOf(artifact, 5, 12, GetParam());
      Rng rng(8);
      for (int repetition = 0; repetition < 4; ++repetition) {
        const int64_t size = 1 + static_cast<int64_t>(rng.Below(5));
        ExpectMatchesReference(graph, RandomBatch(graph, 12, size, 0, &rng),
                               ZeroStates(graph, size), &session);
      }
      const LayerCounters& counters = session.Activity(0).counters;
      EXPECT_GT(counters.skipped, 0u) << cell.name;
      EXPECT_LT(counters.skipped, counters.steps) << cell.name;
    }
  }
}

// Whole, in chunks and step by step. The same bits: chunks of a session that skips multiply ahead.
TEST(SessionDynamic, SkipGivesTheSameInChunks) {
  const Graph graph = Network(CellKind::kGruCell, {std::nullopt, true});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Rng rng(9);
  const Batch batch = RandomBatch(graph, 24, 1, 24, &rng);
  Session whole = SessionOf(artifact, 1, 24);
  ASSERT_OK(whole.Run(ViewOf(batch)));
  const std::span<const float> expected = whole.Output(0);
  for (const int64_t chunk : {1, 5, 8}) {
    Session session = SessionOf(artifact, 1, 24);
    std::vector<float> found;
    for (int64_t step = 0; step < 24; step += chunk) {
      const Batch part = Chunk(graph, batch, step, std::min<int64_t>(chunk, 24 - step));
      ASSERT_OK(session.Run(ViewOf(part)));
      found.insert(found.end(), session.Output(0).begin(), session.Output(0).end());
    }
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found.begin(), found.end())) << chunk;
  }
}

// What a stream says, in pieces of `chunk` steps, with the counters of both layers behind it.
std::vector<float> InChunks(const Artifact& artifact, const Graph& graph, const Batch& batch,
                            int64_t chunk) {
  Session session = SessionOf(artifact, 1, chunk);
  std::vector<float> found;
  for (int64_t step = 0; step < batch.steps; step += chunk) {
    const Batch part = Chunk(graph, batch, step, std::min<int64_t>(chunk, batch.steps - step));
    EXPECT_OK(session.Run(ViewOf(part)));
    found.insert(found.end(), session.Output(0).begin(), session.Output(0).end());
  }
  for (const auto& [name, values] : GetStates(session, 1)) {
    found.insert(found.end(), values.begin(), values.end());
  }
  for (size_t i = 0; i < session.dynamic_layers(); ++i) {
    const LayerCounters& counters = session.Activity(i).counters;
    for (const uint64_t count : {counters.x_columns, counters.x_sent, counters.h_columns,
                                 counters.h_sent, counters.multiply_adds}) {
      found.push_back(static_cast<float>(count));
    }
  }
  return found;
}

// Where all of x is multiplied anew at each step, input products of many steps are made together,
// by turns with single ones as x moves, stands still, and moves again: the same bits.
TEST(SessionDynamic, DeltaGivesTheSameInChunks) {
  constexpr int64_t kSteps = 1300;  // an input product has room for 390 of the LSTM's
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruCell}) {
    for (const Delta& delta : {Delta{0.0, 0.0, 1}, Delta{0.05, 0.02, 1}, Delta{0.3, 0.1, 4}}) {
      const Graph graph = Network(cell, {delta, false}, Direction::kForward);
      const Artifact artifact =
          ArtifactOf(graph, delta.x == 0.05 ? FormatSpec() : FormatSpec{FormatId::k_slot, 8, 8});
      Rng rng(9);
      Batch batch = RandomBatch(graph, kSteps, 1, kSteps, &rng);
      const auto width = static_cast<size_t>(graph.inputs[0].type.features);
      for (size_t t = 420; t < 800; ++t) {
        std::copy_n(batch.features.begin() + static_cast<ptrdiff_t>(419 * width), width,
                    batch.features.begin() + static_cast<ptrdiff_t>(t * width));
      }
      const std::vector<float> expected = InChunks(artifact, graph, batch, 1);
      for (const int64_t chunk : {kSteps, int64_t{7}, int64_t{450}}) {
        EXPECT_EQ(InChunks(artifact, graph, batch, chunk), expected)
            << InfoOf(cell).name << " " << delta.x << " in chunks of " << chunk;
      }
    }
  }
}

// Each sequence of a batch, of its own length, is what it is alone.
TEST(SessionDynamic, DeltaGivesTheSameInABatch) {
  const Graph graph =
      Network(CellKind::kGruCell, {Delta{0.05, 0.02, 1}, false}, Direction::kBidirectional);
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Rng rng(9);
  constexpr int64_t kSize = 3;
  const Batch batch = RandomBatch(graph, 400, kSize, 40, &rng);
  Session together = SessionOf(artifact, kSize, 400);
  const auto width = static_cast<size_t>(graph.inputs[0].type.features);
  for (int repetition = 0; repetition < 2; ++repetition) ASSERT_OK(together.Run(ViewOf(batch)));
  for (int64_t b = 0; b < kSize; ++b) {
    Batch one = batch;
    one.size = 1;
    one.lengths = {batch.lengths[static_cast<size_t>(b)]};
    one.features.clear();
    for (int64_t t = 0; t < batch.steps; ++t) {
      const auto from = batch.features.begin() +
                        static_cast<ptrdiff_t>(static_cast<size_t>(t * kSize + b) * width);
      one.features.insert(one.features.end(), from, from + static_cast<ptrdiff_t>(width));
    }
    Session alone = SessionOf(artifact, 1, 400);
    for (int repetition = 0; repetition < 2; ++repetition) ASSERT_OK(alone.Run(ViewOf(one)));
    for (const auto& [name, values] : GetStates(alone, 1)) {
      const std::vector<float> all = GetStates(together, kSize).at(name);
      const auto from = all.begin() + b * static_cast<int64_t>(values.size());
      EXPECT_TRUE(std::equal(values.begin(), values.end(), from)) << name << " of sequence " << b;
    }
  }
}

// Thresholds of 0 and no skipping: the plain session to rounding, in every way of running it.
TEST(SessionDynamic, WithRulesOffIsThePlainSession) {
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruCell}) {
    const Graph dynamic = Network(cell, {Delta{0.5, 0.2, 1}, true});
    const Artifact artifact = ArtifactOf(dynamic, {FormatId::k_slot, 8, 8});
    const Artifact plain_artifact = ArtifactOf(WithoutRules(dynamic), {FormatId::k_slot, 8, 8});
    EXPECT_EQ(ExpectPlainWithRulesOff(dynamic, cell).skipped, 0u);
    Session plain = SessionOf(plain_artifact, 3, 9);
    Session on = SessionOf(artifact, 3, 9);
    Rng rng(10);
    const Batch batch = RandomBatch(dynamic, 9, 3, 9, &rng);
    for (Session* session : {&plain, &on}) ASSERT_OK(session->Run(ViewOf(batch)));
    EXPECT_GT(MaxAbsDifference({plain.Output(0).begin(), plain.Output(0).end()},
                               {on.Output(0).begin(), on.Output(0).end()}),
              1e-3);  // the rules do something
  }
}

// The rules are on and never leave anything out: u is 1 at each step, and all that changes is sent.
TEST(SessionDynamic, WithEveryStepAnUpdateIsThePlainSession) {
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruCell}) {
    for (const std::optional<Delta>& delta :
         {std::optional<Delta>(), std::optional(Delta{1e-30, 1e-30, 1})}) {
      Graph dynamic = Network(cell, {delta, true});
      for (auto& [name, weight] : dynamic.weights) {
        if (name.find("bias_skip") != std::string::npos) weight.values = {100.0f};  // gain of 1
      }
      const Artifact artifact = ArtifactOf(dynamic, {FormatId::k_slot, 8, 8});
      const Artifact plain_artifact = ArtifactOf(WithoutRules(dynamic), {FormatId::k_slot, 8, 8});
      Session plain = SessionOf(plain_artifact, 3, 9);
      Session session = SessionOf(artifact, 3, 9);
      ExpectSameOverChunksAndResets(dynamic, &plain, &session, std::string(InfoOf(cell).name));
      EXPECT_GT(session.Activity(0).counters.steps, 0u);
      EXPECT_EQ(session.Activity(0).counters.skipped, 0u);
    }
  }
}

// W sent is made anew in step 1,001: of a stream that stands still, nothing else is multiplied.
TEST(SessionDynamic, MultipliesAnewAfterAThousandSteps) {
  const Graph graph = Network(CellKind::kGruCell, {Delta{1e30, 1e30, 1}, false});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, 1000);
  Rng rng(12);
  const uint64_t all = [&] {
    EXPECT_OK(session.Run(ViewOf(RandomBatch(graph, 1, 1, 1, &rng))));
    return session.Activity(0).counters.multiply_adds;
  }();
  EXPECT_OK(session.Run(ViewOf(RandomBatch(graph, 999, 1, 999, &rng))));
  EXPECT_EQ(session.Activity(0).counters.multiply_adds, all);
  EXPECT_OK(session.Run(ViewOf(RandomBatch(graph, 1, 1, 1, &rng))));
  EXPECT_EQ(session.Activity(0).counters.multiply_adds, 2 * all);
}

// What adding and taking off large changes has left by rounding is gone then. The layer remembers
// nothing but W sent, and every other step has small features only.
TEST(SessionDynamic, ForgetsRoundingWhenItMultipliesAnew) {
  Rng rng(17);
  GraphBuilder builder("memoryless", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.delta = Delta{1e-30, 1e30, 1};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kRnnTanhCell, 16, options).Finish());
  std::ranges::fill(graph.weights.at("rnn_tanh0.weight_hh").values, 0.0f);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  const Artifact plain_artifact = ArtifactOf(WithoutRules(graph), FormatSpec());
  Session session = SessionOf(artifact, 1, 1);
  Session plain = SessionOf(plain_artifact, 1, 1);
  const std::vector<float> small = RandomBatch(graph, 1, 1, 1, &rng).features;
  double before = 0.0, after = 0.0;  // differences at the last step before, and at that one
  for (int step = 0; step <= 1000; ++step) {
    std::vector<float> x = small;
    for (size_t i = 0; i < 3 && step % 2 == 1; ++i) x[i] = rng.Uniform(-200.0f, 200.0f);
    for (Session* each : {&session, &plain}) ASSERT_OK(each->Step(std::span<const float>(x)));
    if (step < 998 || step % 2 == 1) continue;
    (step == 998 ? before : after) =
        MaxAbsDifference({session.Output(0).begin(), session.Output(0).end()},
                         {plain.Output(0).begin(), plain.Output(0).end()});
  }
  EXPECT_GT(before, 10.0 * kTolerance);
  EXPECT_LT(after, kTolerance);
}

TEST(SessionDynamic, ALongStreamWithDeltaDoesNotDrift) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__aarch64__)
  constexpr int64_t kSteps = 50'000;
#else
  constexpr int64_t kSteps = 1'000'000;
#endif
  constexpr int64_t kChunk = 1000;
  const Graph dynamic = Network(CellKind::kGruCell, {Delta{0.0, 0.0, 1}, false});
  Graph plain = dynamic;
  for (Node& node : plain.nodes) node.delta.reset();
  const Artifact artifact = ArtifactOf(dynamic, {FormatId::k_slot, 8, 8});
  const Artifact plain_artifact = ArtifactOf(plain, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, kChunk);
  Session expected = SessionOf(plain_artifact, 1, kChunk);
  // Tiny: all that changes is sent.
  for (const char* layer : {"gru0", "gru1"}) {
    ASSERT_OK(session.SetRules(layer, {1e-30f, 1e-30f, false}));
  }
  Rng rng(11);
  double drift = 0.0;
  for (int64_t step = 0; step < kSteps; step += kChunk) {
    Batch batch = RandomBatch(plain, kChunk, 1, kChunk, &rng);
    // Three features change, so that columns are added.
    for (size_t i = 0; i < batch.features.size(); ++i) {
      if (i % 13 >= 3) batch.features[i] = static_cast<float>(i % 13) / 13.0f;
    }
    ASSERT_OK(session.Run(ViewOf(batch)));
    ASSERT_OK(expected.Run(ViewOf(batch)));
    drift =
        std::max(drift, MaxAbsDifference({session.Output(0).begin(), session.Output(0).end()},
                                         {expected.Output(0).begin(), expected.Output(0).end()}));
  }
  const LayerCounters& counters = session.Activity(0).counters;
  EXPECT_LT(counters.x_sent, counters.steps * 4);
  EXPECT_LT(counters.multiply_adds, counters.multiply_adds_without);
  EXPECT_LT(drift, 2e-5);
}

// A spike in x is gone when it is gone: what it added to W sent in f32 is not left there.
TEST(SessionDynamic, ForgetsASpike) {
  const Graph graph = Network(CellKind::kLstmCell, {Delta{0.05, 0.0, 1}, false});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  for (const float spike : {1e3f, 1e8f, 3e38f}) {
    Session session = SessionOf(artifact, 1, 60);
    Rng rng(13);
    Batch batch = RandomBatch(graph, 60, 1, 60, &rng);
    batch.features[static_cast<size_t>(20 * 13 + 4)] = spike;
    StateSet states = ZeroStates(graph, 1);
    const auto expected = ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]);
    ASSERT_OK(session.Run(ViewOf(batch)));
    const std::vector<float> last(expected.values.end() - 4, expected.values.end());
    ExpectNear(last, session.Output(0).last(4), kTolerance, StrCat(spike));
  }
}

// A stream that sent too much takes plain steps, but none of them for thresholds of before.
TEST(SessionDynamic, LooksAgainWhereThresholdsHaveChanged) {
  const Graph graph = Network(CellKind::kGruCell, {Delta{1e-6, 1e-6, 1}, false});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, 1);
  Rng rng(16);
  for (int step = 0; step < 138; ++step) {
    ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 1, 1, 1, &rng))));
  }
  const LayerCounters& counters = session.Activity(0).counters;
  EXPECT_EQ(counters.multiply_adds, counters.multiply_adds_without);
  for (const char* layer : {"gru0", "gru1"}) {
    ASSERT_OK(session.SetRules(layer, {1e30f, 1e30f, false}));
  }
  session.ResetCounters();
  for (int step = 0; step < 8; ++step) {
    ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 1, 1, 1, &rng))));
  }
  const LayerCounters& calm = session.Activity(0).counters;  // the first of them is anew
  EXPECT_LE(calm.multiply_adds * 8, calm.multiply_adds_without);
}

// Each stream skips so many steps as it said after its last update, whatever the input.
TEST(SessionDynamic, KnowsAheadWhatItSkips) {
  Graph graph = Network(CellKind::kGruCell, {std::nullopt, true});
  graph.weights.at("gru0.bias_skip").values = {-2.0f};
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  constexpr size_t kStreams = 3;
  Session session = SessionOf(artifact, kStreams, 1);
  Rng rng(15);
  std::vector<int64_t> left(kStreams, 0);
  int64_t most = 0;
  for (int step = 0; step < 60; ++step) {
    int64_t expected = 0;  // skipped in this step
    for (size_t stream = 0; stream < kStreams; ++stream) {
      left[stream] = session.SkipsAhead(0, stream);
      most = std::max(most, left[stream]);
      expected += left[stream] > 0 ? 1 : 0;
    }
    session.ResetCounters();
    ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 1, kStreams, 1, &rng))));
    EXPECT_EQ(session.Activity(0).counters.skipped, static_cast<uint64_t>(expected)) << step;
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const int64_t now = session.SkipsAhead(0, stream);
      EXPECT_TRUE(left[stream] == 0 || now == left[stream] - 1) << step;
    }
  }
  EXPECT_GT(most, 1);
  ASSERT_OK(session.SetRules("gru0", LayerRules()));
  for (size_t stream = 0; stream < kStreams; ++stream) EXPECT_EQ(session.SkipsAhead(0, stream), 0);
}

// Skipping that is allowed again obeys what the layer says now, not what it said before.
TEST(SessionDynamic, KeepsTheGainWhileNothingIsSkipped) {
  const Graph graph = Network(CellKind::kGruCell, {std::nullopt, true});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, 10);
  Rng rng(14);
  ASSERT_OK(session.SetRules("gru0", LayerRules()));
  float before = 0.0f, after = 0.0f;
  ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 10, 1, 10, &rng))));
  ASSERT_OK(session.GetState("gru0.gain", {&before, 1}));
  ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 10, 1, 10, &rng))));
  ASSERT_OK(session.GetState("gru0.gain", {&after, 1}));
  EXPECT_GT(before, 0.0f);
  EXPECT_NE(before, after);
}

TEST(SessionDynamic, CountsWhatItDoes) {
  const Graph graph = Network(CellKind::kGruCell, {Delta{100.0, 100.0, 1}, false});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, 10);
  ASSERT_EQ(session.dynamic_layers(), 2u);
  Rng rng(12);
  ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 10, 1, 10, &rng))));
  const LayerActivity activity = session.Activity(0);
  EXPECT_EQ(activity.layer, "gru0");
  EXPECT_EQ(activity.counters.steps, 10u);
  EXPECT_EQ(activity.counters.skipped, 0u);
  EXPECT_EQ(activity.counters.x_columns, 130u);
  EXPECT_EQ(activity.counters.h_columns, 210u);
  EXPECT_EQ(activity.counters.x_sent, 0u);  // nothing changes by 100
  EXPECT_EQ(activity.counters.h_sent, 0u);
  // The first step multiplies all, the others nothing.
  EXPECT_EQ(activity.counters.multiply_adds * 10, activity.counters.multiply_adds_without);
  session.ResetCounters();
  EXPECT_EQ(session.Activity(0).counters.steps, 0u);
}

TEST(SessionDynamic, RefusesRulesThatALayerCannotFollow) {
  const Artifact skips =
      ArtifactOf(Network(CellKind::kGruCell, {std::nullopt, true}), FormatSpec());
  Session session = SessionOf(skips, 1, 1);
  ExpectError(session.SetRules("gru0", {0.1f, 0.0f, true}), Code::kUnsupported,
              {"gru0", "without columns", "delta"});
  ExpectError(session.SetRules("gru0", {-1.0f, 0.0f, true}), Code::kInvalidArgument,
              {"gru0", "delta_x", "-1"});
  ExpectError(session.SetRules("gru0", {0.0f, std::nanf(""), true}), Code::kInvalidArgument,
              {"gru0", "delta_h", "nan"});
  ExpectError(session.SetRules("gru2", {}), Code::kInvalidArgument, {"gru2", "no such layer"});
  const Artifact sends = ArtifactOf(Network(CellKind::kGruCell, {Delta{}, false}), FormatSpec());
  Session delta = SessionOf(sends, 1, 1);
  ExpectError(delta.SetRules("gru0", {0.1f, 0.0f, true}), Code::kUnsupported, {"gru0", "skip"});
  EXPECT_OK(delta.SetRules("gru0", {0.1f, 0.2f, false}));
}

}  // namespace
}  // namespace espalier
