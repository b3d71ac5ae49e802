// How the stages of a run compile and time networks. Internal to this room; see run_stages.h.
#ifndef ESPALIER_PIPELINE_RUN_COSTS_H_
#define ESPALIER_PIPELINE_RUN_COSTS_H_

#include "base/status.h"
#include "compile/compile.h"
#include "pipeline/bench.h"
#include "pipeline/run_stages.h"
#include "pipeline/search.h"
#include "runtime/session.h"

namespace espalier {

// What a compile stage asks for. `costs`, which the options point to, gets those of its file, if it
// names one. Errors: those of the file, kInvalidArgument for an unknown format.
Result<CompileOptions> CompileOptionsOf(const RecipeRun& run, const CompileSpec& spec,
                                        CostTable* costs);

// Our own sessions are measured as most are used: with one thread.
SessionOptions OwnSession(const RecipeRun& run);

// Sequences of the split, of its mean length; of long ones fewer, since the reference executor,
// which is slow, runs them all.
BenchOptions BenchOptionsOf(const RecipeRun& run, int64_t repetitions, const Dataset& split);

// Both compiled as the compile stage after stage `index` says (or with the defaults of one), and if
// `is_timed` run in turn on sequences of `split`, each verified first. Errors: kCancelled; those of
// Compile and TimeSystems.
struct CostQuestion {
  size_t index = 0;
  bool is_timed = true;
  const Dataset* split = nullptr;
};
Result<CostShares> FindCostShares(const RecipeRun& run, const CostQuestion& question,
                                  const Graph& base, const Graph& graph);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RUN_COSTS_H_
