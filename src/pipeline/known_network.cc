#include "pipeline/known_network.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "pipeline/stages.h"
#include "prune/compact.h"
#include "prune/gone.h"
#include "prune/patterns.h"
#include "prune/pruner.h"
#include "prune/regularizer.h"
#include "prune/units.h"
#include "report/text.h"
#include "train/statistics.h"

namespace espalier {
namespace {

bool IsUnit(const Plan& plan) { return plan.granularity.kind->extent == Extent::kUnits; }

// The schedule of a stage whose epochs have as many steps as nobody knows before the data is there:
// what is checked of it does not depend on how many, but for a step that is not the first.
ScheduleSpec StandInSchedule(const StageSpec& stage) {
  constexpr double kStepsOfEpoch = 1000.0;
  const auto step_of = [&](double epoch) {
    return epoch == 0.0 ? 0 : std::max<int64_t>(1, std::llround(epoch * kStepsOfEpoch));
  };
  const RampSpec& ramp = stage.ramp;
  if (stage.train.epochs == 0) {
    ScheduleSpec at_once;
    at_once.name = ramp.schedule;
    at_once.initial_sparsity = ramp.initial_sparsity;
    return at_once;
  }
  return {ramp.schedule,    step_of(ramp.begin_epoch), step_of(ramp.end_epoch),
          ramp.every_steps, ramp.initial_sparsity,     ramp.masks,
          ramp.regrow};
}

// Whether each pool loses as much whatever the weights are: a ranking of a single pool does, and
// one of the two directions of a layer, which keep equally many units.
bool HasKnownCounts(const Plan& plan) {
  if (plan.allocation->kind != AllocationKind::kRanking) return true;
  if (HasThresholds(plan)) return false;
  if (plan.cut.pools.size() == 1) return true;
  if (!IsUnit(plan) || plan.cut.pools.size() > 2) return false;
  const UnitLayer* first = nullptr;
  for (size_t i = 0; i < plan.coupling.layers.size(); ++i) {
    if (plan.unit_layers[i] == 0) continue;
    const UnitLayer& layer = plan.coupling.layers[i];
    if (first != nullptr && !first->IsAsWideAs(layer)) return false;
    first = &layer;
  }
  return true;
}

// The share that the plan names for a pool, of its own or of all.
double AskedOf(const Plan& plan, const Pool& pool) {
  return plan.allocation->needs == AllocationNeeds::kSparsities ? pool.sparsity : plan.sparsity;
}

// What the allocation gives a pool, if that does not depend on the weights.
double SparsityOfPool(const Plan& plan, const Pool& pool, const MaskSet& masks) {
  if (!HasKnownCounts(plan)) return -1.0;
  if (plan.allocation->kind != AllocationKind::kFlooredShares) {
    const auto of_gates = static_cast<double>(pool.of_gates);
    const double most = pool.size == 0 ? 1.0 : 1.0 - of_gates / static_cast<double>(pool.size);
    return std::min(AskedOf(plan, pool), most);
  }
  // Counts that do not depend on what is counted: those of the random weights.
  for (size_t i = 0; i < plan.cut.slices.size(); ++i) {
    if (plan.cut.pools[i].name != pool.name) continue;
    const Slice& slice = plan.cut.slices[i];
    const auto first = masks.at(slice.weight).keep.begin() + slice.first_row * slice.cols;
    const int64_t size = slice.rows * slice.cols;
    return static_cast<double>(std::count(first, first + size, 0)) / static_cast<double>(size);
  }
  return -1.0;
}

// What is asked of all pools together, less what those keep whose gates need more than their share.
double ReachedInAll(const Plan& plan, const PlannedStage& planned) {
  double missed = 0.0, size = 0.0;
  for (size_t i = 0; i < plan.cut.pools.size(); ++i) {
    const Pool& pool = plan.cut.pools[i];
    const double reached = planned.pools[i].sparsity;
    size += static_cast<double>(pool.size);
    if (plan.allocation->kind != AllocationKind::kShares || reached < 0.0) continue;
    missed += std::max(0.0, AskedOf(plan, pool) - reached) * static_cast<double>(pool.size);
  }
  return plan.sparsity - missed / size;
}

Status Gone(const std::string& pool, double gone, double asked) {
  return InvalidArgument(StrCat("sparsity: at least the ", FormatFixed(100.0 * gone, 1), " % of ",
                                pool, " that are gone by then expected, ",
                                FormatFixed(100.0 * asked, 1), " % found"));
}

constexpr double kWholePieces = 0.02;  // a stage before may have taken a little more

// Are the zeros of a pool no measure of what is gone of it?
bool IsUnsure(const KnownNetwork& known, const Pool& pool) {
  return std::any_of(pool.weights.begin(), pool.weights.end(), [&](const std::string& weight) {
    return known.unsure.contains(WithoutGate(weight));
  });
}

// Of all that is cut together. Nothing is said where the zeros of `graph` are no measure of it.
Status CheckNotGoneInAll(const KnownNetwork& known, const Plan& plan, double sparsity) {
  const std::set<std::string> cut = TargetsOf(plan.cut);
  for (const std::string& name : cut) {
    if (known.unsure.contains(name) && !known.ranked.contains(name)) return Ok();
  }
  const double gone = ShareGone(known.graph, plan);
  if (gone <= sparsity + kWholePieces) return Ok();
  if (!std::includes(cut.begin(), cut.end(), known.ranked.begin(), known.ranked.end())) return Ok();
  return Gone("all that is cut", gone, sparsity);
}

// Of each pool, and of all together, no more may be gone than the stage asks for: it would do
// nothing.
Status CheckNotGone(const KnownNetwork& known, const Plan& plan, const PlannedStage& planned) {
  const std::vector<double> gone = SharesGone(known.graph, plan);
  for (size_t i = 0; i < plan.cut.pools.size(); ++i) {
    const double share = planned.pools[i].sparsity;
    const bool is_less = share > 0.0 && gone[i] > share + kWholePieces;
    if (is_less && !IsUnsure(known, plan.cut.pools[i])) {
      return Gone(planned.pools[i].name, gone[i], share);
    }
  }
  const bool is_ranking = plan.allocation->kind == AllocationKind::kRanking;
  const bool leaves_one = std::any_of(planned.pools.begin(), planned.pools.end(),
                                      [](const PlannedPool& pool) { return pool.sparsity == 0.0; });
  if (planned.sparsity <= 0.0 || (!is_ranking && (known.ranked.empty() || leaves_one))) return Ok();
  return CheckNotGoneInAll(known, plan, planned.sparsity);
}

// What a ranking has taken of units in all is known, though not of which layer.
Status CheckUnitsNotGone(const KnownNetwork& known, const Plan& plan, const PlannedStage& planned) {
  int64_t size = 0, asked = 0;
  std::set<std::string> names;
  for (size_t i = 0; i < plan.cut.pools.size(); ++i) {
    const Pool& pool = plan.cut.pools[i];
    const double share =
        planned.pools[i].sparsity >= 0.0 ? planned.pools[i].sparsity : planned.sparsity;
    if (share < 0.0) return Ok();
    names.insert(pool.name);
    size += pool.size;
    asked += std::llround(std::ceil(share * static_cast<double>(pool.size) - 1e-6));
  }
  if (!std::includes(names.begin(), names.end(), known.ranked_units.begin(),
                     known.ranked_units.end()) ||
      asked >= known.gone_units) {
    return Ok();
  }
  const auto share_of = [&](int64_t count) {
    return static_cast<double>(count) / static_cast<double>(size);
  };
  return Gone("all hidden units", share_of(known.gone_units), share_of(asked));
}

// Of shares what comes of them: counts are whole, and of a `multiple`. Errors: as CheckNotGone's.
Status CountUnits(const KnownNetwork& known, const Plan& plan, const MaskSet& masks,
                  PlannedStage* planned) {
  const Keep was_alive = FindDeadUnits(known.graph, plan.coupling);
  const Keep alive = AliveGroups(plan.coupling, masks);
  const auto by_pool = GroupsOfPools(plan.coupling, plan.unit_layers);
  for (size_t i = 0; i < planned->pools.size(); ++i) {
    if (planned->pools[i].sparsity < 0.0 || by_pool[i].empty()) continue;
    const auto share_gone = [&](const Keep& keep) {
      const auto gone = std::count_if(by_pool[i].begin(), by_pool[i].end(), [&](int32_t group) {
        return keep[static_cast<size_t>(group)] == 0;
      });
      return static_cast<double>(gone) / static_cast<double>(by_pool[i].size());
    };
    planned->pools[i].sparsity = share_gone(alive);
    if (planned->sparsity <= 0.0 || share_gone(was_alive) <= share_gone(alive)) continue;
    return Gone(planned->pools[i].name, share_gone(was_alive), share_gone(alive));
  }
  return CheckUnitsNotGone(known, plan, *planned);
}

// What is cut of a layer whose units nobody knows. A number of them that divides by the rows of a
// tile, or by `multiple`, may be there or not: single weights and units in its place, of which at
// most as many go. Errors: a tile with more rows than there can be.
Status Loosen(const Graph& graph, PruneSpec* spec) {
  const int64_t multiple = std::exchange(spec->multiple, 1);
  if (multiple > 1) {
    ESPALIER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(graph, *spec));
    const auto units = GroupsOfPools(plan.coupling, plan.unit_layers);
    for (size_t i = 0; i < plan.cut.pools.size(); ++i) {
      const auto most = static_cast<int64_t>(units[i].size());
      if (most == 0 || most >= multiple) continue;
      return InvalidArgument(StrCat("multiple: at most ", most,
                                    ", the most units that may be left of ", plan.cut.pools[i].name,
                                    ", expected, ", multiple, " found"));
    }
  }
  ESPALIER_ASSIGN_OR_RETURN(const GranularitySpec granularity, ParseGranularity(spec->granularity));
  ESPALIER_ASSIGN_OR_RETURN(const Per per, PerOf(*spec));
  if (per != Per::kGate || granularity.kind->tile < Tile::kRowsByCols) return Ok();
  if (spec->sparsities.empty() && spec->allocation != "threshold") {
    ESPALIER_RETURN_IF_ERROR(CheckFixedSparsity(granularity, spec->sparsity));
  }
  spec->granularity = "element";
  ESPALIER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(graph, *spec));
  for (const Pool& pool : plan.cut.pools) {
    if (granularity.rows <= pool.rows) continue;
    return InvalidArgument(StrCat(pool.name, ": a tile of up to ", pool.rows,
                                  " rows expected, the most that may be left of it, ",
                                  GranularityName(granularity), " found"));
  }
  return Ok();
}

