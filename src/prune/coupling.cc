#include "prune/coupling.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/strings.h"
#include "cells/saturation.h"

namespace espalier {
namespace {

using Axis = std::vector<int32_t>;

// Walks the graph once. While it walks, a group is a node of a union-find forest; Finish gives the
// roots their final numbers, in order of first appearance.
class AxisWalker {
 public:
  explicit AxisWalker(const Graph& graph) : graph_(graph) {}

  Coupling Walk() {
    for (const GraphInput& input : graph_.inputs) {
      const bool is_ids = input.type.element == Element::kI32;  // one number, not a feature axis
      const Axis axis = NewGroups(is_ids ? 0 : input.type.features);
      Pin(axis, "is a feature of input '" + input.name + "'");
      values_[input.name] = axis;
    }
    for (const Node& node : graph_.nodes) {
      const Axis& out = values_[node.output] = OutputOf(node);
      coupling_.values.push_back({node.name, out});
    }
    for (const std::string& output : graph_.outputs) {
      Pin(values_.at(output), "reaches output '" + output + "'");
    }
    return Finish();
  }

 private:
  Axis NewGroups(int64_t count) {
    Axis axis(static_cast<size_t>(count));
    std::iota(axis.begin(), axis.end(), static_cast<int32_t>(parent_.size()));
    parent_.insert(parent_.end(), axis.begin(), axis.end());
    pinned_.resize(parent_.size());
    units_.resize(parent_.size());
    return axis;
  }

  int32_t Root(int32_t group) const {
    while (parent_[Idx(group)] != group) group = parent_[Idx(group)];
    return group;
  }

  void Join(int32_t a, int32_t b) {
    a = Root(a);
    b = Root(b);
    if (a == b) return;
    if (b < a) std::swap(a, b);
    parent_[Idx(b)] = a;
    units_[Idx(a)].insert(units_[Idx(a)].end(), units_[Idx(b)].begin(), units_[Idx(b)].end());
    if (pinned_[Idx(a)].empty()) pinned_[Idx(a)] = pinned_[Idx(b)];
  }

  void Pin(const Axis& axis, const std::string& reason) {
    for (const int32_t group : axis) {
      std::string& pinned = pinned_[Idx(Root(group))];
      if (pinned.empty()) pinned = reason;
    }
  }

  // The features of a node's output; notes the axes of its weights and states on the way.
  Axis OutputOf(const Node& node) {
    const Axis& in = values_.at(node.inputs[0]);
    switch (node.op) {
      case Op::kRecurrent: return Recurrent(node, in);
      case Op::kGemm: {
        if (!node.tied.empty()) return TiedGemm(node, in);
        const Axis out = NewGroups(graph_.weights.at(node.name + ".weight").dim(0));
        coupling_.weights[node.name + ".weight"] = {out, in};
        coupling_.weights[node.name + ".bias"] = {out, {}};
        return out;
      }
      case Op::kConv1d: return Conv1d(node, in);
      case Op::kEmbedding: {
        const Tensor& weight = graph_.weights.at(node.name + ".weight");
        const Axis out = NewGroups(weight.dim(1));
        coupling_.weights[node.name + ".weight"] = {Axis(Idx(weight.dim(0)), -1), out};
        return out;
      }
      case Op::kDropout:
      case Op::kRelu:
      case Op::kSigmoid:
      case Op::kTanh: return in;
      case Op::kLayerNorm:
        Pin(in, "is read by " + node.name + ", whose mean and variance are over all features");
        coupling_.weights[node.name + ".weight"] = {in, {}};
        coupling_.weights[node.name + ".bias"] = {in, {}};
        return in;
      case Op::kSlice:
        coupling_.slices.push_back({node.name, in, node.first, node.count});
        return coupling_.slices.back().groups();
      case Op::kSoftmax:
        Pin(in, "is read by " + node.name + ", which mixes all features");
        return in;
      case Op::kConcat: {
        Axis out = in;
        const Axis& other = values_.at(node.inputs[1]);
        out.insert(out.end(), other.begin(), other.end());
        return out;
      }
      case Op::kMul:
      case Op::kAdd: JoinAxes(in, values_.at(node.inputs[1])); return in;
      case Op::kLastStep: coupling_.states[node.name + ".last"] = in; return in;
      case Op::kMeanOverTime:
        coupling_.states[node.name + ".sum"] = in;
        coupling_.states[node.name + ".count"] = {-1};
        return in;
    }
    return in;
  }

  // What it reads are the columns of the Embedding, and its rows are the ids: these stay.
  Axis TiedGemm(const Node& node, const Axis& in) {
    WeightAxes& shared = coupling_.weights.at(WeightOf(node));
    JoinAxes(in, shared.cols);
    if (shared.rows[0] < 0) {
      shared.rows = NewGroups(static_cast<int64_t>(shared.rows.size()));
      Pin(shared.rows, "is a row of " + WeightOf(node) + ", which ids look up");
    }
    coupling_.weights[node.name + ".bias"] = {shared.rows, {}};
    return shared.rows;
  }

