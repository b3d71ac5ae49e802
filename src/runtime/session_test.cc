#include "runtime/session.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/kernels.h"
#include "model/build.h"
#include "runtime/denormals.h"
#include "runtime/golden.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Chunk;
using ::espalier::testing::ExpectError;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::ZeroRandomWeights;

// f32 sums of up to 60 products, through at most 9 steps of 2 layers of contracting cells, against
// sums in double: 2e-6 observed.
constexpr double kTolerance = 1e-5;

const GraphInput kFeatures = {"x", {Element::kF32, Layout::kSequence, 13}};
const GraphInput kIds = {"ids", {Element::kI32, Layout::kSequence, 23}};

// Two layers of one cell, ragged sizes, the sequence and its last step as outputs.
Graph TwoLayers(CellKind cell, Direction direction, double sparsity) {
  Rng rng(11);
  GraphBuilder builder("two", kFeatures, &rng);
  builder.Recurrent(cell, 19, {direction, 0.0}).Dropout(0.5).Recurrent(cell, 10, {direction, 0.0});
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.LastStep().Gemm(5).Finish());
  graph.outputs.push_back(sequence);
  ZeroRandomWeights(sparsity, &rng, &graph);
  return graph;
}

// Every operator, over time and after it.
Graph EveryOperator() {
  Rng rng(12);
  GraphBuilder builder("all", kIds, &rng);
  builder.Embedding(17);
  const std::string embedded = builder.value();
  builder.Gemm(17).Activation(Op::kRelu).Add(embedded).Dropout(0.1);
  builder.Recurrent(CellKind::kGruCell, 8).Activation(Op::kSigmoid).Concat(embedded);
  builder.Activation(Op::kTanh).Gemm(7).Activation(Op::kSoftmax);
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Add(last).Gemm(6).Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  for (const Node& node : graph.nodes) {
    if (node.output != graph.outputs[0]) graph.outputs.push_back(node.output);
  }
  return graph;
}

Artifact ArtifactOf(const Graph& graph, const FormatSpec& spec) {
  ArtifactContent content;
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph)))
    content.choices[part.name].spec = spec;
  return ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
}

Session SessionOf(const Artifact& artifact, int64_t max_batch, int64_t max_steps,
                  const std::string& target = "") {
  SessionOptions options;
  options.max_batch = max_batch;
  options.max_steps = max_steps;
  options.target = target;
  return ValueOrDie(Session::Create(artifact, options));
}

void SetStates(const StateSet& states, Session* session) {
  for (const auto& [name, values] : states) ASSERT_OK(session->SetState(name, values));
}

StateSet GetStates(const Session& session, int64_t size) {
  StateSet states;
  for (const StateSpec& spec : session.states()) {
    std::vector<float>& values = states[spec.name];
    values.resize(static_cast<size_t>(spec.width * size));
    EXPECT_OK(session.GetState(spec.name, values));
  }
  return states;
}

void ExpectNear(const std::vector<float>& expected, std::span<const float> found,
                const std::string& what) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed = kTolerance * std::max(1.0, std::abs(double{expected[i]}));
    ASSERT_NEAR(expected[i], found[i], allowed) << what << " at " << i;
  }
}

// Runs both executors from the same states and compares all outputs and end states.
void ExpectMatchesReference(const Graph& graph, const Batch& batch, const StateSet& start,
                            Session* session) {
  StateSet states = start;
  const auto values = ValueOrDie(RunReference(graph, batch, &states));
  session->Reset();
  SetStates(start, session);
  ASSERT_OK(session->Run(ViewOf(batch)));
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    ExpectNear(values.at(graph.outputs[i]).values, session->Output(i), graph.outputs[i]);
  }
  for (const auto& [name, found] : GetStates(*session, batch.size)) {
    ExpectNear(states.at(name), found, name);
  }
}

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
      const Graph graph = TwoLayers(GetParam().cell, direction, 0.7);
      const Artifact artifact = ArtifactOf(graph, spec);
      Session session = SessionOf(artifact, 4, 9, GetParam().target);
      for (const int64_t size : {1, 4}) {
        const Batch batch = RandomBatch(graph, 9, size, 0, &rng);
        ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session);
      }
    }
  }
}

