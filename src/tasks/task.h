// Task: a labelled data set, where it comes from, and how predictions for it are scored. tasks.inc
// lists them.
#ifndef ESPALIER_TASKS_TASK_H_
#define ESPALIER_TASKS_TASK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "tasks/dataset.h"

namespace espalier {

struct TaskData {
  Dataset train;
  Dataset valid;  // for every decision
  Dataset test;   // looked at once
};

struct TaskInfo {
  std::string name;     // in recipes and on the command line, e.g. "mnist-rows"
  std::string summary;  // one line
  std::string metric;   // what ScoreOf's metric is called: "accuracy"
  std::vector<std::string> class_names;
  ValueType input;          // of every sequence
  std::string default_dir;  // where the data are looked for, from the checkout's root
  // What load reads, by names under `dir`. Files that cannot be known because another one is
  // damaged are left out: load tells what is wrong.
  std::vector<std::string> (*files)(const std::string& dir) = nullptr;
  // Reads the data under `dir`. The validation split depends on nothing but the data. Errors: kIo,
  // kBadFormat or kUnsupported, naming the file, what was expected and how to get it.
  Result<TaskData> (*load)(const std::string& dir) = nullptr;
};

std::vector<TaskInfo> AllTasks();
// Errors: kInvalidArgument with the nearest name.
Result<TaskInfo> FindTask(const std::string& name);

// Index of the largest of `count` values, the lowest one if several are equal; -1 if one is NaN.
int64_t ArgMax(const float* row, int64_t count);

// How well predictions meet a data set's labels. The metric of every task is accuracy.
struct Score {
  double metric = 0.0;                          // share of right sequences; 0 if there are none
  std::vector<double> class_metric;             // [classes]; 0 for a class without sequences
  std::vector<std::vector<int64_t>> confusion;  // [true][predicted], counts
};
// predictions: the class of each sequence, or -1 for none (ArgMax of a NaN), which is wrong and in
// no cell of the confusion. Precondition: as many as sequences, each below the number of classes.
Score ScoreOf(const std::vector<int32_t>& predictions, const Dataset& dataset);

}  // namespace espalier

#endif  // ESPALIER_TASKS_TASK_H_
