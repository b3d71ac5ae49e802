// The keys that train stages and prune stages (for their fine-tuning) share in a recipe.
#ifndef ESPALIER_PIPELINE_TRAIN_KEYS_H_
#define ESPALIER_PIPELINE_TRAIN_KEYS_H_

#include <cstdint>

#include "base/status.h"
#include "pipeline/yaml_reader.h"
#include "train/trainer.h"

namespace espalier {

// All keys that ReadTrainOptions reads.
inline constexpr const char* kTrainKeys[] = {
    "epochs",       "batch_size",      "optimizer",     "beta1",          "beta2",
    "epsilon",      "momentum",        "nesterov",      "average_after",  "weight_decay",
    "clip_norm",    "label_smoothing", "random_prefix", "update_penalty", "delta_penalty",
    "send_penalty", "dropout",         "noise_draws",   "weight_type",    "patience",
    "learning_rate"};

// Reads `epochs: 6`, `learning_rate: {schedule: one_cycle, peak: 0.003}` and what else
// docs/recipes.md lists; leaves what is not there as it is. Errors: kInvalidArgument, naming the
// key's path, also for fewer epochs than `fewest_epochs`.
Status ReadTrainOptions(YamlMap* map, int64_t fewest_epochs, TrainOptions* options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_TRAIN_KEYS_H_
