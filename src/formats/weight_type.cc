#include "formats/weight_type.h"

#include "base/strings.h"

namespace espalier {
namespace {

constexpr const char* kNames[] = {"f32", "bf16"};

}  // namespace

const char* WeightTypeName(WeightType type) { return kNames[static_cast<size_t>(type)]; }

Result<WeightType> ParseWeightType(const std::string& name) {
  const std::vector<std::string> names(std::begin(kNames), std::end(kNames));
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<WeightType>(i);
  }
  return InvalidArgument(StrCat("type of weights: one of ", StrJoin(names, ", "), " expected, '",
                                name, "' found", DidYouMean(name, names)));
}

float RoundTo(WeightType type, float value) {
  if (type == WeightType::kF32) return value;
  constexpr uint32_t kLargest = 0x7f7f0000;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits & 0x80000000u;
  uint32_t size = bits & 0x7fffffffu;
  size += 0x7fffu + ((size >> 16) & 1u);
  size &= 0xffff0000u;
  return std::bit_cast<float>(sign | (size > kLargest ? kLargest : size));
}

}  // namespace espalier
