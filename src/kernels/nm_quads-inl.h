// Lookups of format `nm` in x of 8 bits: a quad of sixteen rows (quads-inl.h) has two weights of
// each row in each of two banks, a *pair*, which begins at one place of x. Compiled once per
// target.
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
inline constexpr size_t kPairIndexBytes = 4 * NmIndexBytes(kQuadRows, M);

// For banks of M columns and each target:
//   LoadPairIndices<M>(packed)   64 places in the pair, below 2 M: the index, and M in the second
//   LoadPair<M>(x)               a pair of x; reads up to 64 bytes
//   LookupPair<M>(pair, places)  pair[place]
#if HWY_TARGET <= HWY_AVX3_DL

template <size_t M>
HWY_INLINE Quads LoadPairIndices(const uint8_t* packed) {
  const __m512i second = _mm512_set1_epi32(static_cast<int>(M * 0x01010000));
  constexpr int kAndOr = 0xea;  // of bits: first & second | third
  if constexpr (M == 4) {
    const __m512i all =
        _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
    const __m512i bits = _mm512_srlv_epi64(all, _mm512_setr_epi64(0, 0, 2, 2, 4, 4, 6, 6));
    return _mm512_ternarylogic_epi64(bits, _mm512_set1_epi8(3), second, kAndOr);
  }
  const __m512i all =
      _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed)));
  const __m512i bits = _mm512_srlv_epi64(all, _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4));
  return _mm512_ternarylogic_epi64(bits, _mm512_set1_epi8(15), second, kAndOr);
}
template <size_t M>
HWY_INLINE QuadBank LoadPair(const uint8_t* x) {
  return LoadQuadBank(x);
}
template <size_t M>
HWY_INLINE Quads LookupPair(QuadBank pair, Quads places) {
  return LookupQuads(pair, places);
}

#elif HWY_TARGET <= HWY_AVX2

template <size_t M>
HWY_INLINE Quads LoadPairIndices(const uint8_t* packed) {
  const __m256i second = _mm256_set1_epi32(static_cast<int>(M * 0x01010000));
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
    places.half[i] = _mm256_or_si256(_mm256_and_si256(places.half[i], low_bits), second);
  }
  return places;
}
// A byte shuffle looks up in 16 bytes by the low 4 bits.
template <size_t M>
struct PairBank {
  __m256i bank[M == 16 ? 2 : 1];  // the whole pair, or each bank
};
template <size_t M>
HWY_INLINE PairBank<M> LoadPair(const uint8_t* x) {
  const auto* sixteen = reinterpret_cast<const __m128i*>(x);
  PairBank<M> pair;
  pair.bank[0] = _mm256_broadcastsi128_si256(_mm_loadu_si128(sixteen));
  if constexpr (M == 16) {
    pair.bank[1] = _mm256_broadcastsi128_si256(_mm_loadu_si128(sixteen + 1));
  }
  return pair;
}
template <size_t M>
HWY_INLINE Quads LookupPair(const PairBank<M>& pair, const Quads& places) {
  Quads found;
  for (size_t i = 0; i < 2; ++i) {
    found.half[i] = _mm256_shuffle_epi8(pair.bank[0], places.half[i]);
    if constexpr (M == 16) {
      const __m256i second = _mm256_shuffle_epi8(pair.bank[1], places.half[i]);
      found.half[i] = _mm256_blend_epi16(found.half[i], second, 0xaa);
    }
  }
  return found;
}

#elif HWY_TARGET == HWY_NEON

template <size_t M>
HWY_INLINE Quads LoadPairIndices(const uint8_t* packed) {
  constexpr int kBits = NmIndexBits(M);
  const uint8x16_t low_bits = vdupq_n_u8((1 << kBits) - 1);
  const uint8x16_t second = vreinterpretq_u8_u32(vdupq_n_u32(M * 0x01010000));
  Quads places;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) {
    const size_t byte = 16 * i % kPairIndexBytes<M>;
    const auto shift = static_cast<int8_t>(16 * i / kPairIndexBytes<M> * kBits);
    const uint8x16_t bits =
        vshlq_u8(vld1q_u8(packed + byte), vdupq_n_s8(static_cast<int8_t>(-shift)));
    places.part[i] = vorrq_u8(vandq_u8(bits, low_bits), second);
  }
  return places;
}
template <size_t M>
HWY_INLINE uint8x16x2_t LoadPair(const uint8_t* x) {
  return vld1q_u8_x2(x);
}
template <size_t M>
HWY_INLINE Quads LookupPair(const uint8x16x2_t& pair, const Quads& places) {
  Quads found;
  ESPALIER_UNROLL_4
  for (size_t i = 0; i < 4; ++i) {
    found.part[i] =
        M == 16 ? vqtbl2q_u8(pair, places.part[i]) : vqtbl1q_u8(pair.val[0], places.part[i]);
  }
  return found;
}

#else

template <size_t M>
HWY_INLINE Quads LoadPairIndices(const uint8_t* packed) {
  constexpr size_t kBits = NmIndexBits(M);
  Quads places;
  for (size_t i = 0; i < kQuadBytes; ++i) {
    const size_t shift = i / kPairIndexBytes<M> * kBits;
    const size_t index = packed[i % kPairIndexBytes<M>] >> shift & ((1 << kBits) - 1);
    places.byte[i] = static_cast<int8_t>(index + i % 4 / 2 * M);
  }
  return places;
}
template <size_t M>
HWY_INLINE QuadBank LoadPair(const uint8_t* x) {
  return x;
}
template <size_t M>
HWY_INLINE Quads LookupPair(QuadBank pair, const Quads& places) {
  return LookupQuads(pair, places);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_NM_QUADS_INL_H_
