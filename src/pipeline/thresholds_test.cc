#include "pipeline/thresholds.h"

#include <cmath>
#include <limits>

#include "artifact/artifact.h"
#include "pipeline/evaluate.h"
#include "pipeline/layers.h"
#include "prune/dynamic.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

// Slow signals, labelled by the network itself, so that what thresholds cost shows.
class FindThresholdsTest : public ::testing::Test {
 protected:
  FindThresholdsTest() { Use("gru:12 last_step gemm:3"); }

  void Use(const std::string& layers, float first_feature = 1.0f) {
    Rng rng(5);
    graph_ = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 4},
                                     ValueOrDie(ParseLayers(layers)), &rng));
    valid_ = Dataset();
    valid_.input = graph_.inputs[0].type;
    valid_.classes = 3;
    valid_.offsets = {0};
    for (int i = 0; i < 60; ++i) {
      float x[4] = {};
      for (int t = 0; t < 20; ++t) {
        for (size_t k = 0; k < 4; ++k) {
          x[k] += 0.3f * static_cast<float>(rng.Normal());
          valid_.features.push_back(x[k] * (k == 0 ? first_feature : 1.0f));
        }
      }
      valid_.offsets.push_back(valid_.offsets.back() + 20);
    }
    valid_.labels.assign(60, 0);
    valid_.labels = EvaluationOf(graph_).predictions;
    options_.tuning = Tuning::kOff;
    options_.timed_steps = 0;
  }
  Evaluation EvaluationOf(const Graph& graph, DynamicUse* use = nullptr) const {
    CompileOptions options;
    options.tuning = Tuning::kOff;
    const Artifact artifact = ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(graph, options))));
    return ValueOrDie(EvaluateArtifact(artifact, valid_, SessionOptions(), use));
  }
  FoundThresholds Find() const { return ValueOrDie(FindThresholds(graph_, valid_, options_)); }
  // About half of the steps are skipped.
  void Skip() {
    const DynamicSpec skip{.name = "skip"};
    graph_ = ValueOrDie(WithDynamic(graph_, std::vector<DynamicSpec>{skip}));
    graph_.weights.at("gru0.bias_skip").values = {-0.5f};
    valid_.labels = EvaluationOf(graph_).predictions;
  }
  void ExpectRefused(const std::vector<std::string>& parts) const {
    ExpectError(FindThresholds(graph_, valid_, options_).status(), Code::kInvalidArgument, parts);
  }

  Graph graph_;
  Dataset valid_;
  ThresholdOptions options_;
};

TEST_F(FindThresholdsTest, AreTheLargestThatLoseLittleEnough) {
  options_.spec.loss = 0.1;
  const ThresholdCurve curve = Find().curve;
  ASSERT_LT(curve.chosen + 1, curve.points.size());
  EXPECT_EQ(curve.points[0].factor, 0.0);
  EXPECT_EQ(curve.points[0].metric, 1.0);
  EXPECT_GE(curve.points[curve.chosen].metric, 0.9);
  EXPECT_LT(curve.points[curve.chosen + 1].metric, 0.9);
  EXPECT_LT(curve.points[curve.chosen + 1].factor, 1.02 * curve.points[curve.chosen].factor);
  EXPECT_LT(curve.points[curve.chosen].sent, 0.9);
}

TEST_F(FindThresholdsTest, AreTheSmallestThatSendLittleEnough) {
  options_.spec.sent = 0.3;
  const ThresholdCurve curve = Find().curve;
  ASSERT_GT(curve.chosen, 0u);
  EXPECT_LE(curve.points[curve.chosen].sent, 0.3);
  EXPECT_GT(curve.points[curve.chosen - 1].sent, 0.3);
}

TEST_F(FindThresholdsTest, AreTheSmallestThatMultiplyLittleEnough) {
  options_.spec.multiply_adds = 0.5;
  const ThresholdCurve curve = Find().curve;
  ASSERT_GT(curve.chosen, 0u);
  EXPECT_LE(curve.points[curve.chosen].multiply_adds, 0.5);
  EXPECT_GT(curve.points[curve.chosen - 1].multiply_adds, 0.5);
}

