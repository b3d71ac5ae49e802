#include "tasks/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "tasks/task.h"

namespace espalier {

Scorer::Scorer(const Dataset& dataset, Form form, Keep keep) : dataset_(dataset), form_(form) {
  const auto count = static_cast<size_t>(dataset.label_count());
  if (!dataset.is_regression()) {
    evaluation_.predictions.assign(count, -1);
    evaluation_.margins.assign(count, 0.0f);
  }
  if (dataset.is_regression() || keep == Keep::kOutputs) {
    evaluation_.outputs.assign(count * static_cast<size_t>(dataset.output_size()), 0.0f);
  }
}

void Scorer::Add(size_t label, std::span<const float> row) {
  if (!evaluation_.outputs.empty()) {
    std::copy(row.begin(), row.end(),
              evaluation_.outputs.begin() + static_cast<ptrdiff_t>(label * row.size()));
  }
  const auto width = static_cast<int64_t>(row.size());
  if (dataset_.is_regression()) {
    const float* target = dataset_.targets.data() + label * row.size();
    double squares = 0.0, sizes = 0.0;
    for (size_t k = 0; k < row.size(); ++k) {
      const double error = static_cast<double>(row[k]) - static_cast<double>(target[k]);
      squares += error * error;
      sizes += std::abs(error);
    }
    evaluation_.loss += squares / static_cast<double>(width);
    evaluation_.mean_absolute_error += sizes / static_cast<double>(width);
    return;
  }
  const int32_t truth = dataset_.labels[label];
  if (form_ == Form::kLogits) {
    evaluation_.loss += CrossEntropy(row.data(), width, truth);
  } else {
    const float least = std::numeric_limits<float>::min();
    evaluation_.loss -=
        std::log(static_cast<double>(std::max(row[static_cast<size_t>(truth)], least)));
  }
  evaluation_.predictions[label] = static_cast<int32_t>(ArgMax(row.data(), width));
  evaluation_.margins[label] = Margin(row.data(), width);
}

Evaluation Scorer::Finish() {
  const auto count = static_cast<double>(std::max<int64_t>(1, dataset_.label_count()));
  evaluation_.loss /= count;
  evaluation_.mean_absolute_error /= count;
  Score score = ScoreOf(evaluation_.predictions, evaluation_.margins, evaluation_.loss, dataset_);
  evaluation_.metric = score.metric;
  evaluation_.class_metric = std::move(score.class_metric);
  evaluation_.confusion = std::move(score.confusion);
  return std::move(evaluation_);
}

}  // namespace espalier
