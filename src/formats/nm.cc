#include "formats/nm.h"

#include <algorithm>

#include "base/strings.h"
#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {
    {16, 4, WeightType::kF32, 2},   {16, 8, WeightType::kF32, 2},   {16, 16, WeightType::kF32, 2},
    {16, 4, WeightType::kF32, 1},   {16, 8, WeightType::kF32, 1},   {16, 16, WeightType::kF32, 1},
    {16, 8, WeightType::kF32, 4},   {16, 16, WeightType::kF32, 4},  {16, 4, WeightType::kBf16, 2},
    {16, 8, WeightType::kBf16, 2},  {16, 16, WeightType::kBf16, 2}, {16, 4, WeightType::kBf16, 1},
    {16, 8, WeightType::kBf16, 1},  {16, 16, WeightType::kBf16, 1}, {16, 8, WeightType::kBf16, 4},
    {16, 16, WeightType::kBf16, 4}, {16, 4, WeightType::kI8, 2},    {16, 8, WeightType::kI8, 2},
    {16, 16, WeightType::kI8, 2},   {16, 4, WeightType::kI8, 1},    {16, 8, WeightType::kI8, 1},
    {16, 16, WeightType::kI8, 1},   {16, 8, WeightType::kI8, 4},    {16, 16, WeightType::kI8, 4},
};

// Writes into bytes that are 0.
class NmWriter {
 public:
  NmWriter(const NmView& view, std::byte* values, uint8_t* index)
      : view_(view), values_(values), index_(index) {}

  // The weights of one row and bank, from slot `slot` on: at most N, as CheckZerosNm has seen.
  void Append(std::span<const float> bank, size_t slot, size_t lane) {
    const size_t end = slot + view_.bank_weights;
    size_t last_col = 0;
    for (size_t col = 0; col < bank.size(); ++col) {
      if (bank[col] == 0.0f) continue;
      ESPALIER_ASSERT(slot < end);
      Store(bank[col], slot++, lane, col);
      last_col = col;
    }
    while (slot < end) Store(0.0f, slot++, lane, last_col);
  }

 private:
  void Store(float weight, size_t slot, size_t lane, size_t col) {
    const NmPlace place = view_.PlaceOf(slot, lane);
    StoreWeight(weight, values_, view_.type, place.weight);
    uint8_t& byte = index_[place.byte];
    byte = static_cast<uint8_t>(byte | col << place.bit);
  }

  const NmView& view_;
  std::byte* values_;
  uint8_t* index_;
};

// A matrix that has not been pruned for the format is refused at one of its first banks, before
// anything is allocated: the tuner tries every N and M on every matrix.
Status CheckZerosNm(const FormatSpec& spec, MatrixView matrix) {
  const auto cols = static_cast<size_t>(matrix.cols);
  const auto bank_cols = static_cast<size_t>(spec.bank_cols);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    const std::span<const float> weights(matrix.data + static_cast<size_t>(row) * cols, cols);
    for (size_t col = 0; col < cols; col += bank_cols) {
      const size_t width = std::min(bank_cols, cols - col);
      const std::span<const float> bank = weights.subspan(col, width);
      const auto zeros = std::count(bank.begin(), bank.end(), 0.0f);
      if (static_cast<ptrdiff_t>(width) - zeros <= spec.depth) continue;
      return Unsupported(StrCat(FormatName(spec), ": at most ", spec.depth,
                                spec.depth == 1 ? " weight" : " weights", " can be stored of row ",
                                row, " in columns ", col, " to ", col + width - 1, ", more found"));
    }
  }
  return Ok();
}

