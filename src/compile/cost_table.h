// CostTable: what products with a matrix cost on some CPU, measured there once, so that Compile can
// choose formats for it elsewhere, the same every time (CompileOptions::costs).
#ifndef ESPALIER_COMPILE_COST_TABLE_H_
#define ESPALIER_COMPILE_COST_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/format.h"

namespace espalier {

// A product that was timed.
struct CostPoint {
  int64_t count = 0;  // rows of x
  int64_t rows = 0;   // of the matrix; of `compact` those that are left, and so are the columns
  int64_t cols = 0;
  int64_t bytes = 0;  // of the encoded matrix
  double ns = 0.0;    // of the product with all `count` rows of x, weights warm
};

struct FormatCosts {
  FormatSpec format;
  std::vector<CostPoint> points;  // sorted by count, then rows, cols and bytes
};

struct CostTable {
  std::string cpu;     // as its maker calls it, or as MeasureCostsOptions says
  std::string target;  // instruction set of the kernels that were timed
  std::vector<FormatCosts> formats;

  // Nanoseconds for each of `count` rows of x, as Choice::ns; no value if the table lacks the
  // format. Straight lines between what was measured, over count, rows, cols and bytes: between
  // matrices of other sizes, each taken with as many bytes an element as `matrix` has. Below the
  // smallest size that was measured times stay as they are; beyond the largest they grow with it,
  // but not with bytes, of which a matrix without zeros has the most.
  // Preconditions: CheckCosts, and Validate(matrix), pass.
  std::optional<double> Lookup(const EncodedView& matrix, int64_t count) const;
};

// Errors: kInvalidArgument naming the format and what is wrong with it: no points, points out of
// order, a size below 1, a time that is not above 0 and at most 1e15, a format twice, no dense f32,
// what CheckCostName says of the CPU or target.
Status CheckCosts(const CostTable& table);
// Can it stand in an artifact's metadata, as the names of a table's CPU and target do? `what`: "the
// name of a CPU". Errors: kInvalidArgument.
Status CheckCostName(const char* what, const std::string& name);

}  // namespace espalier

#endif  // ESPALIER_COMPILE_COST_TABLE_H_
