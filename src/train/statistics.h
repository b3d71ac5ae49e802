// Statistics over calibration sequences: what criteria read beside the weights themselves, and the
// least-squares repair of a pruned layer.
#ifndef ESPALIER_TRAIN_STATISTICS_H_
#define ESPALIER_TRAIN_STATISTICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "prune/criterion.h"
#include "prune/plan.h"
#include "tasks/dataset.h"
#include "train/autograd.h"
#include "train/trainer.h"

namespace espalier {

// Errors: kInvalidArgument, naming the field.
Status ValidateCalibration(const CalibrationOptions& options);

// Owns what Fill points to.
class CalibrationStatistics {
 public:
  // Passes over the sequences: one with gradients for kNeedsGradient, one of single sequences for
  // kNeedsSquaredGradient (which also gives the gradient), one more for kNeedsHessianGradient
  // (the gradient a thousandth of the weights' norm along itself), one through the reference
  // executor for those of inputs, and FindSpectrum's. kNeedsGroupGradient comes with
  // kNeedsSquaredGradient and wants the plan whose groups it is of. Dropout is off, and the
  // weights are left as they are. Preconditions: the data fits the graph; the options are valid.
  // Errors: kInvalidArgument if the criterion wants inputs of an Embedding, which has none; those
  // of Autograd.
  static Result<CalibrationStatistics> Gather(Needs needs, const Dataset& dataset,
                                              const CalibrationOptions& options, Autograd* autograd,
                                              const Plan* plan = nullptr);

  // Sets the fields that were gathered, for every matrix, and those of groups.
  void Fill(StatisticsSet* statistics) const;

 private:
  struct Gatherer;

  // By weight, for each flag that was asked for.
  std::map<Needs, std::map<std::string, std::vector<float>>> values_;
  std::vector<float> squared_group_gradient_;
};

// Changes the kept weights of each row, and its bias, so that its products with what it multiplied
// in the sequences come closest to those of `dense`: least squares over the covariance, with 1 % of
// its mean diagonal added to it. That is the weight update of OBS for all weights that went at once
// (Hassibi and Stork 1993; Frantar and Alistarh 2023, arXiv:2301.00774), and where columns of
// removed units went it makes up for their means and for what the others tell of them.
// masks: as of Pruner; weights without one, and Embeddings, stay: where a Gemm is tied to one, its
// bias makes up for the mean. weights: `dense`'s, masked.
// Errors: as Gather's.
Status Reconstruct(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                   const MaskSet& masks, TensorStore* weights);

// Changes biases alone: what the removed weights of a row contributed, on average over all steps of
// the sequences, goes into its bias: bias += sum of w_c mean_t(z_tc) over the removed c. So the
// mean of what the row gave in `dense` stays (bias correction of Nagel et al. 2019,
// arXiv:1906.04721, there of weights that were rounded). Rows without a bias (a projection's) stay
// as they are. Arguments and errors: as Reconstruct's. Cost: one pass without covariances and
// without solving for rows.
Status CorrectBiases(const Graph& dense, const Dataset& dataset, const CalibrationOptions& options,
                     const MaskSet& masks, TensorStore* weights);

// Does any of the pruned weights have what is to make up for them? Errors: kInvalidArgument for
// kBias where none has a bias.
Status CheckReconstruction(const Graph& graph, const Plan& plan, Reconstruction reconstruction);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_STATISTICS_H_
