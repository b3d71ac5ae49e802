// The summary of a run: dense against pruned in a few numbers, for scripts and for terminals.
#ifndef ESPALIER_REPORT_SUMMARY_H_
#define ESPALIER_REPORT_SUMMARY_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "report/run_record.h"

namespace espalier {

// Makes the summary of a run's models "dense" and "pruned" and systems "espalier-dense",
// "espalier-pruned" and, where it was timed, "onnxruntime-dense".
// weights_removed = 1 - nonzeros(pruned) / elements(dense) over the weights that have gates, which
// are those of recurrent layers. agreement: see docs/run-record.md.
// Errors: kInvalidArgument naming what the record lacks.
Result<SummaryRecord> Summarize(const RunRecord& record, std::optional<double> agreement);

// The mean of several runs of one recipe with different seeds: every number is the mean, a number
// that one run lacks is lacking, `seeds` are all seeds. One run gives itself.
// Errors: kInvalidArgument if there is none, or they are of different tasks.
Result<SummaryRecord> MeanSummary(const std::vector<SummaryRecord>& runs);

// Mean and sample standard deviation over runs of what the mean alone hides, one line each;
// `metric` is what the task calls its own. Precondition: at least two runs.
std::string SpreadText(const std::vector<SummaryRecord>& runs, const std::string& metric);

// One JSON object with the keys of docs/run-record.md, "summary"; ends with a newline.
std::string SummaryJson(const SummaryRecord& summary);

// A table with aligned columns: dense, pruned, ratio. What the record lacks is shown as "-".
std::string SummaryTable(const RunRecord& record);

}  // namespace espalier

#endif  // ESPALIER_REPORT_SUMMARY_H_
