// Lookups of format `nm` in x of 8 bits: a quad of sixteen rows (quads-inl.h) has N weights of each
// row in each of 4 / N banks, whose columns of x are a *span*. Compiled once per target.
#if defined(ESPALIER_KERNELS_NM_QUADS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_NM_QUADS_INL_H_
#undef ESPALIER_KERNELS_NM_QUADS_INL_H_
#else
#define ESPALIER_KERNELS_NM_QUADS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "formats/nm.h"
#include "hwy/highway.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

// Bytes of a quad's indices.
template <size_t M>
inline constexpr size_t kNmIndexBytes = 4 * NmIndexBytes(kQuadRows, M);
// Columns of a quad's banks: 8 to 64.
template <size_t M, size_t N>
inline constexpr size_t kSpanCols = 4 * M / N;
// Where the bank of each of a row's four weights begins in the span: the bytes of an integer.
template <size_t M, size_t N>
HWY_INLINE constexpr uint32_t BankStarts() {
  constexpr auto kStart = [](uint32_t j) { return j / N * M; };
  return static_cast<uint32_t>(kStart(1) << 8 | kStart(2) << 16 | kStart(3) << 24);
}

// For N of M and each target:
//   LoadPlaces<M, N>(packed)       64 places in the span: the index, and where its bank begins
//   LoadSpan<M, N>(x)              a span of x; reads up to 64 bytes
//   LookupSpan<M, N>(span, places) span[place]
#if HWY_TARGET <= HWY_AVX3_DL

template <size_t M, size_t N>
HWY_INLINE Quads LoadPlaces(const uint8_t* packed) {
  const __m512i start = _mm512_set1_epi32(static_cast<int>(BankStarts<M, N>()));
  constexpr int kAndOr = 0xea;  // of bits: first & second | third
  if constexpr (M == 4) {
    const __m512i all =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    const __m512i bits = _mm512_srlv_epi64(all, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6));
    return _mm512_ternarylogic_epi64(bits, _mm512_set1_epi8(3), start, kAndOr);
  }
  const __m512i all =
      _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed)));
  const __m512i bits = _mm512_srlv_epi64(all, _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
  return _mm512_ternarylogic_epi64(bits, _mm512_set1_epi8(15), start, kAndOr);
}
template <size_t M, size_t N>
HWY_INLINE QuadBank LoadSpan(const uint8_t* x) {
  return LoadQuadBank(x);
}
template <size_t M, size_t N>
HWY_INLINE Quads LookupSpan(QuadBank span, Quads places) {
  return LookupQuads(span, places);
}

#elif HWY_TARGET <= HWY_AVX2

template <size_t M, size_t N>
HWY_INLINE Quads LoadPlaces(const uint8_t* packed) {
  const __m256i start = _mm256_set1_epi32(static_cast<int>(BankStarts<M, N>()));
  Quads places;
  if constexpr (M == 4) {
    const __m256i all =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    places.half[0] = _mm256_srlv_epi64(all, _mm256_setr_epi64x(0, 0, 2, 2));
    places.half[1] = _mm256_srlv_epi64(all, _mm256_setr_epi64x(4, 4, 6, 6));
  } else {
    places.half[0] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed));
    places.half[1] = _mm256_srli_epi64(places.half[0], 4);
  }
  const __m256i low_bits = _mm256_set1_epi8(M == 4 ? 3 : 15);
  for (size_t i = 0; i < 2; ++i) {
    places.half[i] = _mm256_or_si256(_mm256_and_si256(places.half[i], low_bits), start);
  }
  return places;
}
// A byte shuffle looks up in 16 bytes by the low 4 bits of a place.
template <size_t M, size_t N>
struct Span {
  static constexpr size_t kParts = (kSpanCols<M, N> + 15) / 16;
  __m256i part[kParts];
};
template <size_t M, size_t N>
HWY_INLINE Span<M, N> LoadSpan(const uint8_t* x) {
  Span<M, N> span;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < Span<M, N>::kParts; ++i) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x) + i);
    span.part[i] = _mm256_broadcastsi128_si256(sixteen);
  }
  return span;
}
template <size_t M, size_t N>
HWY_INLINE Quads LookupSpan(const Span<M, N>& span, const Quads& places) {
  Quads found;
  for (size_t i = 0; i < 2; ++i) {
    const __m256i at = places.half[i];
    found.half[i] = _mm256_shuffle_epi8(span.part[0], at);
    if constexpr (Span<M, N>::kParts == 2) {  // a row's third and fourth weight are in the second
      const __m256i other = _mm256_shuffle_epi8(span.part[1], at);
      found.half[i] = _mm256_blend_epi16(found.half[i], other, 0xaa);
    } else if constexpr (Span<M, N>::kParts == 4) {  // each weight is in its own
      const __m256i odd = _mm256_set1_epi16(static_cast<int16_t>(0xff00));
      const __m256i first =
          _mm256_blendv_epi8(found.half[i], _mm256_shuffle_epi8(span.part[1], at), odd);
      const __m256i last = _mm256_blendv_epi8(_mm256_shuffle_epi8(span.part[2], at),
                                              _mm256_shuffle_epi8(span.part[3], at), odd);
      found.half[i] = _mm256_blend_epi16(first, last, 0xaa);
    }
  }
  return found;
}

