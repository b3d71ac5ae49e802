// Format `slot`: element sparsity that a vector unit can run (own design).
//
// Rows are cut in strips of S, columns in banks of B. A *slot* is one vector multiply-add: for each
// of the S rows of a strip D weights (the depth) and the indices of their columns inside one bank.
// The kernel fetches the S * D values of x by a lane permutation of the bank, so it needs no
// gather. D is 1, or 4 where an instruction adds four products of 8 bits to one sum.
//
// Strips are sorted by their number of slots, most first (within sections: sections.h), and taken
// in *groups* of 4 (the last group has 1 to 4). Slots of a group are stored in *rounds*: one slot
// of each of its strips in turn, so that a kernel runs 4 independent sums in one loop without
// remainders. Strips of a group differ little in length; a shorter one is filled with slots of
// zeros. *Wide* strips, of 64 rows, are a group each and stay in the order of their rows in a
// section: there a kernel runs 4 vectors of the same slot side by side, which look up the same bank
// and read it once.
//
//   group_start  u32 [groups + 1]     where each group's rounds begin; the last is their number
//                0 to a multiple of 64 bytes
//   strip        u32 [strips]         the strip in each place of the sorted order
//                0 to a multiple of 64 bytes
//   values       f32, f28, bf16 or i8 [slots, S, D]      0 where a row has no weight left,
//                and in rows past the last. S = 64 and bf16: those of lanes k and k + 16 side by
//                side (k % 32 < 16), so that a shift or a mask of 32 bits makes an f32 of either
//                0 to a multiple of 64 bytes
//   index        [slots, S, D] of 4 bits each (B <= 16), 8 (B = 32) or 6 (B = 64): lane k of a slot
//                begins at bit 4 k, 8 k or 6 k of its bytes, the lowest bit first. S = 64 and 4
//                bits: at bit 4 (k / 16) of word k % 16, words of 16 bits. S = 64 and 6 bits: the
//                low 6 bits of byte k; those of k >= 192 in the highest 2 bits of bytes k - 192,
//                k - 128 and k - 64, the lowest first. f28: nothing, a weight's last bits are its
//                index, and permutations look at no others
//                0 to a multiple of 64 bytes
//   bank_col     u16 [slots]          first column of the slot's bank, a multiple of B
//
// strips = ceil(rows / S), groups = ceil(strips / 4) or strips, slots = 4 x rounds of the full
// groups + the last group's strips x its rounds. A (strip, bank) has as many slots as its fullest
// row has weights there / D, so any matrix can be stored exactly; one pruned in slots needs next to
// no padding. Padding is a stored 0 at a column where its row has a weight in the same bank, or
// else, and in f28 always, the bank's first: an infinite x there makes that row NaN.
//
// Measured on Zen 3 (LSTM, H = 80, 7,400 weights): a count per (strip, bank) or one list per strip
// lose 16 cycles to a mispredicted branch at each end; rounds of 4 strips have one end for four. S:
// 8 is one AVX2 register, 16 one of AVX-512. B: larger keeps more of the weights that matter,
// smaller needs fewer permutations (AVX2: B / 8, and a blend for all but one).
// S = 64 keeps 0.99 of what S = 16 keeps of a matrix's squares at 10 %, and on Zen 4 takes 0.8 to
// 0.85 of its time in the caches.
#ifndef ESPALIER_FORMATS_SLOT_H_
#define ESPALIER_FORMATS_SLOT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

// Strips per group, which is a row group: sums in flight hide the latency of a multiply-add (4
// cycles on most cores). Of wide strips 1, which has as many sums.
inline constexpr size_t kSlotGroup = 4;
inline constexpr size_t kWideStripRows = 64;
constexpr size_t SlotGroupOf(size_t strip_rows) {
  return strip_rows == kWideStripRows ? 1 : kSlotGroup;
}

// 5 bits would do for B = 32, but bytes are faster to read.
constexpr size_t SlotIndexBits(WeightType type, size_t bank_cols) {
  if (type == WeightType::kF28) return 0;
  return bank_cols <= 16 ? 4 : bank_cols == 64 ? 6 : 8;
}
// Of one slot of `lanes` = S * D weights.
constexpr size_t SlotIndexBytes(WeightType type, size_t lanes, size_t bank_cols) {
  return lanes * SlotIndexBits(type, bank_cols) / 8;
}

// Where in a slot's values the weight of a lane is.
constexpr size_t SlotWeightPlace(size_t strip_rows, WeightType type, size_t lane) {
  if (strip_rows != kWideStripRows || type != WeightType::kBf16) return lane;
  return lane / 32 * 32 + lane % 16 * 2 + lane / 16 % 2;
}

struct SlotView {
  size_t rows;
  size_t cols;
  size_t strip_rows;  // S
  size_t bank_cols;   // B
  size_t depth;       // D
  size_t strips;
  size_t groups;
  size_t slots;
  const uint32_t* group_start;
  const uint32_t* strip;
  WeightType type;
  const std::byte* values;  // 64-byte aligned
  const uint8_t* index;     // 64-byte aligned
  const uint16_t* bank_col;

