#include "report/sensitivity.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

SensitivityScan Scan() {
  return {"magnitude",
          "element",
          "gate",
          {{"lstm0.weight_hh[i]", 576, {{0.0, 0.5, 0.9}, {0.5, 1.0 / 3.0, 0.875}}},
           {"lstm0.weight_hh[f]", 576, {{0.0, 0.5, 0.9}, {0.5, 2.0, 0.25}}}}};
}

std::string Spoilt(const std::string& from, const std::string& to) {
  std::string json = SensitivityJson(Scan());
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

TEST(SensitivityFile, RoundTripsToTheBit) {
  const std::string json = SensitivityJson(Scan());
  const SensitivityScan scan = ValueOrDie(ParseSensitivity(json));
  EXPECT_EQ(SensitivityJson(scan), json);
  EXPECT_EQ(scan.per, "gate");
  EXPECT_EQ(scan.curves[1].pool, "lstm0.weight_hh[f]");
  EXPECT_EQ(scan.curves[0].points[1].loss, 1.0 / 3.0);
  EXPECT_EQ(scan.curves[0].points[1].metric, 0.875);
}

TEST(SensitivityFile, SaysInOneSentenceWhatIsWrong) {
  const auto expect = [](const std::string& json, Code code,
                         const std::vector<std::string>& parts) {
    ExpectError(ParseSensitivity(json).status(), code, parts);
  };
  expect("{\"espalier_sensitivity\"", Code::kBadFormat, {"damaged JSON"});
  expect(Spoilt("\"espalier_sensitivity\":1", "\"espalier_sensitivity\":2"), Code::kUnsupported,
         {"version 1 expected, 2 found"});
  expect(Spoilt("\"pool\"", "\"name\""), Code::kBadFormat, {"curves[0].pool", "nothing found"});
  for (const char* point :
       {"[0.0,0.5]", "[0.1,0.5,0.9]", "[\"0\",0.5,0.9]", "7", "[0.0,null,0.9]"}) {
    expect(Spoilt("[0.0,0.5,0.9]", point), Code::kBadFormat,
           {"curves[0].points[0]", "rise from 0 expected"});
  }
  expect(Spoilt("[0.5,0.3333333333333333,0.875]", "[0.0,0.3,0.8]"), Code::kBadFormat,
         {"curves[0].points[1]"});
  expect(Spoilt("[[0.0,0.5,0.9],[0.5,2.0,0.25]]", "[]"), Code::kBadFormat,
         {"curves[1].points", "at least 1 point"});
}

TEST(SensitivityPage, DrawsALineForEachPool) {
  const std::string html = SensitivityHtml(Scan(), "dense", "accuracy", "1.0.0", ChartLibraries());
  for (const char* part : {"dense", "espalier sensitivity", "lstm0.weight_hh[i]",
                           "lstm0.weight_hh[f]", "\"loss\"", "\"accuracy\""}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace espalier
