#include "runtime/early_exit.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace espalier {

Status ValidateExitRule(const ExitRule& rule) {
  if (!(rule.confidence > 0.0f && rule.confidence <= 1.0f)) {
    return InvalidArgument(
        StrCat("exit: confidence in (0, 1] expected, ", rule.confidence, " found"));
  }
  if (rule.hold < 1) {
    return InvalidArgument(StrCat("exit: hold of at least 1 look expected, ", rule.hold, " found"));
  }
  if (rule.every < 1) {
    return InvalidArgument(
        StrCat("exit: every of at least 1 step expected, ", rule.every, " found"));
  }
  return Ok();
}

bool ExitWatch::Update(std::span<const float> output) noexcept {
  const auto largest = std::max_element(output.begin(), output.end());
  const auto found = static_cast<int32_t>(largest - output.begin());
  probability = *largest;
  float sum = 0.0f;  // NaN if any element is, wherever the largest was found
  for (const float score : output) {
    sum += scores == Scores::kLogits ? std::exp(score - *largest) : score;
  }
  if (scores == Scores::kLogits) probability = 1.0f / sum;
  const bool is_sure = probability >= rule.confidence && !std::isnan(sum);
  held = !is_sure ? 0 : found == best ? held + 1 : 1;
  best = found;
  ++looks;
  return is_settled();
}

}  // namespace espalier
