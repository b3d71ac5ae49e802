// BenchRow: one system's time for one case of `espalier bench --problem`, as JSON and back.
#ifndef ESPALIER_REPORT_BENCH_ROW_H_
#define ESPALIER_REPORT_BENCH_ROW_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/caches.h"
#include "base/status.h"
#include "report/run_record.h"

namespace espalier {

// One system on one case. Part of the interface (`espalier bench --problem FILE --json`).
struct BenchRow {
  std::string system;  // "espalier", or a peer's
  std::string cell;
  int64_t hidden = 0;
  int64_t input = 0;
  int64_t batch = 0;
  int64_t steps = 0;
  double density = 1.0;  // of the network that was run
  std::string format;    // "dense" where the system has no choice
  std::string dtype = "f32";
  std::string target;                    // "" for others' kernels
  CacheState cache = CacheState::kWarm;  // cold: after other work
  int64_t threads = 1;       // that were used: 1 where no matrix is large enough for more
  TimingRecord us;           // of one step of all streams: a sequence's time over T
  double error = 0.0;        // largest |output - reference's|, of its own network
  uint64_t bytes = 0;        // of the encoded matrices
  double roofline_us = 0.0;  // least time to read these bytes from where so many lie, per step; T >
                             // 1: those of weight_ih once a sequence
};

// An array of one object a row, on one line.
std::string BenchRowsJson(const std::vector<BenchRow>& rows);

// The inverse. Errors: kBadFormat naming the row, counted from 0, the key and what was expected:
// counts at least 1, times above 0, density in [0, 1], at least one row.
Result<std::vector<BenchRow>> ParseBenchRows(std::string_view json);
Result<std::vector<BenchRow>> ReadBenchRows(const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_REPORT_BENCH_ROW_H_
