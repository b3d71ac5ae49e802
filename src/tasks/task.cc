#include "tasks/task.h"

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
  for (const TaskInfo& task : AllTasks()) {
    if (task.name == name) return task;
    names.emplace_back(task.name);
  }
  return InvalidArgument("task '" + name + "': one of " + StrJoin(names, ", ") + " expected" +
                         DidYouMean(name, names));
}

int64_t CountCorrect(const std::vector<float>& logits, const std::vector<int32_t>& labels,
                     int64_t classes) {
  int64_t correct = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const float* row = logits.data() + static_cast<int64_t>(i) * classes;
    if (ArgMax(row, classes) == labels[i]) ++correct;
  }
  return correct;
}

int64_t ArgMax(const float* row, int64_t count) {
  int64_t best = -1;
  for (int64_t k = 0; k < count; ++k) {
    if (row[k] != row[k]) return -1;
    if (best < 0 || row[k] > row[best]) best = k;
  }
  return best;
}

}  // namespace espalier
