// A calibration as a file: what `espalier calibrate` writes and `espalier compile` reads.
#ifndef ESPALIER_PIPELINE_CALIBRATION_FILE_H_
#define ESPALIER_PIPELINE_CALIBRATION_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "compile/calibrate.h"
#include "model/graph.h"
#include "tasks/dataset.h"

namespace espalier {

inline constexpr int64_t kMostCalibrationSequences = 1'000'000;

// `count` sequences of the data set drawn by `seed` (all, if it has fewer), in batches of like
// length.
std::vector<Batch> CalibrationBatches(const Dataset& dataset, int64_t count, uint64_t seed);

// {"matrices": {"lstm0.weight_hh": {"x_scale": 0.0078, "weights": "0a1b2c3d", ...}, ...}, "source":
// ...}; "weights": which ones, by the CRC-32C of their shape and numbers. `graph`: what was
// calibrated. Errors: InferWeightShapes'.
Result<std::string> CalibrationJson(const Calibration& calibration, const Graph& graph,
                                    const std::string& source);

// What CompileOptions::x_scales takes to compile `graph` in type i8. Errors: kIo; kBadFormat,
// naming the file and the key; kInvalidArgument, naming the file and the matrix, if the calibration
// lacks a matrix of the graph or is one of other weights.
Result<std::map<std::string, float>> ReadXScales(const std::string& path, const Graph& graph);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_CALIBRATION_FILE_H_
