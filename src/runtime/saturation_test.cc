// Sessions of layers that leave out rows of gates that saturate, against the reference executor and
// against plain sessions.
#include "runtime/saturation.h"

#include <gtest/gtest.h>

#include <limits>

#include "model/without_rules.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr CellKind kSaturating[] = {CellKind::kLstmCell, CellKind::kGruCell,
                                    CellKind::kGruResetBeforeCell};

struct Rules {
  double idle = 0.0, predicted = 0.0;
  bool skip = false;
  Direction direction = Direction::kForward;
};

// Two layers of a cell, sparse, with gates that saturate, and an output at each step. `predictor`
// factors make predictors say more than nothing.
Graph Network(CellKind cell, const Rules& rules) {
  Rng rng(21);
  GraphBuilder builder("saturation", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = rules.direction;
  options.skip = rules.skip;
  if (rules.idle > 0.0) options.idle = IdleCandidates{rules.idle};
  if (rules.predicted > 0.0) options.predicted = PredictedRows{3, rules.predicted};
  builder.Recurrent(cell, 21, options);
  builder.Recurrent(cell, 10, options);
  Graph graph = ValueOrDie(builder.Gemm(4).Finish());
  ZeroRandomWeights(0.4, &rng, &graph);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_skip") != std::string::npos) weight.values = {-0.8f};
    const bool is_wide =
        name.find("bias_ih") != std::string::npos || name.find("bias_predict") != std::string::npos;
    if (!is_wide) continue;
    for (float& value : weight.values) value = rng.Uniform(-3.0f, 3.0f);
  }
  return graph;
}

class SaturationOnEveryTarget : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Targets, SaturationOnEveryTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

// Of random lengths and states, in batches of many sequences, in formats whose row groups are
// single rows, neighbours, and others. No sum meets a limit within rounding here.
TEST_P(SaturationOnEveryTarget, EqualsTheReference) {
  for (const CellKind cell : kSaturating) {
    for (const Rules& rules : {Rules{0.1, 0.0}, Rules{0.0, 0.1}, Rules{0.2, 0.1},
                               Rules{0.2, 0.1, true, Direction::kBidirectional}}) {
      const Graph graph = Network(cell, rules);
      for (const FormatSpec& spec :
           {FormatSpec{FormatId::k_slot, 8, 8}, FormatSpec{FormatId::k_blocked, 4, 4},
            FormatSpec{FormatId::k_csr}, FormatSpec{FormatId::k_rows}, FormatSpec(),
            FormatSpec{FormatId::k_compact}}) {
        const Artifact artifact = ArtifactOf(graph, spec);
        Session session = SessionOf(artifact, 5, 12, GetParam());
        Rng rng(7);
        for (int repetition = 0; repetition < 4; ++repetition) {
          const int64_t size = 1 + static_cast<int64_t>(rng.Below(5));
          const StateSet start =
              rules.skip ? ZeroStates(graph, size) : RandomStates(graph, size, &rng);
          ExpectMatchesReference(Fitted(graph, spec), RandomBatch(graph, 12, size, 0, &rng), start,
                                 &session);
        }
        const LayerCounters& counters = session.Activity(0).counters;
        EXPECT_GT(counters.rows_run, 0u);
        EXPECT_LT(counters.rows_run, counters.rows);
        EXPECT_LE(counters.rows_idle, counters.rows - counters.rows_run);
        EXPECT_EQ(counters.rows_idle > 0, graph.nodes[0].idle.has_value());
        EXPECT_EQ(counters.multiply_adds_skipped * counters.steps,
                  counters.multiply_adds_without * counters.skipped);
        EXPECT_EQ(counters.rows, (counters.steps - counters.skipped) *
                                     static_cast<uint64_t>(InfoOf(cell).gates * 21));
      }
    }
  }
}

// Whole, in chunks and step by step, alone and beside others: the same bits. In whole sequences the
// input products are made ahead, and after some steps where little is saved all rows are
// multiplied.
TEST(Saturation, GivesTheSameInChunksAndBatches) {
  for (const CellKind cell : kSaturating) {
    for (const FormatSpec& spec :
         {FormatSpec{FormatId::k_slot, 8, 8}, FormatSpec{FormatId::k_rows}}) {
      const Graph graph = Network(cell, {0.2, 0.1});
      const Artifact artifact = ArtifactOf(graph, spec);
      ExpectSameInChunksAndBatches(graph, artifact, 150, {1, 7, 64});
    }
  }
}

TEST(Saturation, RunsForNaNAndPoisonsOnlyItsStream) {
  const Graph graph = Network(CellKind::kGruCell, {0.2, 0.1});
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_rows});
  Session session = SessionOf(artifact, 2, 4);
  Session clean = SessionOf(artifact, 2, 4);
  Rng rng(6);
  Batch batch = RandomBatch(graph, 4, 2, 4, &rng);
  ASSERT_OK(clean.Run(ViewOf(batch)));
  for (size_t i = 0; i < 13; ++i) batch.features[i] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_OK(session.Run(ViewOf(batch)));
  const size_t last = 3 * 2 * 4;
  EXPECT_TRUE(std::isnan(session.Output(0)[last]));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(session.Output(0)[last + 4 + i], clean.Output(0)[last + 4 + i]);
  }
}

