#include "pipeline/calibration_file.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "artifact/artifact.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/strings.h"
#include "formats/row_scales.h"

namespace espalier {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kBatchSize = 16;

// Of the matrices that are calibrated, by name: those that multiply something.
Result<std::map<std::string, std::string>> FingerprintsOf(const Graph& graph) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<MatrixPart> parts, MatrixPartsOf(graph));
  std::map<std::string, std::string> fingerprints;
  for (const MatrixPart& part : parts) {
    if (part.is_plain || !IsMultiplied(graph, part.weight)) continue;
    if (FindOwner(graph, part.weight)->delta.has_value()) continue;  // x is not rounded there
    const auto begin = graph.weights.at(part.weight).values.begin() + part.first_row * part.cols;
    std::vector<float> values(begin, begin + part.rows * part.cols);
    RoundMatrix(WeightType::kI8, part.cols, values);  // as they are in a compiled network
    for (float& value : values) value += 0.0f;        // that has no -0
    const std::string text = StrCat(part.rows, "x", part.cols, ":",
                                    Crc32c(std::as_bytes(std::span<const float>(values))));
    char digits[9];
    std::snprintf(digits, sizeof(digits), "%08x", Crc32c(std::as_bytes(std::span(text))));
    fingerprints[part.name] = digits;
  }
  return fingerprints;
}

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

Result<std::string> CalibrationJson(const Calibration& calibration, const Graph& graph,
                                    const std::string& source) {
  ESPALIER_ASSIGN_OR_RETURN(const auto fingerprints, FingerprintsOf(graph));
  Json matrices = Json::object();
  for (const auto& [name, found] : calibration) {
    matrices[name] = {{"x_scale", found.x_scale},
                      {"weights", fingerprints.at(name)},
                      {"each_error", found.each_error},
                      {"fixed_scale", found.fixed_scale},
                      {"fixed_percentile", found.fixed_percentile},
                      {"fixed_error", found.fixed_error},
                      {"rows", found.rows}};
  }
  return Json({{"source", source}, {"matrices", std::move(matrices)}}).dump(2) + "\n";
}

Result<std::map<std::string, float>> ReadXScales(const std::string& path, const Graph& graph) {
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
  ESPALIER_ASSIGN_OR_RETURN(const auto fingerprints, FingerprintsOf(graph));
  for (const auto& [name, fingerprint] : fingerprints) {
    const auto it = json["matrices"].find(name);
    if (it == json["matrices"].end()) {
      return InvalidArgument(
          StrCat(path, ": a calibration of the network's matrix ", name, " expected, none found"));
    }
    if (it->value("weights", Json()) == fingerprint) continue;
    return InvalidArgument(StrCat(path, ": matrices.", name,
                                  ": a calibration of the network's own ",
                                  "weights expected, of others found: calibrate it again"));
  }
  return x_scales;
}

}  // namespace espalier
