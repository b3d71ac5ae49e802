#include "formats/slot.h"

#include <algorithm>
#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr Tile kTiles[] = {{8, 8}, {8, 16}, {16, 16}, {16, 32}};
constexpr int64_t kMaxBanks = 1 << 16;
constexpr uint64_t kMaxSlots = std::numeric_limits<uint32_t>::max();

uint64_t SizeOfStarts(const FormatSpec& spec, int64_t rows) {
  const auto strips = static_cast<size_t>(DivideUp(rows, spec.strip_rows));
  return RoundUp((strips + 1) * sizeof(uint32_t), kAlignmentBytes);
}

uint64_t SizeOf(const FormatSpec& spec, int64_t rows, uint64_t slots) {
  const auto strip_rows = static_cast<size_t>(spec.strip_rows);
  const size_t index_bytes = SlotIndexBytes(strip_rows, static_cast<size_t>(spec.bank_cols));
  return SizeOfStarts(spec, rows) + RoundUp(slots * strip_rows * sizeof(float), kAlignmentBytes) +
         RoundUp(slots * index_bytes, kAlignmentBytes) + slots * sizeof(uint16_t);
}

// The part of a matrix where one strip crosses one bank.
struct Crossing {
  int64_t first_row, end_row, first_col, end_col;

  Crossing(const FormatSpec& spec, const MatrixView& matrix, int64_t strip, int64_t bank)
      : first_row(strip * spec.strip_rows),
        end_row(std::min<int64_t>(matrix.rows, first_row + spec.strip_rows)),
        first_col(bank * spec.bank_cols),
        end_col(std::min<int64_t>(matrix.cols, first_col + spec.bank_cols)) {}

  // Nonzeros of the fullest row.
  size_t SlotCount(const MatrixView& matrix) const {
    size_t most = 0;
    for (int64_t row = first_row; row < end_row; ++row) {
      const float* values = matrix.data + row * matrix.cols;
      most = std::max(most, CountNonzeros({values + first_col, values + end_col}));
    }
    return most;
  }
};

class SlotWriter {
 public:
  SlotWriter(const FormatSpec& spec, const MatrixView& matrix, std::byte* bytes, uint64_t slots)
      : matrix_(matrix) {
    uint32_t* starts = reinterpret_cast<uint32_t*>(bytes);
    starts[DivideUp(matrix.rows, spec.strip_rows)] = static_cast<uint32_t>(slots);
    const uint64_t size_bytes = SizeOf(spec, matrix.rows, slots);
    view_ = ViewSlot({spec, matrix.rows, matrix.cols, {bytes, size_bytes}});
  }

  void BeginStrip(int64_t strip) { const_cast<uint32_t*>(view_.strip_start)[strip] = next_; }

  // Row r's j-th nonzero of the crossing goes to slot j.
  void Add(const Crossing& crossing, int64_t bank, size_t slot_count) {
    for (size_t j = 0; j < slot_count; ++j) {
      const_cast<uint16_t*>(view_.bank)[next_ + j] = static_cast<uint16_t>(bank);
    }
    for (int64_t row = crossing.first_row; row < crossing.end_row; ++row) {
      size_t slot = next_;
      for (int64_t col = crossing.first_col; col < crossing.end_col; ++col) {
        const float value = matrix_.at(row, col);
        if (value == 0.0f) continue;
        Set(slot++, static_cast<size_t>(row - crossing.first_row),
            static_cast<unsigned>(col - crossing.first_col), value);
      }
    }
    next_ += static_cast<uint32_t>(slot_count);
  }

 private:
  // Precondition: the index is still 0 there.
  void Set(size_t slot, size_t lane, unsigned index, float value) {
    const_cast<float*>(view_.values)[slot * view_.strip_rows + lane] = value;
    uint8_t* bytes = const_cast<uint8_t*>(view_.index);
    if (view_.bank_cols > 16) {
      bytes[slot * view_.strip_rows + lane] = static_cast<uint8_t>(index);
    } else {
      uint8_t& byte = bytes[slot * view_.strip_rows / 2 + lane / 2];
      byte = static_cast<uint8_t>(byte | (lane % 2 == 0 ? index : index << 4));
    }
  }

  MatrixView matrix_;
  SlotView view_;  // over the bytes that this writes
  uint32_t next_ = 0;
};

