// Sums of products of 8-bit numbers, four products to a 32-bit sum: what the i8 kernels are made
// of. Sixteen rows at a time: 64 weights, 4 of each row, times 64 numbers of x, which is rounded
// first (quantized_x-inl.h). Compiled once per target.
#if defined(ESPALIER_KERNELS_QUADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_QUADS_INL_H_
#undef ESPALIER_KERNELS_QUADS_INL_H_
#else
#define ESPALIER_KERNELS_QUADS_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/row_scales.h"
#include "hwy/highway.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/quantized_x-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

// Quads: 64 bytes of x, 4 for each of 16 rows. QuadSums: 16 sums; where tiles have kRows of 4 or 8
// rows they are the sums of several tiles side by side, to be added up. For each target:
//   FirstSums<kRows>(offset)     the sums before the first product: of r < kRows, the rest is 0;
//                                aligned to 4 kRows bytes
//   AddProducts(weights, x, &s)  s[r] += sum over j < 4 of weights[4 r + j] * x[4 r + j]
//   AddRowProducts<kRows>(weights, x, &s)  s[r] += weights[r] * x[r]; x, not 4 of it a row
//   SameQuad(quad)               the same 4 bytes for every row; `quad`: as LoadQuad reads them
//   TwoQuads(first, second)      for rows 0 to 7 and 8 to 15
//   FourQuads(quad)              quad[i] for rows 4 i to 4 i + 3
//   LoadIndices(packed)          64 indices below 64, of 6 bits each (formats/slot.h); reads up to
//                                16 bytes past them
//   LoadWideIndices(packed, &i)  4 x 64 of them, of a strip of 64 rows (formats/slot.h)
//   LoadQuadBank(x)              64 bytes of x to look up in
//   LookupQuads(bank, index)     bank[index[i]]
//   SumsToFloat<kRows, v>(s)     vector v of s[r] + s[r + kRows] + ..., r < kRows, as f32
// Of kRows sums, or of as many as one of their vectors has.
template <size_t kRows>
using RowFloat = hn::CappedTag<float, std::min<size_t>(kRows, HWY_TARGET <= HWY_AVX3_DL ? 16 : 8)>;

// Four bytes of x as they lie in memory.
HWY_INLINE uint32_t LoadQuad(const uint8_t* x) {
  uint32_t quad;
  std::memcpy(&quad, x, sizeof(quad));
  return quad;
}

#if HWY_TARGET <= HWY_AVX3_DL

using Quads = __m512i;
using QuadSums = __m512i;

