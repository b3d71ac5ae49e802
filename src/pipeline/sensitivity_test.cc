#include "pipeline/sensitivity.h"

#include "pipeline/layers.h"
#include "testing/testing.h"
#include "train/trainer.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

class ScanSensitivityTest : public ::testing::Test {
 protected:
  ScanSensitivityTest() : graph_(Network("lstm:8 last_step gemm:3")) {
    Rng rng(7);
    data_.input = {Element::kF32, Layout::kSequence, 5};
    data_.classes = 3;
    data_.offsets = {0};
    for (int i = 0; i < 40; ++i) {
      data_.offsets.push_back(data_.offsets.back() + 4);
      data_.labels.push_back(static_cast<int32_t>(rng.Below(3)));
    }
    for (int64_t i = 0; i < data_.offsets.back() * 5; ++i) {
      data_.features.push_back(rng.Uniform(-1.0f, 1.0f));
    }
    options_.sparsities = {0.5, 0.9};
  }
  static Graph Network(const std::string& layers) {
    Rng rng(5);
    return ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                   ValueOrDie(ParseLayers(layers)), &rng));
  }
  SensitivityScan Scan() { return ValueOrDie(ScanSensitivity(graph_, data_, options_)); }
  double LossOf(const Graph& graph) {
    return ValueOrDie(Evaluate(graph, data_, EvaluateOptions())).loss;
  }

  Graph graph_;
  Dataset data_;
  SensitivityOptions options_;
};

TEST_F(ScanSensitivityTest, MeasuresEachTensorWithTheOthersDense) {
  const SensitivityScan scan = Scan();
  ASSERT_EQ(scan.curves.size(), 2u);
  EXPECT_EQ(scan.curves[0].pool, "lstm0.weight_hh");
  EXPECT_EQ(scan.curves[1].size, 32 * 5);
  for (const SensitivityCurve& curve : scan.curves) {
    ASSERT_EQ(curve.points.size(), 3u);
    EXPECT_EQ(curve.points[0].loss, LossOf(graph_));
  }
  PruneSpec spec;
  spec.weights = {"lstm0.weight_ih"};
  spec.sparsity = 0.9;
  const Plan plan = ValueOrDie(MakePlan(graph_, spec));
  Graph pruned = graph_;
  ASSERT_OK(ApplyMasks(ValueOrDie(MakeMasks(plan, 0.9, StatisticsOf(graph_.weights), {})),
                       &pruned.weights));
  EXPECT_EQ(scan.curves[1].points[2].loss, LossOf(pruned));
  EXPECT_NE(scan.curves[1].points[2].loss, scan.curves[1].points[0].loss);
}

TEST_F(ScanSensitivityTest, MeasuresEachGate) {
  options_.prune.per = "gate";
  const SensitivityScan scan = Scan();
  ASSERT_EQ(scan.curves.size(), 8u);
  EXPECT_EQ(scan.curves[1].pool, "lstm0.weight_hh[f]");
}

TEST_F(ScanSensitivityTest, IsWhatTheAllocationReads) {
  options_.prune.per = "gate";
  PruneSpec spec;
  spec.per = "gate";
  spec.allocation = "sensitivity";
  spec.losses = LossesOf(Scan());
  const Plan plan = ValueOrDie(MakePlan(graph_, spec));
  const MaskSet masks = ValueOrDie(MakeMasks(plan, 0.9, StatisticsOf(graph_.weights), {}));
  size_t kept = 0;
  for (const auto& [name, mask] : masks) kept += mask.KeptCount();
  EXPECT_EQ(kept, static_cast<size_t>(KeepBudget(0.9, 32 * 13)));
}

TEST_F(ScanSensitivityTest, EndsAtTheSparsityOfTheGranularity) {
  options_.prune.granularity = "nm_8x4x1";
  const SensitivityScan scan = Scan();
  ASSERT_EQ(scan.curves[0].points.size(), 3u);
  EXPECT_EQ(scan.curves[0].points[2].sparsity, 0.75);
}

TEST_F(ScanSensitivityTest, StopsWhenAsked) {
  int64_t told = 0;
  options_.progress = [&](const std::string&, double, int64_t done, int64_t total) {
    EXPECT_EQ(total, 5);
    EXPECT_EQ(done, told++);
    return told < 3;
  };
  ExpectError(ScanSensitivity(graph_, data_, options_).status(), Code::kCancelled, {"stopped"});
  EXPECT_EQ(told, 3);
}

TEST_F(ScanSensitivityTest, RefusesWhatItCannotMeasure) {
  const auto expect = [&](Code code, const std::vector<std::string>& parts) {
    ExpectError(ScanSensitivity(graph_, data_, options_).status(), code, parts);
  };
  options_.sparsities = {0.9, 0.5};
  expect(Code::kInvalidArgument, {"rising numbers", "0.5 after 0.9"});
  options_.sparsities = {};
  expect(Code::kInvalidArgument, {"at least 1"});
  options_.sparsities = {0.99};
  options_.prune.granularity = "row";
  expect(Code::kInvalidArgument, {"lstm0.weight_hh", "at least 1 piece"});
  options_.sparsities = {0.5};
  options_.prune.granularity = "unit";
  graph_ = Network("lstm:8:bidirectional mean_over_time gemm:3");
  expect(Code::kUnsupported, {"lstm0", "both directions"});
}

}  // namespace
}  // namespace espalier
