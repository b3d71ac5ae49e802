#include "report/run_record.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "report/base64.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using testing::ExpectError;
using ::testing::HasSubstr;
using testing::ValueOrDie;

RunRecord SmallRecord() {
  RunRecord record;
  record.name = "run";
  record.version = "0.1.0";
  record.machine = {"a CPU", "AVX2", 1};
  record.seed = 7;
  record.recipe_json = R"({"task":"mnist-rows","epochs":6})";
  record.task = {"mnist-rows", "accuracy", {"0", "1"}, 55, 5, 10};
  StageRecord stage;
  stage.name = "dense";
  stage.kind = "train";
  stage.parameters_json = R"({"epochs":1})";
  stage.epochs = {{1, 430, 0.71, 0.25, 0.923, 0.003, 0.5, 13.1}};
  stage.output = "dense.onnx";
  stage.crc32c = "0a1b2c3d";
  stage.search =
      SearchRecord{0.75, 0.25, 0.5, {{0.5, 0.625, 0.375, 1.25}, {0.875, 0.25}}, 0.25, 0.75, false};
  record.stages = {stage};
  WeightRecord weight;
  weight.name = "rnn.weight_hh";
  weight.rows = 3;
  weight.cols = 3;
  weight.nonzeros = 2;
  weight.sparsity = 7.0 / 9.0;
  weight.gates = {{"h", 7.0 / 9.0}};
  weight.mask = PackMask(std::vector<uint8_t>{1, 0, 0, 0, 0, 0, 0, 0, 1});
  weight.format = "csr";
  weight.kernel = "matvec_csr_f32";
  weight.encoded_bytes = 40;
  weight.candidates = {{"csr", 10.5, 40}, {"dense", 12.0, 36}};
  ModelRecord model;
  model.file = "pruned.esp";
  model.onnx = "pruned.onnx";
  model.bytes = 1000;
  model.params = 20;
  model.nonzeros = 13;
  model.multiply_adds_per_step = 9;
  model.metric = 0.75;
  model.class_metric = {1.0, 0.5};
  model.confusion = {{5, 0}, {2, 3}};
  model.hidden_sizes = {{"rnn", 3}};
  model.weights = {weight};
  model.costs = "another CPU";
  ActivityRecord activity{"rnn", false, 0.5, 0.25, true, true, 0.125, 0.25, 10,  4,  20, 7,
                          30,    5,     2,   12,   6,    18,   9,     50,   100, 40, {}};
  activity.map = ActivityMap{1,
                             2,
                             2,
                             3,
                             PackMask(std::vector<uint8_t>{1, 0}),
                             PackMask(std::vector<uint8_t>{1, 0, 0, 0}),
                             PackMask(std::vector<uint8_t>{1, 0, 1, 0, 0, 0}),
                             {0.3125, 1.0}};
  model.activity = {activity};
  record.models = {{"pruned", model}};
  record.thresholds =
      ThresholdCurve{"loss",
                     0.01,
                     "accuracy",
                     {{0.0, true, {{"rnn", 0.0, 0.0, 1.0, 1.0, 0.4}}, 0.8, 0.5, 1.0, 1.1, {}},
                      {0.5,
                       true,
                       {{"rnn", 0.5, 0.25, 0.5, 0.5, 0.4}},
                       0.8,
                       0.5,
                       0.5,
                       0.5,
                       StepTimes{1, 2, 3, 1.5}}},
                     1,
                     StepTimes{4, 5, 6, 4.5}};
  record.exit = ExitRecord{0.875, 2, 5, 0.75, 0.5, 3, 0.625};
  record.bench = BenchRecord{28, 200, 1, {{"espalier-pruned", {30.1, 29.8, 30.9}, {}}}};
  record.summary = SummaryRecord{
      "mnist-rows", {0.8, 2000, 30, 90.0}, {0.75, 1000, 13, 30.0}, 0.9, 3.0, {}, 1.0, {7}};
  return record;
}

// The record's text with the first `from` replaced by `to`.
std::string Changed(const std::string& from, const std::string& to) {
  std::string json = ValueOrDie(RunRecordJson(SmallRecord()));
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from << " is not in " << json;
  return json.replace(at, from.size(), to);
}

TEST(RunRecord, ComesBackFromItsTextUnchanged) {
  const std::string json = ValueOrDie(RunRecordJson(SmallRecord()));
  const RunRecord record = ValueOrDie(ParseRunRecord(json));
  EXPECT_EQ(ValueOrDie(RunRecordJson(record)), json);
  EXPECT_EQ(record.models.at("pruned").weights[0].mask, std::vector<uint8_t>({0x01, 0x01}));
  EXPECT_EQ(record.stages[0].epochs[0].valid_metric, 0.923);
  EXPECT_EQ(record.summary->pruned.bytes, 1000);
  EXPECT_FALSE(record.bench->systems[0].us_per_step.has_value());
  EXPECT_EQ(record.models.at("pruned").activity[0].map->h_sent, std::vector<uint8_t>{0x05});
  EXPECT_EQ(record.thresholds->points[1].us_per_step->p99, 3.0);
}

