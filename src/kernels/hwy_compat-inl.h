// What Highway 1.0.3 lacks and the kernels need: loads and stores of the first `count` lanes, a
// minimum that keeps NaN, and lookups in a bank of x that is wider than a vector. Compiled once per
// target.
#if defined(ESPALIER_KERNELS_HWY_COMPAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#undef ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#else
#define ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/weight_type.h"
#include "hwy/highway.h"

// Highway's list for this target names avxvnni, the 256-bit form that these CPUs need not have,
// where avx512vnni was meant. The former stays, since functions with it are inlined into ours;
// never use a 256-bit dot product here.
#if HWY_TARGET == HWY_AVX3_DL
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                                           \
  HWY_TARGET_STR_AVX3                                                            \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avxvnni,avx512bitalg,avx512vpopcntdq" \
  ",avx512vnni"
#endif

// Kernels that are compiled once more, for a CPU with instructions that no target of Highway's has
// (CMakeLists.txt, "extra targets").
#if HWY_TARGET == HWY_AVX2 && defined(ESPALIER_AVX_VNNI)
#undef HWY_TARGET_STR
#define HWY_TARGET_STR HWY_TARGET_STR_AVX2 ",avxvnni"
#endif

// Unrolls the loop that follows, of at most 4 rounds, where g++ would not for its size: an array
// that a loop indexes is in memory.
#undef ESPALIER_UNROLL_4
#if HWY_COMPILER_GCC_ACTUAL
#define ESPALIER_UNROLL_4 _Pragma("GCC unroll 4")
#else
#define ESPALIER_UNROLL_4
#endif

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Whole vectors of weights, as f32: of f32, from an aligned address, or of bf16.
template <class D>
HWY_INLINE hn::Vec<D> LoadWeights(D d, const float* from) {
  return hn::Load(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadWeights(D d, const uint16_t* from) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, from))));
}
// Those of f28 are read again as indices. Without the barriers g++ loads them twice, from which
// slots of 64x16 took 1.05 to 1.1 times as long as with indices of their own, not 0.85 (Xeon of the
// 5th generation).
template <class D>
HWY_INLINE hn::Vec<D> LoadWeights(D d, const F28* from) {
  hn::Vec<D> weights = hn::Load(d, &from->value);
#if HWY_TARGET <= HWY_AVX2 && (HWY_COMPILER_GCC || HWY_COMPILER_CLANG)
  asm("" : "+v"(weights.raw));
#endif
  return weights;
}
HWY_INLINE float WeightOf(float weight) { return weight; }
HWY_INLINE float WeightOf(F28 weight) { return weight.value; }
HWY_INLINE float WeightOf(uint16_t bits) { return FromBf16(bits); }
HWY_INLINE int32_t WeightOf(int8_t q) { return q; }

// Asks for the cache lines [from + ahead, from + ahead + kBytes), which need not exist, before a
// loop gets there. The hardware does so for one stream of weights, but not well for their indices
// beside it. A prototype on Zen 5 took 38 us with 1 to 4 KB ahead and 46 without (LSTM-1024 at 10 %
// in slot_64x16, 3.8 MB from L3; 2026-11), sessions 43 to 45 and 50; of type i8 12 % less where the
// weights are in L2 (LSTM-512). On Zen 3 and 4 it made no difference.
template <size_t kBytes>
HWY_INLINE void PrefetchAhead(const void* from, size_t ahead) {
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  const char* line = static_cast<const char*>(from) + ahead;
  for (size_t byte = 0; byte < kBytes; byte += 64) __builtin_prefetch(line + byte);
#endif
}
// How far ahead of the weights, in bytes of them; what goes along with them is as many weights
// ahead.
inline constexpr size_t kPrefetchBytes = 2048;

// The first `count` lanes from memory, the others 0; nothing else is read. count <= lanes.
template <class D>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const float* from, size_t count) {
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, count), d, from);
#else
  HWY_ALIGN float lanes[hn::MaxLanes(D())] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
#endif
}

// Writes the first `count` lanes and nothing else. count <= lanes.
template <class D>
HWY_INLINE void StoreFirst(hn::Vec<D> v, D d, float* to, size_t count) {
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, count), d, to);
#else
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

