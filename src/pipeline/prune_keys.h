// The keys of a prune stage in a recipe: which exclude each other, and what each of them needs.
#ifndef ESPALIER_PIPELINE_PRUNE_KEYS_H_
#define ESPALIER_PIPELINE_PRUNE_KEYS_H_

#include "base/status.h"
#include "pipeline/recipe.h"
#include "pipeline/yaml_reader.h"

namespace espalier {

// Errors: kInvalidArgument, naming the key's path; ReadSensitivity's for its file.
Status ReadPruneKeys(YamlMap* map, StageSpec* stage);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_PRUNE_KEYS_H_
