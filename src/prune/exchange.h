// Dynamic sparse training: pieces go and others come, at the same density.
#ifndef ESPALIER_PRUNE_EXCHANGE_H_
#define ESPALIER_PRUNE_EXCHANGE_H_

#include "prune/plan.h"

namespace espalier {

// Each pool loses `share` of what `masks`, made at `amount`, keep of it, the worst by the plan's
// criterion but one piece of each gate, and gets as much of the rest back, the best by `regrow`,
// both in whole pieces of the plan's granularity, as many of each size as went where there are
// (slots are of any). `fixed`: masks outside of which nothing comes back. `seed`: for a `regrow`
// that draws. Preconditions: Extent::kWeight, no thresholds; masks hold every target. Errors: as
// MakeMasks.
Result<MaskSet> ExchangeMasks(const Plan& plan, double amount, const Criterion& regrow,
                              double share, uint64_t seed, const StatisticsSet& statistics,
                              const MaskSet& fixed, const MaskSet& masks);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_EXCHANGE_H_