// The rows [row, row + lanes) of an array of `rows`: those past the end are 0 and not read.
template <class D>
HWY_INLINE hn::Vec<D> LoadRows(D d, const float* from, size_t row, size_t rows) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  if (row + kLanes <= rows) return hn::LoadU(d, from + row);
  return row < rows ? LoadFirst(d, from + row, rows - row) : hn::Zero(d);
}

// Writes the rows [row, row + lanes) of an array of `rows`, but not those past the end.
template <class D>
HWY_INLINE void StoreRows(hn::Vec<D> v, D d, float* to, size_t row, size_t rows) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  if (row + kLanes <= rows) {
    hn::StoreU(v, d, to + row);
  } else if (row < rows) {
    StoreFirst(v, d, to + row, rows - row);
  }
}

// min(bound, x) and max(bound, x) that give NaN for a NaN in x: Highway's, where the instruction
// returns its second argument then; not so on the portable targets and NEON, where Highway skips
// NaN.
template <class D>
HWY_INLINE hn::Vec<D> MinOrNan(D /*d*/, hn::Vec<D> bound, hn::Vec<D> x) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(bound, x), bound, x);
#elif HWY_TARGET == HWY_NEON
  return hn::Vec<D>(vminq_f32(bound.raw, x.raw));
#else
  return hn::Min(bound, x);
#endif
}

template <class D>
HWY_INLINE hn::Vec<D> MaxOrNan(D /*d*/, hn::Vec<D> bound, hn::Vec<D> x) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#elif HWY_TARGET == HWY_NEON
  return hn::Vec<D>(vmaxq_f32(bound.raw, x.raw));
#else
  return hn::Max(bound, x);
#endif
}

#if HWY_TARGET != HWY_SCALAR
// Transposes a square of as many vectors as each has lanes: 8 x 8 or 4 x 4.
template <class D>
HWY_INLINE void TransposeSquare(D d, hn::Vec<D> (&row)[hn::MaxLanes(D())]) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  static_assert(kLanes == 8 || kLanes == 4);
  // 4 x 4 inside each block of 128 bits: interleave rows 0 2 and 1 3, then the results.
  for (size_t i = 0; i < kLanes; i += 4) {
    const auto even_low = hn::InterleaveLower(d, row[i], row[i + 2]);
    const auto even_high = hn::InterleaveUpper(d, row[i], row[i + 2]);
    const auto odd_low = hn::InterleaveLower(d, row[i + 1], row[i + 3]);
    const auto odd_high = hn::InterleaveUpper(d, row[i + 1], row[i + 3]);
    row[i] = hn::InterleaveLower(d, even_low, odd_low);
    row[i + 1] = hn::InterleaveUpper(d, even_low, odd_low);
    row[i + 2] = hn::InterleaveLower(d, even_high, odd_high);
    row[i + 3] = hn::InterleaveUpper(d, even_high, odd_high);
  }
  if constexpr (kLanes == 8) {
    for (size_t i = 0; i < 4; ++i) {
      const auto low = hn::ConcatLowerLower(d, row[i + 4], row[i]);
      row[i + 4] = hn::ConcatUpperUpper(d, row[i + 4], row[i]);
      row[i] = low;
    }
  }
}
#endif

// A lookup in a bank of x has two halves, so that several x can share the first. BankIndices<B>(d,
// index, first_lane): the indices of the lanes from first_lane on, from a slot's bytes
// (formats/slot.h; for banks of 4 formats/nm.h). LookupBank<B>(d, bank, indices): bank[index] for
// each lane; bank: B readable floats. Wide slots, whose banks have 8 or 16 columns, share the bank,
// too: LoadBank<B>(d, bank) loads it, WideIndices(d, index, first_lane) gives the indices and
// LookupLoaded<B>(d, loaded, indices) looks up. CarriedIndices<B>(d, weights): those that weights
// of f28 carry.
#if HWY_TARGET <= HWY_AVX2

