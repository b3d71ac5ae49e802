#include "pipeline/threshold_keys.h"

#include <utility>

namespace espalier {

Status ReadThresholdKeys(YamlMap* map, ThresholdSpec* spec) {
  for (const auto& [key, target] :
       {std::pair("loss", &spec->loss), std::pair("sent", &spec->sent),
        std::pair("rows", &spec->rows), std::pair("multiply_adds", &spec->multiply_adds)}) {
    if (map->Has(key)) map->Read(key, &target->emplace());
  }
  map->ReadStrings("layers", &spec->layers);
  map->Read("scale", &spec->scale);
  map->Read("method", &spec->method);
  if (map->Has("predictor")) map->Read("predictor", &spec->predictor.emplace());
  ESPALIER_RETURN_IF_ERROR(map->status());
  return ValidateThresholds(*spec).WithContext(map->path());
}

}  // namespace espalier
