// The spectrum of recurrent Jacobians: how strongly a step's h reaches the next one's.
#ifndef ESPALIER_TRAIN_SPECTRUM_H_
#define ESPALIER_TRAIN_SPECTRUM_H_

#include "base/status.h"
#include "model/graph.h"
#include "tasks/dataset.h"
#include "train/trainer.h"

namespace espalier {

// For each direction of each Recurrent node chi, the mean squared singular value of
// J_t = dh_t / dh_{t-1} over all valid steps of the calibration sequences, by Hutchinson's
// estimator |J_t^T v|^2 / H with one random v of +-1 a step (H the features of h, P with a
// projection); and its gradient, by the names of weight_ih, weight_hh and weight_hr, [rows, cols].
// After Zhang and Stadie 2020, arXiv:1912.00120, whose own estimator differs in detail. c_{t-1} of
// an LSTM counts as given. Dropout is off. Preconditions: the graph is valid, the data fits it.
// Errors: kInternal with libtorch's message; those of RunReference.
struct Spectrum {
  std::map<std::string, double> chi;  // by the direction's weight_hh
  TensorStore gradient;
};
Result<Spectrum> FindSpectrum(const Graph& graph, const Dataset& dataset,
                              const CalibrationOptions& options);

}  // namespace espalier

#endif  // ESPALIER_TRAIN_SPECTRUM_H_