template <size_t kRows = kQuadRows>
HWY_INLINE QuadSums FirstSums(const int32_t* offset) {
  if constexpr (kRows == kQuadRows) return _mm512_load_si512(offset);
  return _mm512_maskz_loadu_epi32((1 << kRows) - 1, offset);
}
HWY_INLINE void AddProducts(const int8_t* weights, Quads x, QuadSums* sums) {
  *sums = _mm512_dpbusd_epi32(*sums, x, _mm512_loadu_si512(weights));
}
HWY_INLINE Quads SameQuad(uint32_t quad) { return _mm512_set1_epi32(static_cast<int32_t>(quad)); }
HWY_INLINE Quads LoadIndices(const uint8_t* packed) {
  // Three bytes, which hold four indices, to each 32 bits; then 8 bits from bit 0, 6, 12 and 18 on,
  // of which a lookup reads 6.
  const __m512i spread =
      _mm512_setr_epi32(0x02020100, 0x05050403, 0x08080706, 0x0b0b0a09, 0x0e0e0d0c, 0x1111100f,
                        0x14141312, 0x17171615, 0x1a1a1918, 0x1d1d1c1b, 0x20201f1e, 0x23232221,
                        0x26262524, 0x29292827, 0x2c2c2b2a, 0x2f2f2e2d);
  const __m512i shift = _mm512_set1_epi64(0x322c2620120c0600);
  return _mm512_multishift_epi64_epi8(shift,
                                      _mm512_permutexvar_epi8(spread, _mm512_loadu_si512(packed)));
}
HWY_INLINE void LoadWideIndices(const uint8_t* packed, Quads (&index)[4]) {
  for (size_t i = 0; i < 3; ++i) index[i] = _mm512_loadu_si512(packed + i * kQuadBytes);
  // A lookup reads the low 6 bits of a byte.
  const __m512i low = _mm512_srli_epi16(index[0], 6);
  const __m512i middle = _mm512_srli_epi16(index[1], 4);
  const __m512i high = _mm512_srli_epi16(index[2], 2);
  constexpr int kSelect = 0xca;  // of bits: first ? second : third
  const __m512i low_or_middle =
      _mm512_ternarylogic_epi64(_mm512_set1_epi8(3), low, middle, kSelect);
  index[3] = _mm512_ternarylogic_epi64(_mm512_set1_epi8(15), low_or_middle, high, kSelect);
}
using QuadBank = __m512i;
HWY_INLINE QuadBank LoadQuadBank(const uint8_t* x) { return _mm512_loadu_si512(x); }
HWY_INLINE Quads LookupQuads(QuadBank bank, Quads index) {
  return _mm512_permutexvar_epi8(index, bank);
}
template <size_t kRows>
HWY_INLINE __m128i LoadBytes(const void* from) {
  const auto* bytes = static_cast<const __m128i*>(from);
  return kRows == kQuadRows ? _mm_loadu_si128(bytes) : _mm_loadl_epi64(bytes);
}
template <size_t kRows>
HWY_INLINE void AddRowProducts(const int8_t* weights, const uint8_t* x, QuadSums* sums) {
  static_assert(kRows == 8 || kRows == kQuadRows);
  const __m512i w = _mm512_cvtepi8_epi32(LoadBytes<kRows>(weights));
  const __m512i one_x = _mm512_cvtepu8_epi32(LoadBytes<kRows>(x));
  *sums = _mm512_add_epi32(*sums, _mm512_mullo_epi32(w, one_x));
}
HWY_INLINE Quads TwoQuads(uint32_t first, uint32_t second) {
  return _mm512_mask_set1_epi32(SameQuad(first), 0xff00, static_cast<int32_t>(second));
}
HWY_INLINE Quads FourQuads(const uint32_t (&quad)[4]) {
  const __m512i each = _mm512_castsi128_si512(
      _mm_setr_epi32(static_cast<int32_t>(quad[0]), static_cast<int32_t>(quad[1]),
                     static_cast<int32_t>(quad[2]), static_cast<int32_t>(quad[3])));
  const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_epi32(spread, each);
}
HWY_INLINE QuadSums ZeroSums() { return _mm512_setzero_si512(); }
HWY_INLINE QuadSums AddSums(QuadSums a, QuadSums b) { return _mm512_add_epi32(a, b); }
template <size_t kRows, size_t v>
HWY_INLINE hn::Vec<RowFloat<kRows>> SumsToFloat(const QuadSums& sums) {
  using V = hn::Vec<RowFloat<kRows>>;
  if constexpr (kRows == kQuadRows) {
    return V{_mm512_cvtepi32_ps(sums)};
  } else {
    const __m256i halves =
        _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
    if constexpr (kRows == 8) {
      return V{_mm256_cvtepi32_ps(halves)};
    } else {
      return V{_mm_cvtepi32_ps(
          _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)))};
    }
  }
}

#elif HWY_TARGET <= HWY_AVX2

struct Quads {
  __m256i half[2];
};
struct QuadSums {
  __m256i half[2];
};

