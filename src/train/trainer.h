// Trainer: fits the weights of a Graph to labelled sequences with libtorch, under masks if asked.
//
//   TrainJob job;
//   job.graph = graph;  job.train = &data.train;  job.valid = &data.valid;
//   TrainOptions options;
//   options.epochs = 6;
//   options.learning_rate = {.schedule = LrSchedule::kOneCycle, .peak = 3e-3};
//   ESPALIER_ASSIGN_OR_RETURN(TrainResult result, Train(job, options, TrainHooks()));
#ifndef ESPALIER_TRAIN_TRAINER_H_
#define ESPALIER_TRAIN_TRAINER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/weight_type.h"
#include "model/graph.h"
#include "model/tensor.h"
#include "prune/pruner.h"
#include "prune/regularizer.h"
#include "tasks/dataset.h"
#include "tasks/evaluation.h"

namespace espalier {

// Sequences of the training split that criteria and reconstruction look at, dropout off.
struct CalibrationOptions {
  int64_t sequences = 256;  // drawn without replacement; all, if there are fewer
  int64_t batch_size = 64;
  uint64_t seed = 1;
};

// What makes up for weights that went (statistics.h).
enum class Reconstruction : uint8_t {
  kNone,
  kWeights,  // weights that stay, and biases: least squares
  kBias,     // biases alone, by means
};

// "false", "true", "bias", as in a recipe. Errors: kInvalidArgument.
const char* ReconstructionName(Reconstruction reconstruction);
Result<Reconstruction> ParseReconstruction(const std::string& name);

enum class OptimizerKind : uint8_t {
  kAdam = 0,  // Kingma and Ba 2015, arXiv:1412.6980
  kSgd = 1,   // with momentum as PyTorch's: v = momentum v + g, w -= rate v
  // SGD without momentum, whose result and validation are of averaged weights once validation no
  // longer gets better (NT-ASGD: Merity et al. 2018, arXiv:1708.02182). A weight that is dropped
  // loses its average, and one that comes back starts a new one (SNT-ASGD: Liu et al. 2021,
  // arXiv:2101.09048).
  kAsgd = 2,
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdam;
  double beta1 = 0.9;     // Adam
  double beta2 = 0.999;   // Adam
  double epsilon = 1e-8;  // Adam
  double momentum = 0.9;  // SGD
  bool nesterov = false;  // SGD: w -= rate (g + momentum v)
  // ASGD: averages from the end of the first epoch whose validation loss is above the least of
  // those that lie more than so many epochs back.
  int64_t average_after = 5;
  // Decoupled from the gradient (Loshchilov and Hutter 2019, arXiv:1711.05101): w -= rate * decay *
  // w for matrices, not for biases.
  double weight_decay = 0.0;
};

enum class LrSchedule : uint8_t {
  kConstant = 0,
  kStep = 1,      // peak * factor^(epoch / every_epochs)
  kCosine = 2,    // from peak to peak / final_div over the whole training
  kOneCycle = 3,  // cosine up from peak / initial_div over the warm-up, then cosine down to
                  // peak / final_div (Smith and Topin 2017, arXiv:1708.07120)
};

struct LearningRate {
  LrSchedule schedule = LrSchedule::kConstant;
  double peak = 1e-3;
  double factor = 0.1;        // kStep
  int64_t every_epochs = 10;  // kStep
  double warmup = 0.3;        // kOneCycle: share of all steps, in [0, 1)
  double initial_div = 25.0;  // kOneCycle
  double final_div = 1e4;     // kCosine, kOneCycle
};

// The rate of optimiser step `step` (0-based) of `steps`, with `steps_per_epoch` steps an epoch.
double LearningRateAt(const LearningRate& rate, int64_t step, int64_t steps,
                      int64_t steps_per_epoch);

// Names as recipes and the command line have them: "adam", "sgd", "asgd"; "constant", "step",
// "cosine", "one_cycle". Errors: kInvalidArgument with the nearest name.
const char* OptimizerName(OptimizerKind kind);
Result<OptimizerKind> ParseOptimizer(const std::string& name);
const char* LrScheduleName(LrSchedule schedule);
Result<LrSchedule> ParseLrSchedule(const std::string& name);

struct TrainOptions {
  int64_t epochs = 6;
  int64_t batch_size = 128;
  OptimizerOptions optimizer;
  LearningRate learning_rate;
  double clip_norm = 0.0;  // largest 2-norm of the whole gradient; 0: not clipped
  // Trains for matrices of this type: loss and gradient are those of the rounded ones
  // (RoundMatrix), the step goes to the exact ones, so that small steps add up (straight-through:
  // Bengio et al. 2013, arXiv:1308.3432; Courbariaux et al. 2015, arXiv:1511.00363). Validation and
  // result are of rounded ones. Biases stay f32, and x is not rounded.
  WeightType weight_type = WeightType::kF32;
  // Added to the loss: so much times the mean share of steps that are updates, and in these of the
  // banks that run, over the directions that skip or have banks without a `top` (Campos et al.
  // 2018, arXiv:1708.06834, eq. 11, there the sum of updates), at least 0.
  double update_penalty = 0.0;
  // Added to the loss: so much times the mean |h[t] - h[t-1]| over valid steps, features and nodes
  // with delta (Neil et al. 2017, arXiv:1612.05571, section 3.4), at least 0.
  double delta_penalty = 0.0;
  // If above 0, the thresholds of nodes with delta are learned like weights, from theirs on, and to
  // the loss is added so much times the mean share of the features of x and h that are sent, over
  // valid steps and directions with delta (Send in torch_recurrent.cc has the gradient).
  double send_penalty = 0.0;
  // While this training runs, the rate of all Dropout nodes, in [0, 1), in the place of their own,
  // which the graph keeps: a network of which units went needs less (Wen et al. 2018,
  // arXiv:1709.05027, table 1). Not for a graph without such a node.
  std::optional<double> dropout{};
  // So many times a batch is the noise of the regularizers drawn, each time for an equal share of
  // its sequences (one more or less), which then are a batch of their own as far as speed goes. 1
  // to batch_size, which is once a sequence (Louizos et al. 2018, arXiv:1712.01312; Lobacheva et
  // al. 2017, arXiv:1708.00077).
  int64_t noise_draws = 1;
  // The share of an epoch's sequences, drawn anew for each, that are cut to their first steps: to
  // any length from a quarter of theirs on (train/random_prefix.h), so that the network's answer
  // before the end of a sequence means what it says. In [0, 1]; for data sets with a label a
  // sequence only.
  double random_prefix = 0.0;
  double label_smoothing = 0.0;  // share of a label spread over all classes, in [0, 1)
  uint64_t seed = 1;             // order of the batches, dropout, prefixes
  int threads = 1;               // same bits on resume are promised for 1
  // Stops after this many epochs without a better validation metric and returns the best epoch's
  // network; 0: never, returns the last ones. Epochs before the masks took their last form do not
  // count: they are of another sparsity.
  int64_t patience = 0;