  void JoinAxes(const Axis& a, const Axis& b) {
    for (size_t i = 0; i < a.size(); ++i) Join(a[i], b[i]);
  }

  Axis NewUnits(const Node& node, bool reverse, int64_t count,
                UnitLayer::Part part = UnitLayer::Part::kUnits) {
    const Axis units = NewGroups(count);
    const auto layer = static_cast<int32_t>(coupling_.layers.size());
    for (int64_t k = 0; k < count; ++k) units_[Idx(units[Idx(k)])].push_back({layer, k});
    coupling_.layers.push_back({node.name, reverse, count, units, part});
    return units;
  }

  Axis Conv1d(const Node& node, const Axis& in) {
    const auto repeated = [&](int64_t count) {
      Axis axis;
      for (int64_t i = 0; i < count; ++i) axis.insert(axis.end(), in.begin(), in.end());
      return axis;
    };
    const Axis out = NewUnits(node, false, graph_.weights.at(node.name + ".weight").dim(0));
    coupling_.weights[node.name + ".weight"] = {out, repeated(node.kernel_size)};
    coupling_.weights[node.name + ".bias"] = {out, {}};
    if (node.kernel_size > 1) coupling_.states[node.name + ".past"] = repeated(PastSteps(node));
    return out;
  }

  Axis Recurrent(const Node& node, const Axis& in) {
    Axis out, all_units;  // of both directions
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      const Axis units = NewUnits(node, direction.reverse, node.hidden_size);
      const bool is_projected = node.projection_size > 0;
      const Axis h = is_projected ? NewUnits(node, direction.reverse, node.projection_size,
                                             UnitLayer::Part::kProjection)
                                  : units;
      const auto times = [&](int64_t count) {
        Axis rows;
        for (int64_t i = 0; i < count; ++i) rows.insert(rows.end(), units.begin(), units.end());
        return rows;
      };
      const Axis rows = times(InfoOf(node.cell).gates);
      coupling_.weights[direction.weight_ih] = {rows, in};
      coupling_.weights[direction.weight_hh] = {rows, h};
      coupling_.weights[direction.bias_ih] = {rows, {}};
      coupling_.weights[direction.bias_hh] = {rows, {}};
      if (is_projected) coupling_.weights[direction.weight_hr] = {h, units};
      if (!direction.weight_peephole.empty()) {
        coupling_.weights[direction.weight_peephole] = {times(InfoOf(node.cell).peepholes), {}};
      }
      if (node.skip) {
        coupling_.weights[direction.weight_skip] = {h, {}, true};
        coupling_.weights[direction.bias_skip] = {{-1}, {}};
      }
      if (node.banks.has_value()) {
        const Axis banks(Idx(BankCountOf(node)), -1);
        coupling_.weights[direction.weight_banks_ih] = {banks, in};
        coupling_.weights[direction.weight_banks_hh] = {banks, h};
        coupling_.weights[direction.bias_banks] = {banks, {}};
        Pin(h, "is in a bank of " + node.name + ", which it would shift");
      }
      if (node.predicted.has_value()) {
        const Axis through(Idx(node.predicted->size), -1);
        const Axis predicted = times(SaturationOf(node.cell)->sum_gates);
        coupling_.weights[direction.weight_predict_ih] = {through, in};
        coupling_.weights[direction.weight_predict_hh] = {through, h};
        coupling_.weights[direction.weight_predict] = {predicted, through};
        coupling_.weights[direction.bias_predict] = {predicted, {}};
        const std::string why = "is in what predicts rows of " + node.name;
        Pin(units, why);
        Pin(h, why);
      }
      if (!StartsFromValues(node)) {
        coupling_.states[direction.h] = h;
        if (!direction.c.empty()) coupling_.states[direction.c] = units;
        if (node.delta.has_value()) {
          coupling_.states[direction.x_sent] = in;
          coupling_.states[direction.h_sent] = h;
          if (node.delta->bank > 1) {
            const std::string why = "is sent in a bank of " + node.name + ", which it would shift";
            Pin(in, why);
            Pin(h, why);
          }
        }
        if (node.skip) {
          coupling_.states[direction.rest] = {-1};
          coupling_.states[direction.gain] = {-1};
        }
      }
      out.insert(out.end(), h.begin(), h.end());
      all_units.insert(all_units.end(), units.begin(), units.end());
    }
    if (!node.end_c.empty()) values_[node.end_c] = all_units;
    if (node.inputs.size() > 1) JoinAxes(values_.at(node.inputs[1]), out);
    if (node.inputs.size() > 2) JoinAxes(values_.at(node.inputs[2]), all_units);
    return out;
  }

