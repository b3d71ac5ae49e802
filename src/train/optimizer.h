// Optimizer: Adam, SGD and averaged SGD over flat vectors, one pass over the weights a step.
#ifndef ESPALIER_TRAIN_OPTIMIZER_H_
#define ESPALIER_TRAIN_OPTIMIZER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "train/trainer.h"

namespace espalier {

// A weight whose gradient always was 0 and that is 0 stays 0: both moments stay 0 too. So a mask is
// kept by masking the gradient, once the weight and the moments were masked (Mask).
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, size_t size);

  // Scales the gradient by `gradient_scale`. Does not decay weights: see DecayWeights.
  // weights, gradient: [size].
  void Step(double rate, double gradient_scale, std::span<const float> gradient,
            std::span<float> weights);

  // ASGD: averages the weights of all steps from here on.
  void StartAveraging() { state_.averages = true; }
  bool averages() const { return state_.averages; }
  // Takes weights into their averages, once they are as the step leaves them; one that is 0 was
  // dropped and loses its average. Nothing if it does not average.
  void Accumulate(std::span<const float> weights);
  // Forgets the averages, not that it averages: the weights are now those of another network.
  void RestartAverages();
  // Replaces weights by their averages, once there are any.
  void Average(std::span<float> weights) const;

  // Multiplies the moments, or averages, by `keep` ([size], 1 or 0).
  void Mask(std::span<const float> keep);

  // For checkpoints. SGD has no second moment. Of ASGD `first` is the average of each weight, and
  // `second` the number of steps that it is of: 0 while the weight is 0.
  struct State {
    int64_t steps = 0;
    std::vector<float> first;
    std::vector<float> second;
    bool averages = false;

    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  // Precondition: the sizes of state().
  void set_state(State state) { state_ = std::move(state); }

 private:
  void AdamStep(double rate, float scale, std::span<const float> gradient,
                std::span<float> weights);
  void SgdStep(double rate, float scale, std::span<const float> gradient, std::span<float> weights);
  void AsgdStep(double rate, float scale, std::span<const float> gradient,
                std::span<float> weights);

  OptimizerOptions options_;
  State state_;
};

// Is averaging to begin after these epochs? See OptimizerOptions::average_after; false but for ASGD
// (Merity et al. 2018, arXiv:1708.02182, algorithm 1).
bool IsTimeToAverage(const OptimizerOptions& options, std::span<const TrainEpoch> epochs);

// w -= rate * decay * w.
void DecayWeights(double rate, double decay, std::span<float> weights);

// The 2-norm; not finite only if an element is not.
double Norm(std::span<const float> values);

// Multiplies the gradient by `keep` (empty: leaves it) and returns its Norm.
double MaskedNorm(std::span<const float> keep, std::span<float> gradient);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_OPTIMIZER_H_
