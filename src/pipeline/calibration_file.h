// A calibration as a file: what `espalier calibrate` writes and `espalier compile` reads.
#ifndef ESPALIER_PIPELINE_CALIBRATION_FILE_H_
#define ESPALIER_PIPELINE_CALIBRATION_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "compile/calibrate.h"
#include "tasks/dataset.h"

namespace espalier {

// `count` sequences of the data set drawn by `seed` (all, if it has fewer), in batches of like
// length.
std::vector<Batch> CalibrationBatches(const Dataset& dataset, int64_t count, uint64_t seed);

// {"matrices": {"lstm0.weight_hh": {"x_scale": 0.0078, "each_error": ..., ...}, ...}, "source":
// ...}
std::string CalibrationJson(const Calibration& calibration, const std::string& source);

// What CompileOptions::x_scales takes. Errors: kIo; kBadFormat, naming the file and the key.
Result<std::map<std::string, float>> ReadXScales(const std::string& path);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_CALIBRATION_FILE_H_
