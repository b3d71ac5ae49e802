// Sessions with threads, and those whose steps go there and back over their weights (Turns): the
// same bits as with one thread that goes forward, in every cell and format.
#include <cstring>
#include <optional>
#include <thread>

#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr int64_t kInput = 70;
constexpr int64_t kByUnits = 384;  // units whose steps are shared in parts (unit_parts.h)

// Large enough that products are shared in every format, ragged enough that chunks are not.
struct LargeRules {
  std::optional<UnitBanks> banks = {};
  std::optional<IdleCandidates> idle = {};
  std::optional<PredictedRows> predicted = {};
};

Graph LargeLayer(CellKind cell, Direction direction, const LargeRules& rules = {},
                 int64_t hidden = 317) {
  Rng rng(21);
  GraphBuilder builder("large", {"x", {Element::kF32, Layout::kSequence, kInput}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = direction;
  options.banks = rules.banks;
  options.idle = rules.idle;
  options.predicted = rules.predicted;
  builder.Recurrent(cell, hidden, options);
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.LastStep().Gemm(9).Finish());
  graph.outputs.push_back(sequence);
  ZeroRandomWeights(0.5, &rng, &graph);
  return graph;
}

SessionOptions OptionsOf(int64_t threads) {
  SessionOptions options;
  options.max_batch = 4;
  options.max_steps = 5;
  options.threads = threads;
  return options;
}

Session ThreadedSession(const Artifact& artifact, int64_t threads) {
  return ValueOrDie(Session::Create(artifact, OptionsOf(threads)));
}

// As if a core's own cache had so many bytes.
struct CachedSession {
  CachedSession(Program* program, size_t near_cache_bytes, int64_t threads)
      : memory(ValueOrDie(Session::SizeOf(*program, OptionsOf(threads)))) {
    program->near_cache_bytes = near_cache_bytes;
    session.emplace(
        ValueOrDie(Session::InitAt(*program, OptionsOf(threads), {memory.data(), memory.size()})));
  }

  AlignedBuffer<std::byte> memory;
  std::optional<Session> session;
};
constexpr size_t kHoldsAll = SIZE_MAX / 2, kHoldsNothing = 0;

void ExpectSameBits(const Session& a, const Session& b) {
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(a.Output(i).size(), b.Output(i).size());
    EXPECT_EQ(std::memcmp(a.Output(i).data(), b.Output(i).data(), a.Output(i).size_bytes()), 0);
  }
  EXPECT_EQ(GetStates(a, 4), GetStates(b, 4));
}

// The same runs with 1 thread, forward, and with several, there and back; states carried on.
void ExpectSameRuns(const Graph& graph, const FormatSpec& spec) {
  const Artifact artifact = ArtifactOf(graph, spec);
  Program program = ValueOrDie(Program::Of(artifact));
  CachedSession forward(&program, kHoldsAll, 1);
  Session& one = *forward.session;
  for (const int64_t threads : {1, 2, 3}) {
    CachedSession turning(&program, kHoldsNothing, threads);
    Session& many = *turning.session;
    ASSERT_EQ(many.threads(), static_cast<size_t>(threads));
    one.Reset();
    Rng rng(22);
    for (const int64_t batch_size : {1, 4}) {
      for (const int64_t steps : {1, 1, 5}) {
        const Batch batch = RandomBatch(graph, steps, batch_size, 0, &rng);
        ASSERT_OK(one.Run(ViewOf(batch)));
        ASSERT_OK(many.Run(ViewOf(batch)));
        ASSERT_NO_FATAL_FAILURE(ExpectSameBits(one, many));
      }
    }
  }
}

TEST(SessionThreads, GiveTheSameBitsInEveryCell) {
  for (const CellInfo& info : kCells) {
    SCOPED_TRACE(info.name);
    ExpectSameRuns(LargeLayer(info.kind, Direction::kForward), FormatSpec());
    ExpectSameRuns(LargeLayer(info.kind, Direction::kForward, {}, kByUnits), FormatSpec());
  }
}

TEST(SessionThreads, GiveTheSameBitsWithBanks) {
  for (const FormatSpec& spec : {FormatSpec(), FormatSpec{FormatId::k_slot, 8, 8}}) {
    const LargeRules rules{.banks = UnitBanks{32, 4}};
    ExpectSameRuns(LargeLayer(CellKind::kGruCell, Direction::kForward, rules), spec);
  }
}

TEST(SessionThreads, GiveTheSameBitsWhereRowsAreLeftOut) {
  const LargeRules rules{.idle = IdleCandidates{0.45}, .predicted = PredictedRows{8, 0.3}};
  for (const CellKind cell : {CellKind::kLstmCell, CellKind::kGruResetBeforeCell}) {
    for (const FormatSpec& spec :
         {FormatSpec{FormatId::k_rows}, FormatSpec{FormatId::k_slot, 8, 8}}) {
      ExpectSameRuns(LargeLayer(cell, Direction::kForward, rules), spec);
    }
  }
}

TEST(SessionThreads, GiveTheSameBitsInBothDirections) {
  ExpectSameRuns(LargeLayer(CellKind::kGruResetBeforeCell, Direction::kBidirectional),
                 FormatSpec());
  ExpectSameRuns(LargeLayer(CellKind::kLstmCell, Direction::kBidirectional, {}, kByUnits),
                 FormatSpec());
}

TEST(SessionThreads, GiveTheSameBitsInEveryFormat) {
  const Graph ragged = LargeLayer(CellKind::kLstmCell, Direction::kForward);
  const Graph by_units = LargeLayer(CellKind::kLstmCell, Direction::kForward, {}, kByUnits);
  for (const FormatSpec& spec : AllFormats()) {
    SCOPED_TRACE(FormatName(spec));
    ExpectSameRuns(Fitted(ragged, spec), spec);
    ExpectSameRuns(Fitted(by_units, spec), spec);
  }
}

TEST(SessionThreads, AreNotStartedForSmallMatrices) {
  const Artifact artifact =
      ArtifactOf(TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0), FormatSpec());
  EXPECT_EQ(ThreadedSession(artifact, 8).threads(), 1u);
}

TEST(SessionThreads, AreAtMost64) {
  const Artifact artifact =
      ArtifactOf(TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0), FormatSpec());
  SessionOptions options;
  options.threads = 65;
  ExpectError(Session::Create(artifact, options).status(), Code::kInvalidArgument,
              {"threads: 1 to 64 expected", "65 found"});
}

// Sessions of one artifact on threads of the caller's, one of which has a team of its own.
TEST(SessionThreads, AreIndependentOfOtherSessionsOfTheArtifact) {
  const Graph graph = LargeLayer(CellKind::kGruCell, Direction::kForward);
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Rng rng(23);
  const Batch batch = RandomBatch(graph, 5, 4, 0, &rng);
  Session expected = ThreadedSession(artifact, 1);
  ASSERT_OK(expected.Run(ViewOf(batch)));
  std::vector<std::thread> callers;
  for (const int64_t threads : {1, 1, 2}) {
    callers.emplace_back([&, threads] {
      Session session = ThreadedSession(artifact, threads);
      for (int run = 0; run < 5; ++run) {
        session.Reset();
        EXPECT_OK(session.Run(ViewOf(batch)));
        ExpectSameBits(expected, session);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace espalier
