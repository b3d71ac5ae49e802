// Run records for the report's tests, made from a fixed seed.
#ifndef ESPALIER_TESTS_REPORT_RECORDS_H_
#define ESPALIER_TESTS_REPORT_RECORDS_H_

#include <vector>

#include "report/bench_row.h"
#include "report/run_record.h"

namespace espalier {

// A whole run with numbers like those of recipes/quickstart.yaml.
RunRecord FullRecord();

// A record that only the reader's checks hold together: names that are markup, empty masks and
// matrices, one class, losses that are not finite, no benchmark.
RunRecord NastyRecord();

// A run whose first stage has just begun.
RunRecord BegunRecord();

// Many layers and 100 classes with long names.
RunRecord LargeRecord();

// Rows of a bench: 12 systems, 2 sizes, 2 densities and 2 batches.
std::vector<BenchRow> ManyBenchRows();

}  // namespace espalier

#endif  // ESPALIER_TESTS_REPORT_RECORDS_H_