Result<AlignedBuffer<std::byte>> EncodeNm(const FormatSpec& spec, MatrixView matrix) {
  const NmLayout layout(spec, matrix.rows, matrix.cols);
  AlignedBuffer<std::byte> bytes(layout.end);
  const NmView view = ViewNm({spec, matrix.rows, matrix.cols, {bytes.data(), bytes.size()}});
  NmWriter writer(view, bytes.data(), reinterpret_cast<uint8_t*>(bytes.data() + layout.index));
  for (size_t row = 0; row < view.rows; ++row) {
    const std::span<const float> weights(matrix.data + row * view.cols, view.cols);
    for (size_t col = 0; col < view.cols; col += view.bank_cols) {
      const size_t bank = row / view.strip_rows * view.banks + col / view.bank_cols;
      const size_t slot = bank * view.bank_weights;
      const size_t width = std::min(view.bank_cols, view.cols - col);
      writer.Append(weights.subspan(col, width), slot, row % view.strip_rows);
    }
  }
  return bytes;
}

// A bank past the last column stands for nothing, and a row past the last has no weights: no check
// of sums sees theirs.
Status CheckPadding(const NmView& view, size_t slot) {
  const bool is_past_cols = view.IsPastTheLast(slot);
  const size_t first_row = slot / view.slots_per_strip() * view.strip_rows;
  const size_t first_lane = is_past_cols ? 0 : std::min(view.strip_rows, view.rows - first_row);
  for (size_t lane = first_lane; lane < view.strip_rows; ++lane) {
    const float weight = view.WeightAt(slot, lane);
    if (weight == 0.0f) continue;
    return BadFormat(StrCat("nm.values[", slot, "][", lane, "]: 0 past the last ",
                            is_past_cols ? "column" : "row", " expected, ", weight, " found"));
  }
  return Ok();
}

// Every lane must name a column of the matrix, also the lanes of rows past the last: kernels read x
// there.
Status ValidateNm(const EncodedView& matrix) {
  const NmLayout layout(matrix.spec, matrix.rows, matrix.cols);
  ESPALIER_RETURN_IF_ERROR(CheckSize("nm", matrix.bytes.size(), layout.end));
  const NmView view = ViewNm(matrix);
  for (size_t slot = 0; slot < view.slots(); ++slot) {
    ESPALIER_RETURN_IF_ERROR(CheckPadding(view, slot));
    if (view.IsPastTheLast(slot)) continue;
    const size_t limit = std::min(view.bank_cols, view.cols - view.BankColOf(slot));
    if (limit == size_t{1} << NmIndexBits(view.bank_cols)) continue;  // of all bits a column
    for (size_t lane = 0; lane < view.strip_rows; ++lane) {
      const size_t index = view.IndexOf(slot, lane);
      if (index < limit) continue;
      return BadFormat(StrCat("nm.index[", slot, "][", lane, "]: less than ", limit, " expected, ",
                              index, " found"));
    }
  }
  return Ok();
}

void ForEachStoredNm(const EncodedView& matrix, void* context, VisitFn visit) {
  const NmView view = ViewNm(matrix);
  for (size_t slot = 0; slot < view.slots(); ++slot) {
    if (view.IsPastTheLast(slot)) continue;
    const size_t first_row = slot / view.slots_per_strip() * view.strip_rows;
    const size_t lanes = std::min(view.strip_rows, view.rows - first_row);
    for (size_t lane = 0; lane < lanes; ++lane) {
      visit(context, static_cast<int64_t>(first_row + lane),
            static_cast<int64_t>(view.BankColOf(slot) + view.IndexOf(slot, lane)),
            view.WeightAt(slot, lane));
    }
  }
}

size_t RowGroupsNm(const EncodedView& matrix) { return ViewNm(matrix).strips; }

uint64_t WorkBeforeNm(const EncodedView& matrix, size_t group) {
  const NmView view = ViewNm(matrix);
  return uint64_t{group} * view.slots_per_strip() * view.strip_rows;
}

size_t GroupOfRowNm(const EncodedView& matrix, int64_t row) {
  return static_cast<size_t>(row / matrix.spec.strip_rows);
}

}  // namespace

const FormatOps nm_format = {kTiles,       EncodeNm,     ValidateNm, ForEachStoredNm, RowGroupsNm,
                             WorkBeforeNm, GroupOfRowNm, nullptr,    CheckZerosNm};

}  // namespace espalier
