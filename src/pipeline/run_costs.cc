#include "pipeline/run_costs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "pipeline/cost_file.h"

namespace espalier {

Result<CompileOptions> CompileOptionsOf(const RecipeRun& run, const CompileSpec& spec,
                                        CostTable* costs) {
  CompileOptions options;
  options.target = run.target;
  options.tuning = spec.measure ? Tuning::kMeasure : Tuning::kOff;
  options.repetitions = static_cast<int>(spec.repetitions);
  options.batched_rows = spec.batched_rows;
  options.weights = spec.weight_type;
  for (const std::string& name : spec.formats) {
    ESPALIER_ASSIGN_OR_RETURN(const FormatSpec format, FindFormat(name));
    options.candidates.push_back(format);
  }
  if (spec.costs.empty()) return options;
  ESPALIER_ASSIGN_OR_RETURN(*costs, ReadCostTable(spec.costs));
  options.tuning = Tuning::kCosts;
  options.costs = costs;
  return options;
}

SessionOptions OwnSession(const RecipeRun& run) {
  SessionOptions options;
  options.target = run.target;
  return options;
}

BenchOptions BenchOptionsOf(const RecipeRun& run, int64_t repetitions, const Dataset& split) {
  constexpr size_t kMostSequences = 32;
  constexpr size_t kMostSteps = 2000;  // of all of them, unless one has more
  BenchOptions bench;
  bench.repetitions = repetitions;
  bench.seed = run.recipe.seed;
  bench.cancel = run.hooks.cancel;
  bench.shape.steps =
      std::max<int64_t>(1, split.offsets.back() / std::max<int64_t>(1, split.size()));
  const auto take = [&](const auto& values, int64_t width) {
    const auto window = static_cast<size_t>(bench.shape.steps * width);
    const size_t most =
        std::clamp(kMostSteps / static_cast<size_t>(bench.shape.steps), size_t{1}, kMostSequences);
    const size_t count = std::min(most, values.size() / window);
    for (size_t i = 0; i < count * window; ++i) {
      bench.sequences.push_back(static_cast<float>(values[i]));
    }
  };
  if (split.input.element == Element::kI32) {
    take(split.ids, 1);
  } else {
    take(split.features, split.input.features);
  }
  return bench;
}

Result<CostShares> FindCostShares(const RecipeRun& run, const CostQuestion& question,
                                  const Graph& base, const Graph& graph) {
  const StageSpec* stage = CompileStageAfter(run.recipe, question.index);
  CostTable costs;
  ESPALIER_ASSIGN_OR_RETURN(
      const CompileOptions options,
      CompileOptionsOf(run, stage == nullptr ? CompileSpec() : stage->compile, &costs));
  std::vector<Artifact> artifacts;
  const Graph networks[] = {RoundMatrices(base, options.weights),
                            RoundMatrices(graph, options.weights)};
  for (const Graph& network : networks) {
    ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(network, options));
    ESPALIER_ASSIGN_OR_RETURN(Artifact artifact, Artifact::FromBytes(std::move(bytes)));
    artifacts.push_back(std::move(artifact));
  }
  CostShares shares;
  shares.bytes = static_cast<double>(artifacts[1].total_bytes()) /
                 static_cast<double>(artifacts[0].total_bytes());
  if (!question.is_timed) return shares;
  BenchOptions bench = BenchOptionsOf(run, BenchSpec().repetitions, *question.split);
  std::vector<BenchSystem> systems;
  for (size_t i = 0; i < 2; ++i) {
    ESPALIER_ASSIGN_OR_RETURN(
        BenchSystem system, EspalierSystem(i == 0 ? "before" : "pruned", artifacts[i], networks[i],
                                           bench.shape, OwnSession(run)));
    systems.push_back(std::move(system));
  }
  const bool streams = systems[0].run_step != nullptr && systems[1].run_step != nullptr;
  bench.what = streams ? BenchWhat::kSteps : BenchWhat::kSequences;
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<SystemTiming> timings, TimeSystems(systems, bench));
  const auto median = [&](size_t i) {
    return (streams ? timings[i].us_per_step : timings[i].us_per_sequence)->median;
  };
  shares.time = median(1) / median(0);
  return shares;
}

}  // namespace espalier
