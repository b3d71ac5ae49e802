#include "runtime/session.h"

#include <cmath>
#include <limits>

#include "runtime/denormals.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

struct Case {
  std::string target;
  CellKind cell;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const KernelTable* table : AvailableKernels()) {
    for (const CellInfo& info : kCells) cases.push_back({table->target, info.kind});
  }
  return cases;
}

class EveryTargetAndCell : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Session, EveryTargetAndCell, ::testing::ValuesIn(Cases()),
                         [](const auto& test) {
                           return test.param.target + "_" +
                                  std::string(InfoOf(test.param.cell).name);
                         });

TEST_P(EveryTargetAndCell, MatchesTheReferenceInEveryFormatAndDirection) {
  Rng rng(21);
  for (const FormatSpec& spec : AllFormats()) {
    for (const Direction direction :
         {Direction::kForward, Direction::kReverse, Direction::kBidirectional}) {
      SCOPED_TRACE(FormatName(spec) + " " + DirectionName(direction));
      Graph graph = Fitted(TwoLayers(GetParam().cell, direction, 0.7), spec);
      if (direction == Direction::kReverse) graph = WithOneBias(graph);
      const Artifact artifact = ArtifactOf(graph, spec);
      Session session = SessionOf(artifact, 4, 9, GetParam().target);
      for (const int64_t size : {1, 4}) {
        const Batch batch = RandomBatch(graph, 9, size, 0, &rng);
        ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session, spec.type);
      }
    }
  }
}

// `graph`: with the sequence as its second output.
void ExpectWholeInChunks(const Graph& graph, const FormatSpec& spec, const std::string& target,
                         int64_t steps, int64_t size, std::initializer_list<int64_t> chunks) {
  const Artifact artifact = ArtifactOf(graph, spec);
  Session session = SessionOf(artifact, size, steps, target);
  Rng rng(22);
  const Batch batch = RandomBatch(graph, steps, size, 0, &rng);
  const StateSet start = RandomStates(graph, size, &rng);
  SetStates(start, &session);
  ASSERT_OK(session.Run(ViewOf(batch)));
  const std::vector<float> last(session.Output(0).begin(), session.Output(0).end());
  const std::vector<float> sequence(session.Output(1).begin(), session.Output(1).end());
  const StateSet end = GetStates(session, size);
  for (const int64_t chunk_steps : chunks) {
    SetStates(start, &session);
    std::vector<float> parts;
    for (int64_t first = 0; first < steps; first += chunk_steps) {
      const Batch chunk = Chunk(graph, batch, first, std::min(chunk_steps, steps - first));
      ASSERT_OK(session.Run(ViewOf(chunk)));
      parts.insert(parts.end(), session.Output(1).begin(), session.Output(1).end());
    }
    EXPECT_EQ(parts, sequence) << chunk_steps;
    EXPECT_TRUE(std::equal(last.begin(), last.end(), session.Output(0).begin())) << chunk_steps;
    EXPECT_EQ(GetStates(session, size), end) << chunk_steps;
  }
}

class SameBits : public EveryTargetAndCell {};
INSTANTIATE_TEST_SUITE_P(Session, SameBits, ::testing::ValuesIn(Cases()), [](const auto& test) {
  return test.param.target + "_" + std::string(InfoOf(test.param.cell).name);
});

TEST_P(SameBits, WholeInChunksAndStepByStep) {
  const Graph graph = TwoLayers(GetParam().cell, Direction::kForward, 0.5);
  for (const char* format :
       {"dense", "dense_bf16", "dense_i8", "csr", "csr_i8", "slot_8x8", "slot_64x16",
        "slot_64x16_bf16", "slot_16x64x4_i8", "slot_64x64x4_i8", "blocked_4x4", "blocked_8x4",
        "blocked_16x1", "blocked_4x4_i8", "blocked_8x4_i8", "blocked_8x8_i8", "blocked_16x1_i8",
        "nm_16x4x2_i8"}) {
    SCOPED_TRACE(format);
    const FormatSpec spec = ValueOrDie(FindFormat(format));
    ASSERT_NO_FATAL_FAILURE(
        ExpectWholeInChunks(Fitted(graph, spec), spec, GetParam().target, 9, 3, {1, 2, 4}));
  }
}

