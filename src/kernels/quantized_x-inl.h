// x in whole numbers of 8 bits, as the i8 kernels multiply it (kernels/quantize.h). With VNNI
// (AVX-512's or AVX-VNNI) it is kept as x + 128, since vpdpbusd multiplies unsigned by signed, and
// sums start at the row's offset (formats/row_scales.h). Other x86 multiply |w| by x with w's sign
// (vpmaddubsw): sizes up to 127 cannot overflow 16 bits. Compiled once per target.
#if defined(ESPALIER_KERNELS_QUANTIZED_X_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_QUANTIZED_X_INL_H_
#undef ESPALIER_KERNELS_QUANTIZED_X_INL_H_
#else
#define ESPALIER_KERNELS_QUANTIZED_X_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "formats/row_scales.h"
#include "hwy/highway.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

// 0: unsigned 8-bit numbers of x are not needed.
#if HWY_TARGET <= HWY_AVX3_DL || defined(ESPALIER_AVX_VNNI)
constexpr int kXBias = 128;
#else
constexpr int kXBias = 0;
#endif

inline constexpr size_t kQuadRows = 16;
inline constexpr size_t kQuadBytes = kQuadRows * 4;

// x in whole numbers (plus kXBias), `kMostCols` of them at most; 64 bytes after the last are
// readable and stand for 0.
template <size_t kMostCols>
class QuantizedX {
  using D = hn::ScalableTag<float>;
  static constexpr size_t kLanes = hn::MaxLanes(D());

 public:
  void Set(const float* x, size_t cols, float x_scale) { scale_ = Into(x, cols, x_scale, bytes_); }
  // The same to `bytes`, and kQuadBytes after them. Returns the scale.
  static float Into(const float* x, size_t cols, float x_scale, uint8_t* bytes) {
    const XScale by(LargestOf(x, cols), x_scale);
    Round(x, cols, by.inverse, bytes);
    std::memset(bytes + cols, kXBias, kQuadBytes);
    return by.scale;
  }
  // Of x only the numbers x[col[i]]; all of x sets the scale.
  static float GatherInto(const float* x, size_t cols, float x_scale, std::span<const uint32_t> col,
                          uint8_t* bytes) {
    constexpr size_t kChunk = 256;
    const XScale by(LargestOf(x, cols), x_scale);
    float gathered[kChunk];
    for (size_t first = 0; first < col.size(); first += kChunk) {
      const size_t count = std::min(kChunk, col.size() - first);
      for (size_t i = 0; i < count; ++i) gathered[i] = x[col[first + i]];
      Round(gathered, count, by.inverse, bytes + first);
    }
    std::memset(bytes + col.size(), kXBias, kQuadBytes);
    return by.scale;
  }
  float scale() const { return scale_; }
  HWY_INLINE const uint8_t* at(size_t col) const { return bytes_ + col; }

 private:
  // The largest |x[c]|, or NaN if there is one: without its sign a float's bits are in the order of
  // its size, and those of NaN are above all others.
  static float LargestOf(const float* x, size_t cols) {
    const D d;
    const hn::RebindToSigned<D> di;
    const size_t whole = cols / kLanes * kLanes;
    auto largest = hn::Zero(di);
    for (size_t c = 0; c < whole; c += kLanes) {
      largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(d, x + c))));
    }
    int32_t bits = hn::GetLane(hn::MaxOfLanes(di, largest));
    for (size_t c = whole; c < cols; ++c) {
      bits = std::max(bits, std::bit_cast<int32_t>(std::abs(x[c])));
    }
    return std::bit_cast<float>(bits);
  }

  static void Round(const float* x, size_t count, float inverse, uint8_t* to) {
    if (inverse == 0.0f) {
      std::memset(to, kXBias, count);
      return;
    }
    const D d;
    const hn::RebindToSigned<D> di;
    const size_t whole = count / kLanes * kLanes;
    const auto factor = hn::Set(d, inverse);
    const auto least = hn::Set(d, -kLargestQ);
    const auto most = hn::Set(d, kLargestQ);
    for (size_t c = 0; c < whole; c += kLanes) {
      const auto number =
          hn::NearestInt(hn::Min(hn::Max(hn::Mul(hn::LoadU(d, x + c), factor), least), most));
      StoreBytes(d, hn::Add(number, hn::Set(di, kXBias)), to + c);
    }
    for (size_t c = whole; c < count; ++c) {
      const float number = std::nearbyint(x[c] * inverse);
      to[c] = static_cast<uint8_t>(static_cast<int>(std::clamp(number, -kLargestQ, kLargestQ)) +
                                   kXBias);
    }
  }

  // The low byte of each lane.
  template <class V>
  static HWY_INLINE void StoreBytes(D /*d*/, V v, uint8_t* to) {
    const hn::Rebind<uint8_t, D> d8;
    const hn::RebindToUnsigned<D> du;
    hn::StoreU(hn::U8FromU32(hn::And(hn::BitCast(du, v), hn::Set(du, 255))), d8, to);
  }

  float scale_ = 0.0f;
  HWY_ALIGN uint8_t bytes_[kMostCols + 2 * kQuadBytes];
};

