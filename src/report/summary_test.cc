#include "report/summary.h"

#include <gmock/gmock.h>

#include "report/text.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using ::testing::HasSubstr;
using testing::ValueOrDie;

ModelRecord Model(double metric, int64_t bytes, int64_t hidden, int64_t nonzeros) {
  ModelRecord model;
  model.metric = metric;
  model.bytes = bytes;
  model.nonzeros = nonzeros + 10;
  WeightRecord recurrent;
  recurrent.name = "rnn.weight_hh";
  recurrent.rows = hidden;
  recurrent.cols = hidden;
  recurrent.nonzeros = nonzeros;
  recurrent.gates = {{"h", 0.0}};
  WeightRecord output;  // has no gates: not counted in weights_removed
  output.name = "fc.weight";
  output.rows = 10;
  output.cols = hidden;
  output.nonzeros = 10 * hidden;
  model.weights = {recurrent, output};
  return model;
}

RunRecord TwoModels() {
  RunRecord record;
  record.name = "run";
  record.task.name = "mnist-rows";
  record.task.metric = "accuracy";
  record.seed = 3;
  record.models = {{"dense", Model(0.9891, 300000, 20, 400)},
                   {"pruned", Model(0.9861, 50000, 10, 40)}};
  record.bench = BenchRecord{28,
                             200,
                             1,
                             {{"espalier-dense", {96.0, 95.0, 97.0}, {}},
                              {"espalier-pruned", {32.0, 31.0, 33.0}, {}},
                              {"onnxruntime-dense", {160.0, 150.0, 170.0}, {}}}};
  return record;
}

TEST(FormatPercent, ShowsNothingThatIsNot0As0) {
  EXPECT_EQ(FormatPercent(0.9861, 2), "98.61 %");
  EXPECT_EQ(FormatPercent(0.0, 2), "0.00 %");
  EXPECT_EQ(FormatPercent(0.00003, 2), "0.003 %");
  EXPECT_EQ(FormatPercent(-0.00003, 2), "-0.003 %");
  EXPECT_EQ(FormatPercent(0.004, 0), "0.4 %");
  EXPECT_EQ(FormatPercent(0.005, 0), "0.5 %");
}

TEST(Summary, CountsRemovedUnitsAndZerosAlike) {
  // 20 x 20 weights before; 10 x 10 of which 40 are not zero after.
  EXPECT_DOUBLE_EQ(ValueOrDie(Summarize(TwoModels(), 1.0)).weights_removed, 0.9);
}

TEST(Summary, IsTheObjectThatScriptsRead) {
  EXPECT_EQ(SummaryJson(ValueOrDie(Summarize(TwoModels(), 1.0))),
            "{\"task\":\"mnist-rows\","
            "\"dense\":{\"metric\":0.9891,\"bytes\":300000,\"params\":410,"
            "\"us_per_sequence\":96.0},"
            "\"pruned\":{\"metric\":0.9861,\"bytes\":50000,\"params\":50,"
            "\"us_per_sequence\":32.0},"
            "\"weights_removed\":0.9,\"speedup_vs_own_dense\":3.0,"
            "\"speedup_vs_onnxruntime\":5.0,\"agreement\":1.0,\"seeds\":[3]}\n");
}

TEST(Summary, SaysWhatDynamicPruningAndEarlyExitGained) {
  RunRecord record = TwoModels();
  ActivityRecord activity;
  activity.multiply_adds = 30;
  activity.multiply_adds_without = 120;
  record.models["pruned"].activity = {activity};
  ExitRecord exit;
  exit.metric = 0.75;
  exit.steps = 0.5;
  record.exit = exit;
  EXPECT_THAT(SummaryJson(ValueOrDie(Summarize(record, 1.0))),
              HasSubstr("\"seeds\":[3],\"multiply_adds_done\":0.25,\"exit_metric\":0.75,"
                        "\"exit_steps\":0.5}"));
}

TEST(Summary, PrintsNullForWhatWasNotMeasured) {
  RunRecord record = TwoModels();
  record.bench->systems.pop_back();
  EXPECT_THAT(SummaryJson(ValueOrDie(Summarize(record, std::nullopt))),
              HasSubstr("\"speedup_vs_onnxruntime\":null,\"agreement\":null"));
}

TEST(Summary, NamesWhatTheRecordLacks) {
  RunRecord record = TwoModels();
  record.bench.reset();
  ExpectError(Summarize(record, 1.0).status(), Code::kInvalidArgument,
              {"bench.systems", "espalier-dense"});
  record = TwoModels();
  record.models.erase("pruned");
  ExpectError(Summarize(record, 1.0).status(), Code::kInvalidArgument, {"models.pruned"});
  record = TwoModels();
  record.models["dense"].metric.reset();
  ExpectError(Summarize(record, 1.0).status(), Code::kInvalidArgument, {"models.dense.metric"});
}