TEST_P(EveryTargetAndCell, GivesTheSameBitsAloneAndInABatch) {
  const Graph graph = TwoLayers(GetParam().cell, Direction::kBidirectional, 0.5);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 5, 7, GetParam().target);
  Rng rng(23);
  const Batch batch = RandomBatch(graph, 7, 5, 0, &rng);
  ASSERT_OK(session.Run(ViewOf(batch)));
  const std::vector<float> together(session.Output(0).begin(), session.Output(0).end());
  for (size_t b = 0; b < 5; ++b) {
    Batch alone{7, 1, {}, {}, {batch.lengths[b]}};
    for (size_t t = 0; t < 7; ++t) {
      const auto row = batch.features.begin() + static_cast<std::ptrdiff_t>((t * 5 + b) * 13);
      alone.features.insert(alone.features.end(), row, row + 13);
    }
    session.Reset();
    ASSERT_OK(session.Run(ViewOf(alone)));
    EXPECT_TRUE(std::equal(session.Output(0).begin(), session.Output(0).end(),
                           together.begin() + static_cast<std::ptrdiff_t>(b * 5)))
        << b;
  }
}

class EveryTarget : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Session, EveryTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

// Input products of 64 rows at a time, of what is left, of 7 and of one.
TEST_P(EveryTarget, GivesTheSameBitsInALongSequenceInChunks) {
#if defined(__SANITIZE_ADDRESS__) || defined(__aarch64__)  // which is tested under qemu
  constexpr int64_t kSteps = 80;
#else
  constexpr int64_t kSteps = 200;
#endif
  Rng rng(27);
  GraphBuilder builder("long", kFeatures, &rng);
  builder.Recurrent(CellKind::kGruCell, 170);  // 64 rows (runtime/plan.cc)
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.LastStep().Finish());
  graph.outputs.push_back(sequence);
  ZeroRandomWeights(0.8, &rng, &graph);
  for (const FormatSpec& spec : AllFormats()) {
    SCOPED_TRACE(FormatName(spec));
    const Graph fitted = Fitted(graph, spec);
    ASSERT_NO_FATAL_FAILURE(ExpectWholeInChunks(fitted, spec, GetParam(), kSteps, 1, {1, 7, 72}));
  }
}

TEST_P(EveryTarget, MatchesTheReferenceInEveryOperator) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, ValueOrDie(FindFormat("csr")));
  Session session = SessionOf(artifact, 4, 6, GetParam());
  Rng rng(24);
  for (const int64_t size : {1, 3, 4}) {
    const Batch batch = RandomBatch(graph, 6, size, 0, &rng);
    ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session);
  }
}

// 64 rows of input products at a time (runtime/plan.cc), 50 steps in each direction.
TEST(Session, MatchesTheReferenceInASequenceOfManyChunks) {
  for (const Direction direction : {Direction::kForward, Direction::kBidirectional}) {
    Rng rng(29);
    GraphBuilder builder("long", kFeatures, &rng);
    const Graph graph =
        ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 128, {direction, 0.0}).Finish());
    const Artifact artifact = ArtifactOf(graph, FormatSpec());
    Session session = SessionOf(artifact, 3, 50);
    ExpectMatchesReference(graph, RandomBatch(graph, 50, 3, 0, &rng), RandomStates(graph, 3, &rng),
                           &session);
    Session whole = SessionOf(artifact, 1, 200);
    ExpectMatchesReference(graph, RandomBatch(graph, 200, 1, 0, &rng), RandomStates(graph, 1, &rng),
                           &whole);
    EXPECT_EQ(whole.memory_bytes() > 200 * 512 * sizeof(float),
              direction == Direction::kBidirectional);
  }
}

TEST(Session, MatchesTheReferenceOnAVectorInput) {
  Rng rng(25);
  GraphBuilder builder("mlp", {"x", {Element::kF32, Layout::kVector, 9}}, &rng);
  const Graph graph = ValueOrDie(builder.Gemm(20).Activation(Op::kTanh).Gemm(3).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 3, 1);
  ExpectMatchesReference(graph, RandomBatch(graph, 1, 3, 1, &rng), {}, &session);
}

