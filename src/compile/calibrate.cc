#include "compile/calibrate.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "artifact/artifact.h"
#include "base/rng.h"
#include "base/strings.h"
#include "formats/row_scales.h"
#include "kernels/quantize.h"

namespace espalier {
namespace {

constexpr size_t kKeptRows = 64;  // of each matrix's x: enough for two digits of the error
constexpr double kPercentiles[] = {100.0, 99.99, 99.9, 99.5, 99.0};

// What one matrix multiplied: some x, every one equally likely (Vitter 1985, reservoir sampling,
// algorithm R).
struct Inputs {
  int64_t rows = 0;
  std::vector<std::vector<double>> kept;

  void Add(std::span<const double> x, Rng* rng) {
    ++rows;
    if (kept.size() < kKeptRows) {
      kept.emplace_back(x.begin(), x.end());
      return;
    }
    const uint64_t place = rng->Below(static_cast<uint64_t>(rows));
    if (place < kKeptRows) kept[place].assign(x.begin(), x.end());
  }
};

double ErrorOf(MatrixView w, const Inputs& inputs, float x_scale) {
  double error = 0.0;
  double size = 0.0;
  for (const std::vector<double>& x : inputs.kept) {
    std::vector<double> rounded = x;
    RoundX(x_scale, rounded);
    for (int64_t row = 0; row < w.rows; ++row) {
      double y = 0.0;
      double difference = 0.0;
      for (int64_t col = 0; col < w.cols; ++col) {
        const auto c = static_cast<size_t>(col);
        y += double{w.at(row, col)} * x[c];
        difference += double{w.at(row, col)} * (rounded[c] - x[c]);
      }
      size += y * y;
      error += difference * difference;
    }
  }
  return size > 0.0 ? std::sqrt(error / size) : 0.0;
}

XCalibration CalibrationOf(MatrixView w, const Inputs& inputs) {
  std::vector<float> sizes;
  for (const std::vector<double>& x : inputs.kept) {
    for (const double value : x) sizes.push_back(static_cast<float>(std::abs(value)));
  }
  std::sort(sizes.begin(), sizes.end());
  XCalibration best;
  best.rows = inputs.rows;
  best.each_error = ErrorOf(w, inputs, 0.0f);
  for (const double percentile : kPercentiles) {
    const auto last = static_cast<double>(sizes.size() - 1);
    const float size = sizes[static_cast<size_t>(std::floor(percentile / 100.0 * last))];
    if (size < kSmallestX) continue;
    const float scale = size / kLargestQ;
    if (!IsXScale(scale)) continue;
    const double error = ErrorOf(w, inputs, scale);
    if (best.fixed_scale > 0.0f && error >= best.fixed_error) continue;
    best.fixed_scale = scale;
    best.fixed_percentile = percentile;
    best.fixed_error = error;
  }
  if (best.fixed_scale > 0.0f && best.fixed_error < best.each_error) {
    best.x_scale = best.fixed_scale;
  }
  return best;
}

}  // namespace

Result<Calibration> Calibrate(const Graph& graph, const std::vector<Batch>& batches,
                              uint64_t seed) {
  if (batches.empty()) return InvalidArgument("calibration: at least 1 batch expected, none found");
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  Rng rng(seed);
  std::map<std::pair<std::string, int64_t>, Inputs> inputs;
  const auto look = [&](const std::string& weight, int64_t first_row, std::span<double> x) {
    inputs[{weight, first_row}].Add(x, &rng);
  };
  for (const Batch& batch : batches) {
    StateSet states = ZeroStates(graph, batch.size);
    ESPALIER_RETURN_IF_ERROR(RunReference(graph, batch, &states, look).status());
  }
  Calibration calibration;
  for (const MatrixPart& part : parts) {
    if (part.is_plain || !IsMultiplied(graph, part.weight)) continue;
    if (FindOwner(graph, part.weight)->delta.has_value()) continue;  // x is not rounded there
    const auto it = inputs.find({part.weight, part.first_row});
    if (it == inputs.end()) {
      return InvalidArgument(StrCat("calibration: no sequence reaches ", part.name));
    }
    const MatrixView w{graph.weights.at(part.weight).values.data() + part.first_row * part.cols,
                       part.rows, part.cols};
    calibration[part.name] = CalibrationOf(w, it->second);
  }
  return calibration;
}

}  // namespace espalier
