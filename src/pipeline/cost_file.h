// Cost tables as files (`espalier tune`): one JSON object, {"espalier_costs": 1, "cpu": ...,
// "target": ..., "formats": [{"format": "csr", "points": [[count, rows, cols, bytes, ns], ...]}]}.
#ifndef ESPALIER_PIPELINE_COST_FILE_H_
#define ESPALIER_PIPELINE_COST_FILE_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "compile/cost_table.h"

namespace espalier {

// Of the schema; a file of another is refused.
inline constexpr int kCostFileVersion = 1;

// The same text for the same table; reading it gives the same numbers.
std::string CostTableJson(const CostTable& table);

// Errors: kBadFormat naming the key, and CheckCosts'; kUnsupported for another version;
// kInvalidArgument for a format that this program does not have. ReadCostTable names the file.
Result<CostTable> ParseCostTable(std::string_view json);
Result<CostTable> ReadCostTable(const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_COST_FILE_H_
