#include "formats/weight_type.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace espalier {
namespace {

constexpr const char* kNames[] = {"f32", "bf16", "i8", "f28"};

constexpr float kLargestI8 = 127.0f;

float RoundToBf16(float value) {
  constexpr uint32_t kLargest = 0x7f7f0000;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits & 0x80000000u;
  uint32_t size = bits & 0x7fffffffu;
  size += 0x7fffu + ((size >> 16) & 1u);
  size &= 0xffff0000u;
  return std::bit_cast<float>(sign | (size > kLargest ? kLargest : size));
}

float RoundToI8(float value, float scale) {
  if (scale == 0.0f) return 0.0f;
  return std::clamp(std::nearbyint(value / scale), -kLargestI8, kLargestI8) * scale;
}

void RoundRowToI8(std::span<float> row) {
  const float scale = RowScale(row);
  for (float& value : row) value = RoundToI8(value, scale);
}

// The nearest that carries the column is at most 8 away in units of its last bit, but at both ends.
float RoundToF28(float value, size_t col) {
  constexpr uint32_t kSmallest = 0x00800000, kLargest = 0x7f7fffff, kStep = kF28ColumnMask + 1;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits & 0x80000000u;
  const uint32_t size = bits & 0x7fffffffu;
  if (size < kSmallest) return 0.0f;
  const uint32_t above = static_cast<uint32_t>(col - size) & kF28ColumnMask;
  uint32_t rounded = above < kStep / 2 ? size + above : size + above - kStep;
  if (rounded < kSmallest) rounded += kStep;
  if (rounded > kLargest) rounded -= kStep;
  return std::bit_cast<float>(sign | rounded);
}

bool HoldsF28(float value, size_t col) {
  return std::bit_cast<uint32_t>(RoundToF28(value, col)) == std::bit_cast<uint32_t>(value) ||
         value == 0.0f;
}

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

void RoundMatrix(WeightType type, int64_t cols, std::span<float> values) {
  if (type == WeightType::kBf16) {
    std::transform(values.begin(), values.end(), values.begin(), RoundToBf16);
  }
  const auto width = static_cast<size_t>(cols);
  if (type == WeightType::kF28) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = RoundToF28(values[i], i % width);
  }
  if (type != WeightType::kI8) return;
  for (; !values.empty(); values = values.subspan(width)) RoundRowToI8(values.first(width));
}

float RowScale(std::span<const float> row) {
  constexpr uint32_t kBelow = (1u << 7) - 1;  // the last 7 of 24 significant bits
  float size = 0.0f;
  for (const float value : row) size = std::max(size, std::abs(value));
  if (size < 0x1p-119f) return 0.0f;
  const uint32_t bits = std::bit_cast<uint32_t>(size / kLargestI8);
  return std::min(std::bit_cast<float>((bits + kBelow) & ~kBelow), kMostRowScale);
}

bool HoldsRow(WeightType type, std::span<const float> row) {
  if (type == WeightType::kF32) return true;
  if (type == WeightType::kBf16) {
    return std::all_of(row.begin(), row.end(),
                       [](float value) { return (std::bit_cast<uint32_t>(value) & 0xffffu) == 0; });
  }
  if (type == WeightType::kF28) {
    for (size_t col = 0; col < row.size(); ++col) {
      if (!HoldsF28(row[col], col)) return false;
    }
    return true;
  }
  const float scale = RowScale(row);
  return std::all_of(row.begin(), row.end(),
                     [scale](float value) { return RoundToI8(value, scale) == value; });
}

}  // namespace espalier