HWY_INLINE QuadSums ZeroSums() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
// sum[i] + the products of bytes 4 i to 4 i + 3, those of x unsigned with AVX-VNNI.
HWY_INLINE __m256i AddDotQuads(__m256i sum, __m256i w, __m256i x) {
#if defined(ESPALIER_AVX_VNNI)
  return _mm256_dpbusd_avx_epi32(sum, x, w);
#else
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}
template <size_t kRows = kQuadRows>
HWY_INLINE QuadSums FirstSums(const int32_t* offset) {
  QuadSums sums = ZeroSums();
  if (kXBias == 0) return sums;
  const auto* halves = reinterpret_cast<const __m256i*>(offset);
  if constexpr (kRows < 8) {
    sums.half[0] = _mm256_zextsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(offset)));
  } else {
    for (size_t i = 0; i < kRows / 8; ++i) sums.half[i] = _mm256_load_si256(halves + i);
  }
  return sums;
}
HWY_INLINE void AddProducts(const int8_t* weights, const Quads& x, QuadSums* sums) {
  for (size_t i = 0; i < 2; ++i) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights) + i);
    sums->half[i] = AddDotQuads(sums->half[i], w, x.half[i]);
  }
}
HWY_INLINE Quads TwoQuads(uint32_t first, uint32_t second) {
  return {{_mm256_set1_epi32(static_cast<int32_t>(first)),
           _mm256_set1_epi32(static_cast<int32_t>(second))}};
}
HWY_INLINE Quads SameQuad(uint32_t quad) { return TwoQuads(quad, quad); }
// A byte shuffle looks up 16 bytes by the low 4 bits, and gives 0 where bit 7 of the index is set:
// of four shuffles, each for a quarter of the bank, one gives the number.
HWY_INLINE Quads LoadIndices(const uint8_t* packed) {
  // Three bytes, which hold four indices, to each 32 bits; then 6 bits to each byte.
  const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                                          0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
  Quads index;
  for (size_t i = 0; i < 2; ++i) {
    const __m256i bytes = _mm256_shuffle_epi8(
        _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(packed + i * 24 + 12),
                            reinterpret_cast<const __m128i*>(packed + i * 24)),
        spread);
    __m256i at = _mm256_and_si256(bytes, _mm256_set1_epi32(0x3f));
    for (int j = 1; j < 4; ++j) {
      at = _mm256_or_si256(at, _mm256_and_si256(_mm256_slli_epi32(bytes, 2 * j),
                                                _mm256_set1_epi32(0x3f << (8 * j))));
    }
    index.half[i] = at;
  }
  return index;
}
HWY_INLINE void LoadWideIndices(const uint8_t* packed, Quads (&index)[4]) {
  const __m256i low_bits = _mm256_set1_epi8(63);
  for (size_t half = 0; half < 2; ++half) {
    __m256i last = _mm256_setzero_si256();
    for (int i = 0; i < 3; ++i) {
      const __m256i bytes =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + i * kQuadBytes) + half);
      index[i].half[half] = _mm256_and_si256(bytes, low_bits);
      last =
          _mm256_or_si256(last, _mm256_and_si256(_mm256_srli_epi16(bytes, 6 - 2 * i),
                                                 _mm256_set1_epi8(static_cast<char>(3 << 2 * i))));
    }
    index[3].half[half] = last;
  }
}
struct QuadBank {
  __m256i quarter[4];
};
HWY_INLINE QuadBank LoadQuadBank(const uint8_t* x) {
  QuadBank bank;
  for (size_t q = 0; q < 4; ++q) {
    bank.quarter[q] =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x) + q));
  }
  return bank;
}
HWY_INLINE Quads LookupQuads(const QuadBank& bank, const Quads& index) {
  Quads found;
  for (size_t i = 0; i < 2; ++i) {
    __m256i at = index.half[i];
    // Below 16 bit 7 must be clear, from 16 on set, and no carry: 0x70 + index.
    __m256i sum = _mm256_shuffle_epi8(bank.quarter[0], _mm256_add_epi8(at, _mm256_set1_epi8(0x70)));
    for (size_t q = 1; q < 4; ++q) {
      at = _mm256_sub_epi8(at, _mm256_set1_epi8(16));  // below 0: bit 7
      const __m256i from = _mm256_adds_epu8(at, _mm256_set1_epi8(0x70));
      sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(bank.quarter[q], from));
    }
    found.half[i] = sum;
  }
  return found;
}
template <size_t kRows>
HWY_INLINE void AddRowProducts(const int8_t* weights, const uint8_t* x, QuadSums* sums) {
  for (size_t i = 0; i < kRows / 8; ++i) {
    const __m256i w =
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights + 8 * i)));
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + 8 * i));
    const __m256i one_x = kXBias == 0 ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
    sums->half[i] = _mm256_add_epi32(sums->half[i], _mm256_mullo_epi32(w, one_x));
  }
}
HWY_INLINE Quads FourQuads(const uint32_t (&quad)[4]) {
  const auto part = [&](size_t i) { return _mm_set1_epi32(static_cast<int32_t>(quad[i])); };
  return {{_mm256_set_m128i(part(1), part(0)), _mm256_set_m128i(part(3), part(2))}};
}
HWY_INLINE QuadSums AddSums(const QuadSums& a, const QuadSums& b) {
  return {{_mm256_add_epi32(a.half[0], b.half[0]), _mm256_add_epi32(a.half[1], b.half[1])}};
}
template <size_t kRows, size_t v>
HWY_INLINE hn::Vec<RowFloat<kRows>> SumsToFloat(const QuadSums& sums) {
  using V = hn::Vec<RowFloat<kRows>>;
  if constexpr (kRows == kQuadRows) {
    return V{_mm256_cvtepi32_ps(sums.half[v])};
  } else {
    const __m256i halves = _mm256_add_epi32(sums.half[0], sums.half[1]);
    if constexpr (kRows == 8) {
      return V{_mm256_cvtepi32_ps(halves)};
    } else {
      return V{_mm_cvtepi32_ps(
          _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)))};
    }
  }
}

