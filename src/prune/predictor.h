// The predictor of a layer's rows (model/graph.h, PredictedRows), fitted: the best one of its size.
#ifndef ESPALIER_PRUNE_PREDICTOR_H_
#define ESPALIER_PRUNE_PREDICTOR_H_

#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"

namespace espalier {

// Fits the predictors of these layers: of all maps of rank R from v = [x; h] to the
// sums W v + b that are predicted, that of the least mean squared error over the steps of
// `batches`, at most kMostFittedSteps of each layer (reduced rank regression: Izenman 1975, J.
// Multivariate Analysis 5, eq. 2.6; W v is known, so that it is U U^T W with the R first
// eigenvectors U of W cov(v) W^T). Without a batch v is taken to have a covariance of 1 and a mean
// of 0. Runs the graph in the reference executor from zero states, with nothing left out by
// prediction. Errors: what RunReference says.
Status FitPredictors(const std::vector<Batch>& batches, const std::set<std::string>& layers,
                     Graph* graph);

inline constexpr int64_t kMostFittedSteps = 2048;

}  // namespace espalier

#endif  // ESPALIER_PRUNE_PREDICTOR_H_
