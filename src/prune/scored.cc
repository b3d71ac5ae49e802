#include "prune/scored.h"

#include <algorithm>

#include "base/strings.h"
#include "prune/units.h"

namespace espalier {
namespace {

size_t Idx(int64_t value) { return static_cast<size_t>(value); }

// Of the units that may go every one is part of a matrix that is scored.
Status CheckUnits(const Plan& plan, const Criterion& criterion) {
  std::vector<uint8_t> is_known(plan.coupling.groups.size(), 0);
  for (const Plan::Target& target : plan.targets) {
    if (!target.is_scored) continue;
    const WeightAxes& axes = plan.coupling.weights.at(target.name);
    for (const std::vector<int32_t>* axis : {&axes.rows, &axes.cols}) {
      for (const int32_t group : *axis) {
        if (group >= 0) is_known[Idx(group)] = 1;
      }
    }
  }
  const Keep may_go = RemovableGroups(plan.coupling, plan.unit_layers);
  for (size_t i = 0; i < may_go.size(); ++i) {
    if (may_go[i] == 0 || is_known[i] != 0) continue;
    const Unit& unit = plan.coupling.groups[i].units[0];
    const std::string layer = plan.coupling.layers[Idx(unit.layer)].name();
    return InvalidArgument(StrCat("criterion ", criterion.name,
                                  ": units that are part of a matrix of a recurrent layer "
                                  "expected, unit ",
                                  unit.unit, " of ", layer, ", which is of none, found"));
  }
  return Ok();
}

}  // namespace

bool IsScored(const Graph& graph, const Criterion& criterion, const std::string& weight) {
  if ((criterion.needs & kNeedsSpectrumGradient) == 0) return true;
  const Node& owner = *FindOwner(graph, weight);
  if (owner.op != Op::kRecurrent) return false;
  const std::vector<RecurrentDirection> directions = DirectionsOf(owner);
  return std::any_of(directions.begin(), directions.end(), [&](const RecurrentDirection& each) {
    return weight == each.weight_ih || weight == each.weight_hh || weight == each.weight_hr;
  });
}

Status CheckTargets(const Graph& graph, const Plan& plan, const Criterion& criterion) {
  const bool is_unit = plan.granularity.kind->extent == Extent::kUnits;
  for (const Plan::Target& target : plan.targets) {
    if (!is_unit && !IsScored(graph, criterion, target.name)) {
      return InvalidArgument(StrCat("criterion ", criterion.name,
                                    ": matrices of recurrent layers alone expected, ", target.name,
                                    " found"));
    }
    const Node& owner = *FindOwner(graph, target.name);
    const bool is_read = std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
      return node.op == Op::kGemm && node.tied == owner.name;
    });
    const bool is_looked_up = owner.op == Op::kEmbedding && !is_read;
    if ((criterion.needs & (kNeedsInputPower | kNeedsInverseMoment)) != 0 && is_looked_up) {
      return InvalidArgument(StrCat("criterion ", criterion.name,
                                    ": matrices that multiply something expected, ", target.name,
                                    ", whose rows are looked up, found"));
    }
  }
  return is_unit ? CheckUnits(plan, criterion) : Ok();
}

}  // namespace espalier
