#include "prune/predictor.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "base/rng.h"
#include "cells/saturation.h"

namespace espalier {
namespace {

// Row-major, [rows, cols].
struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<double> values;

  Matrix() = default;
  Matrix(size_t r, size_t c) : rows(r), cols(c), values(r * c) {}
  double* row(size_t r) { return values.data() + r * cols; }
  const double* row(size_t r) const { return values.data() + r * cols; }
};

// a b
Matrix Times(const Matrix& a, const Matrix& b) {
  Matrix out(a.rows, b.cols);
  for (size_t r = 0; r < a.rows; ++r) {
    double* to = out.row(r);
    for (size_t k = 0; k < a.cols; ++k) {
      const double factor = a.row(r)[k];
      const double* from = b.row(k);
      for (size_t c = 0; c < b.cols; ++c) to[c] += factor * from[c];
    }
  }
  return out;
}

// a^T b
Matrix TransposedTimes(const Matrix& a, const Matrix& b) {
  Matrix out(a.cols, b.cols);
  for (size_t k = 0; k < a.rows; ++k) {
    for (size_t r = 0; r < a.cols; ++r) {
      const double factor = a.row(k)[r];
      const double* from = b.row(k);
      double* to = out.row(r);
      for (size_t c = 0; c < b.cols; ++c) to[c] += factor * from[c];
    }
  }
  return out;
}

// The columns become orthogonal and of length 1, one after the other; one that depends on those
// before becomes 0.
void Orthogonalize(Matrix* m) {
  for (size_t c = 0; c < m->cols; ++c) {
    double before = 0.0;
    for (size_t r = 0; r < m->rows; ++r) before += m->row(r)[c] * m->row(r)[c];
    for (size_t other = 0; other < c; ++other) {
      double dot = 0.0;
      for (size_t r = 0; r < m->rows; ++r) dot += m->row(r)[c] * m->row(r)[other];
      for (size_t r = 0; r < m->rows; ++r) m->row(r)[c] -= dot * m->row(r)[other];
    }
    double length = 0.0;
    for (size_t r = 0; r < m->rows; ++r) length += m->row(r)[c] * m->row(r)[c];
    const double factor = length > 1e-20 * before && length > 0.0 ? 1.0 / std::sqrt(length) : 0.0;
    for (size_t r = 0; r < m->rows; ++r) m->row(r)[c] *= factor;
  }
}

// [D*H, I+H]: the rows that are predicted, and their biases.
struct Sums {
  Matrix weights;
  std::vector<double> bias;
};

Sums SumsOf(const TensorStore& weights, const Node& node, const RecurrentDirection& direction) {
  const Tensor& ih = weights.at(direction.weight_ih);
  const Tensor& hh = weights.at(direction.weight_hh);
  const auto rows = static_cast<size_t>(SaturationOf(node.cell)->sum_gates * node.hidden_size);
  const auto inputs = static_cast<size_t>(ih.dim(1));
  const auto width = static_cast<size_t>(hh.dim(1));
  Sums sums{Matrix(rows, inputs + width), std::vector<double>(rows)};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < inputs; ++c) sums.weights.row(r)[c] = ih.values[r * inputs + c];
    for (size_t c = 0; c < width; ++c) sums.weights.row(r)[inputs + c] = hh.values[r * width + c];
    sums.bias[r] = static_cast<double>(weights.at(direction.bias_ih).values[r]) +
                   static_cast<double>(weights.at(direction.bias_hh).values[r]);
  }
  return sums;
}

Tensor TensorOf(const Matrix& matrix, size_t first, size_t count) {
  Tensor tensor({static_cast<int64_t>(matrix.rows), static_cast<int64_t>(count)});
  for (size_t r = 0; r < matrix.rows; ++r) {
    for (size_t c = 0; c < count; ++c) {
      tensor.values[r * count + c] = static_cast<float>(matrix.row(r)[first + c]);
    }
  }
  return tensor;
}