// Some x at once, as QuantizedX, so that the weights of a strip meet all of them before those of
// the next.
class QuantizedRows {
 public:
  class Row {
   public:
    float scale() const { return scale_; }
    HWY_INLINE const uint8_t* at(size_t col) const { return bytes_ + col; }

   private:
    friend class QuantizedRows;
    const uint8_t* bytes_ = nullptr;
    float scale_ = 0.0f;
  };

  // How many x of `cols` <= kMaxI8Cols numbers there is room for: 1 to 3, or a multiple of 4, so
  // that kernels which take 4 at a time have no rest.
  static size_t RoomFor(size_t cols) {
    const size_t room = std::clamp(sizeof(bytes_) / StrideOf(cols), size_t{1}, kMostRows);
    return room < 4 ? room : room / 4 * 4;
  }
  // `count` <= RoomFor(cols) of them, `stride` floats apart.
  void Set(const float* x, size_t stride, size_t count, size_t cols, float x_scale) {
    for (size_t i = 0; i < count; ++i) {
      uint8_t* bytes = bytes_ + i * StrideOf(cols);
      rows_[i].scale_ = QuantizedX<1>::Into(x + i * stride, cols, x_scale, bytes);
      rows_[i].bytes_ = bytes;
    }
  }
  // Of each x of `cols` numbers only those of the columns `col`; `count` <= RoomFor(col.size()).
  void SetGathered(const float* x, size_t stride, size_t count, size_t cols, float x_scale,
                   std::span<const uint32_t> col) {
    for (size_t i = 0; i < count; ++i) {
      uint8_t* bytes = bytes_ + i * StrideOf(col.size());
      rows_[i].scale_ = QuantizedX<1>::GatherInto(x + i * stride, cols, x_scale, col, bytes);
      rows_[i].bytes_ = bytes;
    }
  }
  const Row* row(size_t i) const { return rows_ + i; }

 private:
  static constexpr size_t kMostRows = 32;
  static size_t StrideOf(size_t cols) {
    return (cols + kQuadBytes - 1) / kQuadBytes * kQuadBytes + kQuadBytes;
  }

  Row rows_[kMostRows];
  HWY_ALIGN uint8_t bytes_[kMaxI8Cols + 4 * kQuadBytes];  // 4 rows of a quarter of the columns
};

// Calls body(x, n, count) for the rows [n, n + count) of args.x, as many as there is room for, then
// for the next: x[i] is row n + i, rounded.
template <class Body>
HWY_INLINE void ForRowsOfX(const MatMulArgs& args, size_t cols, float x_scale, const Body& body) {
  const size_t room = QuantizedRows::RoomFor(cols);
  QuantizedRows x;
  for (size_t n = 0; n < args.count; n += room) {
    const size_t count = std::min(room, args.count - n);
    x.Set(args.x + n * args.x_stride, args.x_stride, count, cols, x_scale);
    body(x.row(0), n, count);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_QUANTIZED_X_INL_H_
