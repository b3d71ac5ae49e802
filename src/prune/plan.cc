#include "prune/plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

#include "base/strings.h"
#include "prune/patterns.h"
#include "prune/pieces.h"
#include "prune/scored.h"
#include "prune/units.h"

namespace espalier {
namespace {

Status CheckShare(const char* what, double share) {
  if (share >= 0.0 && share < 1.0) return Ok();
  return InvalidArgument(StrCat(what, ": a share in [0, 1) expected, ", share, " found"));
}

Status CheckNumbers(const PruneSpec& spec) {
  ESPALIER_RETURN_IF_ERROR(CheckShare("sparsity", spec.sparsity));
  if (!(spec.floor >= 0.0 && spec.floor <= 1.0)) {
    return InvalidArgument(StrCat("floor: a share in [0, 1] expected, ", spec.floor, " found"));
  }
  if (spec.multiple > 1 && spec.granularity != "unit") {
    return InvalidArgument(
        StrCat("multiple: 1 expected, since granularity is not unit, ", spec.multiple, " found"));
  }
  if (spec.multiple < 1) {
    return InvalidArgument(StrCat("multiple: at least 1 unit expected, ", spec.multiple, " found"));
  }
  return Ok();
}

// Where each pool has its own share a floor plays no part.
Status CheckFloor(const Plan& plan) {
  if (plan.allocation->kind == AllocationKind::kShares) {
    if (plan.floor == PruneSpec().floor) return Ok();
    return InvalidArgument(StrCat("floor: nothing expected under allocation ",
                                  plan.allocation->name, ", where shares say what stays, ",
                                  plan.floor, " found"));
  }
  if (plan.floor <= 1.0 - plan.sparsity + 1e-9 || HasThresholds(plan)) return Ok();
  // All pools have the same floor, and none can keep it: the first will do.
  const Pool& pool = plan.cut.pools[0];
  return InvalidArgument(
      StrCat("floor: at most 1 - sparsity = ", 1.0 - plan.sparsity, " expected, ", plan.floor,
             " found, by which ", pool.name, " keeps ",
             std::llround(std::ceil(plan.floor * static_cast<double>(pool.size) - 1e-6)), " of ",
             pool.size, plan.granularity.kind->extent == Extent::kUnits ? " units" : " weights",
             " and not ", KeepBudget(plan.sparsity, pool.size)));
}

// What the allocation needs beside the weights is there, and nothing that it does not read.
Status CheckAllocation(const PruneSpec& spec, const Allocation& allocation) {
  const bool takes_list = allocation.needs == AllocationNeeds::kSparsities;
  if (takes_list && spec.sparsities.empty()) {
    return InvalidArgument(
        StrCat("sparsity: a list of patterns and shares expected under "
               "allocation ",
               allocation.name, ", one share found"));
  }
  if (!takes_list && !spec.sparsities.empty()) {
    return InvalidArgument(StrCat("allocation: given expected, since sparsity is a list, ",
                                  allocation.name, " found"));
  }
  if (!spec.sparsities.empty() && !spec.weights.empty()) {
    return InvalidArgument("weights: nothing expected, since sparsity lists them, '" +
                           StrJoin(spec.weights, " ") + "' found");
  }
  if (spec.threshold && allocation.needs != AllocationNeeds::kThresholds) {
    return InvalidArgument(StrCat("threshold: nothing expected under allocation ", allocation.name,
                                  ", ", *spec.threshold, " found"));
  }
  if (spec.threshold && !(*spec.threshold >= 0.0 && std::isfinite(*spec.threshold))) {
    return InvalidArgument(
        StrCat("threshold: a number of at least 0 expected, ", *spec.threshold, " found"));
  }
  if (allocation.needs == AllocationNeeds::kLosses && spec.losses.empty()) {
    return InvalidArgument(
        StrCat("allocation ", allocation.name, ": the losses of a scan expected, none found"));
  }
  return Ok();
}

// Gives each pool its threshold: the spec's, or the score of the last piece that stays at the
// spec's sparsity (of a trained network: the q of Narang et al. 2017, arXiv:1704.05119).
Status FillThresholds(const Graph& graph, const PruneSpec& spec, Plan* plan) {
  const Granularity& kind = *plan->granularity.kind;
  if (kind.is_balanced || kind.fixed_sparsity != nullptr) {
    return InvalidArgument(
        StrCat("allocation threshold: a granularity whose pieces hold no balance expected, ",
               GranularityName(plan->granularity), " found"));
  }
  plan->sparsity = 0.0;
  if (spec.threshold) {
    for (Pool& pool : plan->cut.pools) pool.threshold = *spec.threshold;
    return Ok();
  }
  if (kind.extent == Extent::kUnits || (plan->criterion->needs & ~kNeedsWeight) != 0) {
    return InvalidArgument(
        StrCat("threshold: a number expected, since that of a sparsity is known only for "
               "criteria that read weights alone and granularities other than unit, nothing found "
               "for criterion ",
               plan->criterion->name, " and granularity ", GranularityName(plan->granularity)));
  }
  ESPALIER_ASSIGN_OR_RETURN(
      const SaliencySet saliency,
      SaliencyOfAll(*plan, *plan->criterion, plan->seed, StatisticsOf(graph.weights)));
  const std::vector<Pool> pools =
      PoolsOf(plan->cut, plan->criterion->grouping, saliency, MaskSet());
  for (size_t i = 0; i < pools.size(); ++i) {
    const Keep keep = KeepBest(pools[i].pieces, KeepBudget(spec.sparsity, pools[i].size));
    float least = std::numeric_limits<float>::max();
    for (size_t j = 0; j < keep.size(); ++j) {
      if (keep[j] != 0) least = std::min(least, pools[i].pieces[j].score);
    }
    if (least == std::numeric_limits<float>::max()) {
      return InvalidArgument(StrCat(pools[i].name, ": at least 1 piece of granularity ",
                                    GranularityName(plan->granularity),
                                    " expected to stay, none found at sparsity ", spec.sparsity));
    }
    plan->cut.pools[i].threshold = static_cast<double>(least);
  }
  return Ok();
}

// Gives the pools what a spec has for each, and the plan the sparsity of all together.
Status FillPools(const Graph& graph, const PruneSpec& spec, Plan* plan) {
  std::vector<Pool>& pools = plan->cut.pools;
  if (HasThresholds(*plan)) return FillThresholds(graph, spec, plan);
  if (plan->allocation->needs == AllocationNeeds::kLosses) {
    for (Pool& pool : pools) {
      const auto it = spec.losses.find(pool.name);
      if (it != spec.losses.end()) {
        pool.losses = it->second;
        continue;
      }
      std::vector<std::string> known;
      for (const auto& [name, losses] : spec.losses) known.push_back(name);
      return InvalidArgument("sensitivity: losses of " + pool.name + " expected, those of " +
                             StrJoin(known, ", ") + " found");
    }
    for (const auto& [name, losses] : spec.losses) {
      const bool is_known = std::any_of(pools.begin(), pools.end(),
                                        [&](const Pool& pool) { return pool.name == name; });
      if (is_known) continue;
      return InvalidArgument("sensitivity: losses of what is cut alone expected, of " + name +
                             ", too, found; name the weights, or measure anew");
    }
  }
  plan->sparsity = spec.sparsity;
  if (spec.sparsities.empty()) return CheckFixedSparsity(plan->granularity, spec.sparsity);
  ESPALIER_RETURN_IF_ERROR(GiveSparsities(spec.sparsities, &pools));
  double dropped = 0.0;
  double size = 0.0;
  for (const Pool& pool : pools) {
    if (pool.sparsity > 0.0) {
      ESPALIER_RETURN_IF_ERROR(CheckFixedSparsity(plan->granularity, pool.sparsity));
    }
    dropped += pool.sparsity * static_cast<double>(pool.size);
    size += static_cast<double>(pool.size);
  }
  plan->sparsity = dropped / size;
  return Ok();
}

}  // namespace

Status CheckFixedSparsity(const GranularitySpec& granularity, double sparsity) {
  if (granularity.kind->fixed_sparsity == nullptr) return Ok();
  const double fixed = granularity.kind->fixed_sparsity(granularity);
  if (std::abs(sparsity - fixed) < 1e-9) return Ok();
  return InvalidArgument(StrCat("sparsity: ", fixed, ", that of granularity ",
                                GranularityName(granularity), ", expected, ", sparsity, " found"));
}

namespace {

Plan::Target TargetOf(const Graph& graph, const std::string& name) {
  const Tensor& tensor = graph.weights.at(name);
  return {name, tensor.dim(0), tensor.dim(1)};
}

// Fills Plan::group_of.
void FindGroups(const Graph& graph, Plan* plan) {
  std::map<std::string, size_t> offsets;
  size_t size = 0;
  for (const auto& [name, tensor] : graph.weights) {
    offsets[name] = size;
    size += tensor.size();
  }
  const Pieces pieces = FindPieces(graph, *plan, offsets);
  std::vector<int32_t> group_of(size, -1);
  for (const PieceMember& member : pieces.members) {
    group_of[member.element] = std::max(member.gate, member.also);  // a weight has one of them
  }
  for (const Plan::Target& target : plan->targets) {
    const auto first = group_of.begin() + static_cast<ptrdiff_t>(offsets.at(target.name));
    plan->group_of[target.name].assign(first, first + target.rows * target.cols);
  }
  plan->groups = static_cast<int32_t>(pieces.count());
}

// patterns: of weights, or of gates of them, some of which are then left out.
Status PlanWeights(const Graph& graph, const std::set<std::string>& chosen,
                   const std::vector<std::string>& patterns, Plan* plan) {
  ESPALIER_ASSIGN_OR_RETURN(plan->cut, MakeCut(graph, chosen, plan->granularity, plan->per));
  if (std::any_of(patterns.begin(), patterns.end(), NamesGate)) {
    ESPALIER_ASSIGN_OR_RETURN(const Keep keep, ChoosePools(patterns, plan->cut.pools));
    KeepPools(keep, &plan->cut);
  }
  for (const std::string& name : TargetsOf(plan->cut)) {
    plan->targets.push_back(TargetOf(graph, name));
  }
  if (ScoresGroups(*plan)) FindGroups(graph, plan);
  return Ok();
}

Status PlanUnits(const Graph& graph, const std::set<std::string>& chosen, Plan* plan) {
  if (plan->per == Per::kGate) {
    return Unsupported(
        "granularity 'unit': per tensor expected, since a unit is part of all gates, "
        "per gate found");
  }
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
  if (std::accumulate(plan->unit_layers.begin(), plan->unit_layers.end(), 0) == 0) {
    return Unsupported(
        "granularity 'unit': no hidden unit can be removed, no recurrent layer or Conv1d is among "
        "the chosen weights");
  }
  std::map<std::string, std::string> reasons;  // why no unit of a node can go, by node
  std::set<std::string> shrinking;             // nodes of which units can
  const Keep may_go = RemovableGroups(plan->coupling, plan->unit_layers);
  for (size_t i = 0; i < may_go.size(); ++i) {
    const UnitGroup& group = plan->coupling.groups[i];
    const UnitLayer* chosen_layer = nullptr;
    const UnitLayer* other_layer = nullptr;
    for (const Unit& unit : group.units) {
      const auto layer = static_cast<size_t>(unit.layer);
      (plan->unit_layers[layer] != 0 ? chosen_layer : other_layer) = &plan->coupling.layers[layer];
    }
    if (chosen_layer == nullptr) continue;
    if (may_go[i] != 0) {
      for (const Unit& unit : group.units) {
        shrinking.insert(plan->coupling.layers[static_cast<size_t>(unit.layer)].node);
      }
      continue;
    }
    reasons[chosen_layer->node] =
        "a unit of " + chosen_layer->name() + " " +
        (group.pinned.empty() ? "goes together with one of " + other_layer->name() +
                                    ", which is not among the chosen weights"
                              : group.pinned);
  }
  for (const auto& [node, reason] : reasons) {
    if (shrinking.contains(node)) continue;
    return Unsupported(StrCat("granularity 'unit': no hidden unit ",
                              shrinking.empty() ? "" : "of " + node + " ", "can be removed, ",
                              reason,
                              shrinking.empty() ? "" : "; choose other layers by their weights"));
  }
  const auto touches = [&](const std::vector<int32_t>& axis) {
    return std::any_of(axis.begin(), axis.end(), [&](int32_t group) {
      return group >= 0 && may_go[static_cast<size_t>(group)] != 0;
    });
  };
  for (const auto& [name, axes] : plan->coupling.weights) {
    if (axes.cols.empty() || (!touches(axes.rows) && !touches(axes.cols))) continue;
    plan->targets.push_back(TargetOf(graph, name));
    plan->targets.back().is_scored = IsScored(graph, *plan->criterion, name);
  }
  plan->cut.granularity = plan->granularity;
  plan->cut.pools = UnitPools(plan->coupling, plan->unit_layers);
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

Result<MaskSet> MakeWeightMasks(const Plan& plan, const Budget& budget,
                                const StatisticsSet& statistics, const MaskSet& previous) {
  for (const Plan::Target& target : plan.targets) {
    const auto it = previous.find(target.name);
    if (it == previous.end()) continue;
    ESPALIER_RETURN_IF_ERROR(CheckMask(target.name, it->second, {target.rows, target.cols}));
  }
  ESPALIER_ASSIGN_OR_RETURN(const SaliencySet saliency, SaliencyOfPlan(plan, statistics, previous));
  return MasksOf(plan.cut, {plan.allocation, budget, plan.criterion->grouping}, saliency, previous);
}

// 1/2 the squared gradients of `count` groups.
Result<std::vector<float>> ScoreGroups(const Plan& plan, size_t count,
                                       const StatisticsSet& statistics) {
  const std::span<const float> squares = statistics.squared_group_gradient;
  std::vector<float> scores(squares.begin(), squares.end());
  const auto what = [&] {
    return StrCat("granularity '", GranularityName(plan.granularity), "': ");
  };
  if (scores.size() != count) {
    return InvalidArgument(StrCat(what(), "criterion ", plan.criterion->name, " needs ", count,
                                  " gradients of groups, ", scores.size(), " found"));
  }
  for (float& score : scores) {
    if (!std::isfinite(score)) {
      return InvalidArgument(
          StrCat(what(), "finite gradients of groups expected, ", score, " found"));
    }
    score *= 0.5f;
  }
  return scores;
}

Result<std::vector<float>> ScoreUnits(const Plan& plan, const StatisticsSet& statistics) {
  if (ScoresGroups(plan)) return ScoreGroups(plan, plan.coupling.groups.size(), statistics);
  ESPALIER_ASSIGN_OR_RETURN(const SaliencySet saliency,
                            SaliencyOfAll(plan, *plan.criterion, plan.seed, statistics));
  return UnitScores(plan.coupling, plan.criterion->grouping, saliency);
}

Result<MaskSet> MakeUnitMasks(const Plan& plan, const Budget& budget,
                              const StatisticsSet& statistics, const MaskSet& previous) {
  UnitSelection selection{plan.allocation,  budget, plan.multiple,
                          plan.unit_layers, {},     plan.cut.pools};
  for (const auto& [name, axes] : plan.coupling.weights) {
    const auto it = previous.find(name);
    if (it != previous.end()) {
      ESPALIER_RETURN_IF_ERROR(CheckMask(name, it->second, ShapeOf(axes)));
    }
  }
  selection.alive = AliveGroups(plan.coupling, previous);
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> scores, ScoreUnits(plan, statistics));
  const Keep keep = SelectUnits(plan.coupling, scores, selection);
  MaskSet masks = UnitMasks(plan.coupling, keep);
  for (const auto& [name, mask] : previous) {
    const auto [it, is_new] = masks.emplace(name, mask);
    for (size_t i = 0; i < mask.keep.size() && !is_new; ++i) it->second.keep[i] &= mask.keep[i];
  }
  return masks;
}

// The weights to cut, by name.
Result<std::set<std::string>> ChooseWeights(const Graph& graph, const PruneSpec& spec,
                                            const Granularity& kind) {
  std::vector<std::string> patterns;
  for (const std::string& each : spec.weights) patterns.push_back(each);
  for (const SparsityOfPattern& each : spec.sparsities) patterns.push_back(each.pattern);
  const std::vector<std::string> all =
      patterns.empty() ? DefaultWeightsOf(graph, kind.domain) : WeightsOf(graph, kind.domain);
  if (all.empty()) {
    const bool wants_embedding = kind.domain == Domain::kEmbeddings;
    return InvalidArgument("graph '" + graph.name +
                           "': " + (wants_embedding ? "an Embedding" : "a Recurrent") +
                           " node expected, none found");
  }
  if (patterns.empty()) return std::set<std::string>(all.begin(), all.end());
  return ChooseByPattern(patterns, all, spec.weights.empty() ? "sparsity" : "weights");
}

// A share at which all stay, since counts are whole and each layer keeps a multiple, is no pruning.
Status CheckSomeUnitGoes(const Plan& plan) {
  if (HasThresholds(plan) || plan.sparsity == 0.0) return Ok();
  const UnitSelection selection{
      plan.allocation, {plan.sparsity, plan.floor}, plan.multiple, plan.unit_layers, {},
      plan.cut.pools};
  const std::vector<float> equal(plan.coupling.groups.size(), 1.0f);
  const Keep keep = SelectUnits(plan.coupling, equal, selection);
  if (std::find(keep.begin(), keep.end(), 0) != keep.end()) return Ok();
  return InvalidArgument(StrCat(
      "sparsity: a share at which a hidden unit goes expected, ", plan.sparsity,
      " found, at which all stay, since each layer keeps ",
      plan.multiple > 1 ? StrCat("a multiple of ", plan.multiple) : std::string("a whole number"),
      " of its units"));
}

// The first pattern that names a gate, "" if none does.
std::string PatternOfGate(const PruneSpec& spec) {
  for (const std::string& pattern : spec.weights) {
    if (NamesGate(pattern)) return pattern;
  }
  for (const SparsityOfPattern& each : spec.sparsities) {
    if (NamesGate(each.pattern)) return each.pattern;
  }
  return "";
}

}  // namespace

Result<Per> PerOf(const PruneSpec& spec) {
  const std::string gate = PatternOfGate(spec);
  if (spec.per.empty()) return gate.empty() ? Per::kTensor : Per::kGate;
  ESPALIER_ASSIGN_OR_RETURN(const Per per, ParsePer(spec.per));
  if (gate.empty() || per == Per::kGate) return per;
  return InvalidArgument("per: gate expected, since '" + gate + "' names one, tensor found");
}

Result<Plan> MakePlan(const Graph& graph, const PruneSpec& spec) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  Plan plan;
  ESPALIER_ASSIGN_OR_RETURN(plan.criterion, FindCriterion(spec.criterion));
  ESPALIER_ASSIGN_OR_RETURN(plan.granularity, ParseGranularity(spec.granularity));
  ESPALIER_ASSIGN_OR_RETURN(plan.allocation, FindAllocation(spec.allocation));
  ESPALIER_ASSIGN_OR_RETURN(plan.per, PerOf(spec));
  if (!spec.sparsities.empty() && plan.allocation == &allocations::uniform) {
    plan.allocation = &allocations::given;
  }
  ESPALIER_RETURN_IF_ERROR(CheckNumbers(spec));
  ESPALIER_RETURN_IF_ERROR(CheckAllocation(spec, *plan.allocation));
  plan.floor = spec.floor;
  plan.multiple = spec.multiple;
  plan.seed = spec.seed;
  const Granularity& kind = *plan.granularity.kind;
  ESPALIER_ASSIGN_OR_RETURN(const std::set<std::string> chosen, ChooseWeights(graph, spec, kind));
  const bool is_unit = kind.extent == Extent::kUnits;
  const Status status =
      is_unit ? PlanUnits(graph, chosen, &plan) : PlanWeights(graph, chosen, spec.weights, &plan);
  const std::string gate = PatternOfGate(spec);
  if (status.code() == Code::kUnsupported && !gate.empty()) {
    return status.WithContext("'" + gate + "'");
  }
  ESPALIER_RETURN_IF_ERROR(status);
  ESPALIER_RETURN_IF_ERROR(CheckTargets(graph, plan, *plan.criterion));
  ESPALIER_RETURN_IF_ERROR(FillPools(graph, spec, &plan));
  ESPALIER_RETURN_IF_ERROR(CheckFloor(plan));
  if (is_unit) ESPALIER_RETURN_IF_ERROR(CheckSomeUnitGoes(plan));
  if (!is_unit && !HasThresholds(plan)) {
    ESPALIER_RETURN_IF_ERROR(
        CheckNoneDies(graph, *plan.allocation, {plan.sparsity, plan.floor}, &plan.cut));
  }
  return plan;
}

