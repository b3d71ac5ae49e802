#include "prune/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "base/strings.h"
#include "prune/units.h"

namespace espalier {
namespace {

// * matches any run of characters, ? any one.
bool Matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return Matches(pattern.substr(1), text) || (!text.empty() && Matches(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) &&
         Matches(pattern.substr(1), text.substr(1));
}

std::vector<std::string> RecurrentMatrices(const Graph& graph) {
  std::vector<std::string> names;
  for (const std::string& name : PrunableWeights(graph)) {
    if (FindOwner(graph, name)->op == Op::kRecurrent) names.push_back(name);
  }
  return names;
}

// The matrices that the patterns name, in the order of the weights; every pattern must name one.
Result<std::vector<std::string>> Choose(const std::vector<std::string>& patterns,
                                        const std::vector<std::string>& names) {
  std::set<std::string> chosen;
  for (const std::string& pattern : patterns) {
    bool matched = false;
    for (const std::string& name : names) {
      if (!Matches(pattern, name)) continue;
      matched = true;
      chosen.insert(name);
    }
    if (!matched) {
      return InvalidArgument("weights: pattern '" + pattern + "' names none of " +
                             StrJoin(names, ", ") + DidYouMean(pattern, names));
    }
  }
  return std::vector<std::string>(chosen.begin(), chosen.end());
}

Status CheckNumbers(const PruneSpec& spec) {
  if (!(spec.sparsity >= 0.0 && spec.sparsity < 1.0)) {
    return InvalidArgument(
        StrCat("sparsity: a share in [0, 1) expected, ", spec.sparsity, " found"));
  }
  if (!(spec.floor >= 0.0 && spec.floor <= 1.0)) {
    return InvalidArgument(StrCat("floor: a share in [0, 1] expected, ", spec.floor, " found"));
  }
  if (spec.allocation == "global" && spec.floor > 1.0 - spec.sparsity + 1e-9) {
    return InvalidArgument(StrCat("floor: at most 1 - sparsity = ", 1.0 - spec.sparsity,
                                  " expected, ", spec.floor, " found"));
  }
  if (spec.multiple < 1) {
    return InvalidArgument(StrCat("multiple: at least 1 unit expected, ", spec.multiple, " found"));
  }
  return Ok();
}

Status CheckFixedSparsity(const GranularitySpec& granularity, double sparsity) {
  if (granularity.kind->fixed_sparsity == nullptr) return Ok();
  const double fixed = granularity.kind->fixed_sparsity(granularity);
  if (std::abs(sparsity - fixed) < 1e-9) return Ok();
  return InvalidArgument(StrCat("sparsity: ", fixed, ", that of granularity ",
                                GranularityName(granularity), ", expected, ", sparsity, " found"));
}

Plan::Target TargetOf(const Graph& graph, const std::string& name) {
  const Tensor& tensor = graph.weights.at(name);
  return {name, tensor.dim(0), tensor.dim(1)};
}

Status PlanWeights(const Graph& graph, const std::vector<std::string>& chosen, Plan* plan) {
  for (const std::string& name : chosen) {
    const Plan::Target target = TargetOf(graph, name);
    if (plan->granularity.kind->check != nullptr) {
      ESPALIER_RETURN_IF_ERROR(
          plan->granularity.kind->check(plan->granularity, name, target.rows, target.cols));
    }
    plan->targets.push_back(target);
  }
  return Ok();
}

Status PlanUnits(const Graph& graph, const std::vector<std::string>& chosen, Plan* plan) {
  ESPALIER_ASSIGN_OR_RETURN(plan->coupling, FindCoupling(graph));
  // By node: "*.weight_hh" does not match weight_hh_reverse, but directions shrink together.
  std::set<std::string> nodes;
  for (const std::string& name : chosen) nodes.insert(FindOwner(graph, name)->name);
  for (const UnitLayer& layer : plan->coupling.layers) {
    plan->unit_layers.push_back(nodes.contains(layer.node));
    if (plan->unit_layers.back() != 0 && plan->multiple > layer.units) {
      return InvalidArgument(StrCat("multiple: at most ", layer.units, ", the units of ",
                                    layer.name(), ", expected, ", plan->multiple, " found"));
    }
  }
  std::string reason = "no recurrent layer or Conv1d is among the chosen weights";
  Keep may_go;
  for (const UnitGroup& group : plan->coupling.groups) {
    const UnitLayer* chosen_layer = nullptr;
    const UnitLayer* other_layer = nullptr;
    for (const Unit& unit : group.units) {
      const auto layer = static_cast<size_t>(unit.layer);
      (plan->unit_layers[layer] != 0 ? chosen_layer : other_layer) = &plan->coupling.layers[layer];
    }
    may_go.push_back(chosen_layer != nullptr && other_layer == nullptr && group.pinned.empty());
    if (chosen_layer == nullptr || may_go.back() != 0) continue;
    reason = "a unit of " + chosen_layer->name() + " " +
             (group.pinned.empty() ? "is added to one of " + other_layer->name() +
                                         ", which is not among the chosen weights"
                                   : group.pinned);
  }
  if (std::accumulate(may_go.begin(), may_go.end(), 0) == 0) {
    return Unsupported("granularity 'unit': no hidden unit can be removed, " + reason);
  }
  const auto touches = [&](const std::vector<int32_t>& axis) {
    return std::any_of(axis.begin(), axis.end(), [&](int32_t group) {
      return group >= 0 && may_go[static_cast<size_t>(group)] != 0;
    });
  };
  for (const auto& [name, axes] : plan->coupling.weights) {
    if (axes.cols.empty() || (!touches(axes.rows) && !touches(axes.cols))) continue;
    plan->targets.push_back(TargetOf(graph, name));
  }
  return Ok();
}

// FNV-1a: the same on every machine, unlike std::hash.
uint64_t HashOf(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Result<std::vector<float>> Saliency(const Criterion& criterion, uint64_t seed,
                                    const Plan::Target& target, const StatisticsSet& statistics) {
  const auto size = static_cast<size_t>(target.rows * target.cols);
  const auto it = statistics.find(target.name);
  const Statistics found = it == statistics.end() ? Statistics() : it->second;
  for (const StatisticsField& field : StatisticsFields()) {
    if ((criterion.needs & field.flag) == 0 || (found.*field.field).size() == size) continue;
    return InvalidArgument(StrCat(target.name, ": criterion ", criterion.name, " needs ", size, " ",
                                  field.name, ", ", (found.*field.field).size(), " found"));
  }
  std::vector<float> saliency(size);
  Rng rng(seed ^ HashOf(target.name));
  criterion.score(found, &rng, saliency);
  for (size_t i = 0; i < size; ++i) {
    if (std::isfinite(saliency[i])) continue;
    return InvalidArgument(StrCat(target.name, ": a finite saliency expected, ", saliency[i],
                                  " found at element ", i));
  }
  return saliency;
}

Status CheckMask(const std::string& name, const Mask& mask, const std::vector<int64_t>& shape) {
  const auto size = static_cast<size_t>(ElementCount(shape));
  if (mask.shape == shape && mask.keep.size() == size) return Ok();
  return InvalidArgument(StrCat("mask '", name, "': ", ShapeString(shape), " expected, ",
                                ShapeString(mask.shape), " (", mask.keep.size(),
                                " elements) found"));
}

// The previous mask of a target, or empty.
Result<std::span<const uint8_t>> AliveOf(const Plan::Target& target, const MaskSet& previous) {
  const auto it = previous.find(target.name);
  if (it == previous.end()) return std::span<const uint8_t>();
  ESPALIER_RETURN_IF_ERROR(CheckMask(target.name, it->second, {target.rows, target.cols}));
  return std::span<const uint8_t>(it->second.keep);
}

// A granularity ranks by sizes and scores a piece by their mean; where saliencies have signs it is
// the size of the mean.
Partition CutInPieces(const GranularitySpec& granularity, const Criterion& criterion,
                      std::span<const float> saliency, SaliencyView view) {
  const bool has_signs = criterion.grouping == Grouping::kSignedSum;
  std::vector<float> sizes(saliency.begin(), saliency.end());
  if (has_signs) {
    for (float& value : sizes) value = std::abs(value);
  }
  view.saliency = sizes;
  Partition partition = granularity.kind->partition(granularity, view);
  if (!has_signs) return partition;
  std::vector<double> sum(partition.pool.pieces.size(), 0.0);
  for (size_t i = 0; i < saliency.size(); ++i) {
    const int32_t piece = partition.piece_of[i];
    if (piece >= 0) sum[static_cast<size_t>(piece)] += saliency[i];
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    Piece& piece = partition.pool.pieces[i];
    piece.score = static_cast<float>(std::abs(sum[i]) / piece.size);
  }
  return partition;
}

Result<MaskSet> MakeWeightMasks(const Plan& plan, const Budget& budget,
                                const StatisticsSet& statistics, const MaskSet& previous) {
  std::vector<Pool> pools;
  std::vector<std::vector<int32_t>> pieces_of;
  for (const Plan::Target& target : plan.targets) {
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> saliency,
                              Saliency(*plan.criterion, plan.seed, target, statistics));
    ESPALIER_ASSIGN_OR_RETURN(const std::span<const uint8_t> alive, AliveOf(target, previous));
    Partition partition = CutInPieces(plan.granularity, *plan.criterion, saliency,
                                      {{}, alive, target.rows, target.cols});
    pools.push_back(std::move(partition.pool));
    pieces_of.push_back(std::move(partition.piece_of));
  }
  const std::vector<Keep> kept = plan.allocation->allocate(pools, budget);
  MaskSet masks = previous;
  for (size_t i = 0; i < plan.targets.size(); ++i) {
    const Plan::Target& target = plan.targets[i];
    Mask& mask = masks[target.name] = Mask({target.rows, target.cols}, 0);
    for (size_t element = 0; element < mask.keep.size(); ++element) {
      const int32_t piece = pieces_of[i][element];
      mask.keep[element] = piece >= 0 && kept[i][static_cast<size_t>(piece)] != 0;
    }
  }
  return masks;
}

Result<MaskSet> MakeUnitMasks(const Plan& plan, const Budget& budget,
                              const StatisticsSet& statistics, const MaskSet& previous) {
  std::map<std::string, std::vector<float>> saliency;
  for (const Plan::Target& target : plan.targets) {
    ESPALIER_ASSIGN_OR_RETURN(saliency[target.name],
                              Saliency(*plan.criterion, plan.seed, target, statistics));
  }
  UnitSelection selection{plan.allocation, budget, plan.multiple, plan.unit_layers, {}};
  for (const auto& [name, axes] : plan.coupling.weights) {
    const auto it = previous.find(name);
    if (it != previous.end()) {
      ESPALIER_RETURN_IF_ERROR(CheckMask(name, it->second, ShapeOf(axes)));
    }
  }
  selection.alive = AliveGroups(plan.coupling, previous);
  const Keep keep = SelectUnits(
      plan.coupling, UnitScores(plan.coupling, plan.criterion->grouping, saliency), selection);
  MaskSet masks = UnitMasks(plan.coupling, keep);
  for (const auto& [name, mask] : previous) {
    const auto [it, is_new] = masks.emplace(name, mask);
    for (size_t i = 0; i < mask.keep.size() && !is_new; ++i) it->second.keep[i] &= mask.keep[i];
  }
  return masks;
}

}  // namespace

Result<Plan> MakePlan(const Graph& graph, const PruneSpec& spec) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  Plan plan;
  ESPALIER_ASSIGN_OR_RETURN(plan.criterion, FindCriterion(spec.criterion));
  ESPALIER_ASSIGN_OR_RETURN(plan.granularity, ParseGranularity(spec.granularity));
  ESPALIER_ASSIGN_OR_RETURN(plan.allocation, FindAllocation(spec.allocation));
  ESPALIER_RETURN_IF_ERROR(CheckNumbers(spec));
  ESPALIER_RETURN_IF_ERROR(CheckFixedSparsity(plan.granularity, spec.sparsity));
  plan.sparsity = spec.sparsity;
  plan.floor = spec.floor;
  plan.multiple = spec.multiple;
  plan.seed = spec.seed;
  std::vector<std::string> chosen = RecurrentMatrices(graph);
  if (!spec.weights.empty()) {
    ESPALIER_ASSIGN_OR_RETURN(chosen, Choose(spec.weights, PrunableWeights(graph)));
  }
  if (chosen.empty()) {
    return InvalidArgument("graph '" + graph.name + "': a Recurrent node expected, none found");
  }
  const bool is_unit = plan.granularity.kind->extent == Extent::kUnits;
  ESPALIER_RETURN_IF_ERROR(is_unit ? PlanUnits(graph, chosen, &plan)
                                   : PlanWeights(graph, chosen, &plan));
  return plan;
}