Result<AlignedBuffer<std::byte>> EncodeSlot(const FormatSpec& spec, MatrixView matrix) {
  const int64_t strips = DivideUp(matrix.rows, spec.strip_rows);
  const int64_t banks = DivideUp(matrix.cols, spec.bank_cols);
  if (banks > kMaxBanks) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxBanks * spec.bank_cols,
                              " columns can be stored, ", matrix.cols, " found"));
  }
  std::vector<size_t> counts;
  uint64_t slots = 0;
  for (int64_t strip = 0; strip < strips; ++strip) {
    for (int64_t bank = 0; bank < banks; ++bank) {
      counts.push_back(Crossing(spec, matrix, strip, bank).SlotCount(matrix));
      slots += counts.back();
    }
  }
  if (slots > kMaxSlots) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxSlots, " slots can be stored, ",
                              slots, " found"));
  }
  AlignedBuffer<std::byte> bytes(SizeOf(spec, matrix.rows, slots));
  SlotWriter writer(spec, matrix, bytes.data(), slots);
  for (int64_t strip = 0; strip < strips; ++strip) {
    writer.BeginStrip(strip);
    for (int64_t bank = 0; bank < banks; ++bank) {
      writer.Add(Crossing(spec, matrix, strip, bank), bank,
                 counts[static_cast<size_t>(strip * banks + bank)]);
    }
  }
  return bytes;
}

// Every lane of every slot must name a column of the matrix, also the lanes of rows past the last:
// kernels read x there.
Status CheckSlot(const SlotView& view, size_t slot) {
  const size_t banks = (view.cols + view.bank_cols - 1) / view.bank_cols;
  if (view.bank[slot] >= banks) {
    return BadFormat(StrCat("slot.bank[", slot, "]: less than ", banks, " expected, ",
                            view.bank[slot], " found"));
  }
  const size_t limit = std::min(view.bank_cols, view.cols - view.bank[slot] * view.bank_cols);
  for (size_t lane = 0; lane < view.strip_rows; ++lane) {
    if (view.IndexOf(slot, lane) >= limit) {
      return BadFormat(StrCat("slot.index[", slot, "][", lane, "]: less than ", limit,
                              " expected, ", view.IndexOf(slot, lane), " found"));
    }
  }
  return Ok();
}

Status ValidateSlot(const EncodedView& matrix) {
  const uint64_t starts_bytes = SizeOfStarts(matrix.spec, matrix.rows);
  if (matrix.bytes.size() < starts_bytes) {
    return BadFormat(StrCat("slot.strip_start: ", starts_bytes, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const auto strips = static_cast<size_t>(DivideUp(matrix.rows, matrix.spec.strip_rows));
  const uint32_t* strip_start = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  ESPALIER_RETURN_IF_ERROR(CheckStarts("slot.strip_start", {strip_start, strips + 1}));
  const uint32_t slots = strip_start[strips];
  ESPALIER_RETURN_IF_ERROR(
      CheckSize("slot", matrix.bytes.size(), SizeOf(matrix.spec, matrix.rows, slots)));
  const SlotView view = ViewSlot(matrix);
  for (size_t slot = 0; slot < slots; ++slot) ESPALIER_RETURN_IF_ERROR(CheckSlot(view, slot));
  return Ok();
}

void ForEachStoredSlot(const EncodedView& matrix, void* context, VisitFn visit) {
  const SlotView view = ViewSlot(matrix);
  for (size_t strip = 0; strip < view.strips; ++strip) {
    const size_t first_row = strip * view.strip_rows;
    const size_t lanes = std::min(view.strip_rows, view.rows - first_row);
    for (size_t slot = view.strip_start[strip]; slot < view.strip_start[strip + 1]; ++slot) {
      for (size_t lane = 0; lane < lanes; ++lane) {
        const size_t col = view.bank[slot] * view.bank_cols + view.IndexOf(slot, lane);
        visit(context, static_cast<int64_t>(first_row + lane), static_cast<int64_t>(col),
              view.values[slot * view.strip_rows + lane]);
      }
    }
  }
}

uint64_t StoredCountSlot(const EncodedView& matrix) {
  const SlotView view = ViewSlot(matrix);
  return static_cast<uint64_t>(view.strip_start[view.strips]) * view.strip_rows;
}

}  // namespace

const FormatOps slot_format = {kTiles, EncodeSlot, ValidateSlot, ForEachStoredSlot,
                               StoredCountSlot};

}  // namespace espalier
