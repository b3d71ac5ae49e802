#include "pipeline/cost_file.h"

#include <algorithm>

#include "base/strings.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

FormatSpec Format(const std::string& name) { return ValueOrDie(FindFormat(name)); }

CostTable Table() {
  return {"some \"CPU\"",
          "AVX2",
          {{FormatSpec(), {{1, 8, 8, 256, 50.25}, {1, 8, 16, 512, 1.0 / 3.0}}},
           {Format("slot_16x64x4_i8"), {{16, 64, 64, 9000, 1e-3}}}}};
}

std::string Spoilt(const std::string& from, const std::string& to) {
  std::string json = CostTableJson(Table());
  const size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return json.replace(at, from.size(), to);
}

TEST(CostFile, RoundTripsToTheBit) {
  const std::string json = CostTableJson(Table());
  const CostTable table = ValueOrDie(ParseCostTable(json));
  EXPECT_EQ(CostTableJson(table), json);
  EXPECT_EQ(table.cpu, Table().cpu);
  EXPECT_EQ(table.target, "AVX2");
  EXPECT_EQ(table.formats[0].points[1].ns, 1.0 / 3.0);
  EXPECT_EQ(table.formats[1].format, Format("slot_16x64x4_i8"));
  EXPECT_EQ(table.formats[1].points[0].bytes, 9000);
}

TEST(CostFile, SaysInOneSentenceWhatIsWrong) {
  const auto expect = [](const std::string& json, Code code,
                         const std::vector<std::string>& parts) {
    ExpectError(ParseCostTable(json).status(), code, parts);
  };
  expect("{\"espalier_costs\"", Code::kBadFormat, {"damaged JSON", "line 1"});
  expect("[]", Code::kBadFormat, {"an object expected"});
  expect(Spoilt("\"espalier_costs\":1", "\"espalier_costs\":2"), Code::kUnsupported,
         {"espalier_costs", "version 1 expected, 2 found"});
  expect(Spoilt("espalier_costs", "costs"), Code::kBadFormat, {"espalier_costs", "nothing found"});
  expect(Spoilt("slot_16x64x4_i8", "slot_16x64x5_i8"), Code::kInvalidArgument,
         {"formats[1].format", "slot_16x64x5_i8"});
  for (const char* point :
       {"[1,8,8,50.25]", "[1,8,8,256,50.25,1]", "[1,8,8,256.5,50.25]", "[1,8,8,256,\"50\"]", "7"}) {
    expect(Spoilt("[1,8,8,256,50.25]", point), Code::kBadFormat,
           {"formats[0].points[0]", "[count, rows, cols, bytes, ns] expected"});
  }
  expect(Spoilt("[1,8,8,256", "[1,8,8,-256"), Code::kBadFormat, {"dense, point 0", "at least 1"});
  expect(Spoilt("[1,8,8,256", "[1,9,8,256"), Code::kBadFormat, {"dense, point 1", "above"});
  expect(Spoilt("50.25", "-1"), Code::kBadFormat, {"dense", "above 0"});
  expect(Spoilt("\"dense\"", "\"csr\""), Code::kBadFormat, {"dense", "none found"});
}

TEST(CostFile, NamesTheFile) {
  ExpectError(ReadCostTable("no/such.json").status(), Code::kIo, {"no/such.json"});
}

// The tables that come with the project have every format that compile tries.
TEST(CostFile, ThoseOfTheProjectAreWhole) {
  for (const std::string name : {"xeon5", "xeon5-avx2"}) {
    const CostTable table =
        ValueOrDie(ReadCostTable(StrCat(ESPALIER_SOURCE_DIR "/costs/", name, ".json")));
    for (const FormatSpec& spec : AllFormats()) {
      if (spec.id == FormatId::k_columns) continue;
      const auto is_it = [&](const FormatCosts& costs) { return costs.format == spec; };
      EXPECT_TRUE(std::any_of(table.formats.begin(), table.formats.end(), is_it))
          << name << " lacks " << FormatName(spec) << ": espalier tune, on that CPU";
    }
  }
}

}  // namespace
}  // namespace espalier
