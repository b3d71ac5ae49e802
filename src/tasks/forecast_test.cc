#include <cmath>

#include "base/strings.h"
#include "tasks/task.h"
#include "tasks/wav_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::WriteBytes;

class Forecast : public ::testing::Test {
 protected:
  // Variables row and 3 - 2 row.
  void WriteRows(int64_t rows, const std::string& file = "load.csv") {
    std::string text = "date,up,down\n";
    for (int64_t r = 0; r < rows; ++r) text += StrCat("t", r, ",", r, ",", 3 - 2 * r, "\n");
    WriteBytes(dir_.path(file), text);
  }

  Result<TaskData> Load(const std::string& options) {
    return ValueOrDie(FindTask("forecast:" + options)).load(dir_.path());
  }

  TempDir dir_;
};

TEST_F(Forecast, SaysWhatItReadsAndMakesWithoutData) {
  const TaskInfo task = ValueOrDie(FindTask("forecast:48"));
  EXPECT_EQ(task.name, "forecast:48");
  EXPECT_EQ(task.input, (ValueType{Element::kF32, Layout::kSequence, 7}));
  EXPECT_EQ(task.output, (ValueType{Element::kF32, Layout::kVector, 48 * 7}));
  EXPECT_EQ(ValueOrDie(FindTask("forecast:48:column=OT")).output.features, 48);
  EXPECT_EQ(ValueOrDie(FindTask("forecast")).output.features, 24 * 7);
}

TEST_F(Forecast, CutsAWindowAtEveryRowThatAllowsOne) {
  WriteRows(100);
  const TaskData data = ValueOrDie(Load("2:window=5:variables=2"));
  for (const Dataset* dataset : {&data.train, &data.valid, &data.test}) {
    ASSERT_OK(ValidateDataset(*dataset));
    EXPECT_EQ(dataset->length(0), 5);
    EXPECT_EQ(dataset->output(), (ValueType{Element::kF32, Layout::kVector, 4}));
    EXPECT_EQ(dataset->metric, kMeanSquaredError);
  }
  EXPECT_EQ(data.train.size(), 70 - 5 - 2 + 1);
  EXPECT_EQ(data.valid.size(), 10 - 2 + 1) << "the window begins in the split before";
  EXPECT_EQ(data.test.size(), 20 - 2 + 1);
}

// Rows 0 to 69 train: a step of 1 is 1 / deviation of theirs, for either variable.
TEST_F(Forecast, StandardisesByTrainingAndSubtractsTheLastRow) {
  WriteRows(100);
  const TaskData data = ValueOrDie(Load("2:window=3:variables=2"));
  const auto step = static_cast<float>(1.0 / std::sqrt((70.0 * 70.0 - 1.0) / 12.0));
  const std::vector<float> features = {-2 * step, 2 * step, -step, step, 0, 0};
  const std::vector<float> targets = {step, -step, 2 * step, -2 * step};
  for (const Dataset* dataset : {&data.train, &data.test}) {
    for (size_t i = 0; i < features.size(); ++i) {
      EXPECT_NEAR(dataset->features[i], features[i], 1e-6) << i;
    }
    for (size_t i = 0; i < targets.size(); ++i) {
      EXPECT_NEAR(dataset->targets[i], targets[i], 1e-6) << i;
    }
  }
}

TEST_F(Forecast, ReadsOneColumnAlone) {
  WriteRows(100);
  const TaskData data = ValueOrDie(Load("2:window=3:column=down"));
  EXPECT_EQ(data.train.input.features, 1);
  EXPECT_GT(data.train.features[0], 0.0f);
  EXPECT_LT(data.train.targets[1], data.train.targets[0]);
  ExpectError(Load("2:column=dawn").status(), Code::kInvalidArgument,
              {"load.csv", "column 'dawn'", "did you mean 'down'"});
}

TEST_F(Forecast, LeavesAVariableAtRestAsItIs) {
  std::string text = "date,a\n";
  for (int64_t r = 0; r < 100; ++r) text += StrCat("t,", r < 90 ? 5 : 6, "\n");
  WriteBytes(dir_.path("a.csv"), text);
  const TaskData data = ValueOrDie(Load("1:window=1:variables=1"));
  EXPECT_EQ(data.train.targets[0], 0.0f);
  EXPECT_EQ(data.test.targets[10], 1.0f) << "row 90 after row 89";
}

TEST_F(Forecast, SplitsElectricityTransformersAsInformerDoes) {
  WriteRows(14500, "ETTh1.csv");
  const TaskData data = ValueOrDie(Load("24:window=48:variables=2"));
  EXPECT_EQ(data.train.size(), 8640 - 48 - 24 + 1);
  EXPECT_EQ(data.valid.size(), 2880 - 24 + 1);
  EXPECT_EQ(data.test.size(), 2880 - 24 + 1);
  WriteRows(14399, "ETTh1.csv");
  ExpectError(Load("24:variables=2").status(), Code::kBadFormat,
              {"ETTh1.csv", "8640 training", "2880 test rows expected", "14399"});
}

TEST_F(Forecast, TakesTheOnlyTableOrTheOneThatIsNamed) {
  const TaskInfo task = ValueOrDie(FindTask("forecast:2:window=3:variables=2"));
  ExpectError(Load("2").status(), Code::kIo, {"none found", "ETDataset", "xz -d", "--data"});
  EXPECT_TRUE(task.files(dir_.path()).empty());
  WriteRows(100, "a.csv");
  EXPECT_EQ(task.files(dir_.path()), std::vector<std::string>{"a.csv"});
  WriteRows(50, "b.csv");
  ExpectError(Load("2").status(), Code::kInvalidArgument, {"file=NAME", "a.csv, b.csv found"});
  EXPECT_EQ(ValueOrDie(Load("2:window=3:variables=2:file=b.csv")).test.size(), 10 - 2 + 1);
  ExpectError(Load("2:file=c.csv").status(), Code::kIo, {"c.csv", "ETDataset"});
}

TEST_F(Forecast, RefusesOtherVariablesAndTooFewRows) {
  WriteRows(100);
  ExpectError(Load("2").status(), Code::kInvalidArgument,
              {"load.csv", "7 variables expected, 2 found", "variables=2"});
  ExpectError(Load("11:window=3:variables=2").status(), Code::kBadFormat,
              {"load.csv", "horizon of 11", "10 validation", "100 in all found"});
  ExpectError(Load("2:window=69:variables=2").status(), Code::kBadFormat, {"window of 69"});
  WriteRows(40000);
  ExpectError(Load("100:window=20000:variables=2").status(), Code::kUnsupported, {"40000 rows"});
}

TEST_F(Forecast, RefusesOptionsThatAreNone) {
  for (const std::string options :
       {"0", "x", "24:48", "window=0", "window=", "24:windo=3", "-1", "24:", "column=", "100001"}) {
    ExpectError(FindTask("forecast:" + options).status(), Code::kInvalidArgument,
                {"task 'forecast:" + options + "'", "forecast[:HORIZON][:window=STEPS]", "found"});
  }
  ExpectError(FindTask("forecast:24:column=OT:variables=2").status(), Code::kInvalidArgument,
              {"both found"});
  ExpectError(FindTask("forecast:window=8:window=9").status(), Code::kInvalidArgument,
              {"window expected once"});
  ExpectError(FindTask("forecast:file=../a.csv").status(), Code::kInvalidArgument,
              {"a name in the folder", "'../a.csv' found"});
  ExpectError(FindTask("mnist-rows:24").status(), Code::kInvalidArgument,
              {"'mnist-rows:24'", "one of forecast, "});
}

}  // namespace
}  // namespace espalier
