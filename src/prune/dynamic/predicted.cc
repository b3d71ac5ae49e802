// predicted: rows whose gates saturate by what a small predictor says are left out (dual-module
// inference). See PredictedRows in model/graph.h. The predictor begins as the best one of its size
// for inputs of covariance 1; FitPredictors makes it that for those of data.
#include "base/strings.h"
#include "cells/saturation.h"
#include "prune/dynamic.h"
#include "prune/predictor.h"

namespace espalier::dynamic {
namespace {

Status Apply(const DynamicSpec& spec, Node* node, TensorStore* weights) {
  const bool has_predictor = node->predicted.has_value() && node->predicted->size == spec.predictor;
  node->predicted = PredictedRows{spec.predictor, spec.epsilon};
  if (has_predictor || SaturationOf(node->cell) == nullptr) return Ok();  // ValidateGraph says so
  FitPredictor(*node, weights);
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
