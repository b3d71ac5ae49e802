// The page of `espalier bench --problem FILE --plot OUT.html`: charts of times over density, size,
// streams and threads, the roofline, and a table of all rows.
#ifndef ESPALIER_REPORT_BENCH_PAGE_H_
#define ESPALIER_REPORT_BENCH_PAGE_H_

#include <string>
#include <vector>

#include "report/bench_row.h"
#include "report/html.h"

namespace espalier {

struct BenchPage {
  std::string title;  // the problem's name
  std::string cpu;    // "" where it is not known
  std::string version;
  std::vector<BenchRow> rows;
};

// Complete in itself, as the report is. Never fails: a chart that would have one value on its axis
// is left out, and if there is none of a kind, a sentence says so.
std::string BenchHtml(const BenchPage& page, const ChartLibraries& libraries);

}  // namespace espalier

#endif  // ESPALIER_REPORT_BENCH_PAGE_H_
