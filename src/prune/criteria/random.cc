#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// The control of every comparison: what a criterion gains is measured against this.
void Score(const Statistics& /*statistics*/, Rng* rng, std::span<float> saliency) {
  for (float& value : saliency) value = static_cast<float>(rng->Uniform());
}

}  // namespace

const Criterion random = {"random",      "S ~ U[0, 1), seeded", "control",
                          kNeedsNothing, Grouping::kNorm,       Score};

}  // namespace espalier::criteria
