#include "pipeline/activity.h"

#include <numeric>

#include "compile/compile.h"
#include "pipeline/layers.h"
#include "prune/dynamic.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

class AddActivityMapsTest : public ::testing::Test {
 protected:
  void Use(const std::string& layers, const std::vector<DynamicSpec>& rules) {
    graph_ = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                     ValueOrDie(ParseLayers(layers)), &rng_));
    graph_ = ValueOrDie(WithDynamic(graph_, rules));
    for (auto& [name, weight] : graph_.weights) {
      if (name.ends_with(".bias_skip")) weight.values = {-0.5f};
      if (name.find("_banks") == std::string::npos) continue;
      for (float& value : weight.values) value = static_cast<float>(rng_.Normal());
    }
    dataset_.input = graph_.inputs[0].type;
    dataset_.classes = 3;
    dataset_.offsets = {0, 3, 13, 14, 31, 41};  // the median has 10 steps, and is the second
    dataset_.labels = {0, 1, 2, 0, 1};
    dataset_.features.resize(41 * 5);
    for (float& x : dataset_.features) x = static_cast<float>(rng_.Normal());
    CompileOptions options;
    options.tuning = Tuning::kOff;
    artifact_ = ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(graph_, options))));
  }
  // Records of the second sequence's counters, and their maps.
  std::vector<ActivityRecord> Records() {
    SessionOptions options;
    options.max_steps = 10;
    Session session = ValueOrDie(Session::Create(*artifact_, options));
    session.SetRests(false);  // as maps, which are of the rules
    EXPECT_OK(session.Run({10, 1, std::span(dataset_.features).subspan(15, 50), {}, {}}));
    std::vector<ActivityRecord> records;
    for (size_t i = 0; i < session.dynamic_layers(); ++i) {
      records.push_back(RecordOf(session.Activity(i)));
    }
    EXPECT_OK(AddActivityMaps(*artifact_, dataset_, SessionOptions(), &records));
    return records;
  }
  static int64_t CountOf(const std::vector<uint8_t>& mask, int64_t size) {
    int64_t count = 0;
    for (int64_t i = 0; i < size; ++i) count += MaskBit(mask, static_cast<size_t>(i));
    return count;
  }

  Rng rng_{3};
  Graph graph_;
  Dataset dataset_;
  std::optional<Artifact> artifact_;
};

TEST_F(AddActivityMapsTest, SaysWhatShareOfTheRowsRan) {
  Use("gru:8 last_step gemm:3", {{.name = "idle", .epsilon = 0.45}});
  const std::vector<ActivityRecord> records = Records();
  ASSERT_EQ(records.size(), 1u);
  const ActivityRecord& record = records[0];
  const std::vector<double>& shares = record.map->rows_run;
  ASSERT_EQ(shares.size(), 10u);
  const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / 10.0;
  EXPECT_LT(record.rows_run, record.rows);
  EXPECT_NEAR(mean * static_cast<double>(record.rows), static_cast<double>(record.rows_run), 1e-6);
}

TEST_F(AddActivityMapsTest, ShowsAsManyAsWereCounted) {
  Use("gru:7 lstm:6 last_step gemm:3",
      {{"delta", {"gru0"}, 0.5, 0.1}, {"delta", {"lstm0"}, 0.1, 0.05}, {"skip", {"lstm0"}}});
  const std::vector<ActivityRecord> records = Records();
  ASSERT_EQ(records.size(), 2u);
  for (const ActivityRecord& record : records) {
    const ActivityMap& map = record.map.value();
    EXPECT_EQ(map.sequence, 1);
    EXPECT_EQ(map.steps, 10);
    EXPECT_EQ(map.inputs, record.layer == "gru0" ? 5 : 7);
    EXPECT_EQ(map.units, record.layer == "gru0" ? 7 : 6);
    EXPECT_EQ(CountOf(map.x_sent, map.inputs * 10), record.x_sent) << record.layer;
    EXPECT_EQ(CountOf(map.h_sent, map.units * 10), record.h_sent) << record.layer;
    EXPECT_EQ(CountOf(map.updates, 10), record.steps - record.skipped) << record.layer;
    EXPECT_GT(record.h_sent, 0);
  }
  EXPECT_EQ(records[0].skipped, 0);
  EXPECT_GT(records[1].skipped, 0);
}

TEST_F(AddActivityMapsTest, ShowsOnlyUpdatesOfALayerWithoutDelta) {
  Use("gru:7 last_step gemm:3", {{"skip", {"gru0"}}});
  const std::vector<ActivityRecord> records = Records();
  const ActivityMap& map = records[0].map.value();
  EXPECT_EQ(map.units, 0);
  EXPECT_TRUE(map.h_sent.empty());
  EXPECT_TRUE(MaskBit(map.updates, 0));  // the first step always is one
  EXPECT_EQ(CountOf(map.updates, 10), 10 - records[0].skipped);
}

TEST_F(AddActivityMapsTest, ShowsWhichUnitsOfBanksRan) {
  Use("gru:7 last_step gemm:3", {{.name = "banks", .layers = {"gru0"}, .banks = {3, 0}}});
  const std::vector<ActivityRecord> records = Records();
  const ActivityMap& map = records[0].map.value();
  EXPECT_TRUE(records[0].banks);
  EXPECT_EQ(records[0].units, 70);
  EXPECT_GT(records[0].units_run, 0);
  EXPECT_LT(records[0].units_run, 70);
  EXPECT_EQ(map.inputs, 0);
  EXPECT_EQ(map.units, 7);
  EXPECT_EQ(CountOf(map.h_sent, 70), records[0].units_run);
}

TEST_F(AddActivityMapsTest, ShowsNothingOfANetworkThatCannotStream) {
  Use("gru:7:bidirectional last_step gemm:3", {{"delta", {"gru0"}, 0.5, 0.1}});
  const std::vector<ActivityRecord> records = Records();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_TRUE(records[1].reverse);
  EXPECT_FALSE(records[0].map.has_value());
}

}  // namespace
}  // namespace espalier
