#include "pipeline/stages.h"

#include "pipeline/layers.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

// An LSTM of 8 units, two of which influence nothing.
class CompactNetworkTest : public ::testing::Test {
 protected:
  CompactNetworkTest() {
    Rng rng(5);
    graph_ = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                     ValueOrDie(ParseLayers("lstm:8 last_step gemm:3")), &rng));
    StageSpec stage;
    stage.kind = StageKind::kPrune;
    stage.train.epochs = 0;
    stage.prune.granularity = "unit";
    stage.prune.sparsity = 0.25;
    graph_ = ValueOrDie(PruneNetwork(graph_, stage, PruneInputs(), {})).graph;
    compacted_ = ValueOrDie(CompactZeros(graph_));
  }

  Graph graph_;
  Compacted compacted_;
};

TEST_F(CompactNetworkTest, RemovesWhatInfluencesNothing) {
  std::map<std::string, int64_t> removed;
  const Graph small = ValueOrDie(CompactNetwork(graph_, &removed));
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed.begin()->second, 2);
  EXPECT_EQ(small.nodes[0].hidden_size, 6);
}

TEST_F(CompactNetworkTest, IsProvenByEqualNumbers) { EXPECT_OK(ProveEqual(graph_, compacted_)); }

TEST_F(CompactNetworkTest, ProofSeesAnotherWeight) {
  compacted_.graph.weights.at("gemm0.weight").values[0] += 0.001f;
  ExpectError(ProveEqual(graph_, compacted_), Code::kInternal, {"output", "expected", "found"});
}

// A recurrent weight that no output depends on in one step, but the state does.
TEST_F(CompactNetworkTest, ProofSeesAStateThatNoOutputReads) {
  for (Graph* graph : {&graph_, &compacted_.graph}) {
    for (float& w : graph->weights.at("gemm0.weight").values) w = 0.0f;
  }
  for (float& w : compacted_.graph.weights.at("lstm0.weight_ih").values) w += 0.01f;
  ExpectError(ProveEqual(graph_, compacted_), Code::kInternal, {"state '"});
}

// inf - inf is NaN, which is above no tolerance.
TEST(ProveEqual, RefusesInfinitiesInBoth) {
  Rng rng(5);
  Graph graph = ValueOrDie(
      BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                   ValueOrDie(ParseLayers("lstm:8 last_step gemm:3 relu gemm:2")), &rng));
  graph.weights.at("gemm0.bias").values = {3e38f, 3e38f, 3e38f};
  for (float& w : graph.weights.at("gemm1.weight").values) w = 2.0f;
  ExpectError(ProveEqual(graph, ValueOrDie(CompactZeros(graph))), Code::kInternal,
              {"output", "inf found"});
}

TEST(PruneNetwork, WantsDataForFineTuning) {
  Rng rng(5);
  const Graph graph =
      ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                              ValueOrDie(ParseLayers("lstm:8 last_step gemm:3")), &rng));
  StageSpec stage;
  stage.train.epochs = 1;
  ExpectError(PruneNetwork(graph, stage, PruneInputs(), {}).status(), Code::kInvalidArgument,
              {"fine-tuning", "data"});
}

}  // namespace
}  // namespace espalier
