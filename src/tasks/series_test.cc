#include "tasks/series.h"

#include "tasks/wav_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::WriteBytes;

class SeriesTest : public ::testing::Test {
 protected:
  Result<Series> Read(const std::string& text) {
    WriteBytes(dir_.path("a.csv"), text);
    return ReadSeries(dir_.path("a.csv"));
  }

  TempDir dir_;
};

TEST_F(SeriesTest, ReadsAllColumnsButTheTime) {
  const Series series = ValueOrDie(Read("date,a,b\n2016-07-01 00:00:00,1,-2.5\n2016,3e2,4\n"));
  EXPECT_EQ(series.names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(series.values, (std::vector<double>{1, -2.5, 300, 4}));
  EXPECT_EQ(series.rows(), 2);
}

TEST_F(SeriesTest, TakesTheTimeByItsNameBeforeOtherText) {
  EXPECT_EQ(ValueOrDie(Read("a,Time\n1,17\n")).names, std::vector<std::string>{"a"});
}

TEST_F(SeriesTest, TakesAColumnThatIsNoNumberForTheTime) {
  EXPECT_EQ(ValueOrDie(Read("a,when,b\n1,noon,2\n")).names, (std::vector<std::string>{"a", "b"}));
}

TEST_F(SeriesTest, ReadsQuotesAndLineEndsOfOtherSystems) {
  const Series series =
      ValueOrDie(Read("\xef\xbb\xbf\"date\",\"a, \"\"b\"\"\"\r\n\"1 May\", \"7\" \r\n2,8\r\n\r\n"));
  EXPECT_EQ(series.names, std::vector<std::string>{"a, \"b\""});
  EXPECT_EQ(series.values, (std::vector<double>{7, 8}));
}

TEST_F(SeriesTest, NamesLineAndColumnOfWhatIsNoNumber) {
  for (const std::string cell : {"", "x", "nan", "inf", "1e39", "1,5"}) {
    const Status status = Read("date,a,b\nt,1,2\nt,1,\"" + cell + "\"\n").status();
    ExpectError(status, Code::kBadFormat,
                {"a.csv: line 3, column 'b': a finite number expected, '" + cell + "' found"});
  }
}

TEST_F(SeriesTest, RefusesARaggedRow) {
  ExpectError(Read("date,a\nt,1\nt\n").status(), Code::kBadFormat, {"line 3: 2 cells", "1 found"});
  ExpectError(Read("date,a\nt,1\n\nt,1\n").status(), Code::kBadFormat, {"line 3", "1 found"});
}

TEST_F(SeriesTest, RefusesAFileThatIsNoTable) {
  ExpectError(Read("").status(), Code::kBadFormat, {"at least 1 row expected"});
  ExpectError(Read("date,a\n").status(), Code::kBadFormat, {"at least 1 row expected"});
  ExpectError(Read("date;a\nt;1\n").status(), Code::kBadFormat, {"line 1", "commas", "1 found"});
  ExpectError(Read("a,b\n1,2\n").status(), Code::kBadFormat, {"a column of times expected"});
  ExpectError(ReadSeries(dir_.path("b.csv")).status(), Code::kIo, {"b.csv"});
}

TEST_F(SeriesTest, RefusesVariablesThatCannotBeTold) {
  ExpectError(Read("date,a,a\nt,1,2\n").status(), Code::kBadFormat, {"line 1", "'a' found twice"});
  ExpectError(Read("date,a,\nt,1,2\n").status(), Code::kBadFormat, {"line 1", "empty"});
  EXPECT_EQ(ValueOrDie(Read(",a\nt,1\n")).names, std::vector<std::string>{"a"});
}

TEST_F(SeriesTest, LeavesOutEmptyLinesAtTheEnd) {
  EXPECT_EQ(ValueOrDie(Read("date,a\nt,1\n\n \n\n")).values, std::vector<double>{1});
}

TEST_F(SeriesTest, SelectsOneVariable) {
  const Series series = ValueOrDie(Read("date,a,OT\nt,1,2\nt,3,4\n"));
  EXPECT_EQ(ValueOrDie(SelectVariable(series, "OT")).values, (std::vector<double>{2, 4}));
  ExpectError(SelectVariable(series, "ot").status(), Code::kInvalidArgument,
              {"one of a, OT expected"});
}

}  // namespace
}  // namespace espalier