TEST(SummaryTable, AlignsItsColumns) {
  EXPECT_EQ(SummaryTable(TwoModels()),
            "run: mnist-rows, seed 3\n"
            "\n"
            "                                          dense   pruned          ratio\n"
            "accuracy                                98.91 %  98.61 %   -0.30 points\n"
            "weights that are not 0                      410       50    8.20x fewer\n"
            "file, bytes                             300,000   50,000  6.00x smaller\n"
            "multiply-adds per step                        0        0              -\n"
            "us per sequence                            96.0     32.0   3.00x faster\n"
            "us per step, streaming                        -        -              -\n"
            "us per sequence, dense in ONNX Runtime      160     32.0   5.00x faster\n");
}

TEST(SummaryTable, HasNoRowForAPeerThatWasNotTimed) {
  RunRecord record = TwoModels();
  record.bench->systems.pop_back();
  EXPECT_THAT(SummaryTable(record), Not(HasSubstr("ONNX Runtime")));
}

TEST(SummaryTable, ShowsARunThatHasOnlyBegun) {
  RunRecord record;
  record.task.metric = "accuracy";
  EXPECT_THAT(SummaryTable(record), HasSubstr("accuracy"));
}

TEST(Text, SaysWhichWayARatioGoes) {
  EXPECT_EQ(FormatGain(3.0, 1.0, "faster", "slower"), "3.00x faster");
  EXPECT_EQ(FormatGain(1.0, 3.0, "faster", "slower"), "3.00x slower");
  EXPECT_EQ(FormatGain(0.0, 3.0, "faster", "slower"), "");
  EXPECT_EQ(FormatGain(std::nullopt, 3.0, "faster", "slower"), "");
}

TEST(Text, GroupsThousands) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(83594), "83,594");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
}

TEST(Text, SplitsLongTimesIntoMinutes) {
  EXPECT_EQ(FormatSeconds(13.14), "13.1 s");
  EXPECT_EQ(FormatSeconds(245.0), "4 min 05 s");
}

TEST(Text, EscapesWhatHtmlWouldRead) {
  EXPECT_EQ(EscapeHtml("</script><b a=\"1\" b='2'>&"),
            "&lt;/script&gt;&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;");
}

TEST(MeanSummary, AveragesNumbersAndListsSeeds) {
  SummaryRecord a;
  a.task = "digits";
  a.pruned = {0.9, 100, 10, 30.0};
  a.speedup_vs_onnxruntime = 4.0;
  a.seeds = {1};
  SummaryRecord b = a;
  b.pruned = {0.8, 103, 11, 34.0};
  b.speedup_vs_onnxruntime = 5.0;
  b.seeds = {2};
  const Result<SummaryRecord> mean = MeanSummary({a, b});
  ASSERT_TRUE(mean.ok());
  EXPECT_DOUBLE_EQ(mean->pruned.metric, 0.85);
  EXPECT_EQ(mean->pruned.bytes, 102);
  EXPECT_DOUBLE_EQ(mean->pruned.us_per_sequence, 32.0);
  EXPECT_DOUBLE_EQ(*mean->speedup_vs_onnxruntime, 4.5);
  EXPECT_EQ(mean->seeds, (std::vector<int64_t>{1, 2}));
}

TEST(MeanSummary, LacksWhatOneRunLacks) {
  SummaryRecord a;
  a.speedup_vs_onnxruntime = 4.0;
  EXPECT_FALSE(MeanSummary({a, SummaryRecord()})->speedup_vs_onnxruntime.has_value());
}

TEST(MeanSummary, RefusesRunsOfDifferentTasks) {
  SummaryRecord a;
  a.task = "digits";
  SummaryRecord b;
  b.task = "words";
  EXPECT_EQ(MeanSummary({a, b}).status().code(), Code::kInvalidArgument);
}

TEST(ActivityText, SaysNothingOfSkippingWhereALayerDoesNot) {
  ActivityRecord activity;
  activity.layer = "gru0";
  activity.steps = 10;
  activity.multiply_adds = 5;
  activity.multiply_adds_without = 10;
  EXPECT_EQ(ActivityText(activity), "gru0: 50.0 % of the multiply-adds");
  activity.skip = true;
  EXPECT_EQ(ActivityText(activity),
            "gru0: 0.0 % of the steps skipped; 50.0 % of the multiply-adds");
}

TEST(SpreadText, GivesTheSampleDeviation) {
  SummaryRecord a;
  a.pruned.metric = 0.98;
  SummaryRecord b;
  b.pruned.metric = 0.99;
  // 0.01 / sqrt(2)
  EXPECT_NE(SpreadText({a, b}, "accuracy").find("pruned accuracy: 98.50 % +- 0.71 %"),
            std::string::npos);
}

}  // namespace
}  // namespace espalier