TEST_F(FindThresholdsTest, AreInTheNetworkAsTheyWereMeasured) {
  options_.spec.sent = 0.3;
  const FoundThresholds found = Find();
  const ThresholdPoint& chosen = found.curve.points[found.curve.chosen];
  const Node& node = *FindNode(found.graph, "gru0");
  EXPECT_EQ(node.delta->x, chosen.layers[0].x);
  EXPECT_EQ(node.delta->h, chosen.layers[0].h);
  DynamicUse use;
  EXPECT_EQ(EvaluationOf(found.graph, &use).metric, chosen.metric);
  const LayerCounters& counters = use.activity[0].counters;
  EXPECT_EQ(static_cast<double>(counters.x_sent) / static_cast<double>(counters.x_columns),
            chosen.layers[0].x_sent);
}

// One layer's x moves as 1.0 x, the other's h in (-1, 1).
TEST_F(FindThresholdsTest, AreInProportionToWhatMovesInEachLayer) {
  Use("gru:8 gru:8 last_step gemm:3", 100.0f);
  options_.spec.sent = 0.5;
  options_.spec.scale = "changes";
  const ThresholdPoint point = Find().curve.points[1];
  ASSERT_EQ(point.layers.size(), 2u);
  double squares = 0.0, count = 0.0;
  for (size_t i = 4; i < valid_.features.size(); ++i) {
    if (i / 4 % 20 == 0) continue;  // another sequence begins
    squares += std::pow(static_cast<double>(valid_.features[i] - valid_.features[i - 4]), 2.0);
    count += 1.0;
  }
  EXPECT_NEAR(point.layers[0].x / point.factor / std::sqrt(squares / count), 1.0, 1e-4);
  EXPECT_EQ(point.layers[0].h, point.layers[1].x);  // the same signal
  EXPECT_GT(point.layers[0].x, 20.0 * point.layers[0].h);
  options_.spec.scale = "common";
  const ThresholdPoint common = Find().curve.points[1];
  EXPECT_EQ(common.layers[0].x, common.layers[1].h);
}

// Trained thresholds stay in proportion to each other; a factor of 1 is what they were.
TEST_F(FindThresholdsTest, AreInProportionToThoseThatThereAre) {
  Use("gru:8 last_step gemm:3", 1.0f);
  options_.spec.multiply_adds = 0.6;
  options_.spec.scale = "own";
  ExpectRefused({"scale: own", "thresholds above 0 expected", "'gru0' found"});
  const DynamicSpec delta{.name = "delta", .x = 0.25, .h = 0.0625};
  graph_ = ValueOrDie(WithDynamic(graph_, std::vector<DynamicSpec>{delta}));
  const FoundThresholds found = Find();
  bool has_own = false;
  for (const ThresholdPoint& point : found.curve.points) {
    EXPECT_NEAR(point.layers[0].x, 4.0 * point.layers[0].h, 1e-6);
    if (point.factor != 1.0) continue;
    has_own = true;
    EXPECT_EQ(point.layers[0].x, 0.25);
    EXPECT_EQ(point.layers[0].h, 0.0625);
  }
  EXPECT_TRUE(has_own);
}

// What moves most in x is read by nothing, so that x is worth more columns than its changes say.
TEST_F(FindThresholdsTest, AreFittedToWhatTheyCost) {
  Use("gru:12 last_step gemm:3", 6.0f);
  Tensor& weight = graph_.weights.at("gru0.weight_ih");
  for (size_t i = 0; i < weight.values.size(); i += 4) weight.values[i] = 0.0f;
  valid_.labels = EvaluationOf(graph_).predictions;
  options_.spec.sent = 0.3;
  options_.spec.scale = "changes";
  const ThresholdCurve changes = Find().curve;
  options_.spec.scale = "fitted";
  const ThresholdCurve fitted = Find().curve;
  const ThresholdPoint& before = changes.points[changes.chosen];
  const ThresholdPoint& after = fitted.points[fitted.chosen];
  EXPECT_LE(after.sent, 0.3);
  EXPECT_LT(after.loss, before.loss);
  EXPECT_LT(after.layers[0].x / after.layers[0].h, 0.8 * before.layers[0].x / before.layers[0].h);
}

