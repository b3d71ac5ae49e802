#include <gmock/gmock.h>

#include <algorithm>

#include "report/bench_page.h"
#include "report/charts.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

BenchRow Row(const std::string& format, int64_t hidden, double density, double us) {
  BenchRow row;
  row.system = "espalier";
  row.cell = "lstm";
  row.hidden = row.input = hidden;
  row.batch = row.steps = 1;
  row.density = density;
  row.format = format;
  row.us = {us, us * 0.9, us * 1.1};
  row.roofline_us = us / 2;
  row.bytes = 1000;
  return row;
}

// Two sizes at two densities; dense is timed at each density.
std::vector<BenchRow> Rows() {
  std::vector<BenchRow> rows;
  for (const int64_t hidden : {128, 256}) {
    const auto size = static_cast<double>(hidden);
    for (const double density : {0.05, 0.1}) {
      rows.push_back(Row("dense", hidden, 1.0, density < 0.1 ? size : size * 1.2));
      rows.push_back(Row("csr", hidden, density, size * density));
    }
  }
  return rows;
}

std::vector<std::string> Titles(const std::vector<Chart>& charts) {
  std::vector<std::string> titles;
  for (const Chart& chart : charts) titles.push_back(chart.title);
  return titles;
}

// Series, x and value of each point.
std::vector<std::string> Points(const Chart& chart) {
  std::vector<std::string> points;
  for (const Json& point : chart.spec["data"]["values"]) {
    points.push_back(point["series"].get<std::string>() + " " + point["x"].dump() + " " +
                     point["value"].dump());
  }
  return points;
}

TEST(BenchCharts, DrawTimeOverDensityForEachSize) {
  const std::vector<Chart> charts = DensityCharts(Rows());
  EXPECT_THAT(Titles(charts), ElementsAre("lstm, H = 128, I = H, T = 1, B = 1",
                                          "lstm, H = 256, I = H, T = 1, B = 1"));
  // Dense is a level line of its (lower) median.
  EXPECT_THAT(Points(charts[0]),
              ElementsAre("espalier csr f32 0.05 6.4", "espalier csr f32 0.1 12.8",
                          "espalier dense f32 0.05 128.0", "espalier dense f32 0.1 128.0"));
  EXPECT_THAT(charts[0].description, HasSubstr("at 5.0 % the fastest is espalier csr f32"));
}

TEST(BenchCharts, DrawTimeOverSizeForEachDensity) {
  const std::vector<Chart> charts = HiddenCharts(Rows());
  EXPECT_THAT(Titles(charts), ElementsAre("lstm, I = H, T = 1, B = 1, density 5.0 %",
                                          "lstm, I = H, T = 1, B = 1, density 10.0 %"));
  EXPECT_THAT(Points(charts[1]),
              ElementsAre("espalier csr f32 128.0 12.8", "espalier csr f32 256.0 25.6",
                          "espalier dense f32 128.0 128.0", "espalier dense f32 256.0 256.0"));
}

TEST(BenchCharts, DrawNothingOverWhatHasOneValue) {
  EXPECT_TRUE(StreamCharts(Rows()).empty());
  EXPECT_TRUE(ThreadCharts(Rows()).empty());
  EXPECT_TRUE(DensityCharts({Row("dense", 8, 1.0, 1.0), Row("csr", 8, 0.1, 1.0)}).empty());
  EXPECT_TRUE(DensityCharts({}).empty());
  EXPECT_TRUE(RooflineCharts({}).empty());
}

TEST(BenchCharts, DrawTimeOverStreamsAndThreads) {
  std::vector<BenchRow> rows;
  for (const int count : {1, 4}) {
    rows.push_back(Row("csr", 64, 0.1, 2.0 * count));
    rows.back().batch = count;
    rows.push_back(Row("csr", 64, 0.1, 3.0 / count));
    rows.back().threads = count;
  }
  EXPECT_THAT(Titles(StreamCharts(rows)),
              ElementsAre("lstm, H = 64, I = H, T = 1, density 10.0 %"));
  EXPECT_THAT(Titles(ThreadCharts(rows)),
              ElementsAre("lstm, H = 64, I = H, T = 1, B = 1, density 10.0 %"));
  // One thread, one stream was timed twice: 2 and 3 us.
  EXPECT_THAT(Points(ThreadCharts(rows)[0]),
              ElementsAre("espalier csr f32 1.0 2.0", "espalier csr f32 4.0 0.75"));
}

TEST(BenchCharts, DrawEveryRowOverItsRoofline) {
  const std::vector<Chart> charts = RooflineCharts(Rows());
  ASSERT_EQ(charts.size(), 1u);
  EXPECT_EQ(Points(charts[0]).size(), Rows().size());
  EXPECT_THAT(charts[0].description, HasSubstr("2.00 times"));
}

TEST(BenchCharts, KeepTheColourOfASeriesFromChartToChart) {
  const auto color_of_csr = [](const Chart& chart) {
    const Json& scale = chart.spec["layer"].back()["encoding"]["color"]["scale"];
    for (size_t i = 0; i < scale["domain"].size(); ++i) {
      if (scale["domain"][i] == "espalier csr f32") return scale["range"][i].get<std::string>();
    }
    return std::string("none");
  };
  std::vector<BenchRow> rows = Rows();
  rows.push_back(Row("csr", 512, 0.05, 9.0));
  rows.push_back(Row("csr", 512, 0.1, 9.0));
  const std::vector<Chart> charts = DensityCharts(rows);
  ASSERT_EQ(charts.size(), 3u);
  EXPECT_NE(color_of_csr(charts[0]), "none");
  EXPECT_EQ(color_of_csr(charts[0]), color_of_csr(charts[2]));  // alone there
}

TEST(BenchHtml, LetsNoNameBecomeMarkup) {
  const auto page = [](const std::string& name) {
    BenchRow row = Row(name, 8, 0.1, 1.0);
    row.system = row.cell = row.dtype = row.target = name;
    return BenchHtml({name, name, name, {row, row}}, {});
  };
  const std::string plain = page("plain");
  const std::string nasty = page("</script><b id=\"x\">");
  EXPECT_EQ(std::count(nasty.begin(), nasty.end(), '<'),
            std::count(plain.begin(), plain.end(), '<'));
  EXPECT_THAT(nasty, HasSubstr("&lt;/script&gt;"));
}

TEST(BenchHtml, HasATableOfAllRows) {
  const std::string html = BenchHtml({"small", "", "1.0", Rows()}, {});
  EXPECT_THAT(html, HasSubstr("8 measurements of one recurrent layer. Every"));
  EXPECT_THAT(html, HasSubstr("<td class=\"num\">25.6</td>"));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
}

}  // namespace
}  // namespace espalier
