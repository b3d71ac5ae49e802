// Criterion: how much does one weight matter? It gives every element of a weight a saliency; larger
// means keep. It knows nothing of what is removed together (granularity.h, coupling.h), how much is
// removed where (allocation.h) or when (schedule.h).
#ifndef ESPALIER_PRUNE_CRITERION_H_
#define ESPALIER_PRUNE_CRITERION_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/rng.h"
#include "base/status.h"
#include "model/tensor.h"

namespace espalier {

// What a criterion reads; a set of flags, so that nobody gathers what nobody asks for.
using Needs = uint32_t;
inline constexpr Needs kNeedsNothing = 0;
inline constexpr Needs kNeedsWeight = 1u << 0;

// What is known of one weight; views of the caller's memory, all [rows, cols]. A field is empty
// unless the criterion's needs name it.
struct Statistics {
  std::span<const float> weight;
};

// By the weight's full name, e.g. "lstm0.weight_hh".
using StatisticsSet = std::map<std::string, Statistics>;

// Views of `weights`, which must outlive them.
StatisticsSet StatisticsOf(const TensorStore& weights);

struct Criterion {
  const char* name;
  const char* formula;  // as in docs/methods.md
  const char* source;   // authors, year, arXiv or DOI
  Needs needs;
  // Writes saliency.size() numbers. Precondition: the needed fields have as many elements. `rng` is
  // seeded by the plan's seed and the weight's name: equal at every step of a run.
  void (*score)(const Statistics& statistics, Rng* rng, std::span<float> saliency);
};

namespace criteria {
#define ESPALIER_CRITERION(name) extern const Criterion name;
#include "prune/criteria/criteria.inc"
#undef ESPALIER_CRITERION
}  // namespace criteria

// In the order of criteria.inc.
std::span<const Criterion* const> AllCriteria();
// Errors: kInvalidArgument, naming the nearest.
Result<const Criterion*> FindCriterion(const std::string& name);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_CRITERION_H_
