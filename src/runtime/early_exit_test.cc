#include "runtime/early_exit.h"

#include <cmath>
#include <limits>

#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// Scores of three classes of which the first has probability `p`.
std::vector<float> Sure(float p) {
  const float rest = (1.0f - p) / 2.0f;
  return {std::log(p) + 5.0f, std::log(rest) + 5.0f, std::log(rest) + 5.0f};
}

TEST(ExitWatch, WaitsUntilOneClassIsSureForHoldLooks) {
  ExitWatch watch{{0.8f, 2, 1}, Scores::kLogits};
  EXPECT_FALSE(watch.Update(Sure(0.9f)));
  EXPECT_NEAR(watch.probability, 0.9f, 1e-6);
  EXPECT_EQ(watch.best, 0);
  EXPECT_FALSE(watch.Update(Sure(0.7f)));  // no longer sure: begins again
  EXPECT_FALSE(watch.Update(Sure(0.85f)));
  EXPECT_TRUE(watch.Update(Sure(0.85f)));
  EXPECT_EQ(watch.looks, 4);
}

TEST(ExitWatch, BeginsAgainWithAnotherClass) {
  ExitWatch watch{{0.8f, 2, 1}, Scores::kProbabilities};
  EXPECT_FALSE(watch.Update(std::vector<float>{0.9f, 0.1f}));
  EXPECT_FALSE(watch.Update(std::vector<float>{0.1f, 0.9f}));
  EXPECT_EQ(watch.best, 1);
  EXPECT_EQ(watch.held, 1);
  EXPECT_TRUE(watch.Update(std::vector<float>{0.1f, 0.9f}));
}

TEST(ExitWatch, TakesProbabilitiesAsTheyAre) {
  ExitWatch watch{{0.8f, 1, 1}, Scores::kProbabilities};
  EXPECT_FALSE(watch.Update(std::vector<float>{0.75f, 0.25f}));
  EXPECT_EQ(watch.probability, 0.75f);
  EXPECT_TRUE(watch.Update(std::vector<float>{0.8f, 0.2f}));
}

TEST(ExitWatch, IsNeverSureOfNaN) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const Scores scores : {Scores::kLogits, Scores::kProbabilities}) {
    ExitWatch watch{{0.5f, 1, 1}, scores};
    EXPECT_FALSE(watch.Update(std::vector<float>{1.0f, kNaN}));
    EXPECT_FALSE(watch.Update(std::vector<float>{kNaN, 1.0f}));
    EXPECT_TRUE(watch.Update(std::vector<float>{1.0f, 0.0f}));
  }
}

Graph Classifier(Op head, bool has_softmax = false) {
  Rng rng(31);
  GraphBuilder builder("classes", kFeatures, &rng);
  builder.Recurrent(CellKind::kGruCell, 17);
  if (head == Op::kLastStep) builder.LastStep();
  if (head == Op::kMeanOverTime) builder.MeanOverTime();
  builder.Gemm(4);
  if (has_softmax) builder.Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  for (auto& [name, weight] : graph.weights) {
    for (float& value : weight.values) value *= 3.0f;  // or no class is ever sure
  }
  return graph;
}

// What a whole run of the first `steps` steps says of the last of them.
std::vector<float> Prefix(const Graph& graph, const Batch& batch, int64_t steps) {
  StateSet states = ZeroStates(graph, 1);
  const Batch prefix = Chunk(graph, batch, 0, steps);
  const Value value = ValueOrDie(RunReference(graph, prefix, &states)).at(graph.outputs[0]);
  const float* row = value.row(value.steps - 1, 0);
  return std::vector<float>(row, row + value.type.features);
}

// The head answers after each look as if the sequence ended there, and the run stops at the first
// look at which the reference's prefixes say so.
TEST(SessionRunUntil, StopsWhereThePrefixIsSure) {
  constexpr int64_t kSteps = 23;
  int64_t settled = 0, ran_out = 0;
  for (const Op head : {Op::kLastStep, Op::kMeanOverTime, Op::kGemm}) {
    const Graph graph = Classifier(head);
    const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
    Rng rng(5);
    for (int repetition = 0; repetition < 12; ++repetition) {
      const Batch batch = RandomBatch(graph, kSteps, 1, kSteps, &rng);
      const ExitRule rule{0.55f, 1 + repetition % 3, 1 + repetition % 5};
      Session session = SessionOf(artifact, 1, 5);
      ExitWatch watch{rule, Scores::kLogits};
      int64_t steps = 0;
      std::vector<float> expected;
      while (!watch.is_settled() && steps < kSteps) {
        steps = std::min(kSteps, steps + rule.every);
        expected = Prefix(graph, batch, steps);
        watch.Update(expected);
      }
      ExitResult result;
      BatchView view = ViewOf(batch);
      view.lengths = {};
      ASSERT_OK(session.RunUntil(view, rule, &result));
      EXPECT_EQ(result.steps, steps);
      EXPECT_EQ(result.best, watch.best);
      EXPECT_EQ(result.looks, watch.looks);
      EXPECT_EQ(result.is_settled, watch.is_settled());
      EXPECT_NEAR(result.probability, watch.probability, 1e-5);
      ExpectNear(expected, session.Output(0).last(4), kTolerance, "output");
      ++(result.is_settled ? settled : ran_out);
    }
  }
  EXPECT_GT(settled, 5);
  EXPECT_GT(ran_out, 5);
}

