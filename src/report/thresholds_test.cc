#include "report/thresholds.h"

#include <gmock/gmock.h>

#include "report/charts.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A layer with delta and one that only skips; the second of three points was chosen.
ThresholdCurve Curve() {
  const auto point = [](double factor, bool skips) -> ThresholdPoint {
    return {factor,
            skips,
            {{"gru0", factor, 0.5 * factor, 0.25, 0.125, 0.0},
             {"gru1", 0.0, 0.0, 0.0, 0.0, skips ? 0.6 : 0.0}},
            0.9,
            0.3,
            0.2,
            0.4,
            StepTimes{1.0, 5.0, 6.0, 4.0}};
  };
  return {"loss",     0.01,
          "accuracy", {point(0.0, false), point(0.5, true), point(1.0, true)},
          1,          StepTimes{7.0, 9.0, 10.0, 8.0}};
}

TEST(ThresholdsTable, MarksTheChosenPointAndSaysWhatEachLayerDoes) {
  const std::string table = ThresholdsTable(Curve());
  EXPECT_THAT(table, HasSubstr("2.00x faster  gru0 0.5000, 0.2500  <- chosen\n"));
  EXPECT_THAT(table, HasSubstr("  nothing skipped\n"));
  EXPECT_THAT(table, HasSubstr("the network without rules\n"));
  EXPECT_THAT(table, HasSubstr("gru0: thresholds 0.5000 of x"));
  EXPECT_THAT(table, HasSubstr("gru1: 60.0 % of the steps skipped\n"));
}

TEST(ThresholdsTable, HasNoTimesThatWereNotMeasured) {
  ThresholdCurve curve = Curve();
  curve.us_per_step_without.reset();
  EXPECT_THAT(ThresholdsTable(curve), Not(HasSubstr("p95")));
}

TEST(TargetText, NamesTheTargetThatWasAskedFor) {
  ThresholdCurve curve = Curve();
  EXPECT_THAT(TargetText(curve), HasSubstr("lose at most 1.0 % of the accuracy: factor 0.5000"));
  curve.target = "sent";
  EXPECT_THAT(TargetText(curve), HasSubstr("send at most 1.0 % of the columns"));
  curve.target = "multiply_adds";
  EXPECT_THAT(TargetText(curve), HasSubstr("do at most 1.0 % of the multiply-adds"));
}

// A choice by multiply-adds can be repeated, one by times cannot: but that it gains none is said.
TEST(NotFasterText, SaysThatTheChosenPointGainsNoTime) {
  ThresholdCurve curve = Curve();
  EXPECT_EQ(NotFasterText(curve), "");
  EXPECT_THAT(ThresholdsJson(curve), HasSubstr("\"is_faster\":true"));
  EXPECT_THAT(TargetText(curve), Not(HasSubstr("faster")));
  curve.points[1].us_per_step->mean = 8.5;
  EXPECT_THAT(NotFasterText(curve), HasSubstr("takes 8.50 us a step and is not faster than the "
                                              "network without rules, which takes 8.00 us"));
  EXPECT_THAT(TargetText(curve), HasSubstr("leave the rules out."));
  EXPECT_THAT(ThresholdsJson(curve), HasSubstr("\"is_faster\":false"));
  curve.chosen = 0;  // skipping is left out already
  curve.points[0].us_per_step->mean = 8.5;
  EXPECT_EQ(NotFasterText(curve), "");
  curve.us_per_step_without.reset();
  EXPECT_EQ(IsFaster(curve), std::nullopt);
  EXPECT_THAT(ThresholdsJson(curve), HasSubstr("\"is_faster\":null"));
}

TEST(ThresholdCharts, LeaveOutTimesThatWereNotMeasured) {
  ThresholdCurve curve = Curve();
  EXPECT_EQ(ThresholdCharts(curve).size(), 3u);
  for (ThresholdPoint& point : curve.points) point.us_per_step.reset();
  EXPECT_EQ(ThresholdCharts(curve).size(), 2u);
}

TEST(ThresholdCharts, DrawWhatEachLayerStillDoes) {
  ThresholdCurve curve = Curve();
  const Json drawn = ThresholdCharts(curve).back().spec["data"]["values"];
  std::vector<std::string> lines;
  for (const Json& point : drawn) {
    if (point["factor"] == 1.0) lines.push_back(point["line"].get<std::string>());
  }
  EXPECT_THAT(lines, ElementsAre("gru0, x sent", "gru0, h sent", "gru1, steps run"));
  EXPECT_EQ(drawn.size(), 6u);  // of the two points that skip
  EXPECT_DOUBLE_EQ(drawn.back()["share"].get<double>(), 0.4);
  curve.points.pop_back();  // one factor is no line
  EXPECT_EQ(ThresholdCharts(curve).size(), 2u);
}

}  // namespace
}  // namespace espalier
