#include "train/random_prefix.h"

#include <algorithm>
#include <cmath>

namespace espalier {

void CutToPrefixes(double share, Rng* rng, LabelledBatch* labelled) {
  if (share == 0.0) return;
  Batch& batch = labelled->batch;
  int64_t longest = 0;
  for (int32_t& length : batch.lengths) {
    if (rng->Uniform() < share) {
      const auto least = static_cast<int32_t>(std::ceil(kLeastPrefix * length));
      length = least + static_cast<int32_t>(rng->Below(static_cast<uint64_t>(length - least + 1)));
    }
    longest = std::max<int64_t>(longest, length);
  }
  // Time-major: the steps that no sequence has any more are at the end.
  const auto steps = static_cast<size_t>(batch.steps);
  if (steps == 0) return;
  batch.features.resize(batch.features.size() / steps * static_cast<size_t>(longest));
  batch.ids.resize(batch.ids.size() / steps * static_cast<size_t>(longest));
  batch.steps = longest;
}

}  // namespace espalier