TEST(Session, KeepsItsStatesWhenThereIsNoStep) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 4);
  Rng rng(26);
  const StateSet start = RandomStates(graph, 2, &rng);
  SetStates(start, &session);
  ASSERT_OK(session.Run({0, 2, {}, {}, {}}));
  EXPECT_EQ(GetStates(session, 2), start);
  EXPECT_TRUE(session.Output(1).empty());
}

TEST(Session, DoesNotLookPastALength) {
  const Graph graph = TwoLayers(CellKind::kGruCell, Direction::kBidirectional, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 5);
  Rng rng(27);
  Batch batch = RandomBatch(graph, 5, 2, 5, &rng);
  batch.lengths[1] = 2;
  for (size_t t = 2; t < 5; ++t) {
    for (size_t f = 0; f < 13; ++f) {
      batch.features[(t * 2 + 1) * 13 + f] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  ASSERT_OK(session.Run(ViewOf(batch)));
  for (const float value : session.Output(0)) EXPECT_TRUE(std::isfinite(value));
  for (const float value : session.Output(1)) EXPECT_TRUE(std::isfinite(value));
}

TEST(Session, TakesMissingLengthsAsWhole) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 5);
  Rng rng(28);
  const Batch batch = RandomBatch(graph, 5, 2, 5, &rng);
  ASSERT_OK(session.Run(ViewOf(batch)));
  const std::vector<float> expected(session.Output(0).begin(), session.Output(0).end());
  session.Reset();
  BatchView view = ViewOf(batch);
  view.lengths = {};
  ASSERT_OK(session.Run(view));
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), session.Output(0).begin()));
}

TEST(Session, StepsOneStepOfABatch) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 5);
  Rng rng(29);
  const Batch batch = RandomBatch(graph, 1, 2, 1, &rng);
  ASSERT_OK(session.Run(ViewOf(batch)));
  const std::vector<float> expected(session.Output(0).begin(), session.Output(0).end());
  session.Reset();
  ASSERT_OK(session.Step(std::span<const float>(batch.features)));
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), session.Output(0).begin()));
}

TEST(Session, StepsOneIdOfEachSequence) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 1);
  const std::vector<int32_t> ids = {3, 22};
  ASSERT_OK(session.Step(std::span<const int32_t>(ids)));
  EXPECT_EQ(session.Output(0).size(), 12u);
}

TEST(Session, ResetsOneStreamAndLeavesTheOthers) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 1);
  SetStates({{"lstm0.h", std::vector<float>(38, 0.5f)}}, &session);
  ASSERT_OK(session.ResetStream(0));
  std::vector<float> expected(38, 0.0f);
  std::fill(expected.begin() + 19, expected.end(), 0.5f);
  EXPECT_EQ(GetStates(session, 2).at("lstm0.h"), expected);
}

TEST(Session, ForgetsAllStatesWhenReset) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 4);
  Rng rng(30);
  ASSERT_OK(session.Run(ViewOf(RandomBatch(graph, 4, 2, 4, &rng))));
  session.Reset();
  EXPECT_EQ(GetStates(session, 2), ZeroStates(graph, 2));
}

TEST(Session, HandsOutTheInputOfADropoutThatIsAnOutput) {
  Rng rng(31);
  GraphBuilder builder("d", kFeatures, &rng);
  const Graph graph = ValueOrDie(builder.Gemm(4).Dropout(0.5).Dropout(0.5).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 3);
  ExpectMatchesReference(graph, RandomBatch(graph, 3, 2, 3, &rng), {}, &session);
}

TEST(Session, OutlivesTheMoveOfItsArtifact) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 1, 3);
  const Artifact moved = std::move(artifact);
  Rng rng(32);
  ExpectMatchesReference(graph, RandomBatch(graph, 3, 1, 3, &rng), ZeroStates(graph, 1), &session);
}

TEST(Session, RestoresTheCallersDenormals) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 1, 1);
  ASSERT_OK(session.Step(std::vector<float>(13, 0.1f)));
  volatile float smallest = std::numeric_limits<float>::min();
  EXPECT_GT(smallest * 0.5f, 0.0f);
}

TEST(FlushDenormals, MakesThemZeroWhileItLives) {
  const FlushDenormals flush;
  volatile float smallest = std::numeric_limits<float>::min();
  EXPECT_EQ(smallest * 0.5f, 0.0f);
}

}  // namespace
}  // namespace espalier
