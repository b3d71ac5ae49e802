// matvec_slot_i8_16x64x4, _64x64x4: y = W x + init over format `slot` of type i8. x is rounded to 8
// bits (kernels/quantize.h), sums are 32-bit whole numbers, so a row's result does not depend on
// the order of its weights.
//
// A slot is 64 weights: their indices, spread from 6 bits to bytes, one lookup in 64 bytes of x and
// one instruction that multiplies and adds (with AVX-512 VBMI and VNNI, four in all). Bytes for
// indices would spare two of them, but the kernel waits for memory: 112 bytes a slot, not 128. The
// strips of a group run side by side, one sum each. A wide slot, of 64 rows, is four of these that
// share the bank and, by fewer instructions, the spreading of the indices.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_slot_i8.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/slot.h"
#include "kernels/matmul_kernel.h"
#include "kernels/quads-inl.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

constexpr size_t kBankCols = 64;
constexpr size_t kIndexBytes = SlotIndexBytes(WeightType::kI8, kQuadBytes, kBankCols);
// Rows of x that share the weights and indices of a slot.
constexpr size_t kMostRows = 4;

// X: QuantizedX or QuantizedRows::Row.
template <size_t kStrips, size_t kRows, class X>
HWY_INLINE void Group(const SlotView& w, const RowScales& scales, const MatMulArgs& args,
                      const X* x, size_t group, size_t n) {
  const uint32_t* strips = w.strip + group * kSlotGroup;
  QuadSums sums[kRows][kStrips];
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t k = 0; k < kStrips; ++k) {
      sums[i][k] = FirstSums(scales.offset + strips[k] * kQuadRows);
    }
  }
  const auto* weights = reinterpret_cast<const int8_t*>(w.values);
  size_t slot = w.group_start[group] * kSlotGroup;
  const size_t end = slot + (w.group_start[group + 1] - w.group_start[group]) * kStrips;
  for (; slot < end; slot += kStrips) {
    for (size_t k = 0; k < kStrips; ++k) {
      const size_t bank_col = w.bank_col[slot + k];
      const Quads index = LoadIndices(w.index + (slot + k) * kIndexBytes);
      for (size_t i = 0; i < kRows; ++i) {
        const Quads found = LookupQuads(LoadQuadBank(x[i].at(bank_col)), index);
        AddProducts(weights + (slot + k) * kQuadBytes, found, &sums[i][k]);
      }
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t k = 0; k < kStrips; ++k) {
      StoreSums(sums[i][k], scales, x[i].scale(), args.init, strips[k] * kQuadRows, w.rows,
                args.y + (n + i) * args.y_stride);
    }
  }
}