// `graph` without the units that are gone for sure after a ranking over several pools: each keeps
// at most what the others, which keep a unit each, leave of the budget.
Status TakeRankedUnits(Plan plan, KnownNetwork* known) {
  int64_t size = 0;
  for (const Pool& pool : plan.cut.pools) size += pool.size;
  const int64_t kept = KeepBudget(plan.sparsity, size);
  const int64_t others = static_cast<int64_t>(plan.cut.pools.size()) - 1;
  bool is_exact = plan.multiple == 1;  // no layer keeps more than its rank, to be in balance
  std::set<std::string> nodes;
  for (size_t i = 0; i < plan.coupling.layers.size(); ++i) {
    if (plan.unit_layers[i] == 0) continue;
    is_exact = nodes.insert(plan.coupling.layers[i].node).second && is_exact;
  }
  known->ranked_units.clear();
  known->gone_units = is_exact ? size - kept : 0;
  double gone = 0.0;
  for (Pool& pool : plan.cut.pools) {
    known->ranked_units.insert(pool.name);
    const int64_t most = std::clamp<int64_t>(kept - others, 1, pool.size);
    pool.sparsity = 1.0 - static_cast<double>(most) / static_cast<double>(pool.size);
    gone += static_cast<double>(pool.size - most);
  }
  plan.sparsity = gone / static_cast<double>(size);
  plan.allocation = &allocations::given;
  ESPALIER_ASSIGN_OR_RETURN(const MaskSet masks,
                            MakeMasks(plan, plan.sparsity, StatisticsOf(known->graph.weights),
                                      MasksOfZeros(known->graph)));
  return ApplyMasks(masks, &known->graph.weights);
}