#elif HWY_TARGET == HWY_NEON

struct Quads {
  uint8x16_t part[4];
};
struct QuadSums {
  int32x4_t part[4];
};

HWY_INLINE QuadSums ZeroSums() {
  const int32x4_t zero = vdupq_n_s32(0);
  return {{zero, zero, zero, zero}};
}
template <size_t kRows = kQuadRows>
HWY_INLINE QuadSums FirstSums(const int32_t* /*offset*/) {
  return ZeroSums();
}
HWY_INLINE void AddProducts(const int8_t* weights, const Quads& x, QuadSums* sums) {
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) {
    sums->part[i] =
        DotQuads(sums->part[i], vld1q_s8(weights + 16 * i), vreinterpretq_s8_u8(x.part[i]));
  }
}
HWY_INLINE Quads FourQuads(const uint32_t (&quad)[4]) {
  Quads quads;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) quads.part[i] = vreinterpretq_u8_u32(vdupq_n_u32(quad[i]));
  return quads;
}
HWY_INLINE Quads TwoQuads(uint32_t first, uint32_t second) {
  return FourQuads({first, first, second, second});
}
HWY_INLINE Quads SameQuad(uint32_t quad) { return TwoQuads(quad, quad); }
HWY_INLINE Quads LoadIndices(const uint8_t* packed) {
  // Three bytes, which hold four indices, to each 32 bits; then 6 bits to each byte.
  const uint8x16_t spread = {0, 1, 2, 255, 3, 4, 5, 255, 6, 7, 8, 255, 9, 10, 11, 255};
  Quads index;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) {
    const uint32x4_t bits = vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(packed + 12 * i), spread));
    uint32x4_t at = vbslq_u32(vdupq_n_u32(0xff00), vshlq_n_u32(bits, 2), bits);
    at = vbslq_u32(vdupq_n_u32(0xff0000), vshlq_n_u32(bits, 4), at);
    at = vbslq_u32(vdupq_n_u32(0xff000000), vshlq_n_u32(bits, 6), at);
    index.part[i] = vandq_u8(vreinterpretq_u8_u32(at), vdupq_n_u8(63));
  }
  return index;
}
HWY_INLINE void LoadWideIndices(const uint8_t* packed, Quads (&index)[4]) {
  ESPALIER_UNROLL_4
  for (size_t part = 0; part < 4; ++part) {
    const uint8x16_t first = vld1q_u8(packed + 16 * part);
    const uint8x16_t second = vld1q_u8(packed + 16 * part + kQuadBytes);
    const uint8x16_t third = vld1q_u8(packed + 16 * part + 2 * kQuadBytes);
    index[0].part[part] = vandq_u8(first, vdupq_n_u8(63));
    index[1].part[part] = vandq_u8(second, vdupq_n_u8(63));
    index[2].part[part] = vandq_u8(third, vdupq_n_u8(63));
    const uint8x16_t pair = vsliq_n_u8(vshrq_n_u8(first, 6), vshrq_n_u8(second, 6), 2);
    index[3].part[part] = vsliq_n_u8(pair, vshrq_n_u8(third, 6), 4);
  }
}
using QuadBank = uint8x16x4_t;
HWY_INLINE QuadBank LoadQuadBank(const uint8_t* x) { return vld1q_u8_x4(x); }
HWY_INLINE Quads LookupQuads(const QuadBank& bank, const Quads& index) {
  Quads found;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) found.part[i] = vqtbl4q_u8(bank, index.part[i]);
  return found;
}
template <size_t kRows>
HWY_INLINE void AddRowProducts(const int8_t* weights, const uint8_t* x, QuadSums* sums) {
  for (size_t i = 0; i < kRows / 8; ++i) {
    const int16x8_t products =
        vmull_s8(vld1_s8(weights + 8 * i), vreinterpret_s8_u8(vld1_u8(x + 8 * i)));
    sums->part[2 * i] = vaddw_s16(sums->part[2 * i], vget_low_s16(products));
    sums->part[2 * i + 1] = vaddw_high_s16(sums->part[2 * i + 1], products);
  }
}
HWY_INLINE QuadSums AddSums(const QuadSums& a, const QuadSums& b) {
  QuadSums sums;
  for (size_t i = 0; i < 4; ++i) sums.part[i] = vaddq_s32(a.part[i], b.part[i]);
  return sums;
}
template <size_t kRows, size_t v>
HWY_INLINE hn::Vec<RowFloat<kRows>> SumsToFloat(const QuadSums& sums) {
  int32x4_t sum = sums.part[v];
  for (size_t i = v + kRows / 4; i < 4; i += kRows / 4) sum = vaddq_s32(sum, sums.part[i]);
  return hn::Vec<RowFloat<kRows>>(vcvtq_f32_s32(sum));
}

