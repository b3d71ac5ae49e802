#include <cmath>

#include "prune/criterion.h"

namespace espalier::criteria {
namespace {

// Small gradients go. With masks that are made again while fine-tuning (`masks: soft`, `regrow`)
// what goes is chosen anew each time.
void Score(const Statistics& statistics, Rng* /*rng*/, std::span<float> saliency) {
  for (size_t i = 0; i < saliency.size(); ++i) {
    saliency[i] = std::abs(statistics.gradient[i]);
  }
}

}  // namespace

const Criterion gradient = {
    "gradient",     "S = |g|",       "control of taylor: what moves little goes, however large",
    kNeedsGradient, Grouping::kNorm, Score};

}  // namespace espalier::criteria
