#include <cmath>
#include <filesystem>
#include <fstream>

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

constexpr size_t kVariables = 37, kFeatures = 81;
// Places of what is read at a step.
constexpr size_t kHeartRate = 14, kAge = 74, kMedicalUnit = 79;

class IcuMortality : public ::testing::Test {
 protected:
  // Four patients in each set: the heart rates of the second are 60 at first and 100 + 10 * patient
  // at 01:30 and 20 more at 01:50; patients 0 and 1 are 40 and 60 years old, the others' age is
  // unknown.
  IcuMortality() {
    for (const char* set : {"a", "b", "c"}) {
      std::string outcomes = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n";
      std::filesystem::create_directory(dir_.path(StrCat("set-", set)));
      for (int patient = 0; patient < 4; ++patient) {
        outcomes += StrCat(100 + patient, ",6,1,5,-1,", patient % 2, "\n");
        const std::string age = patient < 2 ? StrCat(40 + 20 * patient) : "-1";
        WriteBytes(Record(set, 100 + patient),
                   StrCat("Time,Parameter,Value\n00:00,RecordID,", 100 + patient, "\n00:00,Age,",
                          age, "\n00:00,ICUType,3\n00:05,HR,60\n01:30,HR,", 100 + 10 * patient,
                          "\n01:50,HR,", 120 + 10 * patient, "\n"));
      }
      WriteBytes(dir_.path(StrCat("Outcomes-", set, ".txt")), outcomes);
    }
  }

  std::string Record(const char* set, int number) {
    return dir_.path(StrCat("set-", set, "/", number, ".txt"));
  }
  void Append(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::app) << text;
  }
  Result<TaskData> Load() { return ValueOrDie(FindTask("icu-mortality")).load(dir_.path()); }

  TempDir dir_;
};

TEST_F(IcuMortality, HasAStepForEachHour) {
  const TaskData data = ValueOrDie(Load());
  for (const Dataset* dataset : {&data.train, &data.valid, &data.test}) {
    ASSERT_OK(ValidateDataset(*dataset));
    EXPECT_EQ(dataset->size(), 4);
    EXPECT_EQ(dataset->length(0), 48);
    EXPECT_EQ(dataset->metric, kAuroc);
    EXPECT_EQ(dataset->labels, (std::vector<int32_t>{0, 1, 0, 1}));
  }
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"survived", "died"}));
  EXPECT_EQ(ValueOrDie(FindTask("icu-mortality")).input, data.train.input);
}

// Training's hourly means are 60 four times, 110, 120, 130 and 140; the 99 % quantile of eight is
// 130.
TEST_F(IcuMortality, CarriesTheLastHourOnAndStandardisesByTraining) {
  Append(Record("b", 100), "02:10,HR,100000\n");
  const TaskData data = ValueOrDie(Load());
  const double mean = (4 * 60 + 110 + 120 + 130 + 130) / 8.0;
  double square = 0.0;
  for (const double value : {60., 60., 60., 60., 110., 120., 130., 130.}) {
    square += (value - mean) * (value - mean) / 8.0;
  }
  const auto scaled = [&](double value) {
    return static_cast<float>((value - mean) / std::sqrt(square));
  };
  const auto at = [](const Dataset& dataset, size_t stay, size_t hour, size_t feature) {
    return dataset.features[(stay * 48 + hour) * kFeatures + feature];
  };
  EXPECT_NEAR(at(data.train, 1, 0, kHeartRate), scaled(60), 1e-6);
  EXPECT_NEAR(at(data.train, 1, 1, kHeartRate), scaled(120), 1e-6) << "the mean of an hour";
  EXPECT_NEAR(at(data.train, 1, 47, kHeartRate), scaled(120), 1e-6) << "carried on";
  EXPECT_NEAR(at(data.train, 3, 1, kHeartRate), scaled(130), 1e-6) << "clipped";
  EXPECT_NEAR(at(data.valid, 0, 2, kHeartRate), scaled(130), 1e-6) << "by training's quantile";
  for (const size_t hour : {0, 1, 2}) {
    EXPECT_EQ(at(data.train, 1, hour, kVariables + kHeartRate), hour < 2 ? 1.0f : 0.0f);
  }
  EXPECT_EQ(at(data.train, 1, 0, 0), 0.0f) << "never measured";
}

