// The keys of a stage's dynamic methods in a recipe.
#ifndef ESPALIER_PIPELINE_DYNAMIC_KEYS_H_
#define ESPALIER_PIPELINE_DYNAMIC_KEYS_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/yaml_reader.h"
#include "prune/dynamic.h"
#include "runtime/early_exit.h"

namespace espalier {

// Reads `[{name: delta, x: 0.1, h: 0.1, layers: ["lstm*"]}, {name: skip}]`; leaves the list empty
// if the key is not there. Errors: kInvalidArgument, naming the key's path.
Status ReadDynamic(const YAML::Node& node, const std::string& path,
                   std::vector<DynamicSpec>* specs);

// Reads `{confidence: 0.9, hold: 1, every: 1}`; leaves the rule empty if the key is not there.
// Errors: kInvalidArgument, naming the key's path.
Status ReadExit(const YAML::Node& node, const std::string& path, std::optional<ExitRule>* rule);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_DYNAMIC_KEYS_H_