TEST_F(FindThresholdsTest, LeaveOtherLayersTheirOwn) {
  Use("gru:8 gru:8 last_step gemm:3");
  graph_.nodes[1].delta = Delta{0.125, 0.25, 1};
  options_.spec.loss = 0.1;
  options_.spec.layers = {"gru0"};
  const FoundThresholds found = Find();
  EXPECT_EQ(FindNode(found.graph, "gru1")->delta, (Delta{0.125, 0.25, 1}));
  EXPECT_GT(FindNode(found.graph, "gru0")->delta->x, 0.0);
  options_.spec.layers = {};  // those that have delta
  EXPECT_FALSE(FindNode(Find().graph, "gru0")->delta.has_value());
}

TEST_F(FindThresholdsTest, ShowANetworkThatSkipsWithAndWithoutIt) {
  Skip();
  options_.spec.loss = 0.0;
  const FoundThresholds found = Find();
  ASSERT_EQ(found.curve.points.size(), 2u);
  EXPECT_FALSE(found.curve.points[0].skips);
  EXPECT_EQ(found.curve.points[0].layers[0].skipped, 0.0);
  EXPECT_EQ(found.curve.chosen, 1u);
  EXPECT_GT(found.curve.points[1].layers[0].skipped, 0.3);
  EXPECT_EQ(found.curve.points[1].metric, 1.0);
  EXPECT_FALSE(found.graph.nodes[0].delta.has_value());
  options_.spec.layers = {"gru0"};  // both rules
  options_.spec.loss = 0.1;
  EXPECT_GT(Find().graph.nodes[0].delta->x, 0.0);
  options_.spec = ThresholdSpec();
  options_.spec.sent = 0.5;
  ExpectRefused({"delta expected, none found", "where `layers` names them"});
  options_.spec.sent.reset();
  options_.spec.rows = 0.5;
  options_.spec.method = "predicted";
  ExpectRefused({"predicted expected, none found", "where `layers` names them"});
}

// Of a network that only skips: its loss is held against no skipping.
TEST_F(FindThresholdsTest, LeaveSkippingOutWhereItCostsTooMuch) {
  Skip();
  Graph plain = graph_;
  plain.nodes[0].skip = false;
  std::erase_if(plain.weights, [](const auto& weight) { return weight.first.ends_with("_skip"); });
  valid_.labels = EvaluationOf(plain).predictions;  // skipping loses some
  options_.timed_steps = 100;
  for (const auto& [loss, skips] : {std::pair(0.0, false), {1.0, true}}) {
    options_.spec.loss = loss;
    const FoundThresholds found = Find();
    EXPECT_EQ(found.curve.points[found.curve.chosen].skips, skips) << loss;
    EXPECT_EQ(found.graph.nodes[0].skip, skips) << loss;
    EXPECT_EQ(found.graph.weights.size(), (skips ? graph_ : plain).weights.size()) << loss;
  }
  options_.spec.scale = "own";
  ExpectRefused({"scale: own", "thresholds above 0 expected", "none found"});
}

