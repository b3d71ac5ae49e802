#include "pipeline/model_record.h"

#include <algorithm>

namespace espalier {
namespace {

WeightRecord DescribeWeight(const Graph& graph, const std::string& name) {
  const Tensor& weight = graph.weights.at(name);
  WeightRecord record;
  record.name = name;
  record.rows = weight.dim(0);
  record.cols = weight.dim(1);
  record.nonzeros = static_cast<int64_t>(CountNonzeros(weight.values));
  record.sparsity = SparsityOf(weight.values);
  record.mask = PackMask(MaskOfNonzeros(weight).keep);
  const Node* owner = FindOwner(graph, name);
  if (owner != nullptr && GatesOfWeight(*owner, name) > 0) {
    const CellInfo& cell = InfoOf(owner->cell);
    const auto gate_size = weight.size() / static_cast<size_t>(cell.gates);
    for (size_t g = 0; g < static_cast<size_t>(cell.gates); ++g) {
      const auto gate = std::span<const float>(weight.values).subspan(g * gate_size, gate_size);
      record.gates.push_back({std::string(1, cell.gate_names[g]), SparsityOf(gate)});
    }
  }
  return record;
}

void DescribePart(const ArtifactMatrix& matrix, WeightRecord* record) {
  record->encoded_bytes += static_cast<int64_t>(matrix.view.bytes.size());
  if (!record->format.empty()) return;
  const Choice& choice = matrix.choice;
  record->format = FormatName(choice.spec);
  record->kernel = choice.kernel;
  record->candidates.push_back(
      {record->format, choice.ns, static_cast<int64_t>(matrix.view.bytes.size())});
  for (const Candidate& other : choice.runners_up) {
    if (other.bytes == 0) continue;  // it was refused: there is nothing to compare
    record->candidates.push_back(
        {FormatName(other.spec), other.ns, static_cast<int64_t>(other.bytes)});
  }
}

}  // namespace

ModelRecord DescribeNetwork(const Graph& graph) {
  ModelRecord record;
  record.params = static_cast<int64_t>(ParameterCount(graph, Count::kDense));
  record.nonzeros = static_cast<int64_t>(ParameterCount(graph, Count::kNonzeros));
  record.multiply_adds_per_step =
      static_cast<int64_t>(MultiplyAddsPerStep(graph, Count::kNonzeros));
  for (const Node& node : graph.nodes) {
    if (node.op == Op::kRecurrent) record.hidden_sizes[node.name] = node.hidden_size;
  }
  for (const std::string& name : PrunableWeights(graph)) {
    record.weights.push_back(DescribeWeight(graph, name));
  }
  return record;
}

void DescribeArtifact(const Artifact& artifact, ModelRecord* record) {
  const auto costs = artifact.metadata().find("costs");
  if (costs != artifact.metadata().end()) record->costs = costs->second;
  for (const ArtifactMatrix& matrix : artifact.matrices()) {
    const auto it =
        std::find_if(record->weights.begin(), record->weights.end(),
                     [&](const WeightRecord& weight) { return weight.name == matrix.part.weight; });
    if (it != record->weights.end()) DescribePart(matrix, &*it);
  }
}

}  // namespace espalier