Result<MaskSet> MakeMasks(const Plan& plan, double sparsity, const StatisticsSet& statistics,
                          const MaskSet& previous) {
  if (!(sparsity >= 0.0 && sparsity < 1.0)) {
    return InvalidArgument(StrCat("sparsity: a share in [0, 1) expected, ", sparsity, " found"));
  }
  const Budget budget{sparsity, plan.floor};
  return plan.granularity.kind->extent == Extent::kUnits
             ? MakeUnitMasks(plan, budget, statistics, previous)
             : MakeWeightMasks(plan, budget, statistics, previous);
}

Result<MaskSet> RegrowMasks(const Plan& plan, const Criterion& criterion, uint64_t seed,
                            const StatisticsSet& statistics, const MaskSet& fixed,
                            const MaskSet& before, const MaskSet& after) {
  MaskSet masks = after;
  for (const Plan::Target& target : plan.targets) {
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> saliency,
                              Saliency(criterion, seed, target, statistics));
    ESPALIER_ASSIGN_OR_RETURN(const std::span<const uint8_t> allowed, AliveOf(target, fixed));
    std::vector<uint8_t>& keep = masks.at(target.name).keep;
    std::vector<uint8_t> may_come(keep.size());
    for (size_t i = 0; i < keep.size(); ++i) {
      may_come[i] = keep[i] == 0 && (allowed.empty() || allowed[i] != 0);
    }
    const Partition partition = CutInPieces(plan.granularity, criterion, saliency,
                                            {{}, may_come, target.rows, target.cols});
    const auto lost = static_cast<int64_t>(before.at(target.name).KeptCount()) -
                      static_cast<int64_t>(after.at(target.name).KeptCount());
    const Keep grown = KeepBest(partition.pool.pieces, std::max<int64_t>(lost, 0));
    for (size_t i = 0; i < keep.size(); ++i) {
      const int32_t piece = partition.piece_of[i];
      if (piece >= 0 && grown[static_cast<size_t>(piece)] != 0) keep[i] = 1;
    }
  }
  return masks;
}

}  // namespace espalier