TEST(SessionRunUntil, LeavesTheStateOfTheStepsThatRan) {
  const Graph graph = Classifier(Op::kMeanOverTime);
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Rng rng(6);
  const Batch batch = RandomBatch(graph, 20, 1, 20, &rng);
  BatchView view = ViewOf(batch);
  view.lengths = {};
  Session session = SessionOf(artifact, 1, 20);
  ExitResult result;
  ASSERT_OK(session.RunUntil(view, {0.3f, 1, 3}, &result));
  ASSERT_LT(result.steps, 20);
  Session whole = SessionOf(artifact, 1, 20);
  const Batch prefix = Chunk(graph, batch, 0, result.steps);
  ASSERT_OK(whole.Run(ViewOf(prefix)));
  EXPECT_EQ(GetStates(session, 1), GetStates(whole, 1));
}

TEST(SessionRunUntil, ReadsTheProbabilitiesOfASoftmax) {
  const Graph logits = Classifier(Op::kLastStep);
  const Graph softmax = Classifier(Op::kLastStep, true);
  Rng rng(7);
  const Batch batch = RandomBatch(logits, 20, 1, 20, &rng);
  BatchView view = ViewOf(batch);
  view.lengths = {};
  ExitResult results[2];
  for (int i = 0; i < 2; ++i) {
    const Artifact artifact = ArtifactOf(i == 0 ? logits : softmax, {FormatId::k_slot, 8, 8});
    Session session = SessionOf(artifact, 1, 20);
    ASSERT_OK(session.RunUntil(view, {0.6f, 2, 2}, &results[i]));
  }
  EXPECT_EQ(results[0].steps, results[1].steps);
  EXPECT_EQ(results[0].best, results[1].best);
  EXPECT_NEAR(results[0].probability, results[1].probability, 1e-5);
}

TEST(SessionRunUntil, OfNoStepsAnswersFromTheState) {
  const Graph graph = Classifier(Op::kLastStep);
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 1, 4);
  ExitResult result;
  ASSERT_OK(session.RunUntil({0, 1, {}, {}, {}}, {0.99f, 1, 4}, &result));
  EXPECT_EQ(result.steps, 0);
  EXPECT_EQ(result.looks, 1);
  EXPECT_GE(result.best, 0);
}

TEST(SessionRunUntil, SaysWhatIsWrong) {
  const Artifact artifact = ArtifactOf(Classifier(Op::kLastStep), {FormatId::k_slot, 8, 8});
  Session session = SessionOf(artifact, 2, 4);
  const std::vector<float> x(13 * 8, 0.5f);
  const std::vector<int32_t> lengths = {3};
  const BatchView good = {8, 1, x, {}, {}};
  ExitResult result;
  const auto error = [&](const BatchView& batch, const ExitRule& rule) {
    const Status status = session.RunUntil(batch, rule, &result);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  };
  EXPECT_EQ(error(good, {0.0f, 1, 1}), "exit: confidence in (0, 1] expected, 0 found");
  EXPECT_EQ(error(good, {std::nanf(""), 1, 1}), "exit: confidence in (0, 1] expected, nan found");
  EXPECT_EQ(error(good, {0.5f, 0, 1}), "exit: hold of at least 1 look expected, 0 found");
  EXPECT_EQ(error(good, {0.5f, 1, 0}), "exit: every of at least 1 step expected, 0 found");
  EXPECT_EQ(error(good, {0.5f, 1, 5}), "exit: every of 1 to max_steps = 4 expected, 5 found");
  EXPECT_EQ(error({4, 2, x, {}, {}}, {0.5f, 1, 1}),
            "batch: B = 1 without lengths expected, B = 2 found");
  EXPECT_EQ(error({8, 1, x, {}, lengths}, {0.5f, 1, 1}),
            "batch: B = 1 without lengths expected, B = 1 with lengths found");
  EXPECT_EQ(error({7, 1, x, {}, {}}, {0.5f, 1, 1}),
            "input 'x': 91 elements expected for f32 [T, B, 13] with T = 7 and B = 1, 104 found");
  EXPECT_OK(session.RunUntil(good, {0.5f, 1, 4}, &result));
}

TEST(SessionRunUntil, RefusesNetworksThatCannotAnswerBeforeTheEnd) {
  const auto refusal = [](const Graph& graph) {
    const Artifact artifact = ArtifactOf(graph, {FormatId::k_dense});
    Session session = SessionOf(artifact, 1, 4);
    const std::vector<float> x(13, 0.5f);
    ExitResult result;
    const Status status = session.RunUntil({1, 1, x, {}, {}}, ExitRule(), &result);
    EXPECT_EQ(status.code(), Code::kUnsupported);
    return status.message();
  };
  EXPECT_EQ(refusal(TwoLayers(CellKind::kGruCell, Direction::kBidirectional, 0.0)),
            "early exit: layers without a reverse direction expected, since that needs the whole "
            "sequence");
  Rng rng(8);
  const auto ending = [&](int64_t classes, Op op) {
    GraphBuilder builder("ending", kFeatures, &rng);
    builder.Recurrent(CellKind::kGruCell, 9).LastStep().Gemm(classes);
    if (op != Op::kGemm) builder.Activation(op);
    return ValueOrDie(builder.Finish());
  };
  EXPECT_EQ(refusal(ending(3, Op::kSigmoid)),
            "early exit: a first output of logits or of a Softmax expected, that of another "
            "function found");
  EXPECT_EQ(refusal(ending(1, Op::kGemm)),
            "early exit: a first output of 2 classes or more expected");
}

}  // namespace
}  // namespace espalier