#elif HWY_TARGET == HWY_NEON

template <size_t M, size_t N>
HWY_INLINE Quads LoadPlaces(const uint8_t* packed) {
  constexpr int kBits = NmIndexBits(M);
  const uint8x16_t low_bits = vdupq_n_u8((1 << kBits) - 1);
  const uint8x16_t start = vreinterpretq_u8_u32(vdupq_n_u32(BankStarts<M, N>()));
  Quads places;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) {
    const size_t byte = 16 * i % kNmIndexBytes<M>;
    const auto shift = static_cast<int8_t>(16 * i / kNmIndexBytes<M> * kBits);
    const uint8x16_t bits =
        vshlq_u8(vld1q_u8(packed + byte), vdupq_n_s8(static_cast<int8_t>(-shift)));
    places.part[i] = vorrq_u8(vandq_u8(bits, low_bits), start);
  }
  return places;
}
template <size_t M, size_t N>
HWY_INLINE auto LoadSpan(const uint8_t* x) {
  if constexpr (kSpanCols<M, N> == 64) {
    return vld1q_u8_x4(x);
  } else if constexpr (kSpanCols<M, N> == 32) {
    return vld1q_u8_x2(x);
  } else {
    return vld1q_u8(x);
  }
}
HWY_INLINE uint8x16_t LookupBytes(uint8x16_t span, uint8x16_t at) { return vqtbl1q_u8(span, at); }
HWY_INLINE uint8x16_t LookupBytes(const uint8x16x2_t& span, uint8x16_t at) {
  return vqtbl2q_u8(span, at);
}
HWY_INLINE uint8x16_t LookupBytes(const uint8x16x4_t& span, uint8x16_t at) {
  return vqtbl4q_u8(span, at);
}
template <size_t M, size_t N, class Span>
HWY_INLINE Quads LookupSpan(const Span& span, const Quads& places) {
  Quads found;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) found.part[i] = LookupBytes(span, places.part[i]);
  return found;
}

#else

template <size_t M, size_t N>
HWY_INLINE Quads LoadPlaces(const uint8_t* packed) {
  constexpr size_t kBits = NmIndexBits(M);
  Quads places;
  for (size_t i = 0; i < kQuadBytes; ++i) {
    const size_t shift = i / kNmIndexBytes<M> * kBits;
    const size_t index = packed[i % kNmIndexBytes<M>] >> shift & ((1 << kBits) - 1);
    places.byte[i] = static_cast<int8_t>(index + i % 4 / N * M);
  }
  return places;
}
template <size_t M, size_t N>
HWY_INLINE QuadBank LoadSpan(const uint8_t* x) {
  return x;
}
template <size_t M, size_t N>
HWY_INLINE Quads LookupSpan(QuadBank span, const Quads& places) {
  return LookupQuads(span, places);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_NM_QUADS_INL_H_
