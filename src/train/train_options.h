// Checks of a training job and its identity. Internal to this room.
#ifndef ESPALIER_TRAIN_TRAIN_OPTIONS_H_
#define ESPALIER_TRAIN_TRAIN_OPTIONS_H_

#include <string>

#include "base/status.h"
#include "train/autograd.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace espalier {

// Everything about the job that needs no libtorch: data sets fit the graph, masks fit the weights,
// the pruner's schedule ends before the last of `steps`.
Status ValidateJob(const TrainJob& job, const TrainOptions& options, int64_t steps);
// Checks a data set and that it fits the graph's input and `output`; `what` names it in errors.
Status ValidateData(const Graph& graph, const Dataset& dataset, const ValueType& output,
                    const std::string& what);

// Elementwise and; a mask that only one set has is taken as it is. Precondition: equal shapes.
MaskSet Intersect(const MaskSet& a, const MaskSet& b);

// The features of the teacher's values that the recurrent layers of the student are to have, by
// value name. Errors: kInvalidArgument, naming a layer that the teacher lacks or has with other
// units than kept_units say.
Result<FeatureChoice> HiddenFeatures(const Graph& student, const Distillation& distillation);

// Each mask names a weight and has its shape. Errors: kInvalidArgument.
Status ValidateMasks(const Graph& graph, const MaskSet& masks);

// teaching: of the batch, empty without a teacher; outlives what is returned.
LossOptions LossOptionsOf(const TrainJob& job, const TrainOptions& options,
                          const Teaching& teaching);

// Everything that the steps depend on. Left out: threads, checkpoint_path, checkpoint_steps.
TrainIdentity IdentityOf(const TrainJob& job, const TrainOptions& options);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_TRAIN_OPTIONS_H_
