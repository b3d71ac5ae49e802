// A training checkpoint: everything that the next step depends on, in one file.
//   magic "ESPTRAIN" | u32 version (4) | u32 CRC-32C of the payload | u64 payload bytes | payload
// payload (texts: u32 length and bytes; vectors: u64 count and elements; little-endian):
//   u32 entries of the identity { text key, text value }
//   | graph (model/serialize.h) | i64 optimiser steps | f32 first moment[] | f32 second moment[]
//   | u32 does it average
//   | masks | i64 pruner's last step (-2: no pruner) | pruner's masks
//   | u32 regularizers { f32 parameters[] | as the optimiser's: i64, f32[], f32[], u32 } | u64
//   rng[4] | f32 movement[] | f32 momentum[] (both empty unless the pruner needs them) | i64 step |
//   i64 epoch | i64 batches done in the epoch | u64 order rng[4] | u64 dropout rng[4] | f64 loss
//   sum | i64 labels | f64 seconds of the epoch | u32 epochs { as TrainEpoch } | i64 best epoch
//   | f64 best metric | best graph, if there is a best epoch
// masks: u32 count { text name, u32 rank, i64 dims[rank], u8 keep[] }
#ifndef ESPALIER_TRAIN_CHECKPOINT_H_
#define ESPALIER_TRAIN_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "train/optimizer.h"
#include "train/regularization.h"
#include "train/trainer.h"

namespace espalier {

// What a checkpoint belongs to, as (name, value) texts: graph, data, options. Two trainings with
// the same identity take the same steps.
using TrainIdentity = std::vector<std::pair<std::string, std::string>>;

inline constexpr int64_t kNoPruner = -2;

struct TrainState {
  Graph graph;  // with the present weights
  Optimizer::State optimizer;
  MaskSet masks;  // in force
  int64_t pruner_last_step = kNoPruner;
  MaskSet pruner_masks;
  Regularization::State regularization;
  std::vector<float> movement;  // statistics of the pruner (criterion.h), flat; empty if not needed
  std::vector<float> momentum;

  int64_t step = 0;           // optimiser steps done
  int64_t epoch = 0;          // finished epochs
  int64_t epoch_batches = 0;  // done in the running epoch
  Rng order{0};               // as it was when the running epoch began
  Rng dropout{0};             // and random prefixes
  double loss_sum = 0.0;      // over the running epoch's labels
  int64_t labels = 0;         // of the running epoch
  double epoch_seconds = 0.0;

  std::vector<TrainEpoch> epochs;
  int64_t best_epoch = 0;  // 0: none yet
  double best_metric = 0.0;
  Graph best;  // the network of that epoch
};

// Is `graph` a valid network that `start` can have become: the same but for weights and, with
// learns_thresholds, thresholds of delta?
bool IsTrainingOf(const Graph& start, const Graph& graph, bool learns_thresholds);

// Can `state` be a later one of the training that begins with `start`? Masks are not looked at.
bool IsLater(const TrainState& start, const TrainState& state, const TrainOptions& options,
             int64_t steps_per_epoch);

// Errors: kIo.
Status SaveCheckpoint(const std::string& path, const TrainIdentity& identity,
                      const TrainState& state);
// Errors: kIo; kBadFormat, naming the field; kInvalidArgument if the checkpoint has another
// identity, naming the first entry that differs and both values.
Result<TrainState> LoadCheckpoint(const std::string& path, const TrainIdentity& identity);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_CHECKPOINT_H_
