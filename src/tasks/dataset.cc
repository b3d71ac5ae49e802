#include "tasks/dataset.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"

namespace espalier {
namespace {

std::vector<int64_t> Iota(int64_t count) {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return indices;
}

Dataset Select(const Dataset& from, std::span<const int64_t> indices) {
  Dataset to;
  to.input = from.input;
  to.classes = from.classes;
  to.target_size = from.target_size;
  to.labelled = from.labelled;
  to.metric = from.metric;
  to.offsets = {0};
  const int64_t width = from.input.features;
  for (const int64_t i : indices) {
    const int64_t begin = from.offsets[static_cast<size_t>(i)];
    const int64_t end = begin + from.length(i);
    if (from.input.element == Element::kI32) {
      to.ids.insert(to.ids.end(), from.ids.begin() + begin, from.ids.begin() + end);
    } else {
      to.features.insert(to.features.end(), from.features.begin() + begin * width,
                         from.features.begin() + end * width);
    }
    to.offsets.push_back(to.offsets.back() + from.length(i));
    const int64_t first = from.first_label(i);
    const int64_t last = from.first_label(i + 1);
    if (from.is_regression()) {
      to.targets.insert(to.targets.end(), from.targets.begin() + first * from.target_size,
                        from.targets.begin() + last * from.target_size);
    } else {
      to.labels.insert(to.labels.end(), from.labels.begin() + first, from.labels.begin() + last);
    }
  }
  return to;
}

}  // namespace

Status ValidateDataset(const Dataset& dataset) {
  const auto n = static_cast<size_t>(dataset.size());
  const bool is_regression = dataset.is_regression();
  if (dataset.output_size() < 1 || dataset.input.features < 1) {
    return InvalidArgument(StrCat("data set: at least 1 ", is_regression ? "target" : "class",
                                  " and 1 feature expected, ", dataset.output_size(), " and ",
                                  dataset.input.features, " found"));
  }
  if (dataset.offsets.empty() || dataset.offsets[0] != 0 ||
      !std::is_sorted(dataset.offsets.begin(), dataset.offsets.end())) {
    return InvalidArgument(StrCat("data set: ascending offsets from 0 expected, ",
                                  dataset.offsets.size(), " found or out of order"));
  }
  const int64_t label_count = is_regression ? 0 : dataset.label_count();
  if (static_cast<int64_t>(dataset.labels.size()) != label_count) {
    return InvalidArgument(StrCat("data set: ", label_count, " labels of ", n,
                                  " sequences expected, ", dataset.labels.size(), " found"));
  }
  const int64_t target_count = is_regression ? dataset.label_count() * dataset.target_size : 0;
  if (static_cast<int64_t>(dataset.targets.size()) != target_count) {
    return InvalidArgument(StrCat("data set: ", target_count, " numbers in targets of ", n,
                                  " sequences expected, ", dataset.targets.size(), " found"));
  }
  const bool is_ids = dataset.input.element == Element::kI32;
  const int64_t expected = dataset.offsets.back() * (is_ids ? 1 : dataset.input.features);
  const size_t found = is_ids ? dataset.ids.size() : dataset.features.size();
  if (static_cast<int64_t>(found) != expected) {
    return InvalidArgument(StrCat("data set: ", expected, " elements expected, ", found, " found"));
  }
  for (size_t i = 0; i < dataset.labels.size(); ++i) {
    if (dataset.labels[i] < 0 || dataset.labels[i] >= dataset.classes) {
      return BadFormat(StrCat("label ", i, ": 0 to ", dataset.classes - 1, " expected, ",
                              dataset.labels[i], " found"));
    }
  }
  for (size_t i = 0; i < dataset.features.size(); ++i) {
    if (!std::isfinite(dataset.features[i])) {
      return BadFormat(StrCat("feature element ", i, ": a finite number expected, ",
                              dataset.features[i], " found"));
    }
  }
  for (size_t i = 0; i < dataset.targets.size(); ++i) {
    if (!std::isfinite(dataset.targets[i])) {
      return BadFormat(StrCat("target element ", i, ": a finite number expected, ",
                              dataset.targets[i], " found"));
    }
  }
  for (size_t i = 0; i < dataset.ids.size(); ++i) {
    if (dataset.ids[i] < 0 || dataset.ids[i] >= dataset.input.features) {
      return BadFormat(StrCat("id element ", i, ": 0 to ", dataset.input.features - 1,
                              " expected, ", dataset.ids[i], " found"));
    }
  }
  return Ok();
}

void MakeBatch(const Dataset& dataset, std::span<const int64_t> indices, LabelledBatch* out) {
  const auto size = static_cast<int64_t>(indices.size());
  const bool is_ids = dataset.input.element == Element::kI32;
  const int64_t width = is_ids ? 1 : dataset.input.features;
  Batch& batch = out->batch;
  batch.size = size;
  batch.steps = 0;
  batch.lengths.clear();
  out->indices.assign(indices.begin(), indices.end());
  for (const int64_t i : indices) {
    batch.lengths.push_back(static_cast<int32_t>(dataset.length(i)));
    batch.steps = std::max(batch.steps, dataset.length(i));
  }
  batch.features.assign(is_ids ? 0 : static_cast<size_t>(batch.steps * size * width), 0.0f);
  batch.ids.assign(is_ids ? static_cast<size_t>(batch.steps * size) : 0, 0);
  const bool has_steps = dataset.labelled == Layout::kSequence;
  const int64_t rows = has_steps ? batch.steps * size : size;
  out->labels.assign(static_cast<size_t>(rows), kNoLabel);
  out->targets.assign(static_cast<size_t>(rows * dataset.target_size), 0.0f);
  out->label_count = 0;
  for (int64_t b = 0; b < size; ++b) {
    const int64_t i = indices[static_cast<size_t>(b)];
    const int64_t first = dataset.first_label(i);
    const int64_t count = dataset.first_label(i + 1) - first;
    for (int64_t t = 0; t < count; ++t) {
      const int64_t row = t * size + b;
      out->labels[static_cast<size_t>(row)] =
          dataset.is_regression() ? 0 : dataset.labels[static_cast<size_t>(first + t)];
      std::copy_n(dataset.targets.begin() + (first + t) * dataset.target_size, dataset.target_size,
                  out->targets.begin() + row * dataset.target_size);
    }
    out->label_count += count;
  }
  // Batch-major to time-major: each step of a sequence goes to row [t, b].
  const auto scatter = [&](const auto* from, auto* to, int64_t b) {
    const int64_t i = indices[static_cast<size_t>(b)];
    from += dataset.offsets[static_cast<size_t>(i)] * width;
    for (int64_t t = 0; t < dataset.length(i); ++t) {
      std::copy_n(from + t * width, width, to + (t * size + b) * width);
    }
  };
  for (int64_t b = 0; b < size; ++b) {
    if (is_ids) {
      scatter(dataset.ids.data(), batch.ids.data(), b);
    } else {
      scatter(dataset.features.data(), batch.features.data(), b);
    }
  }
}

std::vector<std::vector<int64_t>> MakeEpoch(const Dataset& dataset, const BatchOptions& options,
                                            Rng* rng) {
  std::vector<int64_t> order = Iota(dataset.size());
  if (rng != nullptr) rng->Shuffle(order);
  const int64_t window =
      rng != nullptr ? options.batch_size * options.bucket_batches : dataset.size();
  const auto shorter = [&](int64_t a, int64_t b) { return dataset.length(a) < dataset.length(b); };
  std::vector<std::vector<int64_t>> batches;
  for (int64_t first = 0; first < dataset.size(); first += window) {
    const int64_t last = std::min(first + window, dataset.size());
    std::stable_sort(order.begin() + first, order.begin() + last, shorter);
    for (int64_t begin = first; begin < last; begin += options.batch_size) {
      const int64_t end = std::min(begin + options.batch_size, last);
      batches.emplace_back(order.begin() + begin, order.begin() + end);
    }
  }
  if (rng != nullptr) rng->Shuffle(batches);
  return batches;
}

int64_t EvaluationBatch(const Dataset& dataset, int64_t most) {
  constexpr int64_t kMostOutputs = int64_t{1} << 24;
  if (dataset.labelled == Layout::kVector) return most;
  int64_t longest = 1;
  for (int64_t i = 0; i < dataset.size(); ++i) longest = std::max(longest, dataset.length(i));
  return std::clamp<int64_t>(kMostOutputs / (longest * dataset.output_size()), 1, most);
}

std::vector<std::vector<int64_t>> SampleBatches(const Dataset& dataset, int64_t count,
                                                int64_t batch_size, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  Rng rng(seed);
  rng.Shuffle(order);
  order.resize(std::min(order.size(), static_cast<size_t>(count)));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return dataset.length(a) < dataset.length(b); });
  std::vector<std::vector<int64_t>> batches;
  for (size_t first = 0; first < order.size(); first += static_cast<size_t>(batch_size)) {
    const size_t end = std::min(order.size(), first + static_cast<size_t>(batch_size));
    batches.emplace_back(order.begin() + static_cast<ptrdiff_t>(first),
                         order.begin() + static_cast<ptrdiff_t>(end));
  }
  return batches;
}

Dataset FirstOf(const Dataset& dataset, int64_t count) {
  return Select(dataset, Iota(std::min(count, dataset.size())));
}

Status SplitOff(int64_t count, Rng* rng, Dataset* dataset, Dataset* split) {
  if (count < 1 || count >= dataset->size()) {
    return InvalidArgument(StrCat("validation split: 1 to ", dataset->size() - 1,
                                  " sequences expected, ", count, " found"));
  }
  std::vector<int64_t> order = Iota(dataset->size());
  rng->Shuffle(order);
  const auto cut = order.end() - count;
  // Each part keeps the data's own order, so that it does not depend on how the shuffle works.
  std::sort(order.begin(), cut);
  std::sort(cut, order.end());
  *split = Select(*dataset, std::span<const int64_t>(cut, order.end()));
  *dataset = Select(*dataset, std::span<const int64_t>(order.begin(), cut));
  return Ok();
}

}  // namespace espalier
