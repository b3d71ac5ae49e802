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

namespace {

// By ranks (Hanley and McNeil 1982): the share of pairs of one sequence of either class in which
// the second class' is ahead, a tie being half a pair. A row without a prediction is behind in all
// of its pairs. 0.5 without any pair.
double AreaUnderRoc(const std::vector<int32_t>& predictions, const std::vector<float>& margins,
                    const std::vector<int32_t>& labels) {
  std::vector<std::pair<float, int32_t>> ranked;  // the lead of class 1, the label
  ranked.reserve(labels.size());
  constexpr float kBehind = std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < labels.size(); ++i) {
    const float lead = predictions[i] < 0 ? (labels[i] == 1 ? -kBehind : kBehind)
                                          : (predictions[i] == 1 ? margins[i] : -margins[i]);
    ranked.emplace_back(lead, labels[i]);
  }
  std::sort(ranked.begin(), ranked.end());
  double below = 0.0, pairs_won = 0.0, positives = 0.0;  // of class 0, so far
  for (size_t i = 0; i < ranked.size();) {
    double ties = 0.0, hits = 0.0;
    size_t end = i;
    for (; end < ranked.size() && ranked[end].first == ranked[i].first; ++end) {
      (ranked[end].second == 1 ? hits : ties) += 1.0;
    }
    pairs_won += hits * (below + 0.5 * ties);
    below += ties;
    positives += hits;
    i = end;
  }
  const double pairs = below * positives;
  return pairs == 0.0 ? 0.5 : pairs_won / pairs;
}

}  // namespace

Score ScoreOf(const std::vector<int32_t>& predictions, const std::vector<float>& margins,
              double loss, const Dataset& dataset) {
  if (dataset.metric == kPerplexity) return {std::exp(loss), {}, {}};
  if (dataset.metric == kMeanSquaredError) return {loss, {}, {}};
  if (dataset.metric == kAuroc) {
    return {AreaUnderRoc(predictions, margins, dataset.labels), {}, {}};
  }
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