// More may be gone of any matrix than in the graph.
void OpenAll(KnownNetwork* known) {
  for (const std::string& name : PrunableWeights(known->graph)) known->open.insert(name);
  known->certainty = Certainty::kAtMost;
}

// Regularizers that leave zeros, as many as the training says.
bool LeavesZeros(const StageSpec& stage) {
  return std::any_of(
      stage.regularizers.begin(), stage.regularizers.end(), [](const RegularizerSpec& spec) {
        const auto regularizer = FindRegularizer(spec.name);
        return regularizer.ok() &&
               ((*regularizer)->fold != nullptr || (*regularizer)->project != nullptr);
      });
}

// What the zeros of a weight say, once the stage has cut it.
void NoteCut(const Plan& plan, KnownNetwork* known) {
  if (plan.sparsity == 0.0 && !HasThresholds(plan)) return;
  std::set<std::string> cut;
  for (const Plan::Target& target : plan.targets) cut.insert(target.name);
  const bool is_ranking = !HasKnownCounts(plan) && !HasThresholds(plan);
  // Zeros of a ranking are known in all, as long as nothing else cuts a part of what it ranked.
  std::set<std::string> both;
  std::set_intersection(cut.begin(), cut.end(), known->ranked.begin(), known->ranked.end(),
                        std::inserter(both, both.begin()));
  if (!both.empty() && !(is_ranking && both.size() == known->ranked.size())) known->ranked.clear();
  if (!IsUnit(plan)) known->has_cut_weights = true;
  if (HasKnownCounts(plan)) return;
  known->open.insert(cut.begin(), cut.end());
  if (HasThresholds(plan) || IsUnit(plan)) {
    known->certainty = Certainty::kAtMost;
    return;
  }
  known->certainty = std::max(known->certainty, Certainty::kAbout);
  known->unsure.insert(cut.begin(), cut.end());
  known->ranked.insert(cut.begin(), cut.end());
}