// Keeps a load apart from the permutation that uses it: on Zen 3, vpermps from memory takes two
// cycles, from a register one.
HWY_INLINE __m256 LoadApart(const float* from) {
  __m256 v = _mm256_loadu_ps(from);
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm("" : "+x"(v));
#endif
  return v;
}

template <size_t B>
HWY_INLINE __m256i BankIndices(hn::Full256<float> /*d*/, const uint8_t* index, size_t first_lane) {
  if constexpr (B > 16) {
    return _mm256_cvtepu8_epi32(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + first_lane)));
  }
  if constexpr (B == 4) {
    uint32_t pairs;  // of bits, of 16 lanes
    std::memcpy(&pairs, index, sizeof(pairs));
    const int first_bit = static_cast<int>(2 * first_lane);
    return _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(pairs)),
                             _mm256_add_epi32(_mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14),
                                              _mm256_set1_epi32(first_bit)));
  }
  uint32_t nibbles;
  std::memcpy(&nibbles, index + first_lane / 2, sizeof(nibbles));
  // Permutations read the low bits of a lane only, so what is above the nibble need not be cleared.
  return _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(nibbles)),
                           _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
}

// Lookup in 16 floats by the low 4 bits. On Zen 3 a slot of 8x16 takes 3.8 cycles in this form,
// with byte or 32-bit indices that carry the blend's bit, too; and/or instead of the blend 4.2, two
// masked multiply-adds 4.1, four vpermilps 4.6, a gather 8.
struct Bank16 {
  __m256 low, high;
};
HWY_INLINE Bank16 LoadBank16(hn::Full256<float> /*d*/, const float* bank) {
  return {LoadApart(bank), LoadApart(bank + 8)};
}
HWY_INLINE hn::Vec256<float> LookupBank16(hn::Full256<float> /*d*/, const Bank16& bank,
                                          __m256i indices) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Vec256<float>{_mm256_permutex2var_ps(bank.low, indices, bank.high)};
#else
  const __m256 low = _mm256_permutevar8x32_ps(bank.low, indices);
  const __m256 high = _mm256_permutevar8x32_ps(bank.high, indices);
  const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(indices, 28));
  return hn::Vec256<float>{_mm256_blendv_ps(low, high, is_high)};
#endif
}

template <size_t B>
HWY_INLINE auto LoadBank(hn::Full256<float> d, const float* bank) {
  static_assert(B == 8 || B == 16);
  if constexpr (B == 8) {
    return LoadApart(bank);
  } else {
    return LoadBank16(d, bank);
  }
}
template <size_t B>
HWY_INLINE hn::Vec256<float> LookupLoaded(hn::Full256<float> /*d*/, __m256 bank, __m256i indices) {
  return hn::Vec256<float>{_mm256_permutevar8x32_ps(bank, indices)};
}
template <size_t B>
HWY_INLINE hn::Vec256<float> LookupLoaded(hn::Full256<float> d, const Bank16& bank,
                                          __m256i indices) {
  return LookupBank16(d, bank, indices);
}

HWY_INLINE __m256i WideIndices(hn::Full256<float> /*d*/, const uint8_t* index, size_t first_lane) {
  const auto* words = reinterpret_cast<const __m128i*>(index) + first_lane / 8 % 2;
  return _mm256_srli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(words)),
                           static_cast<int>(first_lane / 16 * 4));
}

template <size_t B>
HWY_INLINE __m256i CarriedIndices(hn::Full256<float> /*d*/, hn::Vec256<float> weights) {
  return _mm256_castps_si256(weights.raw);
}

template <size_t B>
HWY_INLINE hn::Vec256<float> LookupBank(hn::Full256<float> d, const float* bank, __m256i indices) {
  if constexpr (B == 4) {
    const __m256 twice = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(bank));
    return hn::Vec256<float>{_mm256_permutevar_ps(twice, indices)};
  } else if constexpr (B == 8) {
    return LookupLoaded<B>(d, LoadApart(bank), indices);
  } else if constexpr (B == 16) {
    return LookupBank16(d, LoadBank16(d, bank), indices);
  } else {
    static_assert(B == 32);
    const auto low = LookupBank16(d, LoadBank16(d, bank), indices);
    const auto high = LookupBank16(d, LoadBank16(d, bank + 16), indices);
    const __m256 is_high = _mm256_castsi256_ps(_mm256_slli_epi32(indices, 27));
    return hn::Vec256<float>{_mm256_blendv_ps(low.raw, high.raw, is_high)};
  }
}

