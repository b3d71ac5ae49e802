// Format `nm`: N of M (Zhou et al. 2021, arXiv:2102.04010; 2 of 4: Mishra et al. 2021,
// arXiv:2104.08378). Of every M consecutive columns, a *bank*, each row has at most N weights. So a
// row has as many slots as any other and nothing has to be counted or pointed to: what is stored is
// weights and a few bits for each. A matrix with more weights in some bank cannot be stored.
//
//   values  f32 or bf16 [strips, banks, N, S]    0 where a row has no weight left,
//           and in rows past the last
//           0 to a multiple of 64 bytes
//   index   [strips, banks, N, S] of 2 bits each (M = 4) or 4 (M = 8, 16): the weight's column in
//           its bank. Lane k of a slot begins at bit 2 k or 4 k of its bytes, the lowest bit first
//
// N is 1, 2 or 4 (of M = 8 and 16). strips = ceil(rows / S), banks = ceil(cols / M). The name
// nm_16x4x2 gives S, M and N, and nm_16x4 is of N = 1. Padding is
// a stored 0 at the last column of its bank in which its row has a weight, or else the bank's
// first: an infinite x there makes that row NaN.
//
// Of type i8 (the body, row_scales.h) the weights of four slots lie together, a row's four side by
// side, and banks are filled up to a multiple of 4 / N with weights of 0:
//
//   values  i8 [strips, banks * N / 4, S, 4]
//           0 to a multiple of 64 bytes
//   index   u8 [strips, banks * N / 4, P], P = S (M = 4) or 2 S (M = 8, 16): that of number e
//           of the 4 S weights begins at bit 2 (e / P) or 4 (e / P) of byte e mod P, so that shifts
//           of whole vectors give the indices in order
//
// M = 8 would do with 3 bits, but nibbles are one instruction less to read, and the byte more for
// each 16 weights is 1.5 % of f32.
#ifndef ESPALIER_FORMATS_NM_H_
#define ESPALIER_FORMATS_NM_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace espalier {

constexpr size_t NmIndexBits(size_t bank_cols) { return bank_cols == 4 ? 2 : 4; }
// Of one slot: S weights, one a row.
constexpr size_t NmIndexBytes(size_t strip_rows, size_t bank_cols) {
  return strip_rows * NmIndexBits(bank_cols) / 8;
}

// Slots whose weights lie together.
constexpr size_t NmDepth(WeightType type) { return type == WeightType::kI8 ? 4 : 1; }

// Where the weight of one lane of a slot is: its number in values, and where its index begins.
struct NmPlace {
  size_t weight;
  size_t byte, bit;
};

struct NmView {
  size_t rows;
  size_t cols;
  size_t strip_rows;    // S
  size_t bank_cols;     // M
  size_t bank_weights;  // N
  size_t strips;
  size_t banks;  // of kI8 the last may begin past the last column
  WeightType type;
  const std::byte* values;  // 64-byte aligned
  const uint8_t* index;     // 64-byte aligned

  size_t slots() const { return strips * slots_per_strip(); }
  size_t slots_per_strip() const { return banks * bank_weights; }
  // First column of the bank of slot `slot`.
  size_t BankColOf(size_t slot) const {
    return slot % slots_per_strip() / bank_weights * bank_cols;
  }
  bool IsPastTheLast(size_t slot) const { return BankColOf(slot) >= cols; }
  NmPlace PlaceOf(size_t slot, size_t lane) const {
    const size_t depth = NmDepth(type);
    const size_t bits = NmIndexBits(bank_cols);
    const size_t bytes = depth * NmIndexBytes(strip_rows, bank_cols);  // of the slots together
    const size_t first_byte = slot / depth * bytes;
    const size_t number = lane * depth + slot % depth;
    const size_t weight = slot / depth * depth * strip_rows + number;
    if (depth == 1) return {weight, first_byte + number * bits / 8, number * bits % 8};
    return {weight, first_byte + number % bytes, number / bytes * bits};
  }
  float WeightAt(size_t slot, size_t lane) const {
    return LoadWeight(values, type, PlaceOf(slot, lane).weight);
  }
  // Column inside the bank of the weight in lane `lane` of slot `slot`.
  size_t IndexOf(size_t slot, size_t lane) const {
    const NmPlace place = PlaceOf(slot, lane);
    return size_t{index[place.byte]} >> place.bit & ((size_t{1} << NmIndexBits(bank_cols)) - 1);
  }
};

// Where the arrays are, in bytes from the start, and how many things they hold.
struct NmLayout {
  uint64_t strips, banks, slots;
  uint64_t index, end;

  NmLayout(const FormatSpec& spec, int64_t rows, int64_t cols) {
    const auto strip_rows = static_cast<uint64_t>(spec.strip_rows);
    const auto bank_cols = static_cast<uint64_t>(spec.bank_cols);
    const auto bank_weights = static_cast<uint64_t>(spec.depth);
    const uint64_t together = std::max<uint64_t>(1, NmDepth(spec.type) / bank_weights);
    strips = (static_cast<uint64_t>(rows) + strip_rows - 1) / strip_rows;
    banks = RoundUp((static_cast<uint64_t>(cols) + bank_cols - 1) / bank_cols, together);
    slots = strips * banks * bank_weights;
    index = RoundUp(slots * strip_rows * SizeOf(spec.type), kAlignmentBytes);
    end = index + slots * NmIndexBytes(strip_rows, bank_cols);
  }
};

// Precondition: Validate passes; of kI8, `matrix` is the body (row_scales.h). Inline, so that a
// kernel that knows its tile divides by constants.
inline NmView ViewNm(const EncodedView& matrix) {
  const NmLayout layout(matrix.spec, matrix.rows, matrix.cols);
  NmView view{};
  view.rows = static_cast<size_t>(matrix.rows);
  view.cols = static_cast<size_t>(matrix.cols);
  view.strip_rows = static_cast<size_t>(matrix.spec.strip_rows);
  view.bank_cols = static_cast<size_t>(matrix.spec.bank_cols);
  view.bank_weights = static_cast<size_t>(matrix.spec.depth);
  view.strips = layout.strips;
  view.banks = layout.banks;
  view.type = matrix.spec.type;
  view.values = matrix.bytes.data();
  view.index = reinterpret_cast<const uint8_t*>(matrix.bytes.data() + layout.index);
  return view;
}

}  // namespace espalier

#endif  // ESPALIER_FORMATS_NM_H_
