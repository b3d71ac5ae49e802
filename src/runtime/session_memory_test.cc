// A session's memory: known before it is made, the caller's if wanted, and no larger than it must.
#include <algorithm>

#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

SessionOptions Options(int64_t max_batch, int64_t max_steps) {
  SessionOptions options;
  options.max_batch = max_batch;
  options.max_steps = max_steps;
  return options;
}

size_t SizeOf(const Graph& graph, const FormatSpec& spec, const SessionOptions& options) {
  const Artifact artifact = ArtifactOf(graph, spec);
  const Program program = ValueOrDie(Program::Of(artifact));
  return ValueOrDie(Session::SizeOf(program, options));
}

Graph LookUp(int64_t vocabulary) {
  Rng rng(31);
  GraphBuilder builder("ids", {"ids", {Element::kI32, Layout::kSequence, vocabulary}}, &rng);
  return ValueOrDie(builder.Embedding(16).Recurrent(CellKind::kGruCell, 8).Finish());
}

TEST(SessionMemory, IsWhatItWasSaidToBe) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  const size_t bytes = SizeOf(graph, FormatSpec(), Options(3, 6));
  EXPECT_EQ(SessionOf(artifact, 3, 6).memory_bytes(), bytes);
  EXPECT_GT(SizeOf(graph, FormatSpec(), Options(3, 7)), bytes);
}

TEST(SessionMemory, MayBeTheCallersAndHoldAnything) {
  for (const FormatSpec& spec : AllFormats()) {
    const Graph graph = Fitted(EveryOperator(), spec);
    const Artifact artifact = ArtifactOf(graph, spec);
    Session expected = SessionOf(artifact, 3, 6);
    AlignedBuffer<std::byte> memory(expected.memory_bytes());
    std::fill(memory.begin(), memory.end(), std::byte{0xa5});
    Session session = [&] {
      const Program program = ValueOrDie(Program::Of(artifact));  // is not needed afterwards
      return ValueOrDie(Session::InitAt(program, Options(3, 6), memory));
    }();
    Rng rng(32);
    const Batch batch = RandomBatch(graph, 6, 3, 0, &rng);
    ASSERT_OK(expected.Run(ViewOf(batch)));
    ASSERT_OK(session.Run(ViewOf(batch)));
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
      EXPECT_TRUE(std::ranges::equal(expected.Output(i), session.Output(i))) << FormatName(spec);
    }
  }
}

TEST(SessionMemory, SurvivesAMoveOfTheArtifact) {
  const Graph graph = EveryOperator();
  Artifact first = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(first, 2, 2);
  const Artifact moved = std::move(first);
  Rng rng(33);
  EXPECT_OK(session.Run(ViewOf(RandomBatch(graph, 2, 2, 0, &rng))));
  EXPECT_EQ(session.states().front().name, StatesOf(graph).front().name);
}

TEST(SessionMemory, DoesNotGrowWithATableThatIsReadInPlace) {
  const FormatSpec csr = ValueOrDie(FindFormat("csr"));
  const FormatSpec slot = ValueOrDie(FindFormat("slot_8x8"));
  for (const FormatSpec& spec : {FormatSpec(), csr}) {
    EXPECT_EQ(SizeOf(LookUp(10), spec, Options(1, 1)), SizeOf(LookUp(1000), spec, Options(1, 1)));
  }
  EXPECT_GT(SizeOf(LookUp(1000), slot, Options(1, 1)),
            SizeOf(LookUp(10), slot, Options(1, 1)) + 900 * 16 * sizeof(float));
}

class SessionMemoryErrors : public ::testing::Test {
 protected:
  Status InitAt(std::span<std::byte> memory) const {
    return Session::InitAt(program_, Options(1, 1), memory).status();
  }

  const Artifact artifact_ = ArtifactOf(EveryOperator(), FormatSpec());
  const Program program_ = ValueOrDie(Program::Of(artifact_));
  const size_t bytes_ = ValueOrDie(Session::SizeOf(program_, Options(1, 1)));
};

TEST_F(SessionMemoryErrors, NameTheSizeThatIsMissing) {
  AlignedBuffer<std::byte> memory(bytes_);
  ExpectError(InitAt({memory.data(), bytes_ - 1}), Code::kInvalidArgument,
              {"memory", std::to_string(bytes_) + " bytes expected",
               std::to_string(bytes_ - 1) + " found"});
}

TEST_F(SessionMemoryErrors, NameTheAlignment) {
  AlignedBuffer<std::byte> memory(bytes_ + 64);
  ExpectError(InitAt({memory.data() + 32, bytes_ + 32}), Code::kInvalidArgument,
              {"memory: a multiple of 64 expected"});
}

}  // namespace
}  // namespace espalier
