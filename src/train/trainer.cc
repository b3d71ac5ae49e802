#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/stopwatch.h"
#include "base/strings.h"
#include "train/autograd.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/random_prefix.h"
#include "train/regularization.h"
#include "train/statistics.h"
#include "train/train_options.h"

namespace espalier {
namespace {

// Adam's second moment is the square of a gradient, and products of weights are floats too: no norm
// may be so large that its square is none.
constexpr double kLargestNorm = 1.8446743e19;  // square root of the largest float

class Training {
 public:
  Training(const TrainJob& job, const TrainOptions& options, const TrainHooks& hooks)
      : job_(job), options_(options), hooks_(hooks), optimizer_(options.optimizer, 0) {}

  // Checks everything, takes the start weights and masks, or what a checkpoint holds.
  Status Start();
  Status Run();
  TrainResult Finish();

 private:
  int64_t Steps() const { return options_.epochs * steps_per_epoch_; }
  double RateAt(int64_t step) const {
    return LearningRateAt(options_.learning_rate, step, Steps(), steps_per_epoch_);
  }
  bool IsCancelled() const { return hooks_.cancel != nullptr && hooks_.cancel->load(); }
  bool IsOutOfPatience() const {
    return options_.patience > 0 && state_.best_epoch > 0 &&
           state_.epoch - state_.best_epoch >= options_.patience;
  }

  Status Restore();
  bool IsSoft() const {
    return job_.pruner != nullptr && job_.pruner->schedule().masks == MaskMode::kSoft;
  }
  Needs PrunerNeeds() const {
    return job_.pruner == nullptr ? kNeedsNothing : job_.pruner->needs();
  }
  // Of what is followed over the steps for a criterion; 0 if none needs it.
  size_t FollowedSize(Needs flag) const {
    return (PrunerNeeds() & flag) != 0 ? autograd_->weights().size() : 0;
  }
  Result<StatisticsSet> GatherStatistics(CalibrationStatistics* calibrated);
  Status MaskFromPruner();
  Status RepairWeights(const Graph& before);
  void PutMasksInForce();
  void FollowGradient();
  Status RunEpoch();
  Result<double> DrawLoss(double share);
  Result<double> LossAndGradient(std::span<const int64_t> indices);
  Status Step(const std::vector<int64_t>& indices);
  // What `run` returns while the regularizers' sample of this step, or averages and what they have
  // learned, soft masks, and matrices rounded to options_.weight_type are in the weights' place.
  enum class Form { kSampled, kFolded };
  template <class Fn>
  auto With(Form form, Fn run);
  // Do regularizers act on the weights as they are now?
  bool IsRegularized() const { return !regularization_.empty() && !is_folded_; }
  // The step before which regularizers are folded in.
  int64_t FoldStep() const {
    return job_.pruner == nullptr ? Steps() : job_.pruner->schedule().end;
  }
  void Fold();
  void FoldInto(std::span<float> weights) const;
  Graph FoldedGraph();
  Status UpdateWeights(double gradient_norm);
  std::string LastGoodCheckpoint() const;
  Status FinishEpoch();
  void TrackBest(const TrainEpoch& epoch);
  Status ProveGood();
  Status Save();
  void Report() const;

  const TrainJob& job_;
  const TrainOptions& options_;
  const TrainHooks& hooks_;

  TrainIdentity identity_;
  std::unique_ptr<Autograd> autograd_;
  std::unique_ptr<Autograd> teacher_;
  Optimizer optimizer_;
  // state_.graph, .optimizer, and .pruner_* are filled only when a checkpoint is written.
  TrainState state_;
  int64_t steps_per_epoch_ = 0;
  Regularization regularization_;
  bool is_folded_ = false;
  std::vector<float> exact_;      // weights, while others are in their place
  std::vector<float> folded_;     // what criteria look at, if not the weights
  std::vector<float> keep_;       // flat factors of the hard masks in force; empty: none
  std::vector<float> soft_keep_;  // of the masks in force, if they are soft
  double sparsity_ = 0.0;
  StopReason stopped_ = StopReason::kFinished;
  bool has_checkpoint_ = false;