Result<SaliencySet> SaliencyOfAll(const Plan& plan, const Criterion& criterion, uint64_t seed,
                                  const StatisticsSet& statistics) {
  SaliencySet saliency;
  for (const Plan::Target& target : plan.targets) {
    if (!target.is_scored) continue;
    ESPALIER_ASSIGN_OR_RETURN(saliency[target.name], Saliency(criterion, seed, target, statistics));
  }
  return saliency;
}

bool ScoresGroups(const Plan& plan) {
  const Granularity& kind = *plan.granularity.kind;
  return plan.criterion->grouping == Grouping::kSquaredSum && !kind.follows_saliency &&
         &kind != &granularities::element;
}

std::vector<float> SumsOfGroups(const Plan& plan, const SaliencySet& values) {
  if (plan.granularity.kind->extent == Extent::kUnits) {
    return UnitScores(plan.coupling, Grouping::kSignedSum, values);
  }
  std::vector<double> sums(static_cast<size_t>(plan.groups), 0.0);
  for (const auto& [name, group_of] : plan.group_of) {
    const auto it = values.find(name);
    for (size_t i = 0; i < group_of.size() && it != values.end(); ++i) {
      if (group_of[i] >= 0) sums[static_cast<size_t>(group_of[i])] += it->second[i];
    }
  }
  return {sums.begin(), sums.end()};
}

