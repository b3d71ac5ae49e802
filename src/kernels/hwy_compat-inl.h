// What Highway 1.0.3 lacks and the kernels need: loads and stores of the first `count` lanes, and
// lookups in a bank of x that is wider than a vector. Compiled once per target.
#if defined(ESPALIER_KERNELS_HWY_COMPAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#undef ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#else
#define ESPALIER_KERNELS_HWY_COMPAT_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

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

// bank[index] for the lanes [first_lane, first_lane + lanes) of one slot. bank: B floats; index:
// the slot's indices as format `slot` stores them (formats/slot.h).
#if HWY_TARGET <= HWY_AVX2

// Keeps the load apart from the permutation: on Zen 3, vpermps with a memory operand takes two
// cycles, with a register one.
HWY_INLINE __m256 LoadApart(const float* from) {
  __m256 v = _mm256_loadu_ps(from);
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm("" : "+x"(v));
#endif
  return v;
}

template <size_t B>
HWY_INLINE hn::Vec256<float> LookupBank(hn::Full256<float> /*d*/, const float* bank,
                                        const uint8_t* index, size_t first_lane) {
  __m256i idx;
  if constexpr (B <= 16) {
    uint32_t nibbles;
    std::memcpy(&nibbles, index + first_lane / 2, sizeof(nibbles));
    // vpermps reads the low bits of a lane only, so what is above the nibble need not be cleared.
    idx = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(nibbles)),
                            _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  } else {
    idx =
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(index + first_lane)));
  }
  if constexpr (B == 8) {
    return hn::Vec256<float>{_mm256_permutevar8x32_ps(LoadApart(bank), idx)};
  } else {
#if HWY_TARGET <= HWY_AVX3
    const __m256 low =
        _mm256_permutex2var_ps(_mm256_loadu_ps(bank), idx, _mm256_loadu_ps(bank + 8));
    if constexpr (B == 16) return hn::Vec256<float>{low};
    const __m256 high =
        _mm256_permutex2var_ps(_mm256_loadu_ps(bank + 16), idx, _mm256_loadu_ps(bank + 24));
#else
    const __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(idx, 28));
    const __m256 low = _mm256_blendv_ps(_mm256_permutevar8x32_ps(LoadApart(bank), idx),
                                        _mm256_permutevar8x32_ps(LoadApart(bank + 8), idx), bit3);
    if constexpr (B == 16) return hn::Vec256<float>{low};
    const __m256 high = _mm256_blendv_ps(_mm256_permutevar8x32_ps(LoadApart(bank + 16), idx),
                                         _mm256_permutevar8x32_ps(LoadApart(bank + 24), idx), bit3);
#endif
    const __m256 bit4 = _mm256_castsi256_ps(_mm256_slli_epi32(idx, 27));
    return hn::Vec256<float>{_mm256_blendv_ps(low, high, bit4)};
  }
}

#if HWY_TARGET <= HWY_AVX3
template <size_t B>
HWY_INLINE hn::Vec512<float> LookupBank(hn::Full512<float> /*d*/, const float* bank,
                                        const uint8_t* index, size_t /*first_lane*/) {
  static_assert(B == 16 || B == 32);
  if constexpr (B == 16) {
    uint32_t nibbles[2];
    std::memcpy(nibbles, index, sizeof(nibbles));
    const __m512i both = _mm512_mask_set1_epi32(_mm512_set1_epi32(static_cast<int>(nibbles[0])),
                                                0xff00, static_cast<int>(nibbles[1]));
    const __m512i shift =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    return hn::Vec512<float>{
        _mm512_permutexvar_ps(_mm512_srlv_epi32(both, shift), _mm512_loadu_ps(bank))};
  } else {
    const __m512i idx =
        _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(index)));
    return hn::Vec512<float>{
        _mm512_permutex2var_ps(_mm512_loadu_ps(bank), idx, _mm512_loadu_ps(bank + 16))};
  }
}
#endif

#else  // No permutation over a whole bank: one scalar load per lane.

template <size_t B, class D>
HWY_INLINE hn::Vec<D> LookupBank(D d, const float* bank, const uint8_t* index, size_t first_lane) {
  constexpr size_t kLanes = hn::MaxLanes(D());
  HWY_ALIGN float lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    const size_t lane = first_lane + i;
    lanes[i] = bank[B > 16 ? index[lane] : (index[lane / 2] >> (4 * (lane % 2))) & 15];
  }
  return hn::Load(d, lanes);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();

#endif  // ESPALIER_KERNELS_HWY_COMPAT_INL_H_
