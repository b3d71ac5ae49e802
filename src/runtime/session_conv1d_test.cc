// Sessions with Conv1d: windows of this run and of those before it, gathered a few rows at a time.
#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// Two that look back 4 and 6 steps of the layer below, under an LSTM.
Graph Stack() {
  Rng rng(51);
  GraphBuilder builder("stack", kFeatures, &rng);
  builder.Conv1d(20, {3, 2}).Activation(Op::kRelu).Conv1d(17, {4, 2});
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 9).LastStep().Finish());
  graph.outputs.push_back(sequence);
  ZeroRandomWeights(0.6, &rng, &graph);
  return graph;
}

class Conv1dOnTarget : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(SessionConv1d, Conv1dOnTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

TEST_P(Conv1dOnTarget, MatchesTheReferenceInEveryFormat) {
  Rng rng(52);
  for (const FormatSpec& spec : AllFormats()) {
    SCOPED_TRACE(FormatName(spec));
    const Graph graph = Fitted(Stack(), spec);
    const Artifact artifact = ArtifactOf(graph, spec);
    Session session = SessionOf(artifact, 4, 9, GetParam());
    for (const int64_t size : {1, 4}) {
      for (const int64_t steps : {1, 3, 9}) {
        const Batch batch = RandomBatch(graph, steps, size, 0, &rng);
        ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session, spec.type);
      }
    }
  }
}

TEST_P(Conv1dOnTarget, GivesTheSameBitsWholeInChunksAndStepByStep) {
  constexpr int64_t kSteps = 15;
  for (const char* format : {"dense", "csr", "slot_8x8", "dense_i8", "slot_16x64x4_i8"}) {
    SCOPED_TRACE(format);
    const FormatSpec spec = ValueOrDie(FindFormat(format));
    const Graph graph = Fitted(Stack(), spec);
    const Artifact artifact = ArtifactOf(graph, spec);
    Session session = SessionOf(artifact, 3, kSteps, GetParam());
    Rng rng(53);
    const Batch batch = RandomBatch(graph, kSteps, 3, 0, &rng);
    const StateSet start = RandomStates(graph, 3, &rng);
    SetStates(start, &session);
    ASSERT_OK(session.Run(ViewOf(batch)));
    const std::vector<float> last(session.Output(0).begin(), session.Output(0).end());
    const std::vector<float> sequence(session.Output(1).begin(), session.Output(1).end());
    const StateSet end = GetStates(session, 3);
    for (const int64_t chunk_steps : {1, 2, 4, 7}) {
      SetStates(start, &session);
      for (int64_t first = 0; first < kSteps; first += chunk_steps) {
        const int64_t count = std::min(chunk_steps, kSteps - first);
        ASSERT_OK(session.Run(ViewOf(Chunk(graph, batch, first, count))));
        for (int64_t t = first; t < first + count; ++t) {
          for (int64_t b = 0; b < 3 && t < batch.lengths[static_cast<size_t>(b)]; ++b) {
            const auto here = session.Output(1).subspan(((t - first) * 3 + b) * 17, 17);
            EXPECT_TRUE(std::equal(here.begin(), here.end(), &sequence[(t * 3 + b) * 17])) << t;
          }
        }
      }
      EXPECT_TRUE(std::equal(last.begin(), last.end(), session.Output(0).begin())) << chunk_steps;
      EXPECT_EQ(GetStates(session, 3), end) << chunk_steps;
    }
  }
}

// 170 windows of 192 inputs at a time (runtime/plan.cc), and no more memory for them.
TEST(SessionConv1d, MatchesTheReferenceInASequenceOfManyWindows) {
  Rng rng(54);
  GraphBuilder builder("long", {"x", {Element::kF32, Layout::kSequence, 64}}, &rng);
  const Graph graph = ValueOrDie(builder.Conv1d(11, {3, 5}).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 3, 200);
  ExpectMatchesReference(graph, RandomBatch(graph, 200, 3, 0, &rng), RandomStates(graph, 3, &rng),
                         &session);
  EXPECT_LT(session.memory_bytes(), 600 * (64 + 16 + 192) * sizeof(float));
}

TEST(SessionConv1d, OfOneTapIsAGemm) {
  Rng rng(55);
  GraphBuilder builder("one", kFeatures, &rng);
  const Graph graph = ValueOrDie(builder.Conv1d(11, {1, 5}).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 6);
  EXPECT_TRUE(session.states().empty());
  ExpectMatchesReference(graph, RandomBatch(graph, 6, 2, 6, &rng), {}, &session);
}

TEST(SessionConv1d, SharesItsProductAmongThreads) {
  Rng rng(56);
  GraphBuilder builder("large", {"x", {Element::kF32, Layout::kSequence, 70}}, &rng);
  const Graph graph = ValueOrDie(builder.Conv1d(317, {4, 3}).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  SessionOptions options;
  options.max_batch = 2;
  options.max_steps = 5;
  Session one = ValueOrDie(Session::Create(artifact, options));
  options.threads = 3;
  Session many = ValueOrDie(Session::Create(artifact, options));
  ASSERT_EQ(many.threads(), 3u);
  for (int run = 0; run < 3; ++run) {
    const Batch batch = RandomBatch(graph, 5, 2, 0, &rng);
    ASSERT_OK(one.Run(ViewOf(batch)));
    ASSERT_OK(many.Run(ViewOf(batch)));
    EXPECT_TRUE(std::ranges::equal(one.Output(0), many.Output(0)));
    EXPECT_EQ(GetStates(one, 2), GetStates(many, 2));
  }
}

}  // namespace
}  // namespace espalier
