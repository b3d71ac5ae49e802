// Sessions of layers with banks of units against the reference executor and against plain sessions.
#include "runtime/banks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "model/without_rules.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// Two layers of a cell, sparse, with an output at each step. 21 units are banks of 5 and one of 1,
// so that banks begin and end within row groups; or both layers have banks of another size.
Graph Network(CellKind cell, int64_t top, bool skip = false,
              Direction direction = Direction::kForward, int64_t size = 5) {
  Rng rng(21);
  GraphBuilder builder("banks", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = direction;
  options.skip = skip;
  options.banks = UnitBanks{size, top};
  builder.Recurrent(cell, 21, options);
  options.banks->size = std::min<int64_t>(size, 4);
  builder.Recurrent(cell, 10, options);
  Graph graph = ValueOrDie(builder.Gemm(4).Finish());
  ZeroRandomWeights(0.6, &rng, &graph);
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_skip") != std::string::npos) weight.values = {-0.8f};
    if (name.find("bias_banks") != std::string::npos) {
      for (float& value : weight.values) value = rng.Uniform(-0.2f, 0.2f);
    }
  }
  return graph;
}

class BanksOnEveryTarget : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Targets, BanksOnEveryTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

// Of random lengths and states, in batches of many sequences. No score meets 0, or another that is
// as large, within rounding here.
TEST_P(BanksOnEveryTarget, EqualTheReference) {
  for (const CellKind cell : CellsThatMultiplyH()) {
    for (const int64_t top : {0, 1, 2}) {
      for (const bool skip : {false, true}) {
        const Graph graph = Network(cell, top, skip, Direction::kBidirectional);
        for (const FormatSpec& spec :
             {FormatSpec{FormatId::k_slot, 8, 8}, FormatSpec{FormatId::k_slot, 64, 16},
              FormatSpec{FormatId::k_blocked, 4, 4}, FormatSpec{FormatId::k_csr},
              FormatSpec{FormatId::k_rows}, FormatSpec()}) {
          const bool is_usual = spec == FormatSpec{FormatId::k_slot, 8, 8};
          if (!is_usual && (top != 0 || skip)) continue;
          const Artifact artifact = ArtifactOf(graph, spec);
          Session session = SessionOf(artifact, 5, 12, GetParam());
          Rng rng(7);
          for (int repetition = 0; repetition < 4; ++repetition) {
            const int64_t size = 1 + static_cast<int64_t>(rng.Below(5));
            const StateSet start = skip ? ZeroStates(graph, size) : RandomStates(graph, size, &rng);
            ExpectMatchesReference(Fitted(graph, spec), RandomBatch(graph, 12, size, 0, &rng),
                                   start, &session);
          }
          const LayerCounters& counters = session.Activity(0).counters;
          EXPECT_GT(counters.units_run, 0u);
          EXPECT_LT(counters.units_run, counters.units);
          EXPECT_EQ(counters.units, (counters.steps - counters.skipped) * 21);
        }
      }
    }
  }
}

// Each unit by its own score, or the k of the largest.
TEST(Banks, OfSingleUnitsEqualTheReference) {
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruCell}) {
    for (const uint64_t top : {0, 1, 7}) {
      const Graph graph = Network(cell, static_cast<int64_t>(top), false, Direction::kForward,
                                  /*size=*/1);
      for (const FormatSpec& spec :
           {FormatSpec{FormatId::k_slot, 8, 8}, FormatSpec{FormatId::k_slot, 64, 16},
            FormatSpec{FormatId::k_csr}, FormatSpec{FormatId::k_rows}, FormatSpec()}) {
        const Artifact artifact = ArtifactOf(graph, spec);
        Session session = SessionOf(artifact, 3, 12);
        Rng rng(7);
        ExpectMatchesReference(Fitted(graph, spec), RandomBatch(graph, 12, 3, 0, &rng),
                               RandomStates(graph, 3, &rng), &session);
        const LayerCounters& counters = session.Activity(0).counters;
        EXPECT_EQ(counters.units, counters.steps * 21);
        EXPECT_LT(counters.units_run, counters.units);
        EXPECT_GT(counters.units_run, 0u);
        if (top > 0) {
          EXPECT_EQ(counters.units_run, counters.steps * top);
        }
      }
    }
  }
}

// Whole, in chunks and step by step, alone and beside others: the same bits. Of whole sequences
// input products are made ahead once most banks run.
TEST(Banks, GiveTheSameInChunksAndBatches) {
  for (const float bias : {0.0f, 0.5f}) {
    Graph graph = Network(CellKind::kGruCell, 0);
    for (const char* name : {"gru0.bias_banks", "gru1.bias_banks"}) {
      for (float& value : graph.weights.at(name).values) value += bias;
    }
    const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
    ExpectSameInChunksAndBatches(graph, artifact, 48, {1, 5, 8});
  }
}

