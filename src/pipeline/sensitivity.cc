#include "pipeline/sensitivity.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "train/trainer.h"

namespace espalier {
namespace {

Status CheckSparsities(const std::vector<double>& sparsities) {
  double last = 0.0;
  for (const double sparsity : sparsities) {
    if (sparsity > last && sparsity < 1.0) {
      last = sparsity;
      continue;
    }
    return InvalidArgument(StrCat("sparsities: rising numbers in (0, 1) expected, ", sparsity,
                                  " after ", last, " found"));
  }
  return sparsities.empty() ? InvalidArgument("sparsities: at least 1 expected, none found") : Ok();
}

// Those that the granularity can end at or pass on the way.
Result<std::vector<double>> SparsitiesFor(const SensitivityOptions& options) {
  ESPALIER_RETURN_IF_ERROR(CheckSparsities(options.sparsities));
  ESPALIER_ASSIGN_OR_RETURN(const GranularitySpec granularity,
                            ParseGranularity(options.prune.granularity));
  std::vector<double> sparsities = options.sparsities;
  if (granularity.kind->fixed_sparsity == nullptr) return sparsities;
  const double last = granularity.kind->fixed_sparsity(granularity);
  std::erase_if(sparsities, [&](double sparsity) { return sparsity > last - 1e-9; });
  sparsities.push_back(last);
  return sparsities;
}

Status CheckPlan(const Plan& plan) {
  if ((plan.criterion->needs & ~kNeedsWeight) != 0) {
    return InvalidArgument(StrCat("criterion ", plan.criterion->name,
                                  ": one that reads weights alone expected in a scan"));
  }
  const std::vector<UnitLayer>& layers = plan.coupling.layers;
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool is_pair =
        std::any_of(layers.begin(), layers.begin() + static_cast<ptrdiff_t>(i),
                    [&](const UnitLayer& other) { return other.IsAsWideAs(layers[i]); });
    if (!is_pair) continue;
    return Unsupported("granularity 'unit': " + layers[i].node +
                       " keeps equally many units in both directions, so neither can be measured "
                       "alone");
  }
  return Ok();
}

// The network with one pool pruned to `sparsity` and all others dense.
Result<Graph> PruneOne(const Graph& graph, Plan plan, size_t pool, double sparsity) {
  plan.allocation = &allocations::given;
  int64_t size = 0;
  for (const Pool& each : plan.cut.pools) size += each.size;
  plan.cut.pools[pool].sparsity = sparsity;
  const double share = static_cast<double>(plan.cut.pools[pool].size) / static_cast<double>(size);
  ESPALIER_ASSIGN_OR_RETURN(const MaskSet masks,
                            MakeMasks(plan, sparsity * share, StatisticsOf(graph.weights), {}));
  Graph pruned = graph;
  ESPALIER_RETURN_IF_ERROR(ApplyMasks(masks, &pruned.weights));
  return pruned;
}

}  // namespace

Result<SensitivityScan> ScanSensitivity(const Graph& graph, const Dataset& valid,
                                        const SensitivityOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<double> sparsities, SparsitiesFor(options));
  PruneSpec spec = options.prune;
  spec.allocation = "uniform";
  spec.sparsity = sparsities.back();
  ESPALIER_ASSIGN_OR_RETURN(const Plan plan, MakePlan(graph, spec));
  ESPALIER_RETURN_IF_ERROR(CheckPlan(plan));
  const auto total = static_cast<int64_t>(1 + plan.cut.pools.size() * sparsities.size());
  int64_t done = 0;
  const auto measure = [&](const Graph& network, const std::string& pool,
                           double sparsity) -> Result<SensitivityPoint> {
    if (options.progress && !options.progress(pool, sparsity, done++, total)) {
      return Cancelled("sensitivity: stopped before it was measured whole");
    }
    EvaluateOptions evaluate;
    evaluate.threads = options.threads;
    ESPALIER_ASSIGN_OR_RETURN(const Evaluation found, Evaluate(network, valid, evaluate));
    return SensitivityPoint{sparsity, found.loss, found.metric};
  };
  SensitivityScan scan{spec.criterion, spec.granularity, PerName(plan.per), {}};
  ESPALIER_ASSIGN_OR_RETURN(const SensitivityPoint dense, measure(graph, "dense", 0.0));
  for (size_t i = 0; i < plan.cut.pools.size(); ++i) {
    const Pool& pool = plan.cut.pools[i];
    SensitivityCurve& curve = scan.curves.emplace_back(pool.name, pool.size);
    curve.points = {dense};
    for (const double sparsity : sparsities) {
      ESPALIER_ASSIGN_OR_RETURN(const Graph pruned, PruneOne(graph, plan, i, sparsity));
      ESPALIER_ASSIGN_OR_RETURN(const SensitivityPoint point, measure(pruned, pool.name, sparsity));
      curve.points.push_back(point);
    }
  }
  return scan;
}

std::map<std::string, std::vector<LossPoint>> LossesOf(const SensitivityScan& scan) {
  std::map<std::string, std::vector<LossPoint>> losses;
  for (const SensitivityCurve& curve : scan.curves) {
    for (const SensitivityPoint& point : curve.points) {
      losses[curve.pool].push_back({point.sparsity, point.loss});
    }
  }
  return losses;
}

}  // namespace espalier