// Banks, and layers that skip, stay as they are beside a layer with thresholds: each point is
// verified.
TEST_F(FindThresholdsTest, LeaveBanksAsTheyAre) {
  Use("gru:12 gru:8 lstm:6 last_step gemm:3");
  const DynamicSpec specs[] = {{.name = "delta", .layers = {"lstm0"}},
                               {.name = "banks", .layers = {"gru*"}, .banks = {4, 0}},
                               {.name = "skip", .layers = {"gru1"}}};
  graph_ = ValueOrDie(WithDynamic(graph_, specs));
  Rng rng(6);
  for (auto& [name, weight] : graph_.weights) {
    if (name.find("_banks") == std::string::npos) continue;
    for (float& value : weight.values) value = rng.Uniform(-0.5f, 0.5f);
  }
  graph_.weights.at("gru1.bias_skip").values = {-0.5f};
  valid_.labels = EvaluationOf(graph_).predictions;
  options_.spec.loss = 0.05;
  options_.timed_steps = 100;
  const FoundThresholds found = Find();
  EXPECT_TRUE(FindNode(found.graph, "gru0")->banks.has_value());
  EXPECT_TRUE(found.curve.points[found.curve.chosen].us_per_step.has_value());
}

// Of idle candidates and of predicted rows it is an epsilon, in all layers, that is found.
TEST_F(FindThresholdsTest, FindEpsilonsOfRowsThatAreLeftOut) {
  Use("gru:12 lstm:8 last_step gemm:3");
  for (auto& [name, weight] : graph_.weights) {
    for (float& value : weight.values) value *= 2.0f;  // gates that saturate
  }
  valid_.labels = EvaluationOf(graph_).predictions;
  for (const char* method : {"idle", "predicted"}) {
    options_.spec = ThresholdSpec();
    options_.spec.method = method;
    if (std::string(method) == "predicted") options_.spec.predictor = 6;
    options_.spec.loss = 0.1;
    options_.timed_steps = 100;
    const FoundThresholds found = Find();
    const ThresholdCurve& curve = found.curve;
    const ThresholdPoint& chosen = curve.points[curve.chosen];
    EXPECT_GE(chosen.metric, 0.9) << method;
    EXPECT_GT(curve.points.back().layers[0].epsilon, 0.0) << method;
    EXPECT_LT(curve.points.back().layers[0].rows_run, 0.95) << method;
    EXPECT_EQ(curve.points.front().layers[1].rows_run, 1.0) << method;
    for (size_t i = 0; i < 2; ++i) {
      const Node& node = found.graph.nodes[i];
      const bool is_idle = std::string(method) == "idle";
      EXPECT_EQ(node.idle.has_value(), is_idle);
      EXPECT_EQ(node.predicted.has_value(), !is_idle);
      EXPECT_EQ(is_idle ? node.idle->epsilon : node.predicted->epsilon, chosen.layers[i].epsilon);
      EXPECT_EQ(is_idle ? 6 : node.predicted->size, 6);
    }
    EXPECT_EQ(EvaluationOf(found.graph).metric, chosen.metric) << method;
  }
  options_.spec.loss.reset();
  options_.spec.multiply_adds = 0.0;
  ExpectRefused({"multiply_adds", "at least", "0 found"});
  options_.spec.predictor.reset();
  options_.spec.method = "ides";
  ExpectRefused({"method", "'ides'", "'idle'"});
  options_.spec = ThresholdSpec();
  options_.spec.method = "idle";
  options_.spec.sent = 0.1;
  ExpectRefused({"sent", "method delta expected", "idle found"});
  options_.spec.sent.reset();
  options_.spec.loss = 0.1;
  options_.spec.predictor = 6;
  ExpectRefused({"predictor", "method predicted expected", "idle found"});
  options_.spec.predictor.reset();
  options_.spec.scale = "common";
  ExpectRefused({"scale", "method delta expected", "idle found"});
  options_.spec = ThresholdSpec();
  options_.spec.rows = 0.5;
  ExpectRefused({"rows", "idle or predicted", "delta found"});
  options_.spec.method = "predicted";
  options_.spec.predictor = 17;
  ExpectRefused({"gru0.predicted.size", "1 to 16", "17 found"});
  options_.spec.predictor = 6;
  options_.spec.rows = 0.7;
  const ThresholdCurve curve = Find().curve;
  EXPECT_LE(curve.points[curve.chosen].rows, 0.7);
  EXPECT_GT(curve.points[curve.chosen - 1].rows, 0.7);
}

