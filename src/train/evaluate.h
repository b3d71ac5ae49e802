// Evaluation of an Autograd that is there already. Internal to this room; see Evaluate in
// trainer.h.
#ifndef ESPALIER_TRAIN_EVALUATE_H_
#define ESPALIER_TRAIN_EVALUATE_H_

#include "base/status.h"
#include "tasks/dataset.h"
#include "train/autograd.h"
#include "train/trainer.h"

namespace espalier {

// Precondition: the data set fits the graph.
Result<Evaluation> EvaluateWith(Autograd* autograd, const Dataset& dataset,
                                const EvaluateOptions& options);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_EVALUATE_H_
