// Dataset: labelled sequences in memory, and the batches made of them.
#ifndef ESPALIER_TASKS_DATASET_H_
#define ESPALIER_TASKS_DATASET_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/reference.h"

namespace espalier {

// N sequences, back to back. Sequence i is steps [offsets[i], offsets[i + 1]).
struct Dataset {
  ValueType input;               // what a graph for it must read
  int64_t classes = 0;           // labels are in [0, classes)
  std::vector<int64_t> offsets;  // [N + 1], starts with 0, in steps
  std::vector<float> features;   // [total steps, F] for f32 inputs
  std::vector<int32_t> ids;      // [total steps] for i32 inputs
  std::vector<int32_t> labels;   // [N]

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
  int64_t length(int64_t i) const {
    return offsets[static_cast<size_t>(i) + 1] - offsets[static_cast<size_t>(i)];
  }
};

// Checks offsets, sizes, labels in range, finite features. Errors: kInvalidArgument or kBadFormat.
Status ValidateDataset(const Dataset& dataset);

// The sequences of `indices`, padded to the longest of them with 0.
struct LabelledBatch {
  Batch batch;
  std::vector<int32_t> labels;   // [B]
  std::vector<int64_t> indices;  // [B], into the dataset
};
void MakeBatch(const Dataset& dataset, std::span<const int64_t> indices, LabelledBatch* out);

// Batches of like length: sequences are shuffled, then sorted by length inside windows of
// `bucket_batches` batches, cut, and the batches are shuffled again, so that little is padded and
// the order still is random. Every sequence comes exactly once an epoch.
struct BatchOptions {
  int64_t batch_size = 128;
  int64_t bucket_batches = 50;
};
// rng == nullptr: no shuffling; sequences in order of length, stable (evaluation).
std::vector<std::vector<int64_t>> MakeEpoch(const Dataset& dataset, const BatchOptions& options,
                                            Rng* rng);

// `count` sequences drawn without replacement (all, if there are fewer), shortest first, in
// batches.
std::vector<std::vector<int64_t>> SampleBatches(const Dataset& dataset, int64_t count,
                                                int64_t batch_size, uint64_t seed);

// Splits off the last `count` sequences of a shuffle by `rng` (validation from training data).
Status SplitOff(int64_t count, Rng* rng, Dataset* dataset, Dataset* split);

}  // namespace espalier

#endif  // ESPALIER_TASKS_DATASET_H_
