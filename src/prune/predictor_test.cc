#include "prune/predictor.h"

#include <cmath>

#include "cells/saturation.h"
#include "model/build.h"
#include "prune/dynamic.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

Graph Predicted(CellKind cell, int64_t size, Direction direction = Direction::kForward) {
  Rng rng(4);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 6}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(cell, 8, {direction, 0.0}).Finish());
  const DynamicSpec specs[] = {{.name = "predicted", .predictor = size}};
  return ValueOrDie(WithDynamic(graph, specs));
}

// Of features that follow two waves, over a constant, so that two directions say nearly all.
std::vector<Batch> Waves(const Graph& graph) {
  Rng rng(8);
  std::vector<float> first(6), second(6);
  for (size_t i = 0; i < 6; ++i) {
    first[i] = rng.Uniform(-1.0f, 1.0f);
    second[i] = rng.Uniform(-1.0f, 1.0f);
  }
  std::vector<Batch> batches;
  for (int b = 0; b < 4; ++b) {
    Batch batch = RandomBatch(graph, 60, 2, 50, &rng);
    for (size_t row = 0; row < batch.features.size() / 6; ++row) {
      const float phase = 0.3f * static_cast<float>(row) + static_cast<float>(b);
      for (size_t i = 0; i < 6; ++i) {
        batch.features[row * 6 + i] =
            1.0f + 2.0f * std::sin(phase) * first[i] + 2.0f * std::cos(1.7f * phase) * second[i];
      }
    }
    batches.push_back(batch);
  }
  return batches;
}

// Mean squared error of p over that of the best constant, over the steps of the batches: from what
// the reference hands to the matrices.
double ErrorOf(const Graph& graph, const std::vector<Batch>& batches) {
  const Node& node = graph.nodes[0];
  const RecurrentDirection direction = DirectionsOf(node)[0];
  const auto times = [&](const std::string& weight, const std::vector<double>& v, size_t rows) {
    const Tensor& w = graph.weights.at(weight);
    std::vector<double> out(rows, 0.0);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < v.size(); ++c) {
        out[r] += static_cast<double>(w.values[r * v.size() + c]) * v[c];
      }
    }
    return out;
  };
  const auto rows = static_cast<size_t>(SaturationOf(node.cell)->sum_gates * node.hidden_size);
  const auto size = static_cast<size_t>(node.predicted->size);
  std::vector<std::vector<double>> sums, errors;
  std::vector<double> x;
  const auto see = [&](const std::string& weight, int64_t first_row, std::span<double> values) {
    const std::vector<double> v(values.begin(), values.end());
    if (weight == direction.weight_ih) x = v;
    if (weight != direction.weight_hh || first_row != 0) return;
    std::vector<double> through = times(direction.weight_predict_ih, x, size);
    const std::vector<double> through_h = times(direction.weight_predict_hh, v, size);
    for (size_t i = 0; i < size; ++i) through[i] += through_h[i];
    const std::vector<double> p = times(direction.weight_predict, through, rows);
    std::vector<double> sum = times(direction.weight_ih, x, rows);
    const std::vector<double> ah = times(direction.weight_hh, v, rows);
    std::vector<double> error(rows);
    for (size_t r = 0; r < rows; ++r) {
      const auto bias = [&](const std::string& name) {
        return static_cast<double>(graph.weights.at(name).values[r]);
      };
      sum[r] += ah[r] + bias(direction.bias_ih) + bias(direction.bias_hh);
      error[r] = sum[r] - p[r] - bias(direction.bias_predict);
    }
    sums.push_back(sum);
    errors.push_back(error);
  };
  for (const Batch& batch : batches) {
    StateSet states = ZeroStates(graph, batch.size);
    ValueOrDie(RunReference(graph, batch, &states, see));
  }
  double error = 0.0, variance = 0.0;
  for (size_t r = 0; r < rows; ++r) {
    double mean = 0.0;
    for (const auto& sum : sums) mean += sum[r] / static_cast<double>(sums.size());
    for (size_t n = 0; n < sums.size(); ++n) {
      error += errors[n][r] * errors[n][r];
      variance += (sums[n][r] - mean) * (sums[n][r] - mean);
    }
  }
  return error / variance;
}

TEST(Predictor, SaysTheSumsAsWellAsItsSizeAllows) {
  for (const CellKind cell :
       {CellKind::kLstmCell, CellKind::kGruCell, CellKind::kGruResetBeforeCell}) {
    double before = 1.0;
    for (const int64_t size : {1, 2, 4, 14}) {
      Graph graph = Predicted(cell, size);
      const std::vector<Batch> batches = Waves(graph);
      const double without = ErrorOf(graph, batches);
      ASSERT_OK(FitPredictors(batches, {graph.nodes[0].name}, &graph));
      const double error = ErrorOf(graph, batches);
      EXPECT_LT(error, before);
      if (size < 14) {
        EXPECT_LT(error, without) << size;
      }
      if (size == 2) {
        EXPECT_LT(error, 0.2);
      }
      if (size == 14) {
        EXPECT_LT(error, 1e-9);
      }
      before = error;
    }
  }
}

TEST(Predictor, IsTheSameEachTime) {
  Graph graph = Predicted(CellKind::kGruCell, 3, Direction::kBidirectional);
  const std::vector<Batch> batches = Waves(graph);
  ASSERT_OK(FitPredictors(batches, {graph.nodes[0].name}, &graph));
  Graph again = graph;
  ASSERT_OK(FitPredictors(batches, {"gru0"}, &again));
  EXPECT_EQ(again, graph);
}

}  // namespace
}  // namespace espalier
