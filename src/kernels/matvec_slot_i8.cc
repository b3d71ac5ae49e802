// matvec_slot_i8_16x64x4: y = W x + init over format `slot` of type i8. x is rounded to 8 bits
// (kernels/quantize.h), sums are 32-bit whole numbers, so a row's result does not depend on the
// order of its weights.
//
// A slot is 64 weights: their indices, spread from 6 bits to bytes, one lookup in 64 bytes of x and
// one instruction that multiplies and adds (with AVX-512 VBMI and VNNI, four in all). Bytes for
// indices would spare two of them, but the kernel waits for memory: 112 bytes a slot, not 128. The
// strips of a group run side by side, one sum each.
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
constexpr size_t kIndexBytes = SlotIndexBytes(kQuadBytes, kBankCols);
// Rows of x that share the weights and indices of a slot.
constexpr size_t kMostRows = 4;

template <size_t kRows>
using XRows = QuantizedX<kMaxI8Cols / kRows>[kRows];

template <size_t kStrips, size_t kRows>
HWY_INLINE void Group(const SlotView& w, const RowScales& scales, const MatMulArgs& args,
                      const XRows<kRows>& x, size_t group, size_t n) {
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
        const Quads found = LookupQuads(x[i].at(bank_col), index);
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

template <size_t kRows>
void Rows(const SlotView& w, const RowScales& scales, const MatMulArgs& args, size_t n) {
  XRows<kRows> x;
  for (size_t i = 0; i < kRows; ++i) {
    x[i].Set(args.x + (n + i) * args.x_stride, w.cols, scales.x_scale);
  }
  const size_t full = w.strips / kSlotGroup;
  for (size_t group = args.first_group; group < std::min(full, args.end_group); ++group) {
    Group<kSlotGroup, kRows>(w, scales, args, x, group, n);
  }
  if (args.first_group > full || args.end_group <= full) return;
  switch (w.strips % kSlotGroup) {
    case 1: Group<1, kRows>(w, scales, args, x, full, n); break;
    case 2: Group<2, kRows>(w, scales, args, x, full, n); break;
    case 3: Group<3, kRows>(w, scales, args, x, full, n); break;
    default: break;
  }
}

void Run(const EncodedView& matrix, const MatMulArgs& args) {
  EncodedView tile = BodyOf(matrix);
  tile.spec = {FormatId::k_slot, kQuadRows, kBankCols, WeightType::kI8, 4};  // as constants
  const SlotView w = ViewSlot(tile);
  const RowScales scales = ViewRowScales(matrix);
  size_t n = 0;
  if (w.cols <= size_t{kMaxI8Cols} / kMostRows) {
    for (; n + kMostRows <= args.count; n += kMostRows) Rows<kMostRows>(w, scales, args, n);
  }
  for (; n < args.count; ++n) Rows<1>(w, scales, args, n);
}

constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_slot, kQuadRows, kBankCols, WeightType::kI8, 4}, "matvec_slot_i8_16x64x4", Run},
};

}  // namespace

std::span<const MatMulKernel> matvec_slot_i8() { return kKernels; }

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
