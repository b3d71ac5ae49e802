#include "pipeline/threshold_scales.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "model/reference.h"

namespace espalier {
namespace {

// More: a better scale of layers, by steps of the reference executor, which is slow.
constexpr int64_t kScaleSequences = 64;
constexpr int64_t kScaleSteps = 2000;

// Sum of squares of v[t] - v[t-1] over [T, 1, F], and how many there are.
struct Changes {
  double squares = 0.0;
  double count = 0.0;

  void Add(std::span<const float> values, size_t features) {
    for (size_t i = features; i < values.size(); ++i) {
      const double change =
          static_cast<double>(values[i]) - static_cast<double>(values[i - features]);
      squares += change * change;
    }
    count += static_cast<double>(values.size() - std::min(values.size(), features));
  }
  // What never moves needs no threshold: any will do.
  double Rms() const { return squares > 0.0 ? std::sqrt(squares / count) : 1.0; }
};

// Sequences of the split, one a batch, of kScaleSteps steps or what passes them.
std::vector<Batch> FirstSequences(const Dataset& valid) {
  std::vector<Batch> batches;
  LabelledBatch batch;
  int64_t steps = 0;
  for (const std::vector<int64_t>& indices : SampleBatches(valid, kScaleSequences, 1, 1)) {
    if (steps >= kScaleSteps) break;
    MakeBatch(valid, indices, &batch);
    steps += batch.batch.steps;
    batches.push_back(batch.batch);
  }
  return batches;
}

}  // namespace

Result<Scales> ScalesOfChanges(const Graph& graph, const std::set<std::string>& layers,
                               const Dataset& valid) {
  std::map<std::string, std::pair<Changes, Changes>> changes;
  for (const Batch& batch : FirstSequences(valid)) {
    StateSet states = ZeroStates(graph, 1);
    ESPALIER_ASSIGN_OR_RETURN(const auto values, RunReference(graph, batch, &states));
    for (const Node& node : graph.nodes) {
      if (!layers.contains(node.name)) continue;
      const auto x = values.find(node.inputs[0]);
      auto& [of_x, of_h] = changes[node.name];
      if (x == values.end()) {
        of_x.Add(batch.features, static_cast<size_t>(graph.inputs[0].type.features));
      } else {
        of_x.Add(x->second.values, static_cast<size_t>(x->second.type.features));
      }
      const Value& h = values.at(node.output);
      of_h.Add(h.values, static_cast<size_t>(h.type.features));
    }
  }
  Scales scales;
  for (const auto& [layer, each] : changes) {
    scales[layer] = {each.first.Rms(), each.second.Rms()};
  }
  return scales;
}

Result<Scales> OwnScales(const Graph& graph, const std::set<std::string>& layers) {
  Scales scales;
  for (const Node& node : graph.nodes) {
    if (!layers.contains(node.name)) continue;
    if (!node.delta.has_value() || (node.delta->x == 0.0 && node.delta->h == 0.0)) {
      return InvalidArgument(StrCat("scale: own: a layer with thresholds above 0 expected, '",
                                    node.name, "' found, which has none"));
    }
    scales[node.name] = {node.delta->x, node.delta->h};
  }
  if (scales.empty()) {
    return InvalidArgument("scale: own: a layer with thresholds above 0 expected, none found");
  }
  return scales;
}

}  // namespace espalier
