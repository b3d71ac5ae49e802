#include "report/html.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/file.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ValueOrDie;

size_t CountOf(const std::string& part, const std::string& text) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

RunRecord Named(const std::string& name) {
  RunRecord record;
  record.name = name;
  record.machine.cpu = name;
  record.command = name;
  record.task.metric = name;
  StageRecord stage;
  stage.name = name;
  stage.epochs = {{1, 1, 0.5, 0.5, 0.5, 0.1, 0.0, 1.0}};
  record.stages = {stage};
  return record;
}

TEST(ReportHtml, LetsNoNameBecomeMarkup) {
  const std::string plain = ReportHtml(Named("plain"), {});
  const std::string nasty = ReportHtml(Named("</script><b id=\"x\">"), {});
  EXPECT_EQ(CountOf("<", nasty), CountOf("<", plain));
  EXPECT_THAT(nasty, HasSubstr("&lt;/script&gt;&lt;b id=&quot;x&quot;&gt;"));
}

TEST(ReportHtml, SpeaksOfNumbersInARegression) {
  RunRecord record = Named("mse");
  record.summary.emplace();
  record.summary->agreement = 1.0;
  const std::string html = ReportHtml(record, {});
  EXPECT_THAT(html, HasSubstr("make the same numbers, but for rounding, in 100.00 %"));
  EXPECT_THAT(html, Not(HasSubstr("Class by class")));
}

TEST(ReportHtml, SaysWhichSparsityASearchKept) {
  RunRecord record = Named("plain");
  record.stages[0].search = SearchRecord{0.75, 0.25, 0.5, {{0.5, 0.625}, {0.875, 0.25}}};
  EXPECT_THAT(ReportHtml(record, {}), HasSubstr("50.00 % kept of 50.00 %, 87.50 % tried<"));
  record.stages[0].search->bytes = 0.25;
  record.stages[0].search->is_met = false;
  record.stages[0].search->tried[0].bytes = 0.375;
  EXPECT_THAT(ReportHtml(record, {}),
              HasSubstr("50.00 % kept of 50.00 % (37.50 % of the bytes), 87.50 % tried; at most "
                        "25.00 % of the bytes asked, not met"));
}

TEST(ReportHtml, SaysWhichStepsAndRowsAreNotDrawn) {
  RunRecord record = Named("plain");
  ActivityRecord skip, rows;
  skip.layer = "lstm0";
  skip.skip = true;
  rows.layer = "lstm1";
  rows.rows = 8;
  rows.map = ActivityMap{0, 2, 0, 0, {3}, {}, {}, {0.5, 1.0}};
  ModelRecord& model = record.models["pruned"];
  model.activity = {skip, rows};
  const std::string one = ReportHtml(record, {});
  EXPECT_THAT(one, HasSubstr("Single steps of lstm0 are not drawn"));
  EXPECT_THAT(one, HasSubstr("Of lstm1 it is drawn how many rows"));
  rows.map.reset();
  rows.reverse = true;
  model.activity = {rows, skip};
  const std::string none = ReportHtml(record, {});
  EXPECT_THAT(none, HasSubstr("Single steps of lstm1_reverse, lstm0 are not drawn"));
  EXPECT_THAT(none, Not(HasSubstr("it is drawn how many")));
  skip.map = ActivityMap{0, 2, 0, 0, {1}, {}, {}};
  model.activity = {skip};
  EXPECT_THAT(ReportHtml(record, {}), Not(HasSubstr("not drawn")));
}

TEST(ReportHtml, NamesNoOtherPlace) {
  const std::string html = ReportHtml(Named("plain"), {});
  EXPECT_THAT(html, Not(HasSubstr("src=")));
  EXPECT_THAT(html, Not(HasSubstr("href=")));
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
}

TEST(ReportHtml, IsTheSameForTheSameRecord) {
  EXPECT_EQ(ReportHtml(Named("plain"), {}), ReportHtml(Named("plain"), {}));
}

// A network of one 4 x 4 matrix that was compiled to csr, and these times.
RunRecord Compiled(double csr_ns, double dense_ns) {
  WeightRecord weight;
  weight.name = "gemm0.weight";
  weight.rows = weight.cols = 4;
  weight.nonzeros = 2;
  weight.format = "csr";
  weight.encoded_bytes = 48;
  weight.candidates = {{"csr", csr_ns, 48}, {"dense", dense_ns, 64}};
  RunRecord record = Named("plain");
  record.models["dense"].weights = {weight};
  return record;
}

TEST(ReportHtml, ShowsTheTimesThatFormatsWereChosenBy) {
  const std::string html = ReportHtml(Compiled(12.5, 20.5), {});
  EXPECT_THAT(html, HasSubstr("<td class=\"num\">12.5</td><td class=\"\">dense 20.5</td>"));
  EXPECT_THAT(html, HasSubstr("Formats were chosen by the measured time"));
}

TEST(ReportHtml, SaysThatTimesArePredictedByCosts) {
  RunRecord record = Compiled(12.5, 20.5);
  record.models["dense"].costs = "another <CPU>";
  const std::string html = ReportHtml(record, {});
  EXPECT_THAT(html, HasSubstr("that the costs of another &lt;CPU&gt; predict"));
  EXPECT_THAT(html, Not(HasSubstr("the measured time")));
}

TEST(ReportHtml, ShowsNoTimesThatWereNotMeasured) {
  const std::string html = ReportHtml(Compiled(0.0, 0.0), {});
  EXPECT_THAT(html, HasSubstr("<td class=\"num\">&ndash;</td><td class=\"\">dense 64 bytes</td>"));
  EXPECT_THAT(html, HasSubstr("Nothing was measured to choose formats"));
}

// A node_modules folder with one line of code and a licence in each library.
void WriteLibraries(const std::string& root, const std::string& code) {
  for (const std::string name : {"vega", "vega-lite", "vega-embed"}) {
    std::filesystem::create_directories(root + "/" + name + "/build");
    ASSERT_OK(WriteTextFileAtomic(root + "/" + name + "/LICENSE", "free */ to use"));
    ASSERT_OK(WriteTextFileAtomic(root + "/" + name + "/build/" + name + ".min.js", code));
  }
}

TEST(ChartLibraries, CannotEndTheScriptTheyStandIn) {
  const testing::TempDir dir;
  WriteLibraries(dir.path(), "let a = '</script><!--';\n//# sourceMappingURL=a.map");
  const std::string script = ValueOrDie(LoadChartLibraries(dir.path())).script;
  EXPECT_THAT(script, HasSubstr("let a = '<\\/script><\\!--';"));
  EXPECT_THAT(script, Not(HasSubstr("</script")));
  EXPECT_THAT(script, Not(HasSubstr("sourceMappingURL")));
  EXPECT_THAT(script, HasSubstr("free * / to use"));
}

TEST(ChartLibraries, SayHowToGetTheOneThatIsMissing) {
  const testing::TempDir dir;
  WriteLibraries(dir.path(), "");
  std::filesystem::remove(dir.path("vega-lite/build/vega-lite.min.js"));
  ExpectError(LoadChartLibraries(dir.path()).status(), Code::kIo,
              {"vega-lite/build/vega-lite.min.js", "tools/setup"});
}

}  // namespace
}  // namespace espalier