#if HWY_TARGET <= HWY_AVX3
template <size_t B>
HWY_INLINE __m512i BankIndices(hn::Full512<float> /*d*/, const uint8_t* index,
                               size_t /*first_lane*/) {
  if constexpr (B > 16) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(index)));
  }
  if constexpr (B == 4) {
    return _mm512_srlv_epi32(
        _mm512_broadcastd_epi32(_mm_loadu_si32(index)),
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30));
  }
  // Broadcasts from memory, not from a register: these take no vector unit.
#if HWY_TARGET <= HWY_AVX3_DL
  // Byte k of a lane of 64 bits is the 8 bits from bit shift[k] on; of each 32 bits the lowest 4
  // are looked at.
  const __m512i all =
      _mm512_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index)));
  const __m512i shift = _mm512_setr_epi64(
      0x400000000 | 0x0, 0xc00000000 | 0x8, 0x1400000000 | 0x10, 0x1c00000000 | 0x18,
      0x2400000000 | 0x20, 0x2c00000000 | 0x28, 0x3400000000 | 0x30, 0x3c00000000 | 0x38);
  return _mm512_multishift_epi64_epi8(shift, all);
#else
  const __m512i low = _mm512_broadcastd_epi32(_mm_loadu_si32(index));
  const __m512i both = _mm512_mask_broadcastd_epi32(low, 0xff00, _mm_loadu_si32(index + 4));
  return _mm512_srlv_epi32(
      both, _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28));
#endif
}

template <size_t B>
HWY_INLINE __m512i CarriedIndices(hn::Full512<float> /*d*/, hn::Vec512<float> weights) {
  return _mm512_castps_si512(weights.raw);
}

template <size_t B>
HWY_INLINE __m512 LoadBank(hn::Full512<float> /*d*/, const float* bank) {
  static_assert(B == 8 || B == 16);
  if constexpr (B == 8) return _mm512_broadcast_f32x8(_mm256_loadu_ps(bank));
  return _mm512_loadu_ps(bank);
}
template <size_t B>
HWY_INLINE hn::Vec512<float> LookupLoaded(hn::Full512<float> /*d*/, __m512 bank, __m512i indices) {
  return hn::Vec512<float>{_mm512_permutexvar_ps(indices, bank)};
}

template <size_t B>
HWY_INLINE hn::Vec512<float> LookupBank(hn::Full512<float> d, const float* bank, __m512i indices) {
  static_assert(B == 4 || B == 8 || B == 16 || B == 32);
  if constexpr (B == 4) {
    const __m512 four = _mm512_broadcast_f32x4(_mm_loadu_ps(bank));
    return hn::Vec512<float>{_mm512_permutevar_ps(four, indices)};
  } else if constexpr (B <= 16) {
    return LookupLoaded<B>(d, LoadBank<B>(d, bank), indices);
  } else {
    const __m512 low = _mm512_loadu_ps(bank);
    return hn::Vec512<float>{_mm512_permutex2var_ps(low, indices, _mm512_loadu_ps(bank + 16))};
  }
}

HWY_INLINE __m512i WideIndices(hn::Full512<float> /*d*/, const uint8_t* index, size_t first_lane) {
  return _mm512_srli_epi32(
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(index))),
      static_cast<unsigned>(first_lane / 4));
}
#endif

#elif HWY_TARGET == HWY_NEON

