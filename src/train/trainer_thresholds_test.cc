// Thresholds of delta that are learned.
#include <algorithm>
#include <atomic>

#include "train/trainer_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

class TrainerThresholds : public TrainerTest {
 protected:
  TrainerThresholds() {
    Rng rng(7);
    GraphBuilder builder("delta", {"x", kInput}, &rng);
    GraphBuilder::RecurrentOptions recurrent;
    recurrent.delta = Delta{0.2, 0.1, 1};
    builder.Recurrent(CellKind::kLstmCell, 12, recurrent);
    recurrent.delta = Delta{0.05, 0.1, 2};
    builder.Recurrent(CellKind::kGruCell, 9, recurrent);
    job_.graph = ValueOrDie(builder.LastStep().Gemm(kClasses).Finish());
    options_.epochs = 4;
  }

  static std::vector<double> ThresholdsOf(const Graph& graph) {
    std::vector<double> all;
    for (const Node& node : graph.nodes) {
      if (!node.delta.has_value()) continue;
      all.push_back(node.delta->x);
      all.push_back(node.delta->h);
    }
    return all;
  }
};

TEST_F(TrainerThresholds, StayAsTheyAreWithoutThePenalty) {
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  EXPECT_EQ(ThresholdsOf(result.graph), ThresholdsOf(job_.graph));
}

TEST_F(TrainerThresholds, RiseWithThePenalty) {
  options_.send_penalty = 0.01;
  const std::vector<double> low = ThresholdsOf(ValueOrDie(Train(job_, options_, {})).graph);
  options_.send_penalty = 10.0;
  const TrainResult result = ValueOrDie(Train(job_, options_, {}));
  const std::vector<double> high = ThresholdsOf(result.graph), start = ThresholdsOf(job_.graph);
  ASSERT_EQ(high.size(), 4u);
  for (size_t i = 0; i < high.size(); ++i) {
    EXPECT_GT(high[i], start[i] + 0.2) << i;
    EXPECT_GT(high[i], low[i] + 0.1) << i;
    EXPECT_GE(low[i], 0.0) << i;
    EXPECT_NE(low[i], start[i]) << i;
  }
  EXPECT_EQ(result.graph.nodes[1].delta->bank, 2);
}

// The loss alone would rather send all.
TEST_F(TrainerThresholds, FallToZeroAndNotBelow) {
  options_.send_penalty = 1e-9;
  options_.learning_rate.peak = 0.05;
  options_.epochs = 8;
  const std::vector<double> learned = ThresholdsOf(ValueOrDie(Train(job_, options_, {})).graph);
  for (const double threshold : learned) EXPECT_GE(threshold, 0.0);
  EXPECT_EQ(*std::min_element(learned.begin(), learned.end()), 0.0);
}

TEST_F(TrainerThresholds, AreGoneOnWithFromACheckpoint) {
  const TempDir dir;
  options_.send_penalty = 0.05;
  options_.patience = 3;
  options_.learning_rate.peak = 0.03;
  const TrainResult whole = ValueOrDie(Train(job_, options_, {}));
  for (const int64_t steps : {7, 13, 45}) {
    options_.checkpoint_path = dir.path(std::to_string(steps));
    options_.resume = true;
    std::atomic<bool> cancel = false;
    TrainHooks hooks;
    hooks.cancel = &cancel;
    hooks.on_step = [&](const TrainProgress& progress) { cancel = progress.step == steps; };
    EXPECT_EQ(ValueOrDie(Train(job_, options_, hooks)).stopped, StopReason::kCancelled);
    const TrainResult resumed = ValueOrDie(Train(job_, options_, {}));
    EXPECT_EQ(resumed.graph, whole.graph) << steps;
    EXPECT_EQ(resumed.best_epoch, whole.best_epoch);
  }
}

// The thresholds that are returned are those of the weights that are.
TEST_F(TrainerThresholds, AreThoseOfTheBestEpoch) {
  options_.send_penalty = 0.5;
  options_.learning_rate.peak = 0.5;
  options_.epochs = 6;
  options_.patience = 6;
  const TrainResult best = ValueOrDie(Train(job_, options_, {}));
  ASSERT_LT(best.best_epoch, 6);
  options_.epochs = best.best_epoch;
  options_.patience = 0;
  EXPECT_EQ(ValueOrDie(Train(job_, options_, {})).graph, best.graph);
}

TEST_F(TrainerThresholds, NeedALayerThatHasThem) {
  job_.graph = MakeGraph(0.0, 0.0);
  options_.send_penalty = 0.1;
  ExpectError(Train(job_, options_, {}).status(), Code::kInvalidArgument,
              {"send_penalty", "0 expected", "0.1 found"});
}

}  // namespace
}  // namespace espalier
