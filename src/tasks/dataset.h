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
#include "tasks/metric.h"

namespace espalier {

// N sequences, back to back. Sequence i is steps [offsets[i], offsets[i + 1]). A label is a class,
// or in a regression, which the metric tells, a target of target_size numbers.
struct Dataset {
  ValueType input;          // what a graph for it must read
  int64_t classes = 0;      // labels are in [0, classes); 0 in a regression
  int64_t target_size = 0;  // 0 but in a regression
  // What a label belongs to: a whole sequence (kVector) or each of its steps (kSequence).
  Layout labelled = Layout::kVector;
  Metric metric = kAccuracy;     // by which predictions of the labels are scored
  std::vector<int64_t> offsets;  // [N + 1], starts with 0, in steps
  std::vector<float> features;   // [total steps, F] for f32 inputs
  std::vector<int32_t> ids;      // [total steps] for i32 inputs
  std::vector<int32_t> labels;   // [N], or [total steps]; none in a regression
  std::vector<float> targets;    // [N or total steps, target_size] of a regression

  bool is_regression() const { return metric.is_regression; }
  int64_t size() const { return static_cast<int64_t>(offsets.empty() ? 0 : offsets.size() - 1); }
  int64_t length(int64_t i) const {
    return offsets[static_cast<size_t>(i) + 1] - offsets[static_cast<size_t>(i)];
  }
  // Sequence i has the labels [first_label(i), first_label(i + 1)).
  int64_t first_label(int64_t i) const {
    return labelled == Layout::kVector ? i : offsets[static_cast<size_t>(i)];
  }
  // Labels, or targets.
  int64_t label_count() const { return offsets.empty() ? 0 : first_label(size()); }
  // What a graph for it must make.
  int64_t output_size() const { return is_regression() ? target_size : classes; }
  ValueType output() const { return {Element::kF32, labelled, output_size()}; }
};

// Checks offsets, sizes, labels in range, finite features and targets. Errors: kInvalidArgument or
// kBadFormat.
Status ValidateDataset(const Dataset& dataset);

// The label of a step past its sequence's length.
inline constexpr int32_t kNoLabel = -1;

// The sequences of `indices`, padded to the longest of them with 0, labels of steps with kNoLabel.
struct LabelledBatch {
  Batch batch;
  std::vector<int32_t> labels;   // [B], or [T, B]; in a regression 0 where there is a target
  std::vector<float> targets;    // [B or T * B, target_size], 0 where there is none
  int64_t label_count = 0;       // without kNoLabel
  std::vector<int64_t> indices;  // [B], into the dataset
};
void MakeBatch(const Dataset& dataset, std::span<const int64_t> indices, LabelledBatch* out);

// Calls fn(row, label) for each label of a batch of the data set: the row of [B] or [T * B] rows
// that is its prediction, and its index in dataset.labels (or row of dataset.targets).
template <typename Fn>
void ForEachLabel(const Dataset& dataset, const LabelledBatch& batch, const Fn& fn) {
  const size_t size = batch.indices.size();
  for (size_t b = 0; b < size; ++b) {
    const auto first = static_cast<size_t>(dataset.first_label(batch.indices[b]));
    const auto end = static_cast<size_t>(dataset.first_label(batch.indices[b] + 1));
    for (size_t t = 0; first + t < end; ++t) fn(t * size + b, first + t);
  }
}

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

// The largest batch, of at most `most` sequences, whose outputs are at most 64 MB; at least 1.
int64_t EvaluationBatch(const Dataset& dataset, int64_t most);

// `count` sequences drawn without replacement (all, if there are fewer), shortest first, in
// batches.
std::vector<std::vector<int64_t>> SampleBatches(const Dataset& dataset, int64_t count,
                                                int64_t batch_size, uint64_t seed);

// The first `count` sequences; all, if there are fewer.
Dataset FirstOf(const Dataset& dataset, int64_t count);

// Splits off the last `count` sequences of a shuffle by `rng` (validation from training data).
Status SplitOff(int64_t count, Rng* rng, Dataset* dataset, Dataset* split);

}  // namespace espalier

#endif  // ESPALIER_TASKS_DATASET_H_
