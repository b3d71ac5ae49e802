#include "report/bench_row.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

BenchRow Row() {
  BenchRow row;
  row.system = "espalier";
  row.cell = "gru";
  row.hidden = 128;
  row.input = 40;
  row.batch = 2;
  row.steps = 200;
  row.density = 0.05;
  row.format = "slot_8x8";
  row.dtype = "bf16";
  row.target = "AVX2";
  row.threads = 2;
  row.us = {1.25, 1.125, 1.5};
  row.error = 1e-7;
  row.bytes = 12345;
  row.roofline_us = 0.75;
  return row;
}

// The text of one row with `from` replaced by `to`.
std::string Spoilt(const std::string& from, const std::string& to) {
  std::string json = BenchRowsJson({Row()});
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

TEST(BenchRows, RoundTrip) {
  const std::string json = BenchRowsJson({Row(), Row()});
  const std::vector<BenchRow> rows = ValueOrDie(ParseBenchRows(json));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(BenchRowsJson(rows), json);
  EXPECT_EQ(rows[1].system, "espalier");
  EXPECT_EQ(rows[1].threads, 2);
  EXPECT_EQ(rows[1].us.p75, 1.5);
  EXPECT_EQ(rows[1].bytes, 12345u);
}

TEST(BenchRows, NameTheRowAndTheKeyThatIsWrong) {
  const auto expect = [](const std::string& json, const std::vector<std::string>& parts) {
    ExpectError(ParseBenchRows(json).status(), Code::kBadFormat, parts);
  };
  expect("{}", {"an array", "found"});
  expect("[]", {"at least 1 row", "none found"});
  expect("[1]", {"row 0"});
  expect("[{]", {"line 1"});
  expect(Spoilt("\"hidden\":128", "\"hidden\":0"), {"row 0.hidden", "at least 1", "0"});
  expect(Spoilt("\"hidden\":128", "\"hiden\":128"), {"row 0.hidden"});
  expect(Spoilt("\"us_p25\":1.125", "\"us_p25\":-1"), {"row 0.us_p25", "above 0"});
  expect(Spoilt("0.05", "1.5"), {"row 0.density", "1.5"});
  expect(Spoilt("0.05", "0"), {"row 0.density", "above 0"});
  expect(Spoilt("12345", "\"many\""), {"row 0.bytes", "many"});
  expect(Spoilt("\"threads\":2", "\"threads\":0"), {"row 0.threads"});
  expect(Spoilt("\"warm\"", "\"hot\""), {"row 0.cache", "warm or cold", "hot"});
}

TEST(BenchRows, NameTheFile) {
  ExpectError(ReadBenchRows("no/such.json").status(), Code::kIo, {"no/such.json"});
}

}  // namespace
}  // namespace espalier
