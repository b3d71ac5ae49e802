// Task: a data set, its metric and where the data comes from. tasks.inc lists them.
#ifndef ESPALIER_TASKS_TASK_H_
#define ESPALIER_TASKS_TASK_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "tasks/dataset.h"

namespace espalier {

struct TaskData {
  Dataset train;
  Dataset valid;  // split off `train`, for every decision
  Dataset test;   // looked at once
};

struct TaskInfo {
  std::string name;     // in recipes and on the command line, e.g. "mnist-rows"
  std::string summary;  // one line
  std::string metric;   // "accuracy": share of sequences whose largest logit is the label's
  std::vector<std::string> class_names;
  // Reads the data under `dir`. The validation split depends on nothing but the data. Errors: kIo
  // or kBadFormat, naming the file, what was expected and how to get it.
  Result<TaskData> (*load)(const std::string& dir) = nullptr;
};

std::vector<TaskInfo> AllTasks();
// Errors: kInvalidArgument with the nearest name.
Result<TaskInfo> FindTask(const std::string& name);

// Index of the largest of `count` values, the lowest one if several are equal; -1 if one is NaN.
int64_t ArgMax(const float* row, int64_t count);

// Number of rows of `logits` [B, classes] whose ArgMax is the label.
int64_t CountCorrect(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                     int64_t classes);

}  // namespace espalier

#endif  // ESPALIER_TASKS_TASK_H_
