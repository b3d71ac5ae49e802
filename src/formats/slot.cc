#include "formats/slot.h"

#include <numeric>
#include <vector>

#include "base/strings.h"
#include "formats/format_ops.h"
#include "formats/sections.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {
    {8, 8},
    {8, 16},
    {16, 16},
    {16, 32},
    {64, 16},
    {64, 8},
    {8, 8, WeightType::kBf16},
    {16, 16, WeightType::kBf16},
    {64, 16, WeightType::kBf16},
    {8, 8, WeightType::kF28},
    {16, 16, WeightType::kF28},
    {64, 16, WeightType::kF28},
    {64, 8, WeightType::kF28},
    {16, 64, WeightType::kI8, 4},
    {64, 64, WeightType::kI8, 4},
};
constexpr size_t kMaxLanes = 256;
constexpr int64_t kMaxCols = 1 << 16;
constexpr uint64_t kMaxRounds = std::numeric_limits<uint32_t>::max();

// The slots of one strip.
struct StripSlots {
  std::vector<uint16_t> bank_col;
  std::vector<float> values;   // [slots, lanes]
  std::vector<uint8_t> index;  // [slots, lanes]

  size_t size() const { return bank_col.size(); }
};

// Appends those of one bank: a row's j-th weight goes to slot j / D, and what is left of a row
// names the column of its last weight.
void AppendSlots(const FormatSpec& spec, const MatrixView& matrix, int64_t first_row,
                 int64_t first_col, StripSlots* slots) {
  const int64_t end_row = std::min<int64_t>(matrix.rows, first_row + spec.strip_rows);
  const int64_t end_col = std::min<int64_t>(matrix.cols, first_col + spec.bank_cols);
  const auto depth = static_cast<size_t>(spec.depth);
  const auto lanes = static_cast<size_t>(spec.strip_rows) * depth;
  const size_t begin = slots->size();
  std::vector<uint8_t> last(lanes);  // column of each row's last weight so far
  for (int64_t row = first_row; row < end_row; ++row) {
    const size_t first_lane = static_cast<size_t>(row - first_row) * depth;
    size_t next = 0;
    const auto lane = [&] { return (begin + next / depth) * lanes + first_lane + next % depth; };
    uint8_t index = 0;
    for (int64_t col = first_col; col < end_col; ++col) {
      const float value = matrix.at(row, col);
      if (value == 0.0f) continue;
      if (begin + next / depth == slots->size()) {
        slots->bank_col.push_back(static_cast<uint16_t>(first_col));
        slots->values.resize(slots->size() * lanes);
        slots->index.insert(slots->index.end(), last.begin(), last.end());
      }
      index = static_cast<uint8_t>(col - first_col);
      slots->values[lane()] = value;
      slots->index[lane()] = index;
      ++next;
    }
    for (; begin + next / depth < slots->size(); ++next) slots->index[lane()] = index;
    std::fill_n(last.begin() + static_cast<ptrdiff_t>(first_lane), depth, index);
  }
}

class SlotWriter {
 public:
  SlotWriter(const FormatSpec& spec, const SlotLayout& layout, std::byte* bytes)
      : strip_rows_(static_cast<size_t>(spec.strip_rows)),
        lanes_(strip_rows_ * static_cast<size_t>(spec.depth)),
        index_bits_(SlotIndexBits(spec.type, static_cast<size_t>(spec.bank_cols))),
        type_(spec.type),
        values_(bytes + layout.values),
        index_(reinterpret_cast<uint8_t*>(bytes + layout.index)),
        bank_col_(reinterpret_cast<uint16_t*>(bytes + layout.bank_col)) {}

  // values, index: [lanes]
  void Append(uint16_t bank_col, const float* values, const uint8_t* index) {
    *bank_col_++ = bank_col;
    for (size_t lane = 0; lane < lanes_; ++lane) {
      StoreWeight(values[lane], values_, type_, SlotWeightPlace(strip_rows_, type_, lane));
      for (size_t bit = 0; bit < index_bits_; ++bit) {
        const size_t at = PlaceOf(lane, bit);
        index_[at / 8] |= static_cast<uint8_t>((index[lane] >> bit & 1) << at % 8);
      }
    }
    values_ += lanes_ * SizeOf(type_);
    index_ += lanes_ * index_bits_ / 8;
  }
  // Slot `i` of the strip, or one of zeros in the columns of its last.
  void AppendOrPad(const StripSlots& strip, size_t i) {
    static constexpr float kNoValues[kMaxLanes] = {};
    static constexpr uint8_t kNoIndex[kMaxLanes] = {};
    if (i < strip.size()) {
      Append(strip.bank_col[i], &strip.values[i * lanes_], &strip.index[i * lanes_]);
    } else if (strip.size() > 0) {
      Append(strip.bank_col.back(), kNoValues, &strip.index[(strip.size() - 1) * lanes_]);
    } else {
      Append(0, kNoValues, kNoIndex);
    }
  }