TEST(RunRecord, RefusesActivityAndThresholdsThatDoNotFit) {
  const auto expect = [](const std::string& from, const std::string& to,
                         const std::vector<std::string>& parts) {
    ExpectError(ParseRunRecord(Changed(from, to)).status(), Code::kBadFormat, parts);
  };
  expect("\"units\": 3", "\"units\": 30",
         {"models.pruned.activity[0].map.h_sent", "8 bytes expected for 30x2", "1 found"});
  expect("\"units\": 3", "\"units\": 9999999999", {"map.units", "at most 2^31"});
  expect("\"updates\": \"AQ==\"", "\"updates\": \"\"", {"map.updates", "base64"});
  expect("0.3125", "1.3125", {"map.rows_run", "shares in [0, 1]"});
  expect("\"skip\": true", "\"skip\": 1", {"activity[0].skip", "true or false"});
  expect("\"skipped\": 4", "\"skipped\": -4", {"activity[0].skipped"});
  expect("\"banks\": true", "\"banks\": 1", {"activity[0].banks", "true or false"});
  expect("\"units_run\": 7", "\"units_run\": -7", {"activity[0].units_run"});
  expect("\"rows_run\": 5", "\"rows_run\": -5", {"activity[0].rows_run"});
  expect("\"predicted\": 0.25", "\"predicted\": true", {"activity[0].predicted"});
  expect("\"chosen\": 1", "\"chosen\": 2", {"thresholds.chosen", "the index of a point"});
  expect("\"most\": 0.01", "\"most\": 1.5", {"thresholds.most", "a number in [0, 1]"});
  expect("\"p95\": 5.0", "\"p95\": \"5\"", {"thresholds.us_per_step_without.p95"});
}

TEST(RunRecord, KeepsALossThatIsNotFiniteAsNull) {
  RunRecord record = SmallRecord();
  record.stages[0].epochs[0].train_loss = std::numeric_limits<double>::infinity();
  const std::string json = ValueOrDie(RunRecordJson(record));
  EXPECT_THAT(json, HasSubstr("\"train_loss\": null"));
  EXPECT_TRUE(std::isnan(ValueOrDie(ParseRunRecord(json)).stages[0].epochs[0].train_loss));
}

TEST(RunRecord, ReplacesBytesThatAreNotUtf8) {
  RunRecord record = SmallRecord();
  record.machine.cpu = "bad \xff byte";
  EXPECT_OK(ParseRunRecord(ValueOrDie(RunRecordJson(record))));
}

TEST(RunRecord, SaysWhereJsonIsDamaged) {
  ExpectError(ParseRunRecord("{\n  \"schema\": 1,\n  \"name\": }").status(), Code::kBadFormat,
              {"line 3, column 11"});
  const std::string json = ValueOrDie(RunRecordJson(SmallRecord()));
  ExpectError(ParseRunRecord(json.substr(0, json.size() / 2)).status(), Code::kBadFormat,
              {"damaged JSON at line"});
  ExpectError(ParseRunRecord("").status(), Code::kBadFormat, {"line 1, column 1"});
}

TEST(RunRecord, RefusesEveryTruncation) {
  const std::string json = ValueOrDie(RunRecordJson(SmallRecord()));
  for (size_t size = 0; size + 2 < json.size(); ++size) {
    EXPECT_FALSE(ParseRunRecord(json.substr(0, size)).ok()) << "first " << size << " bytes";
  }
}

TEST(RunRecord, RefusesNestingThatPrintingCouldNotSurvive) {
  const std::string deep(100000, '[');
  ExpectError(ParseRunRecord(deep).status(), Code::kBadFormat, {});
  ExpectError(ParseRunRecord(deep + std::string(100000, ']')).status(), Code::kBadFormat,
              {"at most 64 levels"});
}

TEST(RunRecord, RefusesANumberBeyondDouble) {
  ExpectError(ParseRunRecord(Changed("0.71", "1e999")).status(), Code::kBadFormat, {});
}

TEST(RunRecord, NamesAMissingKeyWithItsPath) {
  ExpectError(ParseRunRecord(Changed("\"rows\": 3,", "")).status(), Code::kBadFormat,
              {"models.pruned.weights[0].rows: a whole number of at least 0 expected, nothing"});
}

