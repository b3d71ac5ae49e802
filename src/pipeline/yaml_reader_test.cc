#include "pipeline/yaml_reader.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

YamlMap MapOf(const std::string& yaml) { return YamlMap(ValueOrDie(ParseYaml(yaml)), "a.b"); }

Result<int> EvenOnly(const std::string& text) {
  if (text == "even") return 2;
  return InvalidArgument("even expected, '" + text + "' found");
}

TEST(YamlMap, ReadsWhatIsThereAndLeavesTheRest) {
  YamlMap map = MapOf("{count: 3, share: 0.5, on: true, text: x, list: [p, q], parity: even}");
  int64_t count = 0;
  int64_t missing = 7;
  double share = 0.0;
  bool on = false;
  std::string text;
  std::vector<std::string> list;
  int parity = 0;
  map.Read("count", &count);
  map.Read("missing", &missing);
  map.Read("share", &share);
  map.Read("on", &on);
  map.Read("text", &text);
  map.ReadStrings("list", &list);
  map.ReadName("parity", EvenOnly, &parity);
  ASSERT_OK(map.Finish());
  EXPECT_EQ(count, 3);
  EXPECT_EQ(missing, 7);
  EXPECT_EQ(share, 0.5);
  EXPECT_TRUE(on);
  EXPECT_EQ(text, "x");
  EXPECT_EQ(list, (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(parity, 2);
}

TEST(YamlMap, TakesOneTextAsAListOfOne) {
  std::vector<std::string> list;
  MapOf("list: p").ReadStrings("list", &list);
  EXPECT_EQ(list, std::vector<std::string>{"p"});
}

TEST(YamlMap, ReadsAnUndefinedNodeAsEmpty) {
  YamlMap map(YAML::Node(YAML::NodeType::Undefined), "a.b");
  int64_t count = 7;
  map.Read("count", &count);
  EXPECT_OK(map.Finish());
  EXPECT_EQ(count, 7);
}

TEST(YamlMap, RefusesAKeyWithoutAValue) {
  for (const char* yaml : {"{count: null}", "{count: }", "count: ~"}) {
    YamlMap map = MapOf(yaml);
    EXPECT_FALSE(map.Has("count"));
    ExpectError(map.Finish(), Code::kInvalidArgument,
                {"a.b.count: a value expected, nothing found"});
  }
}

TEST(YamlMap, SaysWhichValueIsNotWhatWasExpected) {
  YamlMap map = MapOf("{count: 3.5}");
  int64_t count = 0;
  map.Read("count", &count);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.count: a whole number expected, '3.5'"});
}

TEST(YamlMap, ReportsTheFirstOfTwoErrors) {
  YamlMap map = MapOf("{first: x, second: y}");
  int64_t value = 0;
  map.Read("first", &value);
  map.Read("second", &value);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.first"});
}

TEST(YamlMap, PassesOnWhatAParserOfNamesSays) {
  YamlMap map = MapOf("parity: odd");
  int parity = 0;
  map.ReadName("parity", EvenOnly, &parity);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.parity: even expected, 'odd' found"});
}

TEST(YamlMap, RefusesAListOfOtherThanTexts) {
  YamlMap map = MapOf("list: [p, [q]]");
  std::vector<std::string> list;
  map.ReadStrings("list", &list);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.list", "a list found in it"});
}

TEST(YamlMap, RefusesAnUnknownKeyWithTheNearestAndItsLine) {
  YamlMap map = MapOf("count: 3\ncont: 4\n");
  int64_t count = 0;
  map.Read("count", &count);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.cont (line 2)", "did you mean 'count'"});
}

TEST(YamlMap, RefusesAKeyThatStandsTwice) {
  YamlMap map = MapOf("{count: 3, count: 4}");
  int64_t count = 0;
  map.Read("count", &count);
  ExpectError(map.Finish(), Code::kInvalidArgument, {"a.b.count", "twice"});
}

TEST(YamlMap, RefusesWhatIsNoMapping) {
  ExpectError(MapOf("[1]").Finish(), Code::kInvalidArgument, {"a.b: a mapping", "a list found"});
}

TEST(YamlMap, HasNoPathOfTheWholeDocument) {
  const Status status = YamlMap(ValueOrDie(ParseYaml("[1]")), "").Finish();
  EXPECT_EQ(status.message(), "a mapping expected, a list found");
}

TEST(ParseYaml, ReadsNothingAsNull) {
  EXPECT_TRUE(ValueOrDie(ParseYaml("")).IsNull());
  EXPECT_TRUE(ValueOrDie(ParseYaml("# a comment\n")).IsNull());
}

TEST(ParseYaml, RefusesASecondDocument) {
  ExpectError(ParseYaml("a: 1\n---\nb: 2\n").status(), Code::kBadFormat,
              {"one YAML document expected, 2 found"});
}

// A recipe is recorded as JSON, which can carry no other text.
TEST(ParseYaml, RefusesATextThatIsNotUtf8) {
  ExpectError(ParseYaml("name: caf\xe9\n").status(), Code::kBadFormat, {"UTF-8 expected"});
}

TEST(ParseYaml, NamesLineAndColumnOfBrokenText) {
  ExpectError(ParseYaml("a: 1\nb: [1\n").status(), Code::kBadFormat, {"line ", "column "});
}

}  // namespace
}  // namespace espalier
