// Format `slot`: element sparsity that a vector unit can run (own design).
//
// Rows are cut in strips of S, columns in banks of B. A *slot* is one vector multiply-add: for each
// of the S rows of a strip one weight and the index of its column inside one bank. The kernel
// fetches the S values of x by a lane permutation of the bank, so it needs no gather. The slots of
// a strip form one flat list, each with the number of its bank:
//
//   strip_start  u32 [strips + 1]      where each strip's slots begin; the last is the slot count
//                0 to a multiple of 64 bytes
//   values       f32 [slots, S]        by strip, banks ascending; 0 where a row has no weight left
//                0 to a multiple of 64 bytes
//   index        B <= 16: 4 bits each, [slots, S / 2 bytes], row 2k in the low half of byte k
//                B = 32: 8 bits each, [slots, S bytes]
//                0 to a multiple of 64 bytes
//   bank         u16 [slots]
//
// strips = ceil(rows / S). A (strip, bank) has as many slots as its fullest row has weights there,
// so any matrix can be stored exactly; one pruned in slots needs no padding. Padding is a stored 0:
// if x is infinite in the column that it names, the row becomes NaN, as in `dense`.
//
// A flat list, not a count per (strip, bank): at 10 % density most banks hold 0 to 3 slots, and a
// loop of that length costs more in mispredicted branches than the bank number costs in bytes.
// S: 8 is one AVX2 register, 16 one of AVX-512. B: larger keeps more of the weights that matter,
// smaller needs fewer permutations (AVX2: B / 8 of them).
#ifndef ESPALIER_FORMATS_SLOT_H_
#define ESPALIER_FORMATS_SLOT_H_

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

constexpr size_t SlotIndexBytes(size_t strip_rows, size_t bank_cols) {
  return bank_cols <= 16 ? strip_rows / 2 : strip_rows;
}

struct SlotView {
  size_t rows;
  size_t cols;
  size_t strip_rows;  // S
  size_t bank_cols;   // B
  size_t strips;
  const uint32_t* strip_start;
  const float* values;   // 64-byte aligned
  const uint8_t* index;  // 64-byte aligned
  const uint16_t* bank;

  // Column inside the bank of row `lane` of the strip in slot `slot`.
  size_t IndexOf(size_t slot, size_t lane) const {
    if (bank_cols > 16) return index[slot * strip_rows + lane];
    const unsigned byte = index[slot * strip_rows / 2 + lane / 2];
    return lane % 2 == 0 ? byte & 15u : byte >> 4;
  }
};

// Precondition: Validate passes.
inline SlotView ViewSlot(const EncodedView& matrix) {
  SlotView view{};
  view.rows = static_cast<size_t>(matrix.rows);
  view.cols = static_cast<size_t>(matrix.cols);
  view.strip_rows = static_cast<size_t>(matrix.spec.strip_rows);
  view.bank_cols = static_cast<size_t>(matrix.spec.bank_cols);
  view.strips = (view.rows + view.strip_rows - 1) / view.strip_rows;
  const std::byte* next = matrix.bytes.data();
  view.strip_start = reinterpret_cast<const uint32_t*>(next);
  const size_t slots = view.strip_start[view.strips];
  next += RoundUp((view.strips + 1) * sizeof(uint32_t), kAlignmentBytes);
  view.values = reinterpret_cast<const float*>(next);
  next += RoundUp(slots * view.strip_rows * sizeof(float), kAlignmentBytes);
  view.index = reinterpret_cast<const uint8_t*>(next);
  next += RoundUp(slots * SlotIndexBytes(view.strip_rows, view.bank_cols), kAlignmentBytes);
  view.bank = reinterpret_cast<const uint16_t*>(next);
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_SLOT_H_
