// WeightType: the number that a format stores for a weight. Every type holds some f32 numbers
// exactly, and formats store no others: RoundTo makes them, once, before a network is compiled, so
// that what is compiled, evaluated and compared are the same numbers.
#ifndef ESPALIER_FORMATS_WEIGHT_TYPE_H_
#define ESPALIER_FORMATS_WEIGHT_TYPE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/status.h"

namespace espalier {

// On disk: never renumbered.
enum class WeightType : uint8_t {
  kF32 = 0,
  kBf16 = 1,  // the upper half of an f32: 8 bits of exponent, 7 of fraction
};

constexpr size_t SizeOf(WeightType type) { return type == WeightType::kBf16 ? 2 : 4; }

// "f32", "bf16".
const char* WeightTypeName(WeightType type);
// Errors: kInvalidArgument, naming the nearest.
Result<WeightType> ParseWeightType(const std::string& name);

// The type whose elements kernels read as W: float, or uint16_t for bf16.
template <typename W>
inline constexpr WeightType kTypeOf = sizeof(W) == 2 ? WeightType::kBf16 : WeightType::kF32;

constexpr float FromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// To the nearest number of the type, of two equally near to the one whose last bit is 0. What is
// larger than the largest number of the type becomes that one. Precondition: finite.
float RoundTo(WeightType type, float value);
inline bool Holds(WeightType type, float value) {
  return type == WeightType::kF32 || (std::bit_cast<uint32_t>(value) & 0xffffu) == 0;
}

// Element `index` of an array of the type. Precondition of StoreWeight: Holds(type, value).
inline float LoadWeight(const std::byte* values, WeightType type, size_t index) {
  if (type == WeightType::kF32) {
    float value;
    std::memcpy(&value, values + index * sizeof(value), sizeof(value));
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, values + index * sizeof(bits), sizeof(bits));
  return FromBf16(bits);
}
inline void StoreWeight(float value, std::byte* values, WeightType type, size_t index) {
  if (type == WeightType::kF32) {
    std::memcpy(values + index * sizeof(value), &value, sizeof(value));
    return;
  }
  const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  std::memcpy(values + index * sizeof(bits), &bits, sizeof(bits));
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_WEIGHT_TYPE_H_
