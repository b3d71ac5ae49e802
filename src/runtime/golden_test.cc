#include "runtime/golden.h"

#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

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
