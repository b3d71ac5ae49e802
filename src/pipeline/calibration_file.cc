#include "pipeline/calibration_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/file.h"
#include "base/strings.h"
#include "formats/row_scales.h"

namespace espalier {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kBatchSize = 16;

}  // namespace

std::vector<Batch> CalibrationBatches(const Dataset& dataset, int64_t count, uint64_t seed) {
  std::vector<Batch> batches;
  for (const std::vector<int64_t>& indices : SampleBatches(dataset, count, kBatchSize, seed)) {
    LabelledBatch batch;
    MakeBatch(dataset, indices, &batch);
    batches.push_back(std::move(batch.batch));
  }
  return batches;
}

std::string CalibrationJson(const Calibration& calibration, const std::string& source) {
  Json matrices = Json::object();
  for (const auto& [name, found] : calibration) {
    matrices[name] = {
        {"x_scale", found.x_scale},         {"each_error", found.each_error},
        {"fixed_scale", found.fixed_scale}, {"fixed_percentile", found.fixed_percentile},
        {"fixed_error", found.fixed_error}, {"rows", found.rows}};
  }
  return Json({{"source", source}, {"matrices", std::move(matrices)}}).dump(2) + "\n";
}

Result<std::map<std::string, float>> ReadXScales(const std::string& path) {
  ESPALIER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  const Json json = Json::parse(text, nullptr, false);
  const auto bad = [&](const std::string& what) { return BadFormat(path + ": " + what); };
  if (!json.is_object() || !json.contains("matrices") || !json["matrices"].is_object()) {
    return bad("a JSON object with 'matrices', as `espalier calibrate` writes it, expected");
  }
  std::map<std::string, float> x_scales;
  for (const auto& [name, found] : json["matrices"].items()) {
    const bool has_scale =
        found.is_object() && found.contains("x_scale") && found["x_scale"].is_number();
    const double x_scale = has_scale ? found["x_scale"].get<double>() : -1.0;
    if (!IsXScale(x_scale)) {
      return bad(StrCat("matrices.", name, ".x_scale: 0, or ", kLeastXScale, " to ", kMostXScale,
                        " expected, ", has_scale ? found["x_scale"].dump() : "none", " found"));
    }
    x_scales[name] = static_cast<float>(x_scale);
  }
  return x_scales;
}

}  // namespace espalier
