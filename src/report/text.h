// Numbers as people read them, and the comparison dense against pruned that the terminal table and
// the page share.
#ifndef ESPALIER_REPORT_TEXT_H_
#define ESPALIER_REPORT_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/run_record.h"

namespace espalier {

std::string FormatFixed(double value, int decimals);  // "-" if not finite
// 0.9861 -> "98.61 %". What is not 0 is not shown as 0: with 2 decimals, 0.00003 -> "0.003 %".
std::string FormatPercent(double share, int decimals);
// `decimals`, or so many more that `value` is not shown as 0 (up to 12).
int DecimalsToShow(double value, int decimals);
std::string FormatCount(int64_t count);     // 83594 -> "83,594"
std::string FormatTime(double value);       // three digits that matter: "30.1", "1,623"
std::string FormatSeconds(double seconds);  // "13.1 s", "4 min 05 s"
// A share (tasks/metric.h) in percent; any other metric as a plain number.
std::string FormatMetric(const std::string& metric, double value);

// "18.00 % of the bytes and 44.00 % of the time", of those that are there; "" if neither is.
std::string CostsText(std::optional<double> bytes, std::optional<double> time);

// "gru0: 61.5 % of the steps skipped; 20.1 % of the columns of x and 8.3 % of h sent; 11.0 % of the
// multiply-adds".
std::string ActivityText(const ActivityRecord& activity);
std::string LayerName(const ActivityRecord& activity);  // "gru0", "gru0_reverse"

// Replaces & < > " ' so that `text` is safe in HTML text and in quoted attributes.
std::string EscapeHtml(std::string_view text);

// One line of the comparison; "-" where the record lacks the value.
struct ComparisonRow {
  std::string label;
  std::string dense;
  std::string pruned;
  std::string ratio;  // "3.2x faster", "-0.30 points"
};
std::vector<ComparisonRow> CompareModels(const RunRecord& record);

// "3.2x faster" for before = 3.2 * after; "1.5x slower" the other way round; "" if either is 0 or
// missing.
std::string FormatGain(std::optional<double> before, std::optional<double> after,
                       std::string_view better, std::string_view worse);

}  // namespace espalier

#endif  // ESPALIER_REPORT_TEXT_H_