#else

struct Quads {
  int8_t byte[kQuadBytes];
};
struct QuadSums {
  HWY_ALIGN int32_t row[kQuadRows];
};

template <size_t kRows = kQuadRows>
HWY_INLINE QuadSums FirstSums(const int32_t* /*offset*/) {
  return {};
}
HWY_INLINE void AddProducts(const int8_t* weights, const Quads& x, QuadSums* sums) {
  for (size_t row = 0; row < kQuadRows; ++row) {
    for (size_t j = 0; j < 4; ++j) {
      sums->row[row] += int32_t{weights[row * 4 + j]} * int32_t{x.byte[row * 4 + j]};
    }
  }
}
HWY_INLINE Quads FourQuads(const uint32_t (&quad)[4]) {
  Quads quads;
  for (size_t i = 0; i < kQuadBytes; i += 4) {
    std::memcpy(quads.byte + i, &quad[i / kQuadRows], sizeof(quad[0]));
  }
  return quads;
}
HWY_INLINE Quads TwoQuads(uint32_t first, uint32_t second) {
  return FourQuads({first, first, second, second});
}
HWY_INLINE Quads SameQuad(uint32_t quad) { return TwoQuads(quad, quad); }
HWY_INLINE Quads LoadIndices(const uint8_t* packed) {
  Quads index;
  for (size_t i = 0; i < kQuadBytes; i += 4, packed += 3) {
    const int four = packed[0] | packed[1] << 8 | packed[2] << 16;
    for (size_t j = 0; j < 4; ++j) index.byte[i + j] = static_cast<int8_t>((four >> (6 * j)) & 63);
  }
  return index;
}
HWY_INLINE void LoadWideIndices(const uint8_t* packed, Quads (&index)[4]) {
  for (size_t i = 0; i < kQuadBytes; ++i) {
    int last = 0;
    for (size_t part = 0; part < 3; ++part) {
      const int byte = packed[part * kQuadBytes + i];
      index[part].byte[i] = static_cast<int8_t>(byte & 63);
      last |= byte >> 6 << (2 * part);
    }
    index[3].byte[i] = static_cast<int8_t>(last);
  }
}
using QuadBank = const uint8_t*;
HWY_INLINE QuadBank LoadQuadBank(const uint8_t* x) { return x; }
HWY_INLINE Quads LookupQuads(QuadBank bank, const Quads& index) {
  Quads quads;
  for (size_t i = 0; i < kQuadBytes; ++i) quads.byte[i] = static_cast<int8_t>(bank[index.byte[i]]);
  return quads;
}
template <size_t kRows>
HWY_INLINE void AddRowProducts(const int8_t* weights, const uint8_t* x, QuadSums* sums) {
  for (size_t row = 0; row < kRows; ++row) {
    sums->row[row] += int32_t{weights[row]} * int32_t{static_cast<int8_t>(x[row])};
  }
}
HWY_INLINE QuadSums ZeroSums() { return {}; }
HWY_INLINE QuadSums AddSums(const QuadSums& a, const QuadSums& b) {
  QuadSums sums = a;
  for (size_t row = 0; row < kQuadRows; ++row) sums.row[row] += b.row[row];
  return sums;
}
template <size_t kRows, size_t v>
HWY_INLINE hn::Vec<RowFloat<kRows>> SumsToFloat(const QuadSums& sums) {
  const RowFloat<kRows> d;
  const hn::RebindToSigned<RowFloat<kRows>> di;
  constexpr size_t kFirst = v * hn::MaxLanes(RowFloat<kRows>());
  auto sum = hn::LoadU(di, sums.row + kFirst);
  for (size_t row = kFirst + kRows; row < kQuadRows; row += kRows) {
    sum = hn::Add(sum, hn::LoadU(di, sums.row + row));
  }
  return hn::ConvertTo(d, sum);
}

