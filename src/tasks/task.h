// Task: a labelled data set, where it comes from, and how predictions for it are scored. tasks.inc
// lists them.
#ifndef ESPALIER_TASKS_TASK_H_
#define ESPALIER_TASKS_TASK_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "tasks/dataset.h"

namespace espalier {

struct TaskData {
  Dataset train;
  Dataset valid;                         // for every decision
  Dataset test;                          // looked at once
  std::vector<std::string> class_names;  // [classes]; none in a regression
};

struct TaskInfo {
  // In recipes and on the command line, e.g. "mnist-rows"; with its options, if it was given any,
  // e.g. "forecast:48:column=OT".
  std::string name;
  std::string summary;  // one line
  Metric metric;        // of its data sets
  // Of its data sets, as far as that is known without data. A vocabulary is then as large as it may
  // be; what was loaded says what it is.
  ValueType input;
  ValueType output;
  std::string default_dir;  // where the data are looked for, from the checkout's root
  // What load reads, by names under `dir`. Files that cannot be known because another one is
  // damaged are left out: load tells what is wrong.
  std::function<std::vector<std::string>(const std::string& dir)> files;
  // Reads the data under `dir`. The validation split depends on nothing but the data. Errors: kIo,
  // kBadFormat or kUnsupported, naming the file, what was expected and how to get it.
  std::function<Result<TaskData>(const std::string& dir)> load;
  // The same task by other options: a name with what follows its first colon. nullptr: it has none.
  // Errors: kInvalidArgument, naming the option and what was expected.
  Result<TaskInfo> (*with_options)(const std::string& name) = nullptr;
};

std::vector<TaskInfo> AllTasks();
// By a name, with options after a colon where the task has some. Errors: kInvalidArgument with the
// nearest name; with_options'.
Result<TaskInfo> FindTask(const std::string& name);

// Index of the largest of `count` values, the lowest one if several are equal; -1 if one is NaN.
int64_t ArgMax(const float* row, int64_t count);

// The largest of `count` values minus the second largest; infinity if there is no second, NaN
// if one is.
float Margin(const float* row, int64_t count);

// -log of the softmax of `count` logits at `label`, in nats.
double CrossEntropy(const float* logits, int64_t count, int32_t label);

// How well predictions meet a data set's labels, by its metric. By class only where that is
// accuracy: a vocabulary has too many.
struct Score {
  double metric = 0.0;                          // accuracy: 0 if there are no labels
  std::vector<double> class_metric;             // [classes]; 0 for a class without labels
  std::vector<std::vector<int64_t>> confusion;  // [true][predicted], counts
};
// predictions: the class at each label, or -1 for none (ArgMax of a NaN), which is wrong and in
// no cell of the confusion; margins: by how much it is ahead of the second (Margin); `loss`: the
// mean over the labels of the cross-entropy, or of a regression's squared error. Precondition: as
// many predictions and margins as labels of classes, each prediction below the number of these.
Score ScoreOf(const std::vector<int32_t>& predictions, const std::vector<float>& margins,
              double loss, const Dataset& dataset);

}  // namespace espalier

#endif  // ESPALIER_TASKS_TASK_H_
