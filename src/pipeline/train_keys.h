// The keys that train stages and prune stages (for their fine-tuning) share in a recipe.
#ifndef ESPALIER_PIPELINE_TRAIN_KEYS_H_
#define ESPALIER_PIPELINE_TRAIN_KEYS_H_

#include "base/status.h"
#include "pipeline/yaml_reader.h"
#include "train/trainer.h"

namespace espalier {

// Reads `epochs: 6`, `learning_rate: {schedule: one_cycle, peak: 0.003}` and what else
// docs/recipes.md lists; leaves what is not there as it is. Errors: kInvalidArgument, naming the
// key's path, also for any key beside `epochs: 0`.
Status ReadTrainOptions(YamlMap* map, TrainOptions* options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_TRAIN_KEYS_H_