TEST_F(IcuMortality, DescribesThePatientAtEachHour) {
  const TaskData data = ValueOrDie(Load());
  const auto at = [&](size_t stay, size_t hour, size_t feature) {
    return data.train.features[(stay * 48 + hour) * kFeatures + feature];
  };
  for (const size_t hour : {0, 47}) {
    // Of two ages both quantiles are the lower one.
    EXPECT_EQ(at(0, hour, kAge), 0.0f);
    EXPECT_EQ(at(2, hour, kAge), 0.0f) << "unknown";
    EXPECT_EQ(at(0, hour, kMedicalUnit), 1.0f);
    EXPECT_EQ(at(0, hour, kMedicalUnit + 1), 0.0f);
  }
}

TEST_F(IcuMortality, LeavesOutWhatHasNoNameOrIsUnknown) {
  const TaskData before = ValueOrDie(Load());
  Append(Record("a", 101), "03:00,,0\n03:00,HR,-1\n48:00,pH,-1\r\n");
  EXPECT_EQ(ValueOrDie(Load()).train.features, before.train.features);
}

TEST_F(IcuMortality, NamesTheLineThatIsWrong) {
  const std::string path = Record("c", 102);
  const std::string before = "Time,Parameter,Value\n00:00,Age,60\n";
  const auto refuses = [&](const std::string& line, const std::vector<std::string>& parts) {
    WriteBytes(path, before + line + "\n");
    std::vector<std::string> all = parts;
    all.push_back(path + ": line 3");
    ExpectError(Load().status(), Code::kBadFormat, all);
  };
  refuses("00:10,HR", {"hh:mm", "00:10,HR"});
  refuses("00:10,HR,nan", {"a finite number", "nan"});
  refuses("00:10,HR,7O", {"7O"});
  refuses("48:01,HR,70", {"up to 48:00", "48:01"});
  refuses("1:75,HR,70", {"1:75"});
  refuses("00:10,Heart,70", {"a parameter of the challenge", "'Heart'"});
  refuses("00:00,ICUType,5", {"ICUType 1, 2, 3 or 4", "'5'"});
  refuses("\n00:10,HR,70", {"hh:mm"});
}

TEST_F(IcuMortality, NamesTheOutcomeThatIsWrong) {
  const std::string path = dir_.path("Outcomes-b.txt");
  Append(path, "100,6,1,5,-1,0\n");
  ExpectError(Load().status(), Code::kBadFormat, {path + ": line 6", "100 found twice"});
  WriteBytes(path, "100,6,1,5,-1,2\n");
  ExpectError(Load().status(), Code::kBadFormat, {path + ": line 1", "In-hospital_death (0 or 1)"});
  WriteBytes(path, "../100,6,1,5,-1,1\n");
  ExpectError(Load().status(), Code::kBadFormat, {path + ": line 1", "../100"});
  WriteBytes(path, "100,6,1,5,-1,0\n101,6,1,5,-1,0\n");
  ExpectError(Load().status(), Code::kBadFormat, {path, "one kind found"});
}

TEST_F(IcuMortality, SaysWhereToGetTheData) {
  std::filesystem::remove(Record("b", 103));
  ExpectError(Load().status(), Code::kIo, {Record("b", 103), "PhysioNet", "--data"});
  std::filesystem::remove(dir_.path("Outcomes-a.txt"));
  ExpectError(Load().status(), Code::kIo, {"Outcomes-a.txt", "PhysioNet", "--data"});
}

TEST_F(IcuMortality, ListsItsFiles) {
  const std::vector<std::string> files = ValueOrDie(FindTask("icu-mortality")).files(dir_.path());
  EXPECT_EQ(files.size(), 3 * 5u);
  EXPECT_EQ(files[0], "Outcomes-a.txt");
  EXPECT_EQ(files[5], "Outcomes-b.txt");
  EXPECT_EQ(files[6], "set-b/100.txt");
}

}  // namespace
}  // namespace espalier