// A strip of 64 rows, of which those of its last parts may be past the last.
template <size_t kRows, class X>
HWY_INLINE void WideStrip(const SlotView& w, const RowScales& scales, const MatMulArgs& args,
                          const X* x, size_t group, size_t n) {
  constexpr size_t kParts = kWideStripRows / kQuadRows;
  const size_t first_row = w.strip[group] * kWideStripRows;
  QuadSums sums[kRows][kParts];
  ESPALIER_UNROLL_4
  for (size_t p = 0; p < kParts; ++p) {
    const size_t row = first_row + p * kQuadRows;
    const QuadSums first = row < w.rows ? FirstSums(scales.offset + row) : ZeroSums();
    for (size_t i = 0; i < kRows; ++i) sums[i][p] = first;
  }
  const auto* weights = reinterpret_cast<const int8_t*>(w.values);
  for (size_t slot = w.group_start[group]; slot < w.group_start[group + 1]; ++slot) {
    Quads index[kParts];
    LoadWideIndices(w.index + slot * kParts * kIndexBytes, index);
    PrefetchAhead<kParts * kQuadBytes>(weights + slot * kParts * kQuadBytes, kPrefetchBytes);
    PrefetchAhead<kParts * kIndexBytes>(w.index + slot * kParts * kIndexBytes,
                                        kPrefetchBytes * kIndexBytes / kQuadBytes);
    const size_t bank_col = w.bank_col[slot];
    for (size_t i = 0; i < kRows; ++i) {
      const QuadBank bank = LoadQuadBank(x[i].at(bank_col));
      ESPALIER_UNROLL_4
      for (size_t p = 0; p < kParts; ++p) {
        AddProducts(weights + (slot * kParts + p) * kQuadBytes, LookupQuads(bank, index[p]),
                    &sums[i][p]);
      }
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    float* y = args.y + (n + i) * args.y_stride;
    ESPALIER_UNROLL_4
    for (size_t p = 0; p < kParts; ++p) {
      const size_t row = first_row + p * kQuadRows;
      if (row >= w.rows) break;
      StoreSums(sums[i][p], scales, x[i].scale(), args.init, row, w.rows, y);
    }
  }
}

// Where there are no vectors, the sums of a strip are arrays: inlined twice they pass the bound.
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
#define ESPALIER_ROWS_INLINE HWY_NOINLINE
#else
#define ESPALIER_ROWS_INLINE HWY_INLINE
#endif

// Rows [n, n + kRows) of x and y; `x`: from row n on.
template <size_t kStripRows, size_t kRows, class X>
ESPALIER_ROWS_INLINE void Rows(const SlotView& w, const RowScales& scales, const MatMulArgs& args,
                               const X* x, size_t group, size_t n) {
  if constexpr (kStripRows == kWideStripRows) {
    WideStrip<kRows>(w, scales, args, x, group, n);
    return;
  }
  switch (w.StripsOf(group)) {
    case 1: Group<1, kRows>(w, scales, args, x, group, n); break;
    case 2: Group<2, kRows>(w, scales, args, x, group, n); break;
    case 3: Group<3, kRows>(w, scales, args, x, group, n); break;
    default: Group<kSlotGroup, kRows>(w, scales, args, x, group, n); break;
  }
}

// One function for one x and one for several: what each keeps of x would not fit the stack's bound
// beside the other's (kernels.h).
template <size_t kStripRows>
HWY_NOINLINE void OneX(const SlotView& w, const RowScales& scales, const MatMulArgs& args) {
  const size_t end_group = std::min(w.groups, args.end_group);
  QuantizedX<kMaxI8Cols> x;
  x.Set(args.x, w.cols, scales.x_scale);
  for (size_t group = args.first_group; group < end_group; ++group) {
    Rows<kStripRows, 1>(w, scales, args, &x, group, 0);
  }
}

template <size_t kStripRows>
HWY_NOINLINE void ManyX(const SlotView& w, const RowScales& scales, const MatMulArgs& args) {
  const size_t end_group = std::min(w.groups, args.end_group);
  using X = QuantizedRows::Row;
  ForRowsOfX(args, w.cols, scales.x_scale, [&](const X* x, size_t n, size_t count) HWY_ATTR {
    for (size_t group = args.first_group; group < end_group; ++group) {
      size_t i = 0;
      for (; i + kMostRows <= count; i += kMostRows) {
        Rows<kStripRows, kMostRows>(w, scales, args, x + i, group, n + i);
      }
      for (; i < count; ++i) Rows<kStripRows, 1>(w, scales, args, x + i, group, n + i);
    }
  });
}

template <size_t kStripRows>
void Run(const EncodedView& matrix, const MatMulArgs& args) {
  EncodedView tile = BodyOf(matrix);
  tile.spec = {FormatId::k_slot, kStripRows, kBankCols, WeightType::kI8, 4};  // as constants
  const SlotView w = ViewSlot(tile);
  const RowScales scales = ViewRowScales(matrix);
  if (args.count == 1) {
    OneX<kStripRows>(w, scales, args);
  } else {
    ManyX<kStripRows>(w, scales, args);
  }
}

constexpr WeightType kI8 = WeightType::kI8;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_slot, 16, kBankCols, kI8, 4}, "matvec_slot_i8_16x64x4", Run<16>},
    {{FormatId::k_slot, 64, kBankCols, kI8, 4}, "matvec_slot_i8_64x64x4", Run<64>},
};

#undef ESPALIER_ROWS_INLINE

}  // namespace

std::span<const MatMulKernel> matvec_slot_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
