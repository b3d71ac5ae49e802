#include "pipeline/stages.h"

#include "compile/compile.h"
#include "pipeline/layers.h"
#include "prune/dynamic.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

// What is said of a second pruning.
std::string NoteAfter(const PruneSpec& first, const PruneSpec& second) {
  Rng rng(5);
  Graph graph = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                        ValueOrDie(ParseLayers("lstm:8 last_step gemm:3")), &rng));
  StageSpec stage;
  stage.kind = StageKind::kPrune;
  stage.train.epochs = 0;
  stage.prune = first;
  PruneOutcome outcome = ValueOrDie(PruneNetwork(graph, stage, PruneInputs(), {}));
  EXPECT_EQ(outcome.note, "");
  graph = std::move(outcome.graph);
  stage.prune = second;
  return ValueOrDie(PruneNetwork(graph, stage, PruneInputs(), {})).note;
}

TEST(PruneNetwork, SaysThatNothingWasCut) {
  PruneSpec first;
  first.sparsity = 0.75;
  PruneSpec second = first;
  second.sparsity = 0.5;
  EXPECT_EQ(NoteAfter(first, second), "nothing cut: 75.00 % gone before, 50.00 % asked");
  second.sparsity = 0.875;
  EXPECT_EQ(NoteAfter(first, second), "");
  second.sparsity = 0.0;  // as many as were asked for
  EXPECT_EQ(NoteAfter(first, second), "");
  first.granularity = second.granularity = "unit";
  second.sparsity = 0.25;
  EXPECT_EQ(NoteAfter(first, second), "nothing cut: 75.00 % gone before, 25.00 % asked");
  second.granularity = "element";
  second.allocation = "threshold";
  second.threshold = 0.0;
  first.granularity = "element";
  EXPECT_EQ(NoteAfter(first, second),
            "nothing cut: every piece reaches its threshold, 75.00 % gone before");
}

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

// 40 sequences of 6 steps, classes in turn.
TaskData SmallData(const ValueType& input, Rng* rng) {
  TaskData data;
  data.train.input = input;
  data.train.classes = 3;
  data.train.offsets = {0};
  for (int i = 0; i < 40; ++i) {
    for (int64_t t = 0; t < 6 * input.features; ++t) {
      data.train.features.push_back(rng->Uniform(-1.0f, 1.0f));
    }
    data.train.offsets.push_back(data.train.offsets.back() + 6);
    data.train.labels.push_back(i % 3);
  }
  data.valid = data.train;
  return data;
}

TEST(PruneNetwork, MakesUpForWeightsByBiasesAlone) {
  Rng rng(5);
  const Graph graph =
      ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                              ValueOrDie(ParseLayers("lstm:8 last_step gemm:3")), &rng));
  const TaskData data = SmallData(graph.inputs[0].type, &rng);
  StageSpec stage;
  stage.kind = StageKind::kPrune;
  stage.train.epochs = 0;
  stage.prune.sparsity = 0.5;
  const Graph masked = ValueOrDie(PruneNetwork(graph, stage, PruneInputs(), {})).graph;
  stage.reconstruct = Reconstruction::kBias;
  ExpectError(PruneNetwork(graph, stage, PruneInputs(), {}).status(), Code::kInvalidArgument,
              {"reconstruct", "data"});
  PruneInputs inputs;
  inputs.data = &data;
  const Graph corrected = ValueOrDie(PruneNetwork(graph, stage, inputs, {})).graph;
  for (const auto& [name, weight] : corrected.weights) {
    if (name == "lstm0.bias_ih") continue;
    EXPECT_EQ(weight, masked.weights.at(name)) << name;
  }
  EXPECT_NE(corrected.weights.at("lstm0.bias_ih"), masked.weights.at("lstm0.bias_ih"));
}

// What predicts rows is fitted when it is put in, and a constant from then on: the network that was
// validated is the one that is written.
TEST(PruneNetwork, LeavesPredictorsAsTheyAre) {
  Rng rng(5);
  const Graph plain =
      ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                              ValueOrDie(ParseLayers("gru:8 last_step gemm:3")), &rng));
  const TaskData data = SmallData(plain.inputs[0].type, &rng);
  const DynamicSpec rule[] = {{.name = "predicted", .epsilon = 0.4, .predictor = 4}};
  Graph graph = ValueOrDie(WithDynamic(plain, rule));
  ASSERT_OK(FitNewPredictors(plain, data.train, &graph));
  const Tensor fitted = graph.weights.at("gru0.weight_predict");
  EXPECT_NE(fitted, Tensor(fitted.shape));
  EXPECT_EQ(RoundMatrices(graph, WeightType::kF32), graph);
  Graph again = graph;
  ASSERT_OK(FitNewPredictors(graph, data.train, &again));  // it is not new
  EXPECT_EQ(again, graph);
  StageSpec stage;
  stage.kind = StageKind::kPrune;
  stage.train.epochs = 2;
  stage.train.batch_size = 8;
  stage.train.optimizer.weight_decay = 0.1;
  stage.prune.sparsity = 0.5;
  PruneInputs inputs;
  inputs.data = &data;
  const PruneOutcome outcome = ValueOrDie(PruneNetwork(graph, stage, inputs, {}));
  EXPECT_NE(outcome.graph.weights.at("gru0.weight_ih"), graph.weights.at("gru0.weight_ih"));
  for (const char* name : {"gru0.weight_predict_ih", "gru0.weight_predict", "gru0.bias_predict"}) {
    EXPECT_EQ(outcome.graph.weights.at(name), graph.weights.at(name)) << name;
  }
  const auto best = static_cast<size_t>(outcome.best_epoch) - 1;
  EXPECT_EQ(ValueOrDie(Evaluate(outcome.graph, data.valid, {})).metric,
            outcome.epochs[best].valid_metric);
}

}  // namespace
}  // namespace espalier