  LabelledBatch batch_;
  Teaching teaching_;
  FeatureChoice hidden_;  // of the teacher; empty: only its logits count
  Stopwatch whole_;
  Stopwatch epoch_;  // restarted by a resume; state_.epoch_seconds holds what was before
  int64_t sequences_here_ = 0;
  int64_t steps_here_ = 0;
};

Status Training::Start() {
  if (job_.train == nullptr) return InvalidArgument("train: a data set expected, none found");
  ESPALIER_RETURN_IF_ERROR(ValidateOptions(options_));
  ESPALIER_ASSIGN_OR_RETURN(autograd_, Autograd::Create(job_.graph, options_.send_penalty > 0.0));
  const ValueType output = autograd_->output();
  ESPALIER_RETURN_IF_ERROR(ValidateData(job_.graph, *job_.train, output, "training set"));
  if (job_.valid != nullptr) {
    ESPALIER_RETURN_IF_ERROR(ValidateData(job_.graph, *job_.valid, output, "validation set"));
  }
  if (job_.distillation.teacher != nullptr) {
    const Graph& graph = *job_.distillation.teacher;
    ESPALIER_ASSIGN_OR_RETURN(teacher_, Autograd::Create(graph));
    ESPALIER_RETURN_IF_ERROR(
        ValidateData(graph, *job_.train, teacher_->output(), "training set for the teacher"));
    if (job_.distillation.hidden_weight > 0.0) {
      ESPALIER_ASSIGN_OR_RETURN(hidden_, HiddenFeatures(job_.graph, job_.distillation));
    }
  }
  steps_per_epoch_ = (job_.train->size() + options_.batch_size - 1) / options_.batch_size;
  ESPALIER_RETURN_IF_ERROR(ValidateJob(job_, options_, Steps()));

  SetTorchThreads(options_.threads);
  identity_ = IdentityOf(job_, options_);
  optimizer_ = Optimizer(options_.optimizer, autograd_->weights().size());
  Rng seeds(options_.seed);
  state_.order = Rng(seeds.Next());
  state_.dropout = Rng(seeds.Next());
  state_.masks = job_.pruner == nullptr ? job_.masks : Intersect(job_.masks, job_.pruner->masks());
  state_.movement.assign(FollowedSize(kNeedsMovement), 0.0f);
  state_.momentum.assign(FollowedSize(kNeedsMomentum), 0.0f);
  ESPALIER_ASSIGN_OR_RETURN(
      regularization_, Regularization::Create(job_.graph, autograd_->slices(), job_, options_));
  regularization_.set_steps_per_epoch(steps_per_epoch_);
  std::error_code ignored;
  if (options_.resume && std::filesystem::exists(options_.checkpoint_path, ignored)) {
    ESPALIER_RETURN_IF_ERROR(Restore());
  }
  PutMasksInForce();
  return Ok();
}

Status Training::Restore() {
  TrainState start = std::move(state_);
  start.graph = job_.graph;
  start.optimizer = optimizer_.state();
  start.pruner_last_step = job_.pruner == nullptr ? kNoPruner : job_.pruner->last_step();
  ESPALIER_ASSIGN_OR_RETURN(state_, LoadCheckpoint(options_.checkpoint_path, identity_));
  const std::string context = "checkpoint '" + options_.checkpoint_path + "'";
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(state_.graph).WithContext(context));
  ESPALIER_RETURN_IF_ERROR(ValidateMasks(job_.graph, state_.masks).WithContext(context));
  ESPALIER_RETURN_IF_ERROR(ValidateMasks(job_.graph, state_.pruner_masks).WithContext(context));
  if (!IsLater(start, state_, options_, steps_per_epoch_)) {
    return BadFormat(context + ": its graph, optimizer, pruner and position do not fit together");
  }
  if (!regularization_.Restore(std::move(state_.regularization))) {
    return BadFormat(context + ": its regularizers are not those of this training");
  }
  is_folded_ = state_.step > FoldStep();
  has_checkpoint_ = true;
  autograd_->SetWeights(state_.graph.weights);
  autograd_->SetThresholds(state_.graph);
  optimizer_.set_state(std::move(state_.optimizer));
  if (job_.pruner != nullptr) {
    job_.pruner->Restore(std::move(state_.pruner_masks), state_.pruner_last_step);
  }
  return Ok();
}

template <class Fn>
auto Training::With(Form form, Fn run) {
  const bool is_averaged = form == Form::kFolded && optimizer_.averages();
  if (options_.weight_type == WeightType::kF32 && soft_keep_.empty() && !IsRegularized() &&
      !is_averaged) {
    return run();
  }
  const std::span<float> weights = autograd_->weights();
  exact_.assign(weights.begin(), weights.end());
  if (form == Form::kFolded) {
    FoldInto(weights);
  } else if (IsRegularized()) {
    regularization_.Sample(state_.step, weights);
  }
  if (IsRegularized()) {
    for (size_t i = 0; i < keep_.size(); ++i) weights[i] *= keep_[i];  // noise may be added
  }
  for (size_t i = 0; i < soft_keep_.size(); ++i) weights[i] *= soft_keep_[i];
  for (const WeightSlice& slice : autograd_->slices()) {
    if (slice.shape.size() != 2) continue;
    RoundMatrix(options_.weight_type, slice.shape[1], weights.subspan(slice.offset, slice.size));
  }
  auto result = run();
  std::copy(exact_.begin(), exact_.end(), weights.begin());
  return result;
}

// Before the masks of FoldStep are made: from here on the weights are those that were learned.
void Training::Fold() {
  if (!IsRegularized()) return;
  FoldInto(autograd_->weights());
  optimizer_.RestartAverages();
  is_folded_ = true;
}

// Makes the weights of the network that was learned so far.
void Training::FoldInto(std::span<float> weights) const {
  optimizer_.Average(weights);
  if (IsRegularized()) regularization_.Fold(weights);
}

// The network that was learned so far; the training goes on with its weights as they are.
Graph Training::FoldedGraph() {
  const std::span<float> weights = autograd_->weights();
  exact_.assign(weights.begin(), weights.end());
  FoldInto(weights);
  Graph graph = autograd_->ToGraph();
  std::copy(exact_.begin(), exact_.end(), weights.begin());
  return graph;
}

// Hard ones mask weights and moments, once; from here on the masked gradient keeps them at 0.
void Training::PutMasksInForce() {
  size_t zeros = 0;
  size_t prunable = 0;
  for (const WeightSlice& slice : autograd_->slices()) {
    if (slice.shape.size() != 2) continue;
    prunable += slice.size;
    const auto it = state_.masks.find(slice.name);
    if (it != state_.masks.end()) zeros += it->second.keep.size() - it->second.KeptCount();
  }
  sparsity_ = prunable == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(prunable);
  keep_ = autograd_->FlatKeep(IsSoft() ? job_.masks : state_.masks);
  if (IsSoft()) soft_keep_ = autograd_->FlatKeep(state_.masks);
  if (keep_.empty()) return;
  const std::span<float> weights = autograd_->weights();
  for (size_t i = 0; i < weights.size(); ++i) {
    if (keep_[i] == 0.0f) weights[i] = 0.0f;
  }
  optimizer_.Mask(keep_);
}

// Views of the weights (as folded), of `calibrated`, which gets what is gathered, and of what was
// followed.
Result<StatisticsSet> Training::GatherStatistics(CalibrationStatistics* calibrated) {
  StatisticsSet statistics;
  if ((PrunerNeeds() & kNeedsCalibration) != 0) {
    ESPALIER_ASSIGN_OR_RETURN(*calibrated, With(Form::kFolded, [&] {
      return CalibrationStatistics::Gather(PrunerNeeds(), *job_.train, job_.calibration,
                                           autograd_.get(), &job_.pruner->plan());
    }));
    calibrated->Fill(&statistics);
  }
  std::span<const float> weights = autograd_->weights();
  if (IsRegularized() || optimizer_.averages()) {
    folded_.assign(weights.begin(), weights.end());
    FoldInto(folded_);
    weights = folded_;
  }
  for (const WeightSlice& slice : autograd_->slices()) {
    Statistics& found = statistics[slice.name];
    found.weight = weights.subspan(slice.offset, slice.size);
    const auto followed = [&](const std::vector<float>& flat) {
      return flat.empty() ? std::span<const float>()
                          : std::span(flat).subspan(slice.offset, slice.size);
    };
    found.movement = followed(state_.movement);
    found.momentum = followed(state_.momentum);
  }
  return statistics;
}

Status Training::MaskFromPruner() {
  if (job_.pruner == nullptr || !job_.pruner->IsDue(state_.step)) return Ok();
  CalibrationStatistics calibrated;
  ESPALIER_ASSIGN_OR_RETURN(const StatisticsSet statistics, GatherStatistics(&calibrated));
  ESPALIER_ASSIGN_OR_RETURN(const bool changed, job_.pruner->Update(state_.step, statistics));
  if (!changed) return Ok();
  state_.masks = Intersect(job_.masks, job_.pruner->masks());
  const Graph before = job_.reconstructs() ? autograd_->ToGraph() : Graph();
  PutMasksInForce();
  return RepairWeights(before);
}

// After masks changed.
Status Training::RepairWeights(const Graph& before) {
  if (job_.reconstructs()) {
    TensorStore weights = autograd_->ToGraph().weights;
    const auto repair = job_.reconstruct == Reconstruction::kBias ? CorrectBiases : Reconstruct;
    ESPALIER_RETURN_IF_ERROR(repair(before, *job_.train, job_.calibration, state_.masks, &weights));
    autograd_->SetWeights(weights);
    optimizer_.RestartAverages();
  }
  if (job_.rewind != nullptr) {
    autograd_->SetWeights(*job_.rewind);
    optimizer_ = Optimizer(options_.optimizer, autograd_->weights().size());
    PutMasksInForce();
  }
  return Ok();
}

// What criteria read of the whole training, from the gradient of this step, not masked yet.
void Training::FollowGradient() {
  constexpr float kMomentumDecay = 0.9f;
  const std::span<const float> gradient = autograd_->gradient();
  if ((PrunerNeeds() & kNeedsMovement) != 0) {
    const auto rate = static_cast<float>(RateAt(state_.step));
    const std::span<const float> weights = autograd_->weights();
    for (size_t i = 0; i < gradient.size(); ++i) {
      state_.movement[i] -= rate * gradient[i] * weights[i];
    }
  }
  if ((PrunerNeeds() & kNeedsMomentum) != 0) {
    for (size_t i = 0; i < gradient.size(); ++i) {
      state_.momentum[i] =
          kMomentumDecay * state_.momentum[i] + (1.0f - kMomentumDecay) * gradient[i];
    }
  }
}

Status Training::Run() {
  while (state_.epoch < options_.epochs && stopped_ == StopReason::kFinished) {
    if (IsOutOfPatience()) {
      stopped_ = StopReason::kNoImprovement;
      break;
    }
    ESPALIER_RETURN_IF_ERROR(RunEpoch());
    if (stopped_ == StopReason::kCancelled) return Save();
    ESPALIER_RETURN_IF_ERROR(FinishEpoch());
  }
  return Ok();
}

Status Training::RunEpoch() {
  epoch_.Restart();
  Rng order = state_.order;
  const auto batches = MakeEpoch(*job_.train, {.batch_size = options_.batch_size}, &order);
  ESPALIER_ASSERT(static_cast<int64_t>(batches.size()) == steps_per_epoch_);
  while (state_.epoch_batches < steps_per_epoch_) {
    if (state_.step == FoldStep()) Fold();
    ESPALIER_RETURN_IF_ERROR(MaskFromPruner());
    ESPALIER_RETURN_IF_ERROR(Step(batches[static_cast<size_t>(state_.epoch_batches)]));
    Report();
    const bool is_last = state_.epoch_batches == steps_per_epoch_;
    if (IsCancelled() && !is_last) {
      stopped_ = StopReason::kCancelled;
      state_.epoch_seconds += epoch_.ElapsedSeconds();
      return Ok();
    }
    const bool is_due =
        options_.checkpoint_steps > 0 && state_.step % options_.checkpoint_steps == 0;
    if (is_due && !is_last) {
      state_.epoch_seconds += epoch_.ElapsedSeconds();
      epoch_.Restart();
      ESPALIER_RETURN_IF_ERROR(Save());
    }
  }
  state_.order = order;
  return Ok();
}

// Loss and gradient of batch_, all of a step or the sequences of one draw of noise, whose share of
// its labels is `share`.
Result<double> Training::DrawLoss(double share) {
  CutToPrefixes(options_.random_prefix, &state_.dropout, &batch_);
  if (teacher_ != nullptr) {
    ESPALIER_RETURN_IF_ERROR(teacher_->Teach(batch_.batch, hidden_, &teaching_));
  }
  ESPALIER_ASSIGN_OR_RETURN(const double loss, With(Form::kSampled, [&] {
                              return autograd_->LossAndGradient(
                                  batch_, LossOptionsOf(job_, options_, teaching_),
                                  &state_.dropout);
                            }));
  if (IsRegularized()) regularization_.Pull(state_.step, share, autograd_->gradient());
  return loss;
}

Result<double> Training::LossAndGradient(std::span<const int64_t> indices) {
  MakeBatch(*job_.train, indices, &batch_);
  const auto asked = static_cast<size_t>(options_.noise_draws);
  const size_t draws = IsRegularized() ? std::min(indices.size(), asked) : 1;
  if (draws == 1) return DrawLoss(1.0);
  const int64_t labels = batch_.label_count;
  const std::span<float> gradient = autograd_->gradient();
  std::vector<float> sum(gradient.size(), 0.0f);
  double loss = 0.0;
  const auto first = [&](size_t draw) { return draw * indices.size() / draws; };
  for (size_t i = 0; i < draws; ++i) {
    MakeBatch(*job_.train, indices.subspan(first(i), first(i + 1) - first(i)), &batch_);
    const double share = static_cast<double>(batch_.label_count) / static_cast<double>(labels);
    ESPALIER_ASSIGN_OR_RETURN(const double of_part, DrawLoss(share));
    loss += share * of_part;
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += static_cast<float>(share) * gradient[k];
  }
  std::copy(sum.begin(), sum.end(), gradient.begin());
  batch_.label_count = labels;
  return loss;
}

Status Training::Step(const std::vector<int64_t>& indices) {
  regularization_.StartStep();
  ESPALIER_ASSIGN_OR_RETURN(const double loss, LossAndGradient(indices));
  FollowGradient();
  const double norm = MaskedNorm(keep_, autograd_->gradient());
  if (!std::isfinite(loss) || !(norm < kLargestNorm)) {
    return InvalidArgument(
        StrCat("step ", state_.step + 1, ": a finite loss and gradient expected, loss ",
               std::abs(loss), " and gradient norm ", norm,
               " found; a lower learning rate or clip_norm may help", LastGoodCheckpoint()));
  }
  ESPALIER_RETURN_IF_ERROR(UpdateWeights(norm));
  const auto size = static_cast<int64_t>(indices.size());
  state_.loss_sum += loss * static_cast<double>(batch_.label_count);
  state_.labels += batch_.label_count;
  ++state_.epoch_batches;
  ++state_.step;
  sequences_here_ += size;
  ++steps_here_;
  return Ok();
}

// One optimiser step. Weights that are no longer finite end the training here, before they get into
// a checkpoint or a validation.
Status Training::UpdateWeights(double gradient_norm) {
  const double rate = RateAt(state_.step);
  const double decay = options_.optimizer.weight_decay;
  if (decay > 0.0) {
    for (const WeightSlice& slice : autograd_->slices()) {
      if (slice.shape.size() != 2 || IsPredictor(job_.graph, slice.name)) continue;
      DecayWeights(rate, decay, autograd_->weights().subspan(slice.offset, slice.size));
    }
  }
  const bool clips = options_.clip_norm > 0.0 && gradient_norm > options_.clip_norm;
  optimizer_.Step(rate, clips ? options_.clip_norm / gradient_norm : 1.0, autograd_->gradient(),
                  autograd_->weights());
  if (IsRegularized()) regularization_.Step(state_.step, rate, autograd_->weights());
  optimizer_.Accumulate(autograd_->weights());
  const double norm = Norm(autograd_->weights());
  const double learned = regularization_.ParameterNorm();
  if (norm < kLargestNorm && learned < kLargestNorm) return Ok();
  const bool is_weight = !(norm < kLargestNorm);
  return InvalidArgument(StrCat("step ", state_.step + 1, ": finite ",
                                is_weight ? "weights" : "parameters of the regularizers",
                                " expected, norm ", is_weight ? norm : learned,
                                " found; a lower learning rate may help", LastGoodCheckpoint()));
}

// "" if there is none.
std::string Training::LastGoodCheckpoint() const {
  if (!has_checkpoint_) return "";
  return ", the last good checkpoint is '" + options_.checkpoint_path + "'";
}

void Training::Report() const {
  if (hooks_.on_step == nullptr) return;
  const double seconds = whole_.ElapsedSeconds();
  TrainProgress progress;
  progress.step = state_.step;
  progress.steps = Steps();
  progress.epoch = state_.epoch + 1;
  progress.epochs = options_.epochs;
  progress.loss = state_.loss_sum / static_cast<double>(state_.labels);
  progress.valid_metric = state_.epochs.empty() ? 0.0 : state_.epochs.back().valid_metric;
  progress.learning_rate = RateAt(state_.step - 1);
  progress.sparsity = sparsity_;
  progress.sequences_per_second = static_cast<double>(sequences_here_) / seconds;
  progress.eta_seconds =
      seconds / static_cast<double>(steps_here_) * static_cast<double>(Steps() - state_.step);
  hooks_.on_step(progress);
}

Status Training::FinishEpoch() {
  TrainEpoch epoch;
  epoch.epoch = state_.epoch + 1;
  epoch.step = state_.step;
  epoch.train_loss = state_.loss_sum / static_cast<double>(state_.labels);
  if (job_.valid != nullptr) {
    const auto evaluation = With(Form::kFolded, [&] {
      return EvaluateWith(autograd_.get(), *job_.valid, EvaluateOptions());
    });
    if (!evaluation.ok()) {
      const Status status = evaluation.status().WithContext(
          StrCat("step ", state_.step, ", validation of epoch ", epoch.epoch));
      return Status(status.code(), status.message() + LastGoodCheckpoint());
    }
    epoch.valid_loss = evaluation->loss;
    epoch.valid_metric = evaluation->metric;
  }
  epoch.learning_rate = RateAt(state_.step - 1);
  epoch.sparsity = sparsity_;
  epoch.seconds = state_.epoch_seconds + epoch_.ElapsedSeconds();
  state_.epochs.push_back(epoch);
  state_.epoch = epoch.epoch;
  state_.epoch_batches = 0;
  state_.loss_sum = 0.0;
  state_.labels = 0;
  state_.epoch_seconds = 0.0;
  TrackBest(epoch);
  if (IsTimeToAverage(options_.optimizer, state_.epochs)) optimizer_.StartAveraging();
  ESPALIER_RETURN_IF_ERROR(Save());
  if (hooks_.on_epoch != nullptr) hooks_.on_epoch(epoch);
  if (IsCancelled() && state_.epoch < options_.epochs) stopped_ = StopReason::kCancelled;
  return Ok();
}

// An epoch counts only if the masks had their last form from its first step on.
void Training::TrackBest(const TrainEpoch& epoch) {
  const int64_t first_step = epoch.step - steps_per_epoch_;
  if (options_.patience == 0) return;
  if (job_.pruner != nullptr && first_step < job_.pruner->schedule().end) return;
  if (state_.best_epoch > 0 &&
      !IsBetter(job_.valid->metric, epoch.valid_metric, state_.best_metric)) {
    return;
  }
  state_.best_epoch = epoch.epoch;
  state_.best_metric = epoch.valid_metric;
  state_.best = FoldedGraph();
}

// Finite weights may still be so large that a network without saturation overflows.
Status Training::ProveGood() {
  std::vector<float> logits;
  ESPALIER_RETURN_IF_ERROR(
      With(Form::kFolded, [&] { return autograd_->Logits(batch_.batch, &logits); }));
  if (std::isfinite(Norm(logits))) return Ok();
  return InvalidArgument(StrCat("step ", state_.step,
                                ": finite logits expected after it, others found; a lower learning "
                                "rate may help",
                                LastGoodCheckpoint()));
}

// Writes nothing that a later training could not go on from.
Status Training::Save() {
  if (options_.checkpoint_path.empty()) return Ok();
  ESPALIER_RETURN_IF_ERROR(ProveGood());
  state_.graph = autograd_->ToGraph();
  state_.optimizer = optimizer_.state();
  state_.regularization = regularization_.state();
  if (job_.pruner != nullptr) {
    state_.pruner_last_step = job_.pruner->last_step();
    state_.pruner_masks = job_.pruner->masks();
  }
  ESPALIER_RETURN_IF_ERROR(SaveCheckpoint(options_.checkpoint_path, identity_, state_));
  has_checkpoint_ = true;
  return Ok();
}

TrainResult Training::Finish() {
  TrainResult result;
  FoldInto(autograd_->weights());
  result.graph = autograd_->ToGraph();
  result.best_epoch = state_.epoch_batches == 0 ? state_.epoch : 0;
  if (stopped_ != StopReason::kCancelled && state_.best_epoch > 0) {
    result.graph = std::move(state_.best);
    result.best_epoch = state_.best_epoch;
  }
  for (auto& [name, weight] : result.graph.weights) {
    const auto mask = state_.masks.find(name);
    for (size_t i = 0; mask != state_.masks.end() && i < weight.size(); ++i) {
      if (mask->second.keep[i] == 0) weight.values[i] = 0.0f;
    }
    if (weight.shape.size() == 2) RoundMatrix(options_.weight_type, weight.dim(1), weight.values);
  }
  result.masks = std::move(state_.masks);
  result.epochs = std::move(state_.epochs);
  result.stopped = stopped_;
  result.steps = state_.step;
  for (const TrainEpoch& epoch : result.epochs) result.seconds += epoch.seconds;
  result.seconds += state_.epoch_seconds;
  return result;
}

}  // namespace

Result<TrainResult> Train(const TrainJob& job, const TrainOptions& options,
                          const TrainHooks& hooks) {
  Training training(job, options, hooks);
  ESPALIER_RETURN_IF_ERROR(training.Start());
  ESPALIER_RETURN_IF_ERROR(training.Run());
  return training.Finish();
}

}  // namespace espalier
