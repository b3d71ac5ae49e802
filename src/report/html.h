// The report: one HTML page made of a run record alone, complete in itself (no network, no other
// file), for screen and paper, light and dark.
#ifndef ESPALIER_REPORT_HTML_H_
#define ESPALIER_REPORT_HTML_H_

#include <string>

#include "base/status.h"
#include "report/run_record.h"

namespace espalier {

// The text of vega, vega-lite and vega-embed with their licences, as it goes into the page.
struct ChartLibraries {
  std::string script;
};

// Reads the libraries from `node_modules`, where npm puts them.
// Errors: kIo naming the missing file and the command that gets it.
Result<ChartLibraries> LoadChartLibraries(const std::string& node_modules);

// Never fails: what the record lacks is said in a sentence where its section would be.
std::string ReportHtml(const RunRecord& record, const ChartLibraries& libraries);

}  // namespace espalier

#endif  // ESPALIER_REPORT_HTML_H_
