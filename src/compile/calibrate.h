// Calibrate: how kernels of type i8 should round what each matrix multiplies. They can take the
// largest size of each x for its scale, which no outlier of another x disturbs, or one scale for
// all, which clips the rare large number and so rounds the others more finely. Which is better is
// measured.
#ifndef ESPALIER_COMPILE_CALIBRATE_H_
#define ESPALIER_COMPILE_CALIBRATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"

namespace espalier {

// Of one matrix. Errors are rms(W x' - W x) / rms(W x) over some of the x seen, x' being x rounded.
struct XCalibration {
  float x_scale = 0.0f;      // the better one: CompileOptions::x_scales
  double each_error = 0.0;   // a scale for each x
  float fixed_scale = 0.0f;  // the best one for all x: a percentile of |x| / 127
  double fixed_percentile = 0.0;
  double fixed_error = 0.0;
  int64_t rows = 0;  // x that were seen
};

// By MatrixPart::name; embedding tables multiply nothing and are not there.
using Calibration = std::map<std::string, XCalibration>;

// Runs the graph on the batches from zero states in the reference executor. `graph` is what will be
// compiled: RoundMatrices has been applied. `seed` draws the x that are compared. Errors:
// kInvalidArgument if there is no batch or a matrix is never multiplied; what RunReference says.
Result<Calibration> Calibrate(const Graph& graph, const std::vector<Batch>& batches, uint64_t seed);

}  // namespace espalier

#endif  // ESPALIER_COMPILE_CALIBRATE_H_
