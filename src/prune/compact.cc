#include "prune/compact.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/strings.h"
#include "prune/units.h"

namespace espalier {
namespace {

size_t Idx(int64_t value) { return static_cast<size_t>(value); }

// The positions of an axis whose groups stay.
std::vector<size_t> KeptPositions(const std::vector<int32_t>& axis, const Keep& keep) {
  std::vector<size_t> positions;
  for (size_t i = 0; i < axis.size(); ++i) {
    if (axis[i] < 0 || keep[Idx(axis[i])] != 0) positions.push_back(i);
  }
  return positions;
}

// Gathers what stays of a weight's values, or of its mask, and its new shape.
template <typename T>
void Gather(const WeightAxes& axes, const Keep& keep, std::vector<int64_t>* shape,
            std::vector<T>* values) {
  const std::vector<size_t> rows = KeptPositions(axes.rows, keep);
  const bool is_matrix = !axes.cols.empty();
  const std::vector<size_t> cols =
      is_matrix ? KeptPositions(axes.cols, keep) : std::vector<size_t>{0};
  const size_t stride = is_matrix ? axes.cols.size() : 1;
  std::vector<T> gathered;
  gathered.reserve(rows.size() * cols.size());
  for (const size_t row : rows) {
    for (const size_t col : cols) gathered.push_back((*values)[row * stride + col]);
  }
  *values = std::move(gathered);
  (*shape)[0] = static_cast<int64_t>(rows.size());
  if (is_matrix) (*shape)[1] = static_cast<int64_t>(cols.size());
}

Status CheckShape(const Coupling& coupling, const std::string& name,
                  const std::vector<int64_t>& shape) {
  const auto it = coupling.weights.find(name);
  if (it == coupling.weights.end()) {
    return InvalidArgument("'" + name + "': the coupling knows no such weight");
  }
  const std::vector<int64_t> expected = ShapeOf(it->second);
  if (shape == expected) return Ok();
  return InvalidArgument(StrCat(name, ": ", ShapeString(expected), " expected by the coupling, ",
                                ShapeString(shape), " found"));
}

}  // namespace

Result<Graph> Compact(const Graph& graph, const Coupling& coupling, const Keep& keep) {
  ESPALIER_RETURN_IF_ERROR(ValidateKeep(coupling, keep));
  Graph compact = graph;
  for (auto& [name, tensor] : compact.weights) {
    ESPALIER_RETURN_IF_ERROR(CheckShape(coupling, name, tensor.shape));
    Gather(coupling.weights.at(name), keep, &tensor.shape, &tensor.values);
  }
  for (Node& node : compact.nodes) {
    if (node.op != Op::kRecurrent) continue;
    const RecurrentDirection direction = DirectionsOf(node)[0];
    node.hidden_size = compact.weights.at(direction.weight_ih).dim(0) / InfoOf(node.cell).gates;
    if (node.projection_size == 0) continue;
    node.projection_size = compact.weights.at(direction.weight_hr).dim(0);
  }
  for (const FeatureSlice& slice : coupling.slices) {
    const auto node = std::find_if(compact.nodes.begin(), compact.nodes.end(),
                                   [&](const Node& other) { return other.name == slice.node; });
    if (node == compact.nodes.end()) {
      return InvalidArgument(slice.node + ": the coupling is of a graph that has it");
    }
    const std::vector<int32_t> before(slice.in.begin(), slice.in.begin() + slice.first);
    node->first = KeptCount(before, keep);
    node->count = KeptCount(slice.groups(), keep);
  }
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(compact));
  return compact;
}

Result<MaskSet> CompactMasks(const Coupling& coupling, const Keep& keep, const MaskSet& masks) {
  ESPALIER_RETURN_IF_ERROR(ValidateKeep(coupling, keep));
  MaskSet compact = masks;
  for (auto& [name, mask] : compact) {
    ESPALIER_RETURN_IF_ERROR(CheckShape(coupling, name, mask.shape));
    Gather(coupling.weights.at(name), keep, &mask.shape, &mask.keep);
  }
  return compact;
}

Result<StateSet> CompactStates(const Coupling& coupling, const Keep& keep, const StateSet& states) {
  ESPALIER_RETURN_IF_ERROR(ValidateKeep(coupling, keep));
  StateSet compact;
  for (const auto& [name, axis] : coupling.states) {
    const auto it = states.find(name);
    if (it == states.end() || it->second.size() % axis.size() != 0) {
      return InvalidArgument(StrCat("state '", name, "': a multiple of ", axis.size(),
                                    " elements expected, ",
                                    it == states.end() ? size_t{0} : it->second.size(), " found"));
    }
    const std::vector<size_t> positions = KeptPositions(axis, keep);
    std::vector<float>& values = compact[name];
    for (size_t first = 0; first < it->second.size(); first += axis.size()) {
      for (const size_t position : positions) values.push_back(it->second[first + position]);
    }
  }
  return compact;
}

namespace {

// 1 where some weight of a group is not 0.
std::vector<float> NonzeroScores(const Graph& graph, const Coupling& coupling) {
  MaskSet nonzeros;
  for (const auto& [name, tensor] : graph.weights) nonzeros[name] = MaskOfNonzeros(tensor);
  const Keep alive = AliveGroups(coupling, nonzeros);
  return {alive.begin(), alive.end()};
}

}  // namespace

Keep FindDeadUnits(const Graph& graph, const Coupling& coupling) {
  // Live: pinned, in no UnitLayer, or read by a nonzero weight of a live group. Repeated
  // until nothing changes, since a unit may be read by dead ones only.
  Keep live(coupling.groups.size());
  for (size_t i = 0; i < live.size(); ++i) {
    live[i] = coupling.groups[i].units.empty() || !coupling.groups[i].pinned.empty();
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [name, axes] : coupling.weights) {
      const std::vector<float>& values = graph.weights.at(name).values;
      for (size_t row = 0; row < axes.rows.size() && axes.reads_rows; ++row) {
        uint8_t& reads = live[Idx(axes.rows[row])];
        if (reads != 0 || values[row] == 0.0f) continue;
        reads = 1;
        changed = true;
      }
      for (size_t row = 0; row < axes.rows.size() && !axes.cols.empty(); ++row) {
        // A row of no group is one of scores or of a predictor, which always reads.
        if (axes.rows[row] >= 0 && live[Idx(axes.rows[row])] == 0) continue;
        for (size_t col = 0; col < axes.cols.size(); ++col) {
          if (axes.cols[col] < 0) continue;
          uint8_t& reads = live[Idx(axes.cols[col])];
          if (reads != 0 || values[row * axes.cols.size() + col] == 0.0f) continue;
          reads = 1;
          changed = true;
        }
      }
    }
  }
  // Where a layer or a Slice must keep more, those come back that someone kept, not masked ones: so
  // what is found is part of every keep-set that the zeros could come from.
  BalanceUnits(coupling, NonzeroScores(graph, coupling), 1, &live);
  return live;
}

Result<Compacted> CompactZeros(const Graph& graph) {
  Compacted compacted;
  ESPALIER_ASSIGN_OR_RETURN(compacted.coupling, FindCoupling(graph));
  compacted.keep = FindDeadUnits(graph, compacted.coupling);
  ESPALIER_ASSIGN_OR_RETURN(compacted.graph, Compact(graph, compacted.coupling, compacted.keep));
  return compacted;
}

}  // namespace espalier
