#include "pipeline/search.h"

#include "pipeline/layers.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

// A network that is always right: the labels are what it predicts.
class FindSparsityTest : public ::testing::Test {
 protected:
  FindSparsityTest() {
    constexpr int64_t kSequences = 64, kFeatures = 6;
    Rng rng(5);
    data_.valid.input = {Element::kF32, Layout::kSequence, kFeatures};
    graph_ = ValueOrDie(BuildNetwork("small", data_.valid.input,
                                     ValueOrDie(ParseLayers("lstm:8 last_step gemm:4")), &rng));
    // So that the weights decide, and with some confidence.
    for (float& value : graph_.weights.at("gemm0.weight").values) value *= 20.0f;
    for (float& value : graph_.weights.at("gemm0.bias").values) value = 0.0f;
    data_.valid.metric = kAccuracy;
    data_.valid.classes = 4;
    data_.valid.offsets = {0};
    for (int64_t i = 0; i < kSequences; ++i) {
      data_.valid.offsets.push_back(i + 1);
      data_.valid.labels.push_back(0);
      for (int64_t k = 0; k < kFeatures; ++k) data_.valid.features.push_back(rng.Uniform(-3, 3));
    }
    data_.valid.labels = ValueOrDie(Evaluate(graph_, data_.valid, {})).predictions;
    stage_.kind = StageKind::kPrune;
    stage_.train.epochs = 0;
    stage_.prune.weights = {"*"};
    inputs_.data = &data_;
  }

  Result<PruneOutcome> Find(std::vector<double> sparsities) {
    stage_.search.sparsities = std::move(sparsities);
    stage_.search.within = 0.1;
    SearchHooks hooks;
    // As large and as slow as weights are left, in the base and here.
    hooks.cost = [](const Graph& base, const Graph& graph) -> Result<CostShares> {
      const double share = Nonzeros(graph) / Nonzeros(base);
      return CostShares{share, share * share};
    };
    hooks.checkpoint = [](size_t) { return ""; };
    hooks.on_tried = [this](const TriedRecord&) { ++tried_; };
    return FindSparsity(graph_, stage_, inputs_, TrainHooks(), hooks, &record_);
  }

  static double Nonzeros(const Graph& graph) {
    double count = 0.0;
    for (const auto& [name, tensor] : graph.weights) {
      for (const float value : tensor.values) count += value != 0.0f ? 1.0 : 0.0;
    }
    return count;
  }

  Graph graph_;
  TaskData data_;
  StageSpec stage_;
  PruneInputs inputs_;
  SearchRecord record_;
  int tried_ = 0;
};

TEST_F(FindSparsityTest, KeepsTheHighestThatIsAsGood) {
  const PruneOutcome outcome = ValueOrDie(Find({0.0, 0.05, 0.9, 0.95}));
  EXPECT_EQ(record_.metric_before, 1.0);
  EXPECT_EQ(record_.kept, 0.05);
  ASSERT_EQ(record_.tried.size(), 3u) << "none after the first that is worse";
  EXPECT_EQ(tried_, 3);
  EXPECT_GE(record_.tried[1].metric, 0.9);
  EXPECT_LT(record_.tried[2].metric, 0.9);
  stage_.search.sparsities.clear();
  stage_.prune.sparsity = 0.05;
  EXPECT_EQ(outcome.graph, ValueOrDie(PruneNetwork(graph_, stage_, inputs_, {})).graph);
}

TEST_F(FindSparsityTest, LeavesTheNetworkAsItIsIfNoneIs) {
  EXPECT_EQ(ValueOrDie(Find({0.9, 0.95})).graph, graph_);
  EXPECT_FALSE(record_.kept.has_value());
  EXPECT_EQ(record_.tried.size(), 1u);
}

// Biases stay, so that a little more is left than the share of the weights.
TEST_F(FindSparsityTest, EndsAtTheFirstThatIsSmallAndFastEnough) {
  stage_.search.bytes = 0.99;
  ValueOrDie(Find({0.005, 0.02, 0.05}));
  EXPECT_EQ(record_.kept, 0.02);
  EXPECT_TRUE(record_.is_met);
  EXPECT_EQ(record_.tried.size(), 2u);
  EXPECT_GT(record_.tried[0].bytes, 0.99);
  EXPECT_LE(record_.tried[1].bytes, 0.99);
  EXPECT_FALSE(record_.tried[1].time.has_value()) << "not asked for";
  stage_.search.time = 0.93;
  ValueOrDie(Find({0.005, 0.02, 0.05}));
  EXPECT_EQ(record_.kept, 0.05) << "both have to be met";
  EXPECT_TRUE(record_.is_met);
}

TEST_F(FindSparsityTest, KeepsTheHighestThatIsAsGoodWhereNoneMeetsTheBudget) {
  stage_.search.bytes = 0.5;
  ValueOrDie(Find({0.0, 0.05, 0.9}));
  EXPECT_EQ(record_.kept, 0.05);
  EXPECT_FALSE(record_.is_met);
  ASSERT_EQ(record_.tried.size(), 3u);
  EXPECT_FALSE(record_.tried[2].bytes.has_value()) << "not compiled, since the metric is gone";
}

// What went before the stage counts.
TEST_F(FindSparsityTest, HoldsAllAgainstAnotherNetwork) {
  const Graph dense = graph_;
  inputs_.against = &dense;
  stage_.prune.sparsity = 0.05;
  graph_ = ValueOrDie(PruneNetwork(graph_, stage_, inputs_, {})).graph;
  stage_.search.bytes = 0.97;
  ValueOrDie(Find({0.05, 0.06}));
  EXPECT_EQ(record_.metric_before, 1.0);
  EXPECT_EQ(record_.kept, 0.05);
  EXPECT_LT(record_.tried[0].bytes, 0.97);
}

TEST_F(FindSparsityTest, TakesSmallerForBetterWhereItIs) {
  data_.valid.metric = kPerplexity;
  EXPECT_GT(ValueOrDie(Evaluate(graph_, data_.valid, {})).metric, 1.0);
  ValueOrDie(Find({0.0, 0.05}));
  EXPECT_GE(record_.tried[1].metric, record_.metric_before);
}

}  // namespace
}  // namespace espalier
