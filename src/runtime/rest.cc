#include "runtime/rest.h"

#include <algorithm>

namespace espalier {

bool TakesRest(const DynamicLayer& layer, float* pace) {
  if (!*layer.rests) return false;
  float& left = pace[kRestLeft];
  if (!(left >= 1.0f)) return layer.never_gains;
  left -= 1.0f;
  return true;
}

void EndTry(const DynamicLayer& layer, bool gains, float* pace) {
  constexpr float kLonger = 4.0f;
  float& last = pace[kLastRest];
  last = gains ? 0.0f : std::clamp(kLonger * last, layer.first_rest, layer.most_rest);
  pace[kRestLeft] = last;
}

void LookAgain(const DynamicLayer& layer) {
  for (size_t stream = 0; stream < layer.streams; ++stream) {
    layer.pace.row(stream)[kRestLeft] = layer.pace.row(stream)[kLastRest] = 0.0f;
  }
}

}  // namespace espalier
