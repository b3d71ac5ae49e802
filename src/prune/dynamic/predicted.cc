// predicted: rows whose gates saturate by what a small predictor says are left out (dual-module
// inference). See PredictedRows in model/graph.h. The predictor begins as one that says nothing
// (0); FitPredictors makes it the best one of its size.
#include <algorithm>

#include "base/strings.h"
#include "cells/saturation.h"
#include "prune/dynamic.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& spec, Node* node, TensorStore* weights) {
  const bool has_predictor = node->predicted.has_value() && node->predicted->size == spec.predictor;
  node->predicted = PredictedRows{spec.predictor, spec.epsilon};
  const Saturation* saturation = SaturationOf(node->cell);
  if (has_predictor || saturation == nullptr) return Ok();  // ValidateGraph says so
  const int64_t rows = saturation->sum_gates * node->hidden_size;
  const int64_t cols = weights->at(DirectionsOf(*node)[0].weight_ih).dim(1) + StateSizeOf(*node);
  if (spec.predictor > std::min(rows, cols)) {
    return InvalidArgument(StrCat(node->name, ".predicted.size: 1 to ", std::min(rows, cols),
                                  ", as its rows and columns allow, expected, ", spec.predictor,
                                  " found"));
  }
  for (const RecurrentDirection& direction : DirectionsOf(*node)) {
    const int64_t inputs = weights->at(direction.weight_ih).dim(1);
    (*weights)[direction.weight_predict_ih] = Tensor({spec.predictor, inputs});
    (*weights)[direction.weight_predict_hh] = Tensor({spec.predictor, StateSizeOf(*node)});
    (*weights)[direction.weight_predict] = Tensor({rows, spec.predictor});
    (*weights)[direction.bias_predict] = Tensor({rows});
  }
  return Ok();
}

}  // namespace

const DynamicMethod predicted = {
    "predicted",
    "p = L (P_x x + P_h h) + b; W_x x + W_h h + b := p where gate(p) is within epsilon of an end",
    "Liu et al. 2020, PMLR 119:6205 (dual-module inference)",
    {"epsilon", "predictor"},
    Apply};

}  // namespace espalier::dynamic
