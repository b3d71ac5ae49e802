// Autograd: a graph's weights in one flat vector, and the loss of a batch with its gradient. What
// the trainer sees of libtorch; no torch type in it.
#ifndef ESPALIER_TRAIN_AUTOGRAD_H_
#define ESPALIER_TRAIN_AUTOGRAD_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "tasks/dataset.h"

namespace espalier {

// Where one weight lies in the flat vectors: elements [offset, offset + size).
struct WeightSlice {
  std::string name;
  std::vector<int64_t> shape;
  size_t offset = 0;
  size_t size = 0;
};

// By value name: which features, in order.
using FeatureChoice = std::map<std::string, std::vector<int64_t>>;

// What a teacher says of a batch.
struct Teaching {
  std::vector<float> logits;                         // as Autograd::output; a regression's outputs
  std::map<std::string, std::vector<float>> hidden;  // [T, B, chosen features], by value name
};

struct LossOptions {
  double label_smoothing = 0.0;
  std::optional<double> dropout{};  // see TrainOptions
  // Logits of a teacher, or empty; see Distillation in trainer.h.
  std::span<const float> teacher_logits;
  double teacher_weight = 0.0;
  double temperature = 1.0;
  // Adds hidden_weight times the mean over values of the mean over valid steps and features of
  // (h_S - h_T)^2 (hints: Romero et al. 2015, arXiv:1412.6550, without a regressor: the
  // teacher's features are chosen, not mapped). nullptr: nothing.
  const Teaching* hidden = nullptr;
  double hidden_weight = 0.0;
  // See TrainOptions. All are left out of the loss that is returned.
  double update_penalty = 0.0;
  double delta_penalty = 0.0;
  double send_penalty = 0.0;
};

class Autograd {
 public:
  // Copies the weights. Errors: kInvalidArgument if the graph is not valid or its first output is
  // not f32; kUnsupported if it has other than one input.
  // With learns_thresholds those of nodes with delta are weights, too: a slice of [2] for each
  // node, under ThresholdsName, after those of graph.weights.
  static Result<std::unique_ptr<Autograd>> Create(const Graph& graph,
                                                  bool learns_thresholds = false);
  ~Autograd();

  // The logits: [B, classes] or [T, B, classes]; of a regression its numbers in their place.
  ValueType output() const;
  // In the order of graph.weights. Between slices the flat vectors hold padding, which stays 0.
  const std::vector<WeightSlice>& slices() const;
  std::span<float> weights();
  std::span<float> gradient();
  // The graph with the present weights and thresholds.
  Graph ToGraph() const;
  // A factor for each of weights(), 1 = keep and 0 = gone, 1 where no mask is; empty without masks.
  std::vector<float> FlatKeep(const MaskSet& masks) const;
  void SetWeights(const TensorStore& weights);  // precondition: the graph's names and shapes
  void SetThresholds(const Graph& graph);       // those that are learned; precondition: its nodes

  // Returns the mean loss over the labels of a batch and leaves its gradient in gradient(). Dropout
  // masks are drawn from `dropout`. Precondition: the batch fits the graph. Errors: kOutOfMemory;
  // kInternal with libtorch's message.
  Result<double> LossAndGradient(const LabelledBatch& batch, const LossOptions& loss, Rng* dropout);

  // Logits, and the chosen features of these values, dropout off.
  Status Teach(const Batch& batch, const FeatureChoice& hidden, Teaching* teaching);

  // Writes what output() says, dropout off. If a Softmax makes the output, this is what it reads.
  Status Logits(const Batch& batch, std::vector<float>* logits);

 private:
  struct Impl;
  explicit Autograd(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Sets libtorch's threads inside one operation, for the whole process. Two threads pay only when
// nothing else runs: they spin while they wait for each other.
void SetTorchThreads(int threads);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_AUTOGRAD_H_
