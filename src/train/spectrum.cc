#include "train/spectrum.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "model/reference.h"
#include "train/torch_executor.h"

namespace espalier {
namespace {

// What one direction saw at each valid step: rows of [x; h; c] before it.
struct Steps {
  std::vector<at::Tensor> x, h, c;
};

CellWeights WeightsOf(const Graph& graph, const RecurrentDirection& direction) {
  const auto tensor = [&](const std::string& name) {
    if (name.empty()) return at::Tensor();
    const Tensor& weight = graph.weights.at(name);
    return at::from_blob(const_cast<float*>(weight.values.data()), weight.shape, at::kFloat)
        .to(at::kDouble);
  };
  return {tensor(direction.weight_ih), tensor(direction.weight_hh),
          tensor(direction.bias_ih),   tensor(direction.bias_hh),
          tensor(direction.weight_hr), tensor(direction.weight_peephole)};
}

// Walks one sequence, [T, 1, I], and keeps what each step starts from. `values`: all of the graph.
void Walk(const Node& node, const RecurrentDirection& direction, const CellWeights& weights,
          const std::map<std::string, Value>& values, Steps* seen) {
  const Value& in = values.at(node.inputs[0]);
  const int64_t features = in.type.features;
  const at::Tensor x =
      at::from_blob(const_cast<float*>(in.values.data()), {in.steps, features}, at::kFloat)
          .to(at::kDouble);
  CellRun state;
  const auto start_of = [&](size_t input, int64_t size) {
    if (!StartsFromValues(node)) return at::zeros({1, size}, at::kDouble);
    const std::vector<float>& all = values.at(node.inputs[input]).values;
    const bool is_second = direction.reverse && node.direction == Direction::kBidirectional;
    return at::tensor(all).to(at::kDouble).narrow(0, is_second ? size : 0, size).view({1, size});
  };
  state.h = start_of(1, StateSizeOf(node));
  if (!direction.c.empty()) state.c = start_of(2, node.hidden_size);
  for (int64_t step = 0; step < in.steps; ++step) {
    const int64_t t = direction.reverse ? in.steps - 1 - step : step;
    state.rows = x.narrow(0, t, 1);
    seen->x.push_back(state.rows);
    seen->h.push_back(state.h);
    if (state.c.defined()) seen->c.push_back(state.c);
    state = RunCellTextual({node.cell}, weights, state, {1}, at::Tensor());
  }
}

void KeepGradient(const std::string& name, const at::Tensor& gradient, TensorStore* out) {
  const at::Tensor flat = gradient.to(at::kFloat).contiguous();
  const float* begin = flat.data_ptr<float>();
  (*out)[name] = Tensor(flat.sizes().vec(), std::vector<float>(begin, begin + flat.numel()));
}

// chi of one direction over all steps at once, each a sequence of its own, and its gradient.
void AddDirection(const Node& node, const RecurrentDirection& direction, CellWeights weights,
                  const Steps& seen, Rng* rng, Spectrum* spectrum) {
  std::vector<at::Tensor> matrices = {weights.weight_ih, weights.weight_hh};
  if (weights.weight_hr.defined()) matrices.push_back(weights.weight_hr);
  for (at::Tensor& matrix : matrices) matrix.requires_grad_(true);
  CellRun start;
  start.rows = at::cat(seen.x, 0);
  start.h = at::cat(seen.h, 0).requires_grad_(true);
  if (!seen.c.empty()) start.c = at::cat(seen.c, 0);
  const int64_t count = start.h.size(0);
  std::vector<double> signs(static_cast<size_t>(start.h.numel()));
  for (double& sign : signs) sign = rng->Below(2) == 0 ? -1.0 : 1.0;
  const at::Tensor v = at::tensor(signs, at::kDouble).view({count, StateSizeOf(node)});
  const at::Tensor h = RunCellTextual({node.cell}, weights, start, {count}, at::Tensor()).rows;
  const at::Tensor back =
      torch::autograd::grad({(h * v).sum()}, {start.h}, {}, /*retain_graph=*/true,
                            /*create_graph=*/true)[0];
  const at::Tensor chi = back.square().sum() / static_cast<double>(start.h.numel());
  const auto gradient = torch::autograd::grad({chi}, matrices);
  spectrum->chi[direction.weight_hh] = chi.item<double>();
  KeepGradient(direction.weight_ih, gradient[0], &spectrum->gradient);
  KeepGradient(direction.weight_hh, gradient[1], &spectrum->gradient);
  if (gradient.size() > 2) {
    KeepGradient(direction.weight_hr, gradient[2], &spectrum->gradient);
  }
}

}  // namespace

Result<Spectrum> FindSpectrum(const Graph& graph, const Dataset& dataset,
                              const CalibrationOptions& options) {
  Rng rng(options.seed);
  Spectrum spectrum;
  try {
    std::map<std::string, Steps> seen;  // by the direction's weight_hh
    for (const std::vector<int64_t>& indices :
         SampleBatches(dataset, options.sequences, 1, options.seed)) {
      LabelledBatch batch;
      MakeBatch(dataset, indices, &batch);
      StateSet states = ZeroStates(graph, 1);
      ESPALIER_ASSIGN_OR_RETURN(auto values, RunReference(graph, batch.batch, &states));
      for (const Node& node : graph.nodes) {
        if (node.op != Op::kRecurrent) continue;
        if (node.inputs[0] == graph.inputs[0].name) {
          values[node.inputs[0]] = {graph.inputs[0].type, batch.batch.steps, 1,
                                    batch.batch.features};
        }
        for (const RecurrentDirection& direction : DirectionsOf(node)) {
          const at::NoGradGuard no_gradient;
          Walk(node, direction, WeightsOf(graph, direction), values, &seen[direction.weight_hh]);
        }
      }
    }
    for (const Node& node : graph.nodes) {
      if (node.op != Op::kRecurrent) continue;
      for (const RecurrentDirection& direction : DirectionsOf(node)) {
        AddDirection(node, direction, WeightsOf(graph, direction), seen.at(direction.weight_hh),
                     &rng, &spectrum);
      }
    }
  } catch (const c10::Error& error) {
    return Internal(StrCat("libtorch: ", error.what_without_backtrace()));
  }
  return spectrum;
}

}  // namespace espalier