// Dense rows come in groups, of which hardly one is left out as a whole: an epsilon that loses
// something and saves nothing is not chosen.
TEST_F(FindThresholdsTest, AreTheLeastOfThoseThatSaveAsMuch) {
  options_.spec.method = "idle";
  options_.spec.loss = 0.1;
  const ThresholdCurve curve = Find().curve;
  const ThresholdPoint& chosen = curve.points[curve.chosen];
  ASSERT_LT(curve.points.back().rows, 1.0);
  for (const ThresholdPoint& point : curve.points) {
    if (point.metric < 0.9 || point.multiply_adds > chosen.multiply_adds) continue;
    EXPECT_EQ(point.multiply_adds, chosen.multiply_adds);
    EXPECT_GE(point.factor, chosen.factor);
  }
}

TEST_F(FindThresholdsTest, TimeEveryPointAndTheNetworkWithoutRules) {
  for (const char* layers : {"gru:12 last_step gemm:3", "gru:8:bidirectional last_step gemm:3"}) {
    Use(layers);
    options_.spec.sent = 0.5;
    options_.timed_steps = 200;
    const ThresholdCurve curve = Find().curve;
    ASSERT_TRUE(curve.us_per_step_without.has_value());
    for (const ThresholdPoint& point : curve.points) {
      ASSERT_TRUE(point.us_per_step.has_value());
      EXPECT_GT(point.us_per_step->p50, 0.0);
      EXPECT_LE(point.us_per_step->p50, point.us_per_step->p95);
      EXPECT_LE(point.us_per_step->p95, point.us_per_step->p99);
    }
  }
}

TEST_F(FindThresholdsTest, SayWhatIsNearestToATargetThatCannotBeMet) {
  options_.spec.multiply_adds = 0.001;
  ExpectRefused({"multiply_adds", "at least 0.", "0.001 found"});
  Skip();
  options_.spec.multiply_adds = 0.01;
  ExpectRefused({"multiply_adds", "at least 0.", "0.01 found"});
}

TEST_F(FindThresholdsTest, RefuseWhatCannotHaveThem) {
  options_.spec.loss = 0.01;
  const Dataset all = valid_;
  valid_.offsets = {0};
  valid_.labels.clear();
  ExpectRefused({"validation split", "none found"});
  valid_ = all;
  options_.spec.layers = {"lstm*"};
  ExpectRefused({"lstm*", "gru0"});
  options_.spec.layers = {};
  Use("last_step gemm:3");
  ExpectRefused({"a recurrent layer expected", "none found"});
  Use("gru_reset_before:4 last_step gemm:3");
  ExpectError(FindThresholds(graph_, valid_, options_).status(), Code::kUnsupported,
              {"delta", "gru_reset_before"});
  Use("gru:4 last_step gemm:3");
  Skip();
  options_.spec.loss.reset();
  options_.spec.sent = 0.5;
  ExpectRefused({"can have, delta expected", "none found"});
}

TEST_F(FindThresholdsTest, RefuseOtherThanOneTargetInItsRange) {
  ExpectRefused({"one target", "none found"});
  options_.spec.loss = options_.spec.sent = 0.1;
  ExpectRefused({"one target", "loss, sent found"});
  options_.spec = ThresholdSpec();
  for (const double bad : {-0.1, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
    options_.spec.multiply_adds = bad;
    ExpectRefused({"multiply_adds", "a share in [0, 1]", std::isnan(bad) ? "nan" : ""});
  }
  options_.spec.multiply_adds = 0.1;
  options_.spec.scale = "change";
  ExpectRefused({"'change'", "'changes'"});
}

TEST_F(FindThresholdsTest, StopWhenAsked) {
  options_.spec.loss = 0.1;
  int told = 0;
  options_.progress = [&](const ThresholdPoint&) { return ++told < 3; };
  ExpectError(FindThresholds(graph_, valid_, options_).status(), Code::kCancelled, {"stopped"});
  EXPECT_EQ(told, 3);
}

}  // namespace
}  // namespace espalier