// NEON looks up bytes in up to 64 of them, so the indices of 4 lanes are those of their 16 bytes.
// The inner loop of a slot has 17 instructions for 8x8 and 8x16, 35 for 16x16 (4 of them spill) and
// 70 for 16x32 (g++ 12 -O3); with one scalar load per lane 52, 52, 100 and 77.
template <size_t B>
HWY_INLINE uint8x16_t BankIndices(hn::Full128<float> /*d*/, const uint8_t* index,
                                  size_t first_lane) {
  const uint8x16_t byte_of_lane = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  if constexpr (B == 4) {
    const int8x16_t to_bits_2_and_3 = {2, 2, 2, 2, 0, 0, 0, 0, -2, -2, -2, -2, -4, -4, -4, -4};
    const uint8x16_t lanes = vshlq_u8(vld1q_dup_u8(index + first_lane / 4), to_bits_2_and_3);
    return vbslq_u8(vdupq_n_u8(3 << 2), lanes, byte_of_lane);
  }
  uint32_t word;
  if constexpr (B > 16) {
    std::memcpy(&word, index + first_lane, sizeof(word));
    const uint8x16_t each = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const uint8x16_t lanes = vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), each);
    return vorrq_u8(vshlq_n_u8(lanes, 2), byte_of_lane);
  }
  // Nibbles of 8 lanes: all that S = 8 has, and one load for two vectors.
  std::memcpy(&word, index + first_lane / 8 * 4, sizeof(word));
  const uint8x16_t each = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  const auto first = vdupq_n_u8(static_cast<uint8_t>(first_lane % 8 / 2));
  const uint8x16_t lanes =
      vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(word)), vaddq_u8(each, first));
  const int8x16_t to_bits_2_to_5 = {2, 2, 2, 2, -2, -2, -2, -2, 2, 2, 2, 2, -2, -2, -2, -2};
  return vbslq_u8(vdupq_n_u8(15 << 2), vshlq_u8(lanes, to_bits_2_to_5), byte_of_lane);
}

template <size_t B>
HWY_INLINE uint8x16_t CarriedIndices(hn::Full128<float> /*d*/, hn::Vec128<float> weights) {
  const uint8x16_t byte_of_lane = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  const uint8x16_t lowest = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
  const uint8x16_t bytes = vqtbl1q_u8(vreinterpretq_u8_f32(weights.raw), lowest);
  return vbslq_u8(vdupq_n_u8((B - 1) << 2), vshlq_n_u8(bytes, 2), byte_of_lane);
}

template <size_t B>
HWY_INLINE hn::Vec128<float> LookupBank(hn::Full128<float> /*d*/, const float* bank,
                                        uint8x16_t indices) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(bank);
  if constexpr (B == 4) {
    return hn::Vec128<float>(vreinterpretq_f32_u8(vqtbl1q_u8(vld1q_u8(bytes), indices)));
  }
  if constexpr (B == 8) {
    return hn::Vec128<float>(vreinterpretq_f32_u8(vqtbl2q_u8(vld1q_u8_x2(bytes), indices)));
  }
  uint8x16_t found = vqtbl4q_u8(vld1q_u8_x4(bytes), indices);
  if constexpr (B == 32) {
    const uint8x16_t above = vsubq_u8(indices, vdupq_n_u8(64));
    found = vqtbx4q_u8(found, vld1q_u8_x4(bytes + 64), above);  // keeps those that wrap
  }
  return hn::Vec128<float>(vreinterpretq_f32_u8(found));
}

template <size_t B>
HWY_INLINE auto LoadBank(hn::Full128<float> /*d*/, const float* bank) {
  static_assert(B == 8 || B == 16);
  if constexpr (B == 8) {
    return vld1q_u8_x2(reinterpret_cast<const uint8_t*>(bank));
  } else {
    return vld1q_u8_x4(reinterpret_cast<const uint8_t*>(bank));
  }
}
template <size_t B>
HWY_INLINE hn::Vec128<float> LookupLoaded(hn::Full128<float> /*d*/, const uint8x16x2_t& bank,
                                          uint8x16_t indices) {
  return hn::Vec128<float>(vreinterpretq_f32_u8(vqtbl2q_u8(bank, indices)));
}
template <size_t B>
HWY_INLINE hn::Vec128<float> LookupLoaded(hn::Full128<float> /*d*/, const uint8x16x4_t& bank,
                                          uint8x16_t indices) {
  return hn::Vec128<float>(vreinterpretq_f32_u8(vqtbl4q_u8(bank, indices)));
}
HWY_INLINE uint8x16_t WideIndices(hn::Full128<float> /*d*/, const uint8_t* index,
                                  size_t first_lane) {
  // Byte 0 or 1 of four words, then its low or high nibble to bits 2 to 5.
  const uint8x16_t word = {0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6};
  const uint8x16_t byte_of_lane = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  const uint8x16_t half = vld1q_u8(index + first_lane % 16 / 8 * 16);
  const size_t first_byte = first_lane % 8 * 2 + first_lane / 32;
  const uint8x16_t bytes =
      vqtbl1q_u8(half, vaddq_u8(word, vdupq_n_u8(static_cast<uint8_t>(first_byte))));
  const uint8x16_t nibbles = first_lane / 16 % 2 == 0 ? vshlq_n_u8(bytes, 2) : vshrq_n_u8(bytes, 2);
  return vbslq_u8(vdupq_n_u8(15 << 2), nibbles, byte_of_lane);
}

