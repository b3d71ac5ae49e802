#include "tasks/task.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/strings.h"

namespace espalier {

#define ESPALIER_TASK(name, Name) TaskInfo Name##Task();
#include "tasks/tasks.inc"
#undef ESPALIER_TASK

std::vector<TaskInfo> AllTasks() {
  return {
#define ESPALIER_TASK(name, Name) Name##Task(),
#include "tasks/tasks.inc"
#undef ESPALIER_TASK
  };
}

Result<TaskInfo> FindTask(const std::string& name) {
  std::vector<std::string> names;
  const std::string base = name.substr(0, name.find(':'));
  for (const TaskInfo& task : AllTasks()) {
    if (task.name == name) return task;
    if (task.name == base && task.with_options != nullptr) return task.with_options(name);
    names.emplace_back(task.name);
  }
  return InvalidArgument("task '" + name + "': one of " + StrJoin(names, ", ") + " expected" +
                         DidYouMean(name, names));
}

int64_t ArgMax(const float* row, int64_t count) {
  int64_t best = -1;
  for (int64_t k = 0; k < count; ++k) {
    if (row[k] != row[k]) return -1;
    if (best < 0 || row[k] > row[best]) best = k;
  }
  return best;
}

float Margin(const float* row, int64_t count) {
  float best = -std::numeric_limits<float>::infinity();
  float second = best;
  for (int64_t k = 0; k < count; ++k) {
    if (row[k] != row[k]) return row[k];
    if (row[k] > best) {
      second = std::exchange(best, row[k]);
    } else if (row[k] > second) {
      second = row[k];
    }
  }
  return best - second;
}

double CrossEntropy(const float* logits, int64_t count, int32_t label) {
  const double peak = *std::max_element(logits, logits + count);
  double sum = 0.0;
  for (int64_t k = 0; k < count; ++k) sum += std::exp(static_cast<double>(logits[k]) - peak);
  return std::log(sum) + peak - static_cast<double>(logits[label]);
}

Score ScoreOf(const std::vector<int32_t>& predictions, double loss, const Dataset& dataset) {
  if (dataset.metric == kPerplexity) return {std::exp(loss), {}, {}};
  if (dataset.metric == kMeanSquaredError) return {loss, {}, {}};
  const auto classes = static_cast<size_t>(dataset.classes);
  const auto share = [](int64_t part, int64_t all) {
    return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
  };
  Score score;
  score.confusion.assign(classes, std::vector<int64_t>(classes, 0));
  std::vector<int64_t> totals(classes, 0);
  int64_t right = 0;
  for (size_t i = 0; i < dataset.labels.size(); ++i) {
    const auto label = static_cast<size_t>(dataset.labels[i]);
    ++totals[label];
    if (predictions[i] < 0) continue;
    ++score.confusion[label][static_cast<size_t>(predictions[i])];
    if (predictions[i] == dataset.labels[i]) ++right;
  }
  for (size_t k = 0; k < classes; ++k) {
    score.class_metric.push_back(share(score.confusion[k][k], totals[k]));
  }
  score.metric = share(right, static_cast<int64_t>(dataset.labels.size()));
  return score;
}

}  // namespace espalier