TEST(RunRecord, NamesAValueOfTheWrongType) {
  ExpectError(ParseRunRecord(Changed("\"bytes\": 1000", "\"bytes\": \"1000\"")).status(),
              Code::kBadFormat, {"models.pruned.bytes", "the text \"1000\" found"});
  ExpectError(ParseRunRecord(Changed("\"learning_rate\": 0.003", "\"learning_rate\": []")).status(),
              Code::kBadFormat,
              {"stages[0].epochs[0].learning_rate: a number expected", "a list of 0 found"});
  ExpectError(ParseRunRecord("[]").status(), Code::kBadFormat, {"an object expected"});
}

TEST(RunRecord, RefusesCountsThatAreNegativeOrDoNotFit) {
  ExpectError(ParseRunRecord(Changed("\"seed\": 7", "\"seed\": -7")).status(), Code::kBadFormat,
              {"seed", "-7 found"});
  ExpectError(ParseRunRecord(Changed("\"seed\": 7", "\"seed\": 18446744073709551615")).status(),
              Code::kBadFormat, {"18446744073709551615"});
  ExpectError(ParseRunRecord(Changed("\"rows\": 3", "\"rows\": 9000000000000000000")).status(),
              Code::kBadFormat, {"weights[0].rows: at most 2^31 expected"});
}

TEST(RunRecord, RefusesASparsityOutsideItsRange) {
  ExpectError(ParseRunRecord(Changed("\"sparsity\": 0.5", "\"sparsity\": 1.5")).status(),
              Code::kBadFormat, {"epochs[0].sparsity: a number in [0, 1] expected, 1.5 found"});
}

TEST(RunRecord, RefusesAMaskOfTheWrongSize) {
  ExpectError(ParseRunRecord(Changed("\"cols\": 3", "\"cols\": 30")).status(), Code::kBadFormat,
              {"weights[0].mask: 12 bytes expected for 3x30, 2 found"});
  ExpectError(ParseRunRecord(Changed("AQE=", "AQE?")).status(), Code::kBadFormat,
              {"weights[0].mask: base64 expected"});
}

TEST(RunRecord, RefusesAClassListOfTheWrongLength) {
  ExpectError(ParseRunRecord(Changed("\"classes\": [", "\"classes\": [ \"more\",")).status(),
              Code::kBadFormat, {"class_metric: a list of 3 (one a class) expected"});
}

TEST(RunRecord, RefusesAnotherSchema) {
  ExpectError(ParseRunRecord(Changed("\"schema\": 1", "\"schema\": 2")).status(),
              Code::kUnsupported, {"schema: 1 expected, 2 found"});
}

TEST(RunRecord, RefusesToWriteParametersThatAreNoObject) {
  RunRecord record = SmallRecord();
  record.stages[0].parameters_json = "[1, 2]";
  ExpectError(RunRecordJson(record).status(), Code::kInvalidArgument,
              {"stages[0].parameters", "a list of 2"});
}

TEST(RunRecord, NamesTheFileThatIsDamaged) {
  const testing::TempDir dir;
  const std::string path = dir.path("run.json");
  ASSERT_OK(WriteTextFileAtomic(path, "{\"schema\""));
  ExpectError(ReadRunRecord(path).status(), Code::kBadFormat, {path, "line 1"});
}

TEST(RunRecord, LeavesTheFileThatWasThereIfItCannotBeWritten) {
  const testing::TempDir dir;
  const std::string path = dir.path("run.json");
  ASSERT_OK(WriteRunRecord(path, SmallRecord()));
  const std::string before = ValueOrDie(ReadTextFile(path));
  RunRecord record = SmallRecord();
  record.stages[0].parameters_json = "[1, 2]";
  ExpectError(WriteRunRecord(path, record), Code::kInvalidArgument, {path});
  EXPECT_EQ(ValueOrDie(ReadTextFile(path)), before);
}

TEST(Base64, GivesTheVectorsOfRfc4648) {
  const auto encode = [](std::string_view text) {
    return Base64Encode(std::vector<uint8_t>(text.begin(), text.end()));
  };
  EXPECT_THAT((std::vector<std::string>{encode(""), encode("f"), encode("fo"), encode("foo"),
                                        encode("foob"), encode("fooba"), encode("foobar")}),
              ElementsAre("", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"));
}

TEST(Base64, DecodesWhatItEncodes) {
  Rng rng(1);
  for (size_t size = 0; size < 50; ++size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.Below(256));
    EXPECT_EQ(Base64Decode(Base64Encode(bytes)), bytes);
  }
}

TEST(Base64, RefusesWhatItNeverPrints) {
  for (const char* text : {"Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zg==Zg==", "Z g="}) {
    EXPECT_FALSE(Base64Decode(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace espalier