#endif

// y[row + lane] = init[row + lane] + ScaledSum(sum, scale[row + lane], x_scale) for the rows below
// `rows`. `init` may be nullptr.
template <class D>
HWY_INLINE void StoreScaled(D d, hn::Vec<D> sum, const RowScales& scales, float x_scale,
                            const float* init, size_t row, size_t rows, float* y) {
  const auto start = init == nullptr ? hn::Zero(d) : LoadRows(d, init, row, rows);
  const auto scaled = hn::Mul(sum, hn::LoadU(d, scales.scale + row));
  StoreRows(hn::MulAdd(scaled, hn::Set(d, x_scale), start), d, y, row, rows);
}

// So for the kRows rows from `row` on.
template <size_t kRows = kQuadRows, size_t v = 0>
HWY_INLINE void StoreSums(const QuadSums& sums, const RowScales& scales, float x_scale,
                          const float* init, size_t row, size_t rows, float* y) {
  const RowFloat<kRows> d;
  constexpr size_t kFirst = v * hn::MaxLanes(RowFloat<kRows>());
  if constexpr (kFirst < kRows) {
    StoreScaled(d, SumsToFloat<kRows, v>(sums), scales, x_scale, init, row + kFirst, rows, y);
    StoreSums<kRows, v + 1>(sums, scales, x_scale, init, row, rows, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_QUADS_INL_H_
