// The keys of a thresholds stage in a recipe.
#ifndef ESPALIER_PIPELINE_THRESHOLD_KEYS_H_
#define ESPALIER_PIPELINE_THRESHOLD_KEYS_H_

#include "base/status.h"
#include "pipeline/thresholds.h"
#include "pipeline/yaml_reader.h"

namespace espalier {

// Reads `{loss: 0.01, layers: ["lstm*"], scale: fitted}`. Errors: kInvalidArgument, naming the
// key's path.
Status ReadThresholdKeys(YamlMap* map, ThresholdSpec* spec);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_THRESHOLD_KEYS_H_