TEST(Saturation, EpsilonsOfZeroAreThePlainSession) {
  for (const CellKind cell : kSaturating) {
    const LayerCounters counters = ExpectPlainWithRulesOff(Network(cell, {0.2, 0.1}), cell);
    EXPECT_EQ(counters.rows_run, counters.rows);
    EXPECT_EQ(counters.multiply_adds, counters.multiply_adds_without);
  }
}

// A GRU of which every second unit is idle: a third of its rows, of which half are left out.
TEST(Saturation, MultipliesOnlyTheRowsThatAreNotLeftOut) {
  Rng rng(3);
  GraphBuilder builder("half", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.idle = IdleCandidates{0.01};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 64, options).Finish());
  for (size_t k = 0; k < 64; k += 2) graph.weights.at("gru0.bias_ih").values[64 + k] = 20.0f;
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_rows});
  Session session = SessionOf(artifact, 1, 1);
  for (int step = 0; step < 10; ++step) {
    ASSERT_OK(session.Step(RandomBatch(graph, 1, 1, 1, &rng).features));
  }
  const LayerCounters& counters = session.Activity(0).counters;
  EXPECT_EQ(counters.rows, 10u * 3 * 64);
  EXPECT_EQ(counters.rows_run, 10u * (2 * 64 + 32));
  EXPECT_EQ(counters.rows_idle, 10u * 32);
  EXPECT_EQ(counters.multiply_adds * 6, counters.multiply_adds_without * 5);
}

// A cell that resets before has a product of its own for candidates. In whole sequences those of x
// are made ahead, with all rows.
TEST(Saturation, LeavesOutCandidatesOfACellThatResetsBefore) {
  Rng rng(3);
  GraphBuilder builder("half", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.idle = IdleCandidates{0.01};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruResetBeforeCell, 64, options).Finish());
  for (size_t k = 0; k < 64; k += 2) {
    graph.weights.at("gru_reset_before0.bias_ih").values[64 + k] = 20.0f;
  }
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_rows});
  const Batch batch = RandomBatch(graph, 100, 1, 100, &rng);
  const uint64_t rows_x = 32 * 13, rows_h = 32 * 64;  // multiply-adds of the idle ones, a step
  for (const int64_t steps : {1, 100}) {
    Session session = SessionOf(artifact, 1, steps);
    for (int64_t step = 0; step < 100; step += steps) {
      ASSERT_OK(session.Run(ViewOf(Chunk(graph, batch, step, steps))));
    }
    const LayerCounters& counters = session.Activity(0).counters;
    EXPECT_EQ(counters.rows_run, 100u * (2 * 64 + 32));
    EXPECT_EQ(counters.multiply_adds_without - counters.multiply_adds,
              100 * (rows_h + (steps == 1 ? rows_x : 0)));
  }
}

// What a session has saved before says nothing of other rules.
TEST(Saturation, LooksAgainOnceItsRulesChange) {
  Rng rng(3);
  GraphBuilder builder("all", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.idle = IdleCandidates{1e-9};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 64, options).Finish());
  for (size_t k = 0; k < 64; ++k) graph.weights.at("gru0.bias_ih").values[64 + k] = 10.0f;
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_rows});
  Session session = SessionOf(artifact, 1, 1);
  const std::vector<float> x = RandomBatch(graph, 1, 1, 1, &rng).features;
  ASSERT_OK(session.Step(x));
  const uint64_t before = session.Activity(0).counters.multiply_adds;
  ASSERT_OK(session.SetRules("gru0", {.idle = 0.1f}));
  ASSERT_OK(session.Step(x));
  EXPECT_EQ((session.Activity(0).counters.multiply_adds - before) * 3, before * 2);
}

TEST(Saturation, RefusesRulesThatALayerCannotFollow) {
  const Artifact artifact = ArtifactOf(Network(CellKind::kLstmCell, {0.2, 0.0}), FormatSpec());
  Session session = SessionOf(artifact, 1, 1);
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float epsilon : {-0.1f, 0.51f, kNan}) {
    ExpectError(session.SetRules("lstm0", {.idle = epsilon}), Code::kInvalidArgument,
                {"lstm0", "idle", "[0, 0.5]"});
  }
  ExpectError(session.SetRules("lstm0", {.predicted = 0.1f}), Code::kUnsupported,
              {"lstm0", "no weights that predict rows"});
  ASSERT_OK(session.SetRules("lstm0", {.idle = 0.25f}));
  EXPECT_EQ(session.Activity(0).rules.idle, 0.25f);
  EXPECT_TRUE(session.Activity(0).has_idle);
  EXPECT_FALSE(session.Activity(0).has_predicted);
}

}  // namespace
}  // namespace espalier