  // "": no checkpoints. Else the whole state of the training is written there, atomically, at the
  // end of every epoch, after a cancellation and, if > 0, every checkpoint_steps steps.
  std::string checkpoint_path;
  int64_t checkpoint_steps = 0;
  // Goes on from checkpoint_path if that file is there: the result has the same bits as if there
  // had been no stop. A checkpoint of another graph, data set size or options is refused.
  bool resume = false;
};

// The ranges above; Train checks them first. Errors: kInvalidArgument, naming the field.
Status ValidateOptions(const TrainOptions& options);

// Loss = (1 - weight) cross-entropy + weight T^2 KL(teacher || student), both softened by T
// (Hinton et al. 2015, arXiv:1503.02531), or in a regression (1 - weight) mean (y - target)^2 +
// weight mean (y - teacher)^2, without a T; + hidden_weight mean (h_S - P h_T)^2 over the outputs
// of recurrent layers (Romero et al. 2015, arXiv:1412.6550), where P takes the units that the
// student has kept.
// A softer distribution is uniform, and the square of a larger one overflows.
inline constexpr double kMostTemperature = 1000.0;

struct Distillation {
  const Graph* teacher = nullptr;  // same input and outputs as the student; outlives Train
  double weight = 0.5;
  double temperature = 2.0;
  double hidden_weight = 0.0;
  // P: which of the teacher's units each of the student's are, by UnitLayer::name(). A layer that
  // is not named has all of them.
  std::map<std::string, std::vector<int64_t>> kept_units{};
};

// What only classes have is refused in a regression: label_smoothing, a temperature other than the
// default. Train checks it, too; here for who plans trainings. Errors: kInvalidArgument, naming the
// field.
Status ValidateForMetric(const Metric& metric, const TrainOptions& options,
                         const Distillation& distillation);

struct TrainJob;

// Do the graph and both data sets fit, as Train asks? Errors: kInvalidArgument, naming what does
// not.
Status ValidateFit(const TrainJob& job);

// What needs a network with what it is about: penalties layers with such rules, dropout a layer of
// it, and noise_draws regularizers with noise. Train checks it, too. Errors: kInvalidArgument,
// naming the field.
Status ValidateForGraph(const Graph& graph, const TrainOptions& options,
                        std::span<const RegularizerSpec> regularizers);

// Preconditions, checked by Train: graph is valid, has one input like the data sets' and as first
// output what the data sets ask for, [B, classes] or [T, B, classes]. It is taken as logits; if a
// Softmax node makes it, that node's input is, so that the loss never takes the logarithm of a
// rounded probability. In a regression it is [B, target_size] or [T, B, target_size], and no
// Softmax's.
struct TrainJob {
  Graph graph;
  const Dataset* train = nullptr;  // outlive Train
  const Dataset* valid = nullptr;  // nullptr: no validation, patience must be 0
  MaskSet masks;                   // kept from the start: weight, gradient and moments stay 0
  // Its masks are made anew whenever its schedule says so and hold together with `masks`. Outlives
  // Train, which drives it (and restores it from a checkpoint). Its schedule must end before the
  // last step. nullptr: `masks` stay to the end.
  Pruner* pruner = nullptr;
  // Of what the pruner's criterion needs beside weights, gathered anew for each making of masks.
  CalibrationOptions calibration;
  // Each time masks change, this makes up for what went. Hard masks only.
  Reconstruction reconstruct = Reconstruction::kNone;
  bool reconstructs() const { return reconstruct != Reconstruction::kNone; }
  // Each time masks change, what is kept goes back to these weights and the optimizer starts anew
  // (late rewinding: Frankle et al. 2019, arXiv:1903.01611). Names and shapes of the graph's;
  // outlives Train. nullptr: no. Hard masks only.
  const TensorStore* rewind = nullptr;
  Distillation distillation;  // no teacher: none
  // Act, in this order, until the pruner's last masks are made, or to the end without one; are then
  // folded into the weights. The loss that is reported is without their penalties, and validation
  // is of the folded network.
  std::vector<RegularizerSpec> regularizers;
  PruneSpec regularized;  // granularity and weights of those that name none
};

// One entry of "epochs" in docs/run-record.md.
struct TrainEpoch {
  int64_t epoch = 0;        // from 1
  int64_t step = 0;         // optimiser steps done at its end
  double train_loss = 0.0;  // mean over the epoch's labels, dropout on
  double valid_loss = 0.0;
  double valid_metric = 0.0;   // the validation set's metric
  double learning_rate = 0.0;  // of its last step
  double sparsity = 0.0;       // zeros / size over all prunable weights, by the masks
  double seconds = 0.0;        // training and validation; across a resume, the sum
};

struct TrainProgress {
  int64_t step = 0;   // done
  int64_t steps = 0;  // in all
  int64_t epoch = 0;  // running, from 1
  int64_t epochs = 0;
  double loss = 0.0;          // mean over this epoch so far
  double valid_metric = 0.0;  // of the last finished epoch, 0 before
  double learning_rate = 0.0;
  double sparsity = 0.0;
  double sequences_per_second = 0.0;
  double eta_seconds = 0.0;
};

// All optional. Called on the caller's thread.
struct TrainHooks {
  std::function<void(const TrainProgress&)> on_step;  // after every step: throttle what you print
  std::function<void(const TrainEpoch&)> on_epoch;
  const std::atomic<bool>* cancel = nullptr;  // true: stop after the running step
};

enum class StopReason : uint8_t { kFinished = 0, kNoImprovement = 1, kCancelled = 2 };

struct TrainResult {
  Graph graph;    // the input graph with the trained weights, 0 where masked
  MaskSet masks;  // in force at the end
  std::vector<TrainEpoch> epochs;
  StopReason stopped = StopReason::kFinished;
  int64_t best_epoch = 0;  // whose weights `graph` has; 0 if stopped before the first ended
  int64_t steps = 0;       // optimiser steps done
  double seconds = 0.0;
};

// Errors: kInvalidArgument for a wrong job or option; kInvalidArgument, naming the step, if the
// loss, the gradient or a weight is no longer finite: the last checkpoint, which has finite
// weights, stays; kIo if a checkpoint cannot be written; kBadFormat for a damaged one;
// Pruner::Update's.
Result<TrainResult> Train(const TrainJob& job, const TrainOptions& options,
                          const TrainHooks& hooks);

struct EvaluateOptions {
  int64_t batch_size = 256;  // at most; smaller where outputs would take much memory
  int threads = 1;
  bool keep_outputs = false;  // of classes: the logits; a regression's are kept anyway
};

// Runs the graph on every sequence with libtorch, dropout off. Errors: as Train's for the graph.
Result<Evaluation> Evaluate(const Graph& graph, const Dataset& dataset,
                            const EvaluateOptions& options);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_TRAINER_H_