// `steps`: [N, I+H], or no rows.
void Fit(const Node& node, const RecurrentDirection& direction, Matrix steps,
         TensorStore* weights) {
  constexpr int kIterations = 20;
  const Sums sums = SumsOf(*weights, node, direction);
  const size_t size = static_cast<size_t>(node.predicted->size);
  std::vector<double> mean(sums.weights.cols, 0.0);
  for (size_t n = 0; n < steps.rows; ++n) {
    for (size_t c = 0; c < steps.cols; ++c) {
      mean[c] += steps.row(n)[c] / static_cast<double>(steps.rows);
    }
  }
  for (size_t n = 0; n < steps.rows; ++n) {
    for (size_t c = 0; c < steps.cols; ++c) steps.row(n)[c] -= mean[c];
  }
  // Subspace iteration.
  Rng rng(1);
  Matrix basis(sums.weights.rows, size);
  for (double& value : basis.values) value = rng.Uniform(-1.0f, 1.0f);
  for (int i = 0; i < kIterations; ++i) {
    Orthogonalize(&basis);
    Matrix back = TransposedTimes(sums.weights, basis);  // [I+H, R]
    if (steps.rows > 0) back = TransposedTimes(steps, Times(steps, back));
    basis = Times(sums.weights, back);
  }
  Orthogonalize(&basis);
  const Matrix through = TransposedTimes(basis, sums.weights);  // [R, I+H]
  const auto inputs = static_cast<size_t>(weights->at(direction.weight_ih).dim(1));
  const Tensor from_x = TensorOf(through, 0, inputs);
  const Tensor from_h = TensorOf(through, inputs, through.cols - inputs);
  const Tensor rows = TensorOf(basis, 0, size);
  Tensor bias({static_cast<int64_t>(sums.bias.size())});
  // So that the mean is right.
  std::vector<double> middle(size, 0.0);
  for (size_t r = 0; r < size; ++r) {
    for (size_t c = 0; c < through.cols; ++c) {
      const float weight = c < inputs ? from_x.values[r * inputs + c]
                                      : from_h.values[r * (through.cols - inputs) + c - inputs];
      middle[r] += static_cast<double>(weight) * mean[c];
    }
  }
  for (size_t r = 0; r < sums.bias.size(); ++r) {
    double sum = sums.bias[r];
    for (size_t c = 0; c < sums.weights.cols; ++c) sum += sums.weights.row(r)[c] * mean[c];
    for (size_t k = 0; k < size; ++k)
      sum -= static_cast<double>(rows.values[r * size + k]) * middle[k];
    bias.values[r] = static_cast<float>(sum);
  }
  (*weights)[direction.weight_predict_ih] = from_x;
  (*weights)[direction.weight_predict_hh] = from_h;
  (*weights)[direction.weight_predict] = rows;
  (*weights)[direction.bias_predict] = bias;
}

}  // namespace

Status FitPredictors(const std::vector<Batch>& batches, const std::set<std::string>& layers,
                     Graph* graph) {
  std::map<std::string, Matrix> steps;          // by weight_ih
  std::map<std::string, std::string> input_of;  // weight_ih by weight_hh
  Graph exact = *graph;
  for (Node& node : exact.nodes) {
    if (!layers.contains(node.name)) continue;
    node.predicted->epsilon = 0.0;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      steps[direction.weight_ih];
      input_of[direction.weight_hh] = direction.weight_ih;
    }
  }
  if (steps.empty()) return Ok();
  // A step multiplies x, and then h.
  const auto see = [&](const std::string& weight, int64_t first_row, std::span<double> x) {
    const auto hh = input_of.find(weight);
    const auto found = steps.find(hh == input_of.end() ? weight : hh->second);
    if (found == steps.end() || first_row != 0) return;
    Matrix& seen = found->second;
    if (seen.rows >= static_cast<size_t>(kMostFittedSteps)) return;
    seen.values.insert(seen.values.end(), x.begin(), x.end());
    if (hh == input_of.end()) {
      if (seen.rows == 0) seen.cols = x.size();
      return;
    }
    if (seen.rows == 0) seen.cols += x.size();
    ++seen.rows;
  };
  const auto is_enough = [&] {
    return std::all_of(steps.begin(), steps.end(), [](const auto& seen) {
      return seen.second.rows >= static_cast<size_t>(kMostFittedSteps);
    });
  };
  for (const Batch& batch : batches) {
    if (is_enough()) break;
    StateSet states = ZeroStates(exact, batch.size);
    ESPALIER_RETURN_IF_ERROR(RunReference(exact, batch, &states, see).status());
  }
  for (const Node& node : graph->nodes) {
    if (!layers.contains(node.name)) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      Fit(node, direction, std::move(steps[direction.weight_ih]), &graph->weights);
    }
  }
  return Ok();
}

}  // namespace espalier