  Coupling Finish() {
    Axis number(parent_.size(), -1);
    for (size_t i = 0; i < parent_.size(); ++i) {
      if (Root(static_cast<int32_t>(i)) != static_cast<int32_t>(i)) continue;
      number[i] = static_cast<int32_t>(coupling_.groups.size());
      coupling_.groups.push_back({std::move(units_[i]), std::move(pinned_[i])});
    }
    const auto renumber = [&](Axis* axis) {
      for (int32_t& group : *axis) {
        if (group >= 0) group = number[Idx(Root(group))];
      }
    };
    for (UnitLayer& layer : coupling_.layers) renumber(&layer.groups);
    for (FeatureSlice& slice : coupling_.slices) renumber(&slice.in);
    for (NodeFeatures& value : coupling_.values) renumber(&value.groups);
    for (auto& [name, axes] : coupling_.weights) {
      renumber(&axes.rows);
      renumber(&axes.cols);
    }
    for (auto& [name, axis] : coupling_.states) renumber(&axis);
    return std::move(coupling_);
  }

  static size_t Idx(int64_t value) { return static_cast<size_t>(value); }

  const Graph& graph_;
  std::map<std::string, Axis> values_;
  Axis parent_;
  std::vector<std::string> pinned_;       // of roots
  std::vector<std::vector<Unit>> units_;  // of roots
  Coupling coupling_;
};

}  // namespace

std::vector<int64_t> ShapeOf(const WeightAxes& axes) {
  std::vector<int64_t> shape = {static_cast<int64_t>(axes.rows.size())};
  if (!axes.cols.empty()) shape.push_back(static_cast<int64_t>(axes.cols.size()));
  return shape;
}

Result<Coupling> FindCoupling(const Graph& graph) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  return AxisWalker(graph).Walk();
}

int64_t KeptCount(const std::vector<int32_t>& axis, const Keep& keep) {
  return std::count_if(axis.begin(), axis.end(), [&](int32_t group) {
    return group < 0 || keep[static_cast<size_t>(group)] != 0;
  });
}

int64_t KeptCount(const UnitLayer& layer, const Keep& keep) {
  return KeptCount(layer.groups, keep);
}

Status ValidateKeep(const Coupling& coupling, const Keep& keep) {
  if (keep.size() != coupling.groups.size()) {
    return InvalidArgument(
        StrCat("keep-set: ", coupling.groups.size(), " groups expected, ", keep.size(), " found"));
  }
  for (size_t i = 0; i < keep.size(); ++i) {
    const UnitGroup& group = coupling.groups[i];
    if (keep[i] != 0 || (group.pinned.empty() && !group.units.empty())) continue;
    if (group.units.empty()) {
      return InvalidArgument(StrCat("keep-set: group ", i, " holds no hidden unit and must stay"));
    }
    const Unit& unit = group.units[0];
    return InvalidArgument(StrCat(coupling.layers[static_cast<size_t>(unit.layer)].name(),
                                  ": unit ", unit.unit, " cannot be removed, it ", group.pinned));
  }
  for (size_t i = 0; i < coupling.layers.size(); ++i) {
    const UnitLayer& layer = coupling.layers[i];
    const int64_t kept = KeptCount(layer, keep);
    if (kept == 0) {
      return InvalidArgument(
          StrCat(layer.name(), ": at least 1 unit expected to stay, 0 of ", layer.units, " found"));
    }
    for (size_t before = 0; before < i; ++before) {
      if (!layer.IsAsWideAs(coupling.layers[before])) continue;
      const int64_t forward = KeptCount(coupling.layers[before], keep);
      if (kept == forward) continue;
      return InvalidArgument(StrCat(coupling.layers[before].name(),
                                    ": equally many units in both directions expected, ", forward,
                                    " and ", kept, " found"));
    }
  }
  for (const NodeFeatures& value : coupling.values) {
    if (KeptCount(value.groups, keep) > 0) continue;
    return InvalidArgument(StrCat(value.node, ": at least 1 feature expected to stay, 0 of ",
                                  value.groups.size(), " found"));
  }
  return Ok();
}

std::map<std::string, std::vector<int64_t>> KeptUnits(const Coupling& coupling, const Keep& keep) {
  std::map<std::string, std::vector<int64_t>> kept;
  for (const UnitLayer& layer : coupling.layers) {
    std::vector<int64_t>& units = kept[layer.name()];
    for (size_t k = 0; k < layer.groups.size(); ++k) {
      if (keep[static_cast<size_t>(layer.groups[k])] != 0) units.push_back(static_cast<int64_t>(k));
    }
  }
  return kept;
}

}  // namespace espalier
