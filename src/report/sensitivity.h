// What a sensitivity scan measured (pipeline/sensitivity.h), and its file: one JSON object,
// {"espalier_sensitivity": 1, "criterion": ..., "granularity": ..., "per": ..., "curves": [{"pool":
// ..., "size": ..., "points": [[sparsity, loss, metric], ...]}]}.
#ifndef ESPALIER_REPORT_SENSITIVITY_H_
#define ESPALIER_REPORT_SENSITIVITY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "report/html.h"

namespace espalier {

struct SensitivityPoint {
  double sparsity = 0.0;  // of the pool
  double loss = 0.0;      // mean cross-entropy
  double metric = 0.0;
};

struct SensitivityCurve {
  std::string pool;                      // as in Pool::name
  int64_t size = 0;                      // weights, or for granularity `unit` units
  std::vector<SensitivityPoint> points;  // by ascending sparsity; the first is the dense network
};

struct SensitivityScan {
  std::string criterion;
  std::string granularity;
  std::string per;
  std::vector<SensitivityCurve> curves;
};

// Of the schema; a file of another is refused.
inline constexpr int kSensitivityVersion = 1;

// The same text for the same scan; reading it gives the same numbers.
std::string SensitivityJson(const SensitivityScan& scan);
// Errors: kBadFormat naming the key, or for sparsities that do not rise from 0; kUnsupported for
// another version. ReadSensitivity names the file.
Result<SensitivityScan> ParseSensitivity(std::string_view json);
Result<SensitivityScan> ReadSensitivity(const std::string& path);

// A page, complete in itself as the report is: loss and metric over sparsity, one line a pool.
// `title`: the network's name; `metric`: what the task calls it; `version`: espalier's. Never
// fails.
std::string SensitivityHtml(const SensitivityScan& scan, const std::string& title,
                            const std::string& metric, const std::string& version,
                            const ChartLibraries& libraries);

}  // namespace espalier

#endif  // ESPALIER_REPORT_SENSITIVITY_H_