 private:
  // Where in the slot's bytes `bit` of the lane's index is, in bits.
  size_t PlaceOf(size_t lane, size_t bit) const {
    if (strip_rows_ != kWideStripRows) return lane * index_bits_ + bit;
    if (index_bits_ == 4) return lane % 16 * 16 + lane / 16 * 4 + bit;
    return lane < 192 ? lane * 8 + bit : (lane - 192 + bit / 2 * 64) * 8 + 6 + bit % 2;
  }

  size_t strip_rows_;
  size_t lanes_;
  size_t index_bits_;
  WeightType type_;
  std::byte* values_;
  uint8_t* index_;
  uint16_t* bank_col_;
};

Result<AlignedBuffer<std::byte>> EncodeSlot(const FormatSpec& spec, MatrixView matrix) {
  return EncodeSlotInSections(spec, matrix, {});
}

}  // namespace

Result<AlignedBuffer<std::byte>> EncodeSlotInSections(const FormatSpec& spec, MatrixView matrix,
                                                      std::span<const int32_t> sections) {
  if (matrix.cols > kMaxCols) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxCols, " columns can be stored, ",
                              matrix.cols, " found"));
  }
  std::vector<StripSlots> strips(static_cast<size_t>(DivideUp(matrix.rows, spec.strip_rows)));
  for (size_t s = 0; s < strips.size(); ++s) {
    for (int64_t col = 0; col < matrix.cols; col += spec.bank_cols) {
      AppendSlots(spec, matrix, static_cast<int64_t>(s) * spec.strip_rows, col, &strips[s]);
    }
  }
  const size_t group_strips = SlotGroupOf(static_cast<size_t>(spec.strip_rows));
  std::vector<uint32_t> order(strips.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto section_of = [&](uint32_t strip) {
    const size_t row = size_t{strip} * static_cast<size_t>(spec.strip_rows);
    return sections.empty() ? 0 : sections[row];
  };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int32_t section_a = section_of(a), section_b = section_of(b);
    if (section_a != section_b) return section_a < section_b;
    return group_strips > 1 && strips[a].size() > strips[b].size();
  });

  // Of the group that begins at a place: those of its longest strip, which is its first but where
  // sections meet.
  const auto rounds_of = [&](size_t place) {
    size_t most = 0;
    for (size_t p = place; p < std::min(order.size(), place + group_strips); ++p) {
      most = std::max(most, strips[order[p]].size());
    }
    return most;
  };
  std::vector<uint64_t> group_starts = {0};
  for (size_t place = 0; place < order.size(); place += group_strips) {
    group_starts.push_back(group_starts.back() + rounds_of(place));
  }
  const uint64_t rounds = group_starts.back();
  if (rounds > kMaxRounds) {
    return Unsupported(StrCat(FormatName(spec), ": at most ", kMaxRounds, " rounds can be stored, ",
                              rounds, " found"));
  }
  const SlotLayout layout(spec, matrix.rows, rounds,
                          rounds - group_starts[group_starts.size() - 2]);
  AlignedBuffer<std::byte> bytes(layout.end);
  std::transform(group_starts.begin(), group_starts.end(),
                 reinterpret_cast<uint32_t*>(bytes.data()),
                 [](uint64_t start) { return static_cast<uint32_t>(start); });
  std::copy(order.begin(), order.end(), reinterpret_cast<uint32_t*>(bytes.data() + layout.strip));
  SlotWriter writer(spec, layout, bytes.data());
  for (size_t place = 0; place < order.size(); place += group_strips) {
    const size_t end = std::min(order.size(), place + group_strips);
    for (size_t round = 0; round < rounds_of(place); ++round) {
      for (size_t p = place; p < end; ++p) {
        writer.AppendOrPad(strips[order[p]], round);
      }
    }
  }
  return bytes;
}

