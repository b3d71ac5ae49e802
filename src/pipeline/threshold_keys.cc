#include "pipeline/threshold_keys.h"

#include <utility>

namespace espalier {

Status ReadThresholdKeys(YamlMap* map, ThresholdSpec* spec) {
  for (const auto& [key, target] : {std::pair("loss", &spec->loss), std::pair("sent", &spec->sent),
                                    std::pair("multiply_adds", &spec->multiply_adds)}) {
    if (map->Has(key)) map->Read(key, &target->emplace());
  }
  map->ReadStrings("layers", &spec->layers);
  map->Read("scale", &spec->scale);
  map->Read("method", &spec->method);
  map->Read("predictor", &spec->predictor);
  ESPALIER_RETURN_IF_ERROR(map->status());
  return ValidateThresholds(*spec).WithContext(map->path());
}

}  // namespace espalier
