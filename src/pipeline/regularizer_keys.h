// The keys of a stage's regularizers in a recipe.
#ifndef ESPALIER_PIPELINE_REGULARIZER_KEYS_H_
#define ESPALIER_PIPELINE_REGULARIZER_KEYS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/yaml_reader.h"
#include "prune/regularizer.h"

namespace espalier {

// Reads `[{name: hard_concrete, strength: 0.001, granularity: unit}]`; leaves the list empty if the
// key is not there. Errors: kInvalidArgument, naming the key's path.
Status ReadRegularizers(const YAML::Node& node, const std::string& path,
                        std::vector<RegularizerSpec>* regularizers);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_REGULARIZER_KEYS_H_
