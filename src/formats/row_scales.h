// What every encoding of type kI8 begins with; the format's own bytes, the *body*, come after it
// and hold whole numbers q. The weight is scale[row] * q.
//
//   x_scale  f32       kernels round x to x_scale * q; 0: for each x its largest size / 127
//            0 to a multiple of 64 bytes
//   scale    f32 [R]   of each row, 0 to 2^96; R: rows rounded up to a multiple of 16; the rest 0
//   offset   i32 [R]   -128 * sum of the row's q: what a sum starts with whose kernel multiplies q
//                      by unsigned numbers, x + 128
#ifndef ESPALIER_FORMATS_ROW_SCALES_H_
#define ESPALIER_FORMATS_ROW_SCALES_H_

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

// A sum of this many products of 127 and 255 fits in 32 bits.
inline constexpr int64_t kMaxI8Cols = 1 << 16;

// What x_scale can be: 0, or a number whose inverse and whose products with 127 are normal floats.
inline constexpr float kLeastXScale = 0x1p-107f;
inline constexpr float kMostXScale = 1e30f;
constexpr bool IsXScale(double scale) {
  return scale == 0.0 || (scale >= double{kLeastXScale} && scale <= double{kMostXScale});
}

struct RowScales {
  float x_scale;
  const float* scale;     // [R], 64-byte aligned
  const int32_t* offset;  // [R], 64-byte aligned
};

constexpr size_t RowScaleCount(int64_t rows) { return RoundUp(static_cast<size_t>(rows), 16); }
constexpr size_t RowScalesBytes(int64_t rows) {
  return kAlignmentBytes + RowScaleCount(rows) * (sizeof(float) + sizeof(int32_t));
}

// Precondition: the type is kI8 and Validate passes.
inline RowScales ViewRowScales(const EncodedView& matrix) {
  const std::byte* scale = matrix.bytes.data() + kAlignmentBytes;
  const std::byte* offset = scale + RowScaleCount(matrix.rows) * sizeof(float);
  return {*reinterpret_cast<const float*>(matrix.bytes.data()),
          reinterpret_cast<const float*>(scale), reinterpret_cast<const int32_t*>(offset)};
}

// The format's own bytes, of any type. Precondition: Validate passes.
inline EncodedView BodyOf(const EncodedView& matrix) {
  EncodedView body = matrix;
  if (matrix.spec.type == WeightType::kI8) {
    body.bytes = matrix.bytes.subspan(RowScalesBytes(matrix.rows));
  }
  return body;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_ROW_SCALES_H_