Result<SaliencySet> SaliencyOfPlan(const Plan& plan, const StatisticsSet& statistics,
                                   const MaskSet& alive) {
  if (!ScoresGroups(plan)) {
    return SaliencyOfAll(plan, *plan.criterion, plan.seed, statistics);
  }
  ESPALIER_ASSIGN_OR_RETURN(std::vector<float> scores,
                            ScoreGroups(plan, static_cast<size_t>(plan.groups), statistics));
  std::vector<int64_t> sizes(scores.size(), 0);
  for (const auto& [name, group_of] : plan.group_of) {
    const auto mask = alive.find(name);
    for (size_t i = 0; i < group_of.size(); ++i) {
      const bool is_alive = mask == alive.end() || mask->second.keep[i] != 0;
      if (is_alive && group_of[i] >= 0) ++sizes[static_cast<size_t>(group_of[i])];
    }
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] /= static_cast<float>(std::max<int64_t>(sizes[i], 1));
  }
  SaliencySet saliency;
  for (const auto& [name, group_of] : plan.group_of) {
    std::vector<float>& values = saliency[name];
    for (const int32_t group : group_of) {
      values.push_back(group < 0 ? 0.0f : scores[static_cast<size_t>(group)]);
    }
  }
  return saliency;
}

Result<MaskSet> MakeMasks(const Plan& plan, double amount, const StatisticsSet& statistics,
                          const MaskSet& previous) {
  const bool has_thresholds = HasThresholds(plan);
  if (!(amount >= 0.0 && (amount < 1.0 || (has_thresholds && amount == 1.0)))) {
    return InvalidArgument(StrCat(has_thresholds ? "share of the threshold" : "sparsity",
                                  ": a share in [0, 1", has_thresholds ? "]" : ")", " expected, ",
                                  amount, " found"));
  }
  const Budget budget =
      has_thresholds ? Budget{0.0, plan.floor, amount} : Budget{amount, plan.floor};
  if (plan.granularity.kind->extent == Extent::kUnits) {
    return MakeUnitMasks(plan, budget, statistics, previous);
  }
  return MakeWeightMasks(plan, budget, statistics, previous);
}

}  // namespace espalier