  size_t group_strips() const { return SlotGroupOf(strip_rows); }
  size_t StripsOf(size_t group) const {
    return std::min(group_strips(), strips - group * group_strips());
  }
  size_t lanes() const { return strip_rows * depth; }  // of a slot; lane / depth is the row
  float WeightOf(size_t slot, size_t lane) const {
    return LoadWeight(values, type, slot * lanes() + SlotWeightPlace(strip_rows, type, lane));
  }
  // Column inside the bank of the weight in lane `lane` of slot `slot`.
  size_t IndexOf(size_t slot, size_t lane) const {
    if (type == WeightType::kF28) return F28Column(WeightOf(slot, lane)) % bank_cols;
    const size_t bits = SlotIndexBits(type, bank_cols);
    const uint8_t* of_slot = index + slot * SlotIndexBytes(type, lanes(), bank_cols);
    if (strip_rows == kWideStripRows) return WideIndexOf(of_slot, bits, lane);
    const uint8_t* byte = of_slot + lane * bits / 8;
    const size_t shift = lane * bits % 8;
    const size_t next = shift + bits > 8 ? size_t{byte[1]} << 8 : 0;
    return ((byte[0] | next) >> shift) & ((size_t{1} << bits) - 1);
  }

 private:
  static size_t WideIndexOf(const uint8_t* of_slot, size_t bits, size_t lane) {
    if (bits == 4) return of_slot[lane % 16 * 2 + lane / 32] >> (lane / 16 % 2 * 4) & 15;
    if (lane < 192) return of_slot[lane] & 63;
    const uint8_t* pairs = of_slot + lane - 192;
    return size_t{pairs[0]} >> 6 | size_t{pairs[64]} >> 6 << 2 | size_t{pairs[128]} >> 6 << 4;
  }
};

// Where the arrays are, in bytes from the start, and how many things they hold.
struct SlotLayout {
  uint64_t strips, groups, slots;
  uint64_t strip, values, index, bank_col, end;

  // `rounds` of all groups, `last_rounds` of the last one, whose strips may be fewer than 4.
  SlotLayout(const FormatSpec& spec, int64_t rows, uint64_t rounds, uint64_t last_rounds) {
    const auto strip_rows = static_cast<uint64_t>(spec.strip_rows);
    const auto bank_cols = static_cast<uint64_t>(spec.bank_cols);
    const auto lanes = strip_rows * static_cast<uint64_t>(spec.depth);
    strips = (static_cast<uint64_t>(rows) + strip_rows - 1) / strip_rows;
    const uint64_t group_strips = SlotGroupOf(strip_rows);
    groups = (strips + group_strips - 1) / group_strips;
    slots = rounds * group_strips - (groups * group_strips - strips) * last_rounds;
    strip = RoundUp((groups + 1) * sizeof(uint32_t), kAlignmentBytes);
    values = strip + RoundUp(strips * sizeof(uint32_t), kAlignmentBytes);
    index = values + RoundUp(slots * lanes * SizeOf(spec.type), kAlignmentBytes);
    bank_col =
        index + RoundUp(slots * SlotIndexBytes(spec.type, lanes, bank_cols), kAlignmentBytes);
    end = bank_col + slots * sizeof(uint16_t);
  }
};

// Precondition: group_start is checked.
inline SlotLayout SlotLayoutOf(const EncodedView& matrix) {
  const uint64_t groups = SlotLayout(matrix.spec, matrix.rows, 0, 0).groups;
  const uint32_t* start = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  return SlotLayout(matrix.spec, matrix.rows, start[groups], start[groups] - start[groups - 1]);
}

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h). Inline, so that a
// kernel that knows its tile divides by constants.
inline SlotView ViewSlot(const EncodedView& matrix) {
  const SlotLayout layout = SlotLayoutOf(matrix);
  const std::byte* bytes = matrix.bytes.data();
  SlotView view{};
  view.rows = static_cast<size_t>(matrix.rows);
  view.cols = static_cast<size_t>(matrix.cols);
  view.strip_rows = static_cast<size_t>(matrix.spec.strip_rows);
  view.bank_cols = static_cast<size_t>(matrix.spec.bank_cols);
  view.depth = static_cast<size_t>(matrix.spec.depth);
  view.strips = layout.strips;
  view.groups = layout.groups;
  view.slots = layout.slots;
  view.group_start = reinterpret_cast<const uint32_t*>(bytes);
  view.strip = reinterpret_cast<const uint32_t*>(bytes + layout.strip);
  view.type = matrix.spec.type;
  view.values = bytes + layout.values;
  view.index = reinterpret_cast<const uint8_t*>(bytes + layout.index);
  view.bank_col = reinterpret_cast<const uint16_t*>(bytes + layout.bank_col);
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_SLOT_H_