TEST_P(EveryTargetAndCell, GivesTheSameBitsWholeInChunksAndStepByStep) {
  const Graph graph = TwoLayers(GetParam().cell, Direction::kForward, 0.5);
  const Artifact artifact = ArtifactOf(graph, ValueOrDie(FindFormat("csr")));
  Session session = SessionOf(artifact, 3, 9, GetParam().target);
  Rng rng(22);
  const Batch batch = RandomBatch(graph, 9, 3, 0, &rng);
  const StateSet start = RandomStates(graph, 3, &rng);
  SetStates(start, &session);
  ASSERT_OK(session.Run(ViewOf(batch)));
  const std::vector<float> last(session.Output(0).begin(), session.Output(0).end());
  const std::vector<float> sequence(session.Output(1).begin(), session.Output(1).end());
  const StateSet end = GetStates(session, 3);
  for (const int64_t chunk_steps : {1, 2, 4}) {
    SetStates(start, &session);
    std::vector<float> chunks;
    for (int64_t first = 0; first < 9; first += chunk_steps) {
      const Batch chunk = Chunk(graph, batch, first, std::min<int64_t>(chunk_steps, 9 - first));
      ASSERT_OK(session.Run(ViewOf(chunk)));
      chunks.insert(chunks.end(), session.Output(1).begin(), session.Output(1).end());
    }
    EXPECT_EQ(chunks, sequence) << chunk_steps;
    EXPECT_TRUE(std::equal(last.begin(), last.end(), session.Output(0).begin())) << chunk_steps;
    EXPECT_EQ(GetStates(session, 3), end) << chunk_steps;
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
std::vector<std::string> Targets() {
  std::vector<std::string> targets;
  for (const KernelTable* table : AvailableKernels()) targets.emplace_back(table->target);
  return targets;
}
INSTANTIATE_TEST_SUITE_P(Session, EveryTarget, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

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

class SessionErrors : public ::testing::Test {
 protected:
  const Graph graph_ = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact_ = ArtifactOf(graph_, FormatSpec());
  Session session_ = SessionOf(artifact_, 2, 3);
  const std::vector<float> x_ = std::vector<float>(100 * 13, 0.0f);

  std::span<const float> Rows(size_t rows) const { return {x_.data(), rows * 13}; }
};

TEST_F(SessionErrors, NamesABatchThatIsTooLarge) {
  ExpectError(session_.Run({1, 3, Rows(3), {}, {}}), Code::kInvalidArgument,
              {"B of 1 to max_batch = 2", "3 found"});
}

TEST_F(SessionErrors, NamesTooManySteps) {
  ExpectError(session_.Run({4, 1, Rows(4), {}, {}}), Code::kInvalidArgument,
              {"T of 0 to max_steps = 3", "4 found"});
}

TEST_F(SessionErrors, NamesAnInputOfTheWrongSize) {
  ExpectError(session_.Run({3, 2, Rows(5), {}, {}}), Code::kInvalidArgument,
              {"input 'x'", "78 elements", "65 found"});
}

TEST_F(SessionErrors, NamesALengthOutOfRange) {
  const std::vector<int32_t> lengths = {1, 4};
  ExpectError(session_.Run({3, 2, Rows(6), {}, lengths}), Code::kInvalidArgument,
              {"lengths[1]", "4 found"});
}

TEST_F(SessionErrors, NamesACountOfLengthsThatIsWrong) {
  const std::vector<int32_t> lengths = {1};
  ExpectError(session_.Run({3, 2, Rows(6), {}, lengths}), Code::kInvalidArgument,
              {"lengths: 2 expected, 1 found"});
}

TEST_F(SessionErrors, NamesAnIdOutOfRange) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 1);
  const std::vector<int32_t> ids = {3, 23};
  ExpectError(session.Step(std::span<const int32_t>(ids)), Code::kInvalidArgument,
              {"input 'ids'", "23 found at element 1"});
}

TEST_F(SessionErrors, NamesAnUnknownState) {
  std::vector<float> values(19);
  ExpectError(session_.GetState("lstm0.g", values), Code::kInvalidArgument,
              {"lstm0.g", "did you mean 'lstm0.h'?"});
}

TEST_F(SessionErrors, NamesAStateOfTheWrongSize) {
  ExpectError(session_.SetState("lstm0.h", std::vector<float>(20)), Code::kInvalidArgument,
              {"lstm0.h", "19 values", "20 found"});
}

TEST_F(SessionErrors, NamesAStreamThatIsNotThere) {
  ExpectError(session_.ResetStream(2), Code::kInvalidArgument, {"0 to 1", "2 found"});
}

TEST_F(SessionErrors, NamesAnUnknownTarget) {
  SessionOptions options;
  options.target = "AVX9";
  ExpectError(Session::Create(artifact_, options).status(), Code::kInvalidArgument, {"AVX9"});
}

TEST_F(SessionErrors, RefusesNoBatch) {
  SessionOptions options;
  options.max_batch = 0;
  ExpectError(Session::Create(artifact_, options).status(), Code::kInvalidArgument,
              {"max_batch", "0 found"});
}

TEST_F(SessionErrors, RefusesTwoInputs) {
  Graph graph = graph_;
  graph.inputs.push_back({"y", {Element::kF32, Layout::kVector, 3}});
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  ExpectError(Session::Create(artifact, {}).status(), Code::kUnsupported, {"1 input", "2 found"});
}

TEST(CheckGolden, PassesOnEveryTarget) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kBidirectional, 0.5);
  ArtifactContent content;
  content.golden = ValueOrDie(MakeGoldenSample(graph, 1));
  const Artifact artifact =
      ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
  for (const std::string& target : Targets()) EXPECT_OK(CheckGolden(artifact, target));
}

TEST(CheckGolden, NamesTheOutputThatIsOff) {
  const Graph graph = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.5);
  ArtifactContent content;
  content.golden = ValueOrDie(MakeGoldenSample(graph, 1));
  content.golden->outputs[0][3] += 0.01f;
  const Artifact artifact =
      ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
  ExpectError(CheckGolden(artifact, ""), Code::kInternal, {"gemm0.out", "value 3"});
}

TEST(CheckGolden, SaysThatThereIsNone) {
  const Artifact artifact =
      ArtifactOf(TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.5), FormatSpec());
  ExpectError(CheckGolden(artifact, ""), Code::kInvalidArgument, {"no sample"});
}

}  // namespace
}  // namespace espalier
