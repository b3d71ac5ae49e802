// Evaluation: what a network made of a data set and how well that meets its labels. The Scorer
// makes it of the network's outputs, whoever computed them.
#ifndef ESPALIER_TASKS_EVALUATION_H_
#define ESPALIER_TASKS_EVALUATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tasks/dataset.h"

namespace espalier {

struct Evaluation {
  // Mean over the labels: cross-entropy in nats, or the squared error of a regression.
  double loss = 0.0;
  double metric = 0.0;                          // the data set's
  double mean_absolute_error = 0.0;             // of a regression
  std::vector<double> class_metric;             // as Score's
  std::vector<std::vector<int64_t>> confusion;  // as Score's
  // One a label, in the data set's order; none in a regression.
  std::vector<int32_t> predictions;
  std::vector<float> margins;  // between the two best classes
  std::vector<float> outputs;  // [labels, outputs] of a regression, or if they are kept
};

class Scorer {
 public:
  // Of classes: what a row holds. Probabilities are the softmax of logits.
  enum class Form : uint8_t { kLogits, kProbabilities };
  enum class Keep : uint8_t { kPredictions, kOutputs };

  // The data set outlives the scorer.
  explicit Scorer(const Dataset& dataset, Form form = Form::kLogits,
                  Keep keep = Keep::kPredictions);

  // row: [dataset.output_size()], what the network made at a label. Each label once.
  void Add(size_t label, std::span<const float> row);
  Evaluation Finish();  // once

 private:
  const Dataset& dataset_;
  Form form_;
  Evaluation evaluation_;
};

}  // namespace espalier

#endif  // ESPALIER_TASKS_EVALUATION_H_
