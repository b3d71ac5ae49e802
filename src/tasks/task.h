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
  const char* name;     // in recipes and on the command line, e.g. "mnist-rows"
  const char* summary;  // one line
  const char* metric;   // "accuracy": share of sequences whose largest logit is the label's
  std::vector<std::string> (*class_names)();
  // Reads the data under `dir` ("" = where the set-up script put it). The validation split depends
  // on nothing but the data. Errors: kIo or kBadFormat naming the file, and how to get it.
  Result<TaskData> (*load)(const std::string& dir);
};

const std::vector<TaskInfo>& AllTasks();
// Errors: kInvalidArgument with the nearest name.
Result<const TaskInfo*> FindTask(const std::string& name);

// Number of rows of `logits` [B, classes] whose largest element is the label's; ties count for the
// lowest index, NaN never counts.
int64_t CountCorrect(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                     int64_t classes);

}  // namespace espalier

#endif  // ESPALIER_TASKS_TASK_H_
