#include "report/bench_page.h"

#include "base/strings.h"
#include "report/charts.h"
#include "report/page.h"
#include "report/text.h"

namespace espalier {
namespace {

struct Section {
  const char* id;
  const char* title;
  const char* note;
  std::vector<Chart> charts;
  const char* layout = "grid";
};

void AddSection(const Section& section, PageWriter* page) {
  page->OpenSection(section.id, section.title, section.note);
  if (section.charts.empty()) {
    page->Absent("The problem has one value of it: there is nothing to draw a line through.");
  } else {
    page->Charts(section.charts, section.layout);
  }
  page->CloseSection();
}

void AddRow(const BenchRow& row, PageWriter* page) {
  std::string cells;
  const auto add = [&](const char* css, const std::string& text) {
    cells += StrCat("<td class=\"", css, "\">", Typeset(text), "</td>");
  };
  add("", SeriesName(row));
  add("num", FormatPercent(row.density, 1));
  add("num", FormatTime(row.us.median));
  add("num", StrCat(FormatTime(row.us.p25), " to ", FormatTime(row.us.p75)));
  add("num", FormatTime(row.roofline_us));
  add("num", FormatFixed(row.us.median / row.roofline_us, 2));
  add("num", FormatCount(static_cast<int64_t>(row.bytes)));
  add("num", StrCat(row.error));
  add("", row.target.empty() ? "-" : row.target);
  page->Add(StrCat("<tr><th scope=\"row\">", EscapeHtml(CaseName(row)), "</th>", cells, "</tr>\n"));
}

void AddTable(const std::vector<BenchRow>& rows, PageWriter* page) {
  page->OpenSection("rows", "Every measurement",
                    "Times are those of one step of all streams: a sequence's time over T. Least "
                    "is the least time in which as many bytes as the weights have can be read; "
                    "error the largest difference from the reference.");
  page->Add(
      "<div class=\"card scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Every measurement\">"
      "\n<table class=\"wide\">\n<caption class=\"sr\">Every measurement</caption>\n<thead><tr>"
      "<th scope=\"col\">case</th><th scope=\"col\">system</th>");
  for (const char* head :
       {"density", "us per step", "quartiles", "least us", "times least", "bytes", "error"}) {
    page->Add(StrCat("<th scope=\"col\" class=\"num\">", Typeset(head), "</th>"));
  }
  page->Add("<th scope=\"col\">target</th></tr></thead>\n<tbody>\n");
  for (const BenchRow& row : rows) AddRow(row, page);
  page->Add("</tbody>\n</table>\n</div>\n");
  page->CloseSection();
}

}  // namespace

std::string BenchHtml(const BenchPage& page, const ChartLibraries& libraries) {
  const std::string lead =
      StrCat(FormatCount(static_cast<int64_t>(page.rows.size())),
             " measurements of one recurrent layer", page.cpu.empty() ? "" : " on " + page.cpu,
             ". Every system was verified before it was timed.");
  PageWriter writer(page.title, "espalier bench", lead);
  const Section sections[] = {
      {"density", "Over density",
       "Points are medians, the bars through them quartiles. Networks that are not pruned are "
       "level lines.",
       DensityCharts(page.rows)},
      {"hidden", "Over size", "Hidden units, both axes logarithmic.", HiddenCharts(page.rows)},
      {"streams", "Over streams", "One step of all streams at once.", StreamCharts(page.rows)},
      {"threads", "Over threads", "", ThreadCharts(page.rows)},
      {"roofline", "Roofline",
       "The least time is that of reading the weights' bytes once a step, warm, from where so many "
       "lie, on one core; in whole sequences those of the input once a sequence. On the solid line "
       "a step takes no longer; on the dashed one half as long "
       "again.",
       RooflineCharts(page.rows), "stack"}};
  for (const Section& section : sections) AddSection(section, &writer);
  AddTable(page.rows, &writer);
  return writer.Finish(StrCat(page.version, " from the rows of its bench alone."), libraries);
}

}  // namespace espalier
