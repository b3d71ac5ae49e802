// Regularization: the regularizers of a training (prune/regularizer.h) with what they learn, over
// the flat vectors of Autograd. Internal to this room.
#ifndef ESPALIER_TRAIN_REGULARIZATION_H_
#define ESPALIER_TRAIN_REGULARIZATION_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"
#include "prune/regularizer.h"
#include "train/autograd.h"
#include "train/optimizer.h"
#include "train/trainer.h"

namespace espalier {

class Regularization {
 public:
  // All that is not a function of the job; for checkpoints. One entry a regularizer.
  struct State {
    std::vector<std::vector<float>> parameters;
    std::vector<Optimizer::State> optimizers;  // of the parameters
    Rng rng{0};
  };

  // None.
  Regularization() = default;
  // `graph`: with the weights that training begins with. `slices`: where they lie in the flat
  // vectors. Errors: ValidateRegularizer's and PiecesFor's.
  static Result<Regularization> Create(const Graph& graph, std::span<const WeightSlice> slices,
                                       const TrainJob& job, const TrainOptions& options);

  bool empty() const { return parts_.empty(); }
  // Of whole epochs of the training, in steps: the strengths' warm-up is in epochs.
  void set_steps_per_epoch(int64_t steps) { steps_per_epoch_ = static_cast<double>(steps); }

  // Makes the weights of one draw of step `step`, by each regularizer after the one before it.
  void Sample(int64_t step, std::span<float> weights);
  // Before the first draw of a step.
  void StartStep();
  // Turns the gradient of the weights that Sample made into that of those that it was given, with
  // the penalties', and adds `share` of it to that of the parameters. Precondition: Sample was
  // called for this draw; shares of a step's draws add up to 1.
  void Pull(int64_t step, double share, std::span<float> gradient);
  // After the weights' own step, which was taken with `rate`: that of the parameters, and
  // projections.
  void Step(int64_t step, double rate, std::span<float> weights);
  // Of all that was learned beside the weights; not finite only if a parameter is not.
  double ParameterNorm() const;
  // Makes the weights of the network that was learned so far.
  void Fold(std::span<float> weights) const;

  State state() const;
  // False if it does not fit.
  bool Restore(State state);

 private:
  struct Part {
    const Regularizer* kind = nullptr;
    RegularizerSpec spec;
    Pieces pieces;
    std::vector<double> spreads;
    Optimizer optimizer;
    // Of the running step:
    std::vector<float> before;
    std::vector<float> noise;
    std::vector<float> gradient;  // of the parameters, over the draws so far
  };
  RegularizerContext ContextOf(const Part& part, int64_t step) const;

  std::vector<Part> parts_;
  State state_;
  double sequences_ = 1.0;
  double steps_per_epoch_ = 1.0;
};

}  // namespace espalier

#endif  // ESPALIER_TRAIN_REGULARIZATION_H_
