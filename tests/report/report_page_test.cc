// Reports opened in headless Chromium (npm: playwright-core). Without the browser these tests are
// skipped, unless ESPALIER_REQUIRE_CHROMIUM=1 (./test sets it) makes that a failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"
#include "records.h"
#include "report/bench_page.h"
#include "report/html.h"
#include "report/json.h"
#include "report/text.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ValueOrDie;

const char kModules[] = ESPALIER_SOURCE_DIR "/node_modules";
const char kScript[] = ESPALIER_SOURCE_DIR "/tests/report/open_report.mjs";
const char kOutput[] = ESPALIER_REPORT_OUTPUT_DIR;

std::string FindChromium() {
  for (const char* path : {"/usr/bin/chromium", "/usr/bin/chromium-browser"}) {
    if (std::filesystem::exists(path)) return path;
  }
  return "";
}

// What is missing to open a page; "" if nothing is.
std::string Missing() {
  if (FindChromium().empty()) return "chromium is not installed";
  if (std::system("node --version > /dev/null 2>&1") != 0) return "node is not installed";
  for (const char* package : {"vega", "vega-lite", "vega-embed", "playwright-core"}) {
    if (!std::filesystem::exists(StrCat(kModules, "/", package, "/package.json"))) {
      return StrCat("npm package ", package, " is not installed");
    }
  }
  return "";
}

class ReportPage : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = Missing();
    if (missing.empty()) return;
    const char* required = std::getenv("ESPALIER_REQUIRE_CHROMIUM");
    if (required != nullptr && std::string(required) == "1") FAIL() << missing;
    GTEST_SKIP() << "NOT CHECKED IN A BROWSER: " << missing << "; tools/setup test installs it";
  }

  // Makes the run's page of what run.json keeps of the record, and opens it.
  void Open(const std::string& name, const RunRecord& record, int64_t charts,
            const std::vector<std::string>& texts) {
    std::filesystem::create_directories(kOutput);
    const std::string base = StrCat(kOutput, "/", name);
    ASSERT_OK(WriteRunRecord(base + ".json", record));
    const RunRecord read = ValueOrDie(ReadRunRecord(base + ".json"));
    const ChartLibraries libraries = ValueOrDie(LoadChartLibraries(kModules));
    OpenPage(name, ReportHtml(read, libraries), {{"charts", charts}, {"texts", texts}});
  }

  // `expected`: as open_report.mjs says.
  void OpenPage(const std::string& name, const std::string& html, const Json& expected) {
    std::filesystem::create_directories(kOutput);
    const std::string base = StrCat(kOutput, "/", name);
    ASSERT_OK(WriteTextFileAtomic(base + ".html", html));
    ASSERT_OK(WriteTextFileAtomic(base + ".expect.json", PrintJson(expected, 1)));
    const std::string log = base + ".log";
    const std::string command =
        StrCat("node '", kScript, "' '", FindChromium(), "' '", base, ".html' '", base,
               ".expect.json' '", base, "' > '", log, "' 2>&1");
    EXPECT_EQ(std::system(command.c_str()), 0) << ValueOrDie(ReadTextFile(log));
  }
};

TEST_F(ReportPage, ShowsAWholeRun) {
  const RunRecord record = FullRecord();
  // 4 of training, sparsity, 2 masks (the third matrix has no zeros), what was left out, 3 of a
  // layer's steps, 1 of another's and 2 of a third's, 2 of thresholds, 2 times, 2 sizes, classes, 2
  // confusion matrices.
  Open("full", record, 25,
       {"quickstart", FormatMetric("accuracy", record.summary->pruned.metric),
        FormatMetric("accuracy", record.summary->dense.metric),
        FormatPercent(record.summary->weights_removed, 1), "3.16", "4.50", "51,234", "331,211",
        "slot_8x16", "25.6 % of the columns of x and 13.9 % of h sent",
        "60.7 % of the steps skipped", "32.5 % of the units run",
        "to lose at most 1.0 % of the accuracy", "AMD EPYC 7763",
        "espalier recipe run recipes/quickstart.yaml"});
}

TEST_F(ReportPage, SurvivesARecordThatIsAllCorners) {
  // 4 of training, sparsity, 2 masks, what was left out, 3 of steps, thresholds, 2 sizes, classes,
  // 2 confusion matrices.
  Open("nasty", NastyRecord(), 17, {"</script><b>&\"'<!--", "No times have been measured yet"});
}

TEST_F(ReportPage, SaysWhatARunThatHasJustBegunLacks) {
  Open("begun", BegunRecord(), 0,
       {"The run has no summary yet", "No network has been recorded yet",
        "No epoch has been recorded", "No weights have been recorded yet",
        "No times have been measured yet", "No results by class have been recorded"});
}

TEST_F(ReportPage, HoldsALargeNetwork) {
  // 4 of training, sparsity, 6 masks, time, 2 sizes, classes; 100 classes have no confusion matrix.
  Open("large", LargeRecord(), 15,
       {"the 40 of 100 that lost most", "1.12\xc3\x97 slower", "1.01\xc3\x97 larger"});
}

TEST_F(ReportPage, PlotsABench) {
  const std::vector<BenchRow> rows = ManyBenchRows();
  const BenchPage page{"</script><b>lstm", "AMD EPYC 7763", "0.1.0", rows};
  const ChartLibraries libraries = ValueOrDie(LoadChartLibraries(kModules));
  // Over density, size and streams: 4 cases of the other two each, 2 values and 12 systems in each.
  const size_t points = 3 * 4 * 2 * 12 + rows.size();
  OpenPage("bench", BenchHtml(page, libraries),
           {{"charts", 3 * 4 + 1},
            {"points", points},
            {"texts",
             {"</script><b>lstm", "espalier slot_8x8 bf16", "one value of it", "Roofline",
              "\xc2\xb5s per step"}}});
}

}  // namespace
}  // namespace espalier
