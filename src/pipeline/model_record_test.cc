#include "pipeline/model_record.h"

#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

TEST(DescribeArtifact, ListsTheChosenFormatFirstAndNoneThatWasRefused) {
  Rng rng(1);
  GraphBuilder builder("small", {"x", {Element::kF32, Layout::kVector, 4}}, &rng);
  const Graph graph = ValueOrDie(builder.Gemm(8).Finish());
  const FormatSpec csr = ValueOrDie(FindFormat("csr"));
  const FormatSpec slot = ValueOrDie(FindFormat("slot_8x16"));
  ArtifactContent content;
  content.choices["gemm0.weight"] = {
      csr, "kernel", 12.5, {{FormatSpec(), 20.5, 128, "slower"}, {slot, 0.0, 0, "no kernel"}}};
  content.metadata["costs"] = "another CPU";
  const Artifact artifact =
      ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
  ModelRecord record = DescribeNetwork(graph);
  DescribeArtifact(artifact, &record);
  EXPECT_EQ(record.costs, "another CPU");
  ASSERT_EQ(record.weights.size(), 1u);
  const std::vector<CandidateRecord>& candidates = record.weights[0].candidates;
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[0].format, "csr");
  EXPECT_EQ(candidates[0].ns, 12.5);
  EXPECT_EQ(candidates[1].format, "dense");
  EXPECT_EQ(candidates[1].bytes, 128);
}

}  // namespace
}  // namespace espalier