// A layer so wide that its input products are made 20 or so steps at a time, and ahead once most
// banks run.
TEST(Banks, MultiplyInputsAheadWhereMostRun) {
  Rng rng(4);
  GraphBuilder builder("wide", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.banks = UnitBanks{32, 0};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 512, options).Finish());
  Tensor& bias = graph.weights.at("gru0.bias_banks");
  bias.values.assign(bias.size(), 2.0f);
  bias.values[3] = -2.0f;  // does not run
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  const Batch batch = RandomBatch(graph, 100, 1, 100, &rng);
  Session whole = SessionOf(artifact, 1, 100);
  Session steps = SessionOf(artifact, 1, 1);
  ASSERT_OK(whole.Run(ViewOf(batch)));
  const std::span<const float> expected = whole.Output(0);
  for (int64_t step = 0; step < 100; ++step) {
    ASSERT_OK(steps.Step(std::span(batch.features).subspan(static_cast<size_t>(step * 13), 13)));
    ASSERT_TRUE(std::equal(steps.Output(0).begin(), steps.Output(0).end(),
                           expected.begin() + static_cast<ptrdiff_t>(step * 512)))
        << step;
  }
  // All rows of weight_ih where they were made ahead, which steps never do.
  const LayerCounters& ahead = whole.Activity(0).counters;
  const LayerCounters& alone = steps.Activity(0).counters;
  EXPECT_EQ(ahead.units_run, alone.units_run);
  EXPECT_GT(ahead.units_run, ahead.units / 2);
  EXPECT_GT(ahead.multiply_adds, alone.multiply_adds);
  // Then also those of the first chunk, to the same bits, until counters begin anew.
  const std::vector<float> first(expected.begin(), expected.end());
  const uint64_t once = ahead.multiply_adds;
  const auto run_again = [&] {
    whole.Reset();
    ASSERT_OK(whole.Run(ViewOf(batch)));
    EXPECT_TRUE(std::equal(first.begin(), first.end(), whole.Output(0).begin()));
  };
  run_again();
  EXPECT_GT(whole.Activity(0).counters.multiply_adds - once, once);
  whole.ResetCounters();
  run_again();
  EXPECT_EQ(whole.Activity(0).counters.multiply_adds, once);
}

TEST(Banks, RunForNaNAndPoisonOnlyTheirStream) {
  for (const int64_t top : {0, 2}) {
    const Graph graph = Network(CellKind::kGruCell, top);
    const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
    Session session = SessionOf(artifact, 2, 4);
    Session clean = SessionOf(artifact, 2, 4);
    Rng rng(6);
    Batch batch = RandomBatch(graph, 4, 2, 4, &rng);
    ASSERT_OK(clean.Run(ViewOf(batch)));
    for (size_t i = 0; i < 13; ++i) batch.features[i] = std::numeric_limits<float>::quiet_NaN();
    ASSERT_OK(session.Run(ViewOf(batch)));
    const size_t last = 3 * 2 * 4;
    EXPECT_TRUE(std::isnan(session.Output(0)[last])) << top;
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(session.Output(0)[last + 4 + i], clean.Output(0)[last + 4 + i]) << top;
    }
  }
}

TEST(Banks, RulesOffIsThePlainSession) {
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruCell}) {
    const Graph graph = Network(cell, 1);
    const LayerCounters counters = ExpectPlainWithRulesOff(graph, cell);
    EXPECT_EQ(counters.units, 0u);
    EXPECT_EQ(counters.multiply_adds, counters.multiply_adds_without);
    const Artifact plain_artifact = ArtifactOf(WithoutRules(graph), FormatSpec());
    Session plain = SessionOf(plain_artifact, 1, 1);
    const std::string name(InfoOf(cell).name);
    ExpectError(plain.SetRules(name + "0", {0.0f, 0.0f, false, true}), Code::kInvalidArgument,
                {name + "0", "no such layer"});
  }
}

// Where row groups do not have rows of two banks, a top of 1 of 4 multiplies about a quarter.
TEST(Banks, MultiplyOnlyWhatRuns) {
  Rng rng(3);
  GraphBuilder builder("quarter", kFeatures, &rng);
  GraphBuilder::RecurrentOptions options;
  options.banks = UnitBanks{32, 1};
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 128, options).Finish());
  for (const char* name : {"gru0.weight_ih", "gru0.weight_hh"}) {
    for (float& value : graph.weights.at(name).values) {
      if (rng.Uniform() < 0.8) value = 0.0f;
    }
  }
  for (const FormatSpec& spec : {FormatSpec(), FormatSpec{FormatId::k_slot, 8, 16}}) {
    const Artifact artifact = ArtifactOf(graph, spec);
    Session session = SessionOf(artifact, 1, 1);
    ASSERT_OK(session.Step(RandomBatch(graph, 1, 1, 1, &rng).features));
    const LayerCounters& counters = session.Activity(0).counters;
    uint64_t scores = 0;
    for (const char* name : {"gru0.weight_banks_ih", "gru0.weight_banks_hh"}) {
      const EncodedView view = artifact.matrix(name).view;
      scores += WorkBefore(view, RowGroups(view));
    }
    const auto share = static_cast<double>(counters.multiply_adds - scores) /
                       static_cast<double>(counters.multiply_adds_without);
    EXPECT_EQ(counters.units_run, 32u);
    EXPECT_NEAR(share, 0.25, 0.02) << FormatName(spec);
  }
}

}  // namespace
}  // namespace espalier