// sum[i] + the products of bytes 4 i to 4 i + 3 of a and b, whose sizes are at most 127: then two
// products fit in 16 bits.
HWY_INLINE int32x4_t DotQuads(int32x4_t sum, int8x16_t a, int8x16_t b) {
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(sum, a, b);
#else
  const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
  return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(a, b)));
#endif
}

#else  // No permutation over a whole bank: one scalar load per lane.

// SSE4 could look up by byte shuffles of 4 floats and blends: on Zen 3, [512, 128] at 10 %, that
// took slot_8x8 from 1.82 to 1.60 us, but 8x16 from 1.93 to 2.69, 16x16 from 1.88 to 2.70 and 16x32
// from 1.76 to 4.05: not worth a second form for the one.

template <class D>
struct LaneIndices {
  uint8_t lane[hn::MaxLanes(D())];
};

template <size_t B, class D>
HWY_INLINE LaneIndices<D> BankIndices(D /*d*/, const uint8_t* index, size_t first_lane) {
  LaneIndices<D> indices;
  for (size_t i = 0; i < hn::MaxLanes(D()); ++i) {
    const size_t lane = first_lane + i;
    constexpr size_t kBits = B == 4 ? 2 : B > 16 ? 8 : 4;
    const int bits = index[lane * kBits / 8] >> (lane * kBits % 8);
    indices.lane[i] = static_cast<uint8_t>(bits & ((1 << kBits) - 1));
  }
  return indices;
}

template <size_t B, class D>
HWY_INLINE hn::Vec<D> LookupBank(D d, const float* bank, const LaneIndices<D>& indices) {
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  for (size_t i = 0; i < hn::MaxLanes(D()); ++i) lanes[i] = bank[indices.lane[i]];
  return hn::Load(d, lanes);
}

template <size_t B, class D>
HWY_INLINE LaneIndices<D> CarriedIndices(D d, hn::Vec<D> weights) {
  HWY_ALIGN float lanes[hn::MaxLanes(D())];
  hn::Store(weights, d, lanes);
  LaneIndices<D> indices;
  for (size_t i = 0; i < hn::MaxLanes(D()); ++i) {
    indices.lane[i] = static_cast<uint8_t>(F28Column(lanes[i]) % B);
  }
  return indices;
}

template <size_t B, class D>
HWY_INLINE const float* LoadBank(D /*d*/, const float* bank) {
  return bank;
}
template <size_t B, class D>
HWY_INLINE hn::Vec<D> LookupLoaded(D d, const float* bank, const LaneIndices<D>& indices) {
  return LookupBank<B>(d, bank, indices);
}
template <class D>
HWY_INLINE LaneIndices<D> WideIndices(D /*d*/, const uint8_t* index, size_t first_lane) {
  LaneIndices<D> indices;
  for (size_t i = 0; i < hn::MaxLanes(D()); ++i) {
    const size_t lane = first_lane + i;
    const int byte = index[lane % 16 * 2 + lane / 32];
    indices.lane[i] = static_cast<uint8_t>(byte >> (lane / 16 % 2 * 4) & 15);
  }
  return indices;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_HWY_COMPAT_INL_H_
