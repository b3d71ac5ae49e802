// WeightType: the number that a format stores for a weight. Every type holds some matrices of f32
// numbers exactly, and formats store no others: RoundMatrix makes them, once, before a network is
// compiled, so that what is compiled, evaluated and compared are the same numbers.
#ifndef ESPALIER_FORMATS_WEIGHT_TYPE_H_
#define ESPALIER_FORMATS_WEIGHT_TYPE_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "base/status.h"

namespace espalier {

// On disk: never renumbered.
enum class WeightType : uint8_t {
  kF32 = 0,
  kBf16 = 1,  // the upper half of an f32: 8 bits of exponent, 7 of fraction
  // A whole number in [-127, 127], times a scale that the weights of a row share. Kernels round x
  // to such numbers, too, and add whole numbers (kernels/quantize.h).
  kI8 = 2,
  // An f32 whose last 4 bits are its column modulo 16, or 0: slots of it need no indices
  // (formats/slot.h). Rounding moves a weight by at most 2^-20 of its size, but next to the
  // smallest and the largest f32.
  kF28 = 3,
};
inline constexpr WeightType kLastWeightType = WeightType::kF28;

constexpr size_t SizeOf(WeightType type) {
  return type == WeightType::kI8 ? 1 : type == WeightType::kBf16 ? 2 : 4;
}

// "f32", "bf16", "i8", "f28".
const char* WeightTypeName(WeightType type);
// Errors: kInvalidArgument, naming the nearest.
Result<WeightType> ParseWeightType(const std::string& name);

// An element of kF28, as kernels read it.
struct F28 {
  float value;
};
// Of kF28: the column, modulo 16, that a weight other than 0 is in. Of 0 it is 0.
inline constexpr uint32_t kF28ColumnMask = 15;
constexpr size_t F28Column(float value) { return std::bit_cast<uint32_t>(value) & kF28ColumnMask; }

// The type whose elements kernels read as W: float, F28, uint16_t for bf16, int8_t.
template <typename W>
inline constexpr WeightType kTypeOf = sizeof(W) == 1           ? WeightType::kI8
                                      : sizeof(W) == 2         ? WeightType::kBf16
                                      : std::is_same_v<W, F28> ? WeightType::kF28
                                                               : WeightType::kF32;

constexpr float FromBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Every number to the nearest that the type can hold in its row, of two equally near to the even
// one; what is larger than the largest becomes that one. kI8: the largest of a row becomes 127
// times its scale, and a row below 2^-119 becomes 0. kF28: of two equally near the one nearer to 0,
// and what is below 2^-126 becomes 0. `values`: [rows, cols]. Precondition: finite.
// What is rounded stays as it is when it is rounded again.
void RoundMatrix(WeightType type, int64_t cols, std::span<float> values);

// Of a row of kI8. A kernel's sum of whole numbers, below 2^31, times a scale is finite, so that
// times the scale of x it is infinite only where it must be (kernels/quantize.h).
inline constexpr float kMostRowScale = 0x1p96f;

// The scale of a row of kI8: its largest size / 127, rounded up to 17 significant bits, so that
// scale * q is exact for every q in [-127, 127], and at most kMostRowScale; 0 for a row of zeros.
float RowScale(std::span<const float> row);

// Is every number of the row one that the type holds?
bool HoldsRow(WeightType type, std::span<const float> row);

// Element `index` of an array of the type; of kI8 the whole number. Precondition of StoreWeight:
// the type holds it.
inline float LoadWeight(const std::byte* values, WeightType type, size_t index) {
  if (SizeOf(type) == sizeof(float)) {
    float value;
    std::memcpy(&value, values + index * sizeof(value), sizeof(value));
    return value;
  }
  if (type == WeightType::kI8) return static_cast<int8_t>(values[index]);
  uint16_t bits;
  std::memcpy(&bits, values + index * sizeof(bits), sizeof(bits));
  return FromBf16(bits);
}
inline void StoreWeight(float value, std::byte* values, WeightType type, size_t index) {
  if (SizeOf(type) == sizeof(float)) {
    std::memcpy(values + index * sizeof(value), &value, sizeof(value));
    return;
  }
  if (type == WeightType::kI8) {
    values[index] = static_cast<std::byte>(static_cast<int8_t>(value));
    return;
  }
  const auto bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  std::memcpy(values + index * sizeof(bits), &bits, sizeof(bits));
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_WEIGHT_TYPE_H_