// Makes `known->graph` what it is after the stage.
Status TakePlanned(StageSpec stage, const Plan& plan, KnownNetwork* known) {
  // Without data any criterion does: how much goes does not depend on it.
  stage.train.epochs = 0;
  stage.regularizers.clear();
  stage.prune.criterion = "magnitude";
  stage.reconstruct = Reconstruction::kNone;
  if (HasThresholds(plan)) return Ok();  // at the least nothing goes
  if (IsUnit(plan) && !HasKnownCounts(plan)) return TakeRankedUnits(plan, known);
  ESPALIER_ASSIGN_OR_RETURN(PruneOutcome outcome,
                            PruneNetwork(known->graph, stage, PruneInputs(), TrainHooks()));
  known->graph = std::move(outcome.graph);
  return Ok();
}

// At each sparsity the stage must fit. If all of them lose too much nothing goes.
Result<PlannedStage> PlanSearch(const StageSpec& stage, KnownNetwork* known) {
  StageSpec one = stage;
  one.search.sparsities.clear();
  PlannedStage planned;
  for (const double sparsity : stage.search.sparsities) {
    KnownNetwork trial = *known;
    one.prune.sparsity = sparsity;
    Result<PlannedStage> plan = PlanPrune(one, &trial);
    if (!plan.ok()) return plan.status().WithContext("search");
    planned = *std::move(plan);
  }
  planned.sparsity = -1.0;
  for (PlannedPool& pool : planned.pools) pool.sparsity = -1.0;
  known->has_cut_weights = known->has_cut_weights || stage.prune.granularity != "unit";
  OpenAll(known);
  return planned;
}

}  // namespace