namespace {

// Every lane of every slot must name a column of the matrix, also the lanes of rows past the last:
// kernels read x there.
Status CheckSlot(const SlotView& view, size_t slot) {
  const size_t bank_col = view.bank_col[slot];
  if (bank_col >= view.cols || bank_col % view.bank_cols != 0) {
    return BadFormat(StrCat("slot.bank_col[", slot, "]: a multiple of ", view.bank_cols, " below ",
                            view.cols, " expected, ", bank_col, " found"));
  }
  const size_t limit = std::min(view.bank_cols, view.cols - bank_col);
  for (size_t lane = 0; lane < view.lanes(); ++lane) {
    if (view.IndexOf(slot, lane) >= limit) {
      return BadFormat(StrCat("slot.index[", slot, "][", lane, "]: less than ", limit,
                              " expected, ", view.IndexOf(slot, lane), " found"));
    }
    if (view.type != WeightType::kF28) continue;
    const float weight = view.WeightOf(slot, lane);
    const size_t column = (bank_col + view.IndexOf(slot, lane)) % (kF28ColumnMask + 1);
    if (weight == 0.0f || F28Column(weight) == column) continue;
    return BadFormat(StrCat("slot.values[", slot, "][", lane, "]: last 4 bits ", column,
                            " expected, ", F28Column(weight), " found"));
  }
  return Ok();
}

// Every strip must come once, else rows of y would not be written.
Status CheckOrder(const SlotView& view) {
  std::vector<bool> seen(view.strips, false);
  for (size_t place = 0; place < view.strips; ++place) {
    const uint32_t strip = view.strip[place];
    if (strip >= view.strips || seen[strip]) {
      return BadFormat(StrCat("slot.strip[", place, "]: each of ", view.strips,
                              " strips once expected, ", strip, " found",
                              strip < view.strips ? " again" : ""));
    }
    seen[strip] = true;
  }
  return Ok();
}

// Rows past the last have no weights: no check of sums sees theirs.
Status CheckPadding(const SlotView& view) {
  const size_t lanes = view.rows % view.strip_rows * view.depth;  // of the last strip's rows
  if (lanes == 0) return Ok();
  const uint32_t* place = std::find(view.strip, view.strip + view.strips, view.strips - 1);
  const auto strip = static_cast<size_t>(place - view.strip);
  const size_t group = strip / view.group_strips();
  const size_t step = view.StripsOf(group);
  const size_t first = view.group_start[group] * view.group_strips();
  const size_t rounds = view.group_start[group + 1] - view.group_start[group];
  for (size_t round = 0; round < rounds; ++round) {
    const size_t slot = first + round * step + strip % view.group_strips();
    for (size_t lane = lanes; lane < view.lanes(); ++lane) {
      const float weight = view.WeightOf(slot, lane);
      if (weight == 0.0f) continue;
      return BadFormat(StrCat("slot.values[", slot, "][", lane, "]: 0 past the last row expected, ",
                              weight, " found"));
    }
  }
  return Ok();
}

Status ValidateSlot(const EncodedView& matrix) {
  const SlotLayout empty(matrix.spec, matrix.rows, 0, 0);
  if (matrix.bytes.size() < empty.strip) {
    return BadFormat(StrCat("slot.group_start: ", empty.strip, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const uint32_t* start = reinterpret_cast<const uint32_t*>(matrix.bytes.data());
  ESPALIER_RETURN_IF_ERROR(CheckStarts("slot.group_start", {start, empty.groups + 1}));
  ESPALIER_RETURN_IF_ERROR(CheckSize("slot", matrix.bytes.size(), SlotLayoutOf(matrix).end));
  const SlotView view = ViewSlot(matrix);
  ESPALIER_RETURN_IF_ERROR(CheckOrder(view));
  for (size_t slot = 0; slot < view.slots; ++slot) {
    ESPALIER_RETURN_IF_ERROR(CheckSlot(view, slot));
  }
  return CheckPadding(view);
}

void ForEachStoredSlot(const EncodedView& matrix, void* context, VisitFn visit) {
  const SlotView view = ViewSlot(matrix);
  size_t slot = 0;
  for (size_t group = 0; group < view.groups; ++group) {
    for (uint32_t round = view.group_start[group]; round < view.group_start[group + 1]; ++round) {
      for (size_t k = 0; k < view.StripsOf(group); ++k, ++slot) {
        const size_t first_row = view.strip[group * view.group_strips() + k] * view.strip_rows;
        const size_t lanes = std::min(view.strip_rows, view.rows - first_row) * view.depth;
        for (size_t lane = 0; lane < lanes; ++lane) {
          visit(context, static_cast<int64_t>(first_row + lane / view.depth),
                static_cast<int64_t>(view.bank_col[slot] + view.IndexOf(slot, lane)),
                view.WeightOf(slot, lane));
        }
      }
    }
  }
}

size_t RowGroupsSlot(const EncodedView& matrix) { return ViewSlot(matrix).groups; }

// Only the last group may have fewer strips than the others.
uint64_t WorkBeforeSlot(const EncodedView& matrix, size_t group) {
  const SlotView view = ViewSlot(matrix);
  const uint64_t slots =
      group == view.groups ? view.slots : uint64_t{view.group_start[group]} * view.group_strips();
  return slots * view.lanes();
}

size_t GroupOfRowSlot(const EncodedView& matrix, int64_t row) {
  const SlotView view = ViewSlot(matrix);
  const uint32_t* place =
      std::find(view.strip, view.strip + view.strips, static_cast<size_t>(row) / view.strip_rows);
  return static_cast<size_t>(place - view.strip) / view.group_strips();
}

}  // namespace

const FormatOps slot_format = {kTiles,        EncodeSlot,     ValidateSlot,   ForEachStoredSlot,
                               RowGroupsSlot, WorkBeforeSlot, GroupOfRowSlot, nullptr};

}  // namespace espalier