Result<PlannedStage> PlanPrune(const StageSpec& asked, KnownNetwork* known) {
  if (!asked.search.sparsities.empty()) return PlanSearch(asked, known);
  StageSpec stage = asked;
  if (known->has_open_shapes) ESPALIER_RETURN_IF_ERROR(Loosen(known->graph, &stage.prune));
  ESPALIER_RETURN_IF_ERROR(
      Pruner::Create(known->graph, stage.prune, StandInSchedule(stage), MasksOfZeros(known->graph))
          .status());
  PruneSpec spec = stage.prune;
  spec.criterion = "magnitude";
  ESPALIER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(known->graph, spec));
  ESPALIER_RETURN_IF_ERROR(CheckReconstruction(known->graph, plan, stage.reconstruct));
  ESPALIER_ASSIGN_OR_RETURN(const MaskSet masks,
                            MakeMasks(plan, HasThresholds(plan) ? 1.0 : plan.sparsity,
                                      StatisticsOf(known->graph.weights), MaskSet()));
  const bool is_loose = stage.prune.multiple != asked.prune.multiple;
  PlannedStage planned;
  planned.granularity = asked.prune.granularity;
  planned.allocation = plan.allocation->name;
  planned.per = PerName(plan.per);
  planned.sparsity = HasThresholds(plan) || is_loose ? -1.0 : plan.sparsity;
  for (const Pool& pool : plan.cut.pools) {
    const bool is_least = std::any_of(
        pool.weights.begin(), pool.weights.end(),
        [&](const std::string& weight) { return known->open.contains(WithoutGate(weight)); });
    planned.is_least = planned.is_least || is_least;
    planned.pools.push_back({pool.name, pool.rows, pool.cols,
                             is_loose ? -1.0 : SparsityOfPool(plan, pool, masks), is_least,
                             known->has_open_shapes});
  }
  if (planned.sparsity > 0.0 && !IsUnit(plan)) planned.sparsity = ReachedInAll(plan, planned);
  ESPALIER_RETURN_IF_ERROR(IsUnit(plan) ? CountUnits(*known, plan, masks, &planned)
                                        : CheckNotGone(*known, plan, planned));
  if (!is_loose) ESPALIER_RETURN_IF_ERROR(TakePlanned(stage, plan, known));
  NoteCut(plan, known);
  if (LeavesZeros(stage)) known->has_cut_weights = true;
  if (LeavesZeros(stage) || is_loose) OpenAll(known);
  return planned;
}

Status PlanCompact(KnownNetwork* known) {
  std::map<std::string, int64_t> removed;
  ESPALIER_ASSIGN_OR_RETURN(known->graph, CompactNetwork(known->graph, &removed));
  known->ranked.clear();
  known->ranked_units.clear();
  known->gone_units = 0;
  if (known->certainty != Certainty::kAtMost && !known->has_cut_weights) return Ok();
  // Units that have died by the way go, too: how many zeros were theirs is not known.
  known->has_open_shapes = true;
  known->certainty = Certainty::kAtMost;
  known->open.clear();  // zeros of units are no more
  if (known->has_cut_weights) OpenAll(known);
  known->unsure = known->open;
  return Ok();
}

void PlanTrain(const StageSpec& stage, KnownNetwork* known) {
  if (!stage.keep_zeros) {
    for (auto& [name, tensor] : known->graph.weights) {
      std::replace(tensor.values.begin(), tensor.values.end(), 0.0f, 1e-3f);
    }
    KnownNetwork afresh;
    afresh.graph = std::move(known->graph);
    afresh.has_open_shapes = known->has_open_shapes;
    *known = std::move(afresh);
    if (known->has_open_shapes) known->certainty = Certainty::kAtMost;
  }
  if (!LeavesZeros(stage)) return;
  known->has_cut_weights = true;
  OpenAll(known);
}

}  // namespace espalier
