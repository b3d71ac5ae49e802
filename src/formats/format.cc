#include "formats/format.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/strings.h"
#include "formats/format_ops.h"
#include "formats/row_scales.h"
#include "formats/sections.h"

namespace espalier {
namespace {

struct Entry {
  FormatId id;
  const char* name;
  const FormatOps* ops;
};

constexpr Entry kFormats[] = {
#define ESPALIER_FORMAT(name, id) {FormatId::k_##name, #name, &name##_format},
#include "formats/formats.inc"
#undef ESPALIER_FORMAT
};

const Entry* FindEntry(FormatId id) {
  for (const Entry& entry : kFormats) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

// Precondition: the id is listed (Validate checks it).
const FormatOps& OpsOf(FormatId id) { return *FindEntry(id)->ops; }

bool HasTile(const FormatOps& ops, const FormatSpec& spec) {
  return std::any_of(ops.tiles.begin(), ops.tiles.end(), [&](const FormatTile& tile) {
    return tile.strip_rows == spec.strip_rows && tile.bank_cols == spec.bank_cols &&
           tile.type == spec.type && tile.depth == spec.depth;
  });
}

std::string TileList(const Entry& entry) {
  std::vector<std::string> names;
  for (const FormatTile& tile : entry.ops->tiles) {
    names.push_back(FormatName({entry.id, tile.strip_rows, tile.bank_cols, tile.type, tile.depth}));
  }
  return StrJoin(names, ", ");
}

// What every function of a format may rely on; `bad` makes the Status.
Status CheckSpec(const FormatSpec& spec, int64_t rows, int64_t cols, Status (*bad)(std::string)) {
  const Entry* entry = FindEntry(spec.id);
  if (entry == nullptr) {
    return bad(StrCat("format: an id that formats.inc lists expected, ", static_cast<int>(spec.id),
                      " found"));
  }
  if (!HasTile(*entry->ops, spec)) {
    return bad(StrCat("format ", entry->name, ": one of ", TileList(*entry), " expected, ",
                      FormatName(spec), " found"));
  }
  if (rows < 1 || cols < 1 || rows > kMaxDim || cols > kMaxDim) {
    return bad(StrCat("format ", entry->name, ": 1 to ", kMaxDim, " rows and columns expected, ",
                      rows, "x", cols, " found"));
  }
  return Ok();
}

Status CheckValues(const FormatSpec& spec, const MatrixView& matrix) {
  const auto cols = static_cast<size_t>(matrix.cols);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    if (HoldsRow(spec.type, {matrix.data + row * matrix.cols, cols})) continue;
    return Unsupported(StrCat("format ", FormatName(spec), ": numbers of type ",
                              WeightTypeName(spec.type), " expected in row ", row,
                              ", others found: round the network to ", WeightTypeName(spec.type),
                              " first (weight type)"));
  }
  if (spec.type != WeightType::kI8 || matrix.cols <= kMaxI8Cols) return Ok();
  return Unsupported(StrCat("format ", FormatName(spec), ": at most ", kMaxI8Cols,
                            " columns can be stored, ", matrix.cols, " found"));
}

// The whole numbers, and before them what makes weights of them.
template <typename EncodeBody>
Result<AlignedBuffer<std::byte>> EncodeI8(const FormatSpec& spec, const MatrixView& matrix,
                                          float x_scale, const EncodeBody& encode) {
  const auto cols = static_cast<size_t>(matrix.cols);
  const size_t header_bytes = RowScalesBytes(matrix.rows);
  AlignedBuffer<float> scale(RowScaleCount(matrix.rows));
  AlignedBuffer<int32_t> offset(RowScaleCount(matrix.rows));
  std::vector<float> numbers(static_cast<size_t>(matrix.rows) * cols);
  for (size_t row = 0; row < static_cast<size_t>(matrix.rows); ++row) {
    const std::span<const float> values(matrix.data + row * cols, cols);
    scale[row] = RowScale(values);
    for (size_t col = 0; col < cols && scale[row] > 0.0f; ++col) {
      const float number = values[col] / scale[row];
      numbers[row * cols + col] = number;
      offset[row] -= 128 * static_cast<int32_t>(number);
    }
  }
  ESPALIER_ASSIGN_OR_RETURN(const AlignedBuffer<std::byte> body,
                            encode(spec, MatrixView{numbers.data(), matrix.rows, matrix.cols}));
  AlignedBuffer<std::byte> bytes(header_bytes + body.size());
  std::byte* to = bytes.data();
  std::memcpy(to, &x_scale, sizeof(x_scale));
  to += kAlignmentBytes;
  std::memcpy(to, scale.data(), scale.size() * sizeof(float));
  to += scale.size() * sizeof(float);
  std::memcpy(to, offset.data(), offset.size() * sizeof(int32_t));
  std::copy(body.begin(), body.end(), bytes.data() + header_bytes);
  return bytes;
}

Status CheckScale(const std::string& field, float scale) {
  if (scale >= 0.0f && scale <= kMostRowScale) return Ok();
  return BadFormat(StrCat(field, ": 0 to ", kMostRowScale, " expected, ", scale, " found"));
}

Status CheckRowScales(const EncodedView& matrix) {
  if (matrix.cols > kMaxI8Cols) {
    return BadFormat(StrCat("format ", FormatName(matrix.spec), ": at most ", kMaxI8Cols,
                            " columns expected, ", matrix.cols, " found"));
  }
  const size_t header_bytes = RowScalesBytes(matrix.rows);
  if (matrix.bytes.size() < header_bytes) {
    return BadFormat(StrCat("scales of rows: ", header_bytes, " bytes expected, ",
                            matrix.bytes.size(), " found"));
  }
  const RowScales scales = ViewRowScales(matrix);
  if (!IsXScale(scales.x_scale)) {
    return BadFormat(StrCat("x_scale: 0, or ", kLeastXScale, " to ", kMostXScale, " expected, ",
                            scales.x_scale, " found"));
  }
  for (size_t row = 0; row < RowScaleCount(matrix.rows); ++row) {
    ESPALIER_RETURN_IF_ERROR(CheckScale(StrCat("scale[", row, "]"), scales.scale[row]));
  }
  return Ok();
}

// That offsets are those of the numbers, and that no sum of a kernel passes 32 bits, though a row
// may store an element more than once. Precondition: the body is valid.
Status CheckSums(const EncodedView& matrix) {
  constexpr int64_t kMostSize = 128 * kMaxI8Cols;
  struct Sum {
    int64_t offset = 0;
    int64_t size = 0;
  };
  std::vector<Sum> sums(static_cast<size_t>(matrix.rows));
  OpsOf(matrix.spec.id)
      .for_each_stored(BodyOf(matrix), &sums, [](void* context, int64_t row, int64_t, float q) {
        Sum& sum = (*static_cast<std::vector<Sum>*>(context))[static_cast<size_t>(row)];
        sum.offset -= 128 * static_cast<int64_t>(q);
        sum.size += static_cast<int64_t>(std::abs(q));
      });
  const RowScales scales = ViewRowScales(matrix);
  for (size_t row = 0; row < sums.size(); ++row) {
    if (sums[row].size > kMostSize) {
      return BadFormat(StrCat("row ", row, ": whole numbers whose sizes add to at most ", kMostSize,
                              " expected, to ", sums[row].size, " found"));
    }
    if (scales.offset[row] == sums[row].offset) continue;
    return BadFormat(StrCat("offset[", row, "]: ", sums[row].offset, " expected, ",
                            scales.offset[row], " found"));
  }
  return Ok();
}

void ReadScaledRow(const EncodedView& matrix, int64_t row, float* out) {
  OpsOf(matrix.spec.id).read_row(BodyOf(matrix), row, out);
  const float scale = ViewRowScales(matrix).scale[row];
  for (int64_t col = 0; col < matrix.cols; ++col) out[col] *= scale;
}

}  // namespace

std::string FormatName(const FormatSpec& spec) {
  const Entry* entry = FindEntry(spec.id);
  std::string name = entry == nullptr ? "unknown" : entry->name;
  if (spec.strip_rows != 0 || spec.bank_cols != 0) {
    name += StrCat("_", spec.strip_rows, "x", spec.bank_cols);
  }
  if (spec.depth != 1) name += StrCat("x", spec.depth);
  return spec.type == WeightType::kF32 ? name : name + "_" + WeightTypeName(spec.type);
}

std::vector<FormatSpec> AllFormats() {
  std::vector<FormatSpec> specs;
  for (const Entry& entry : kFormats) {
    for (const FormatTile& tile : entry.ops->tiles) {
      specs.push_back({entry.id, tile.strip_rows, tile.bank_cols, tile.type, tile.depth});
    }
  }
  return specs;
}

Result<FormatSpec> FindFormat(const std::string& name) {
  std::vector<std::string> names;
  for (const FormatSpec& spec : AllFormats()) {
    names.push_back(FormatName(spec));
    if (names.back() == name) return spec;
  }
  return InvalidArgument(StrCat("format: one of ", StrJoin(names, ", "), " expected, '", name,
                                "' found", DidYouMean(name, names)));
}

namespace {

template <typename EncodeBody>
Result<EncodedMatrix> EncodeBy(const FormatSpec& spec, MatrixView matrix, float x_scale,
                               const EncodeBody& encode) {
  ESPALIER_RETURN_IF_ERROR(CheckSpec(spec, matrix.rows, matrix.cols, InvalidArgument));
  if (const auto check_zeros = OpsOf(spec.id).check_zeros; check_zeros != nullptr) {
    ESPALIER_RETURN_IF_ERROR(check_zeros(spec, matrix));
  }
  ESPALIER_RETURN_IF_ERROR(CheckValues(spec, matrix));
  try {
    auto bytes = spec.type == WeightType::kI8 ? EncodeI8(spec, matrix, x_scale, encode)
                                              : encode(spec, matrix);
    if (!bytes.ok()) return bytes.status();
    return EncodedMatrix{spec, matrix.rows, matrix.cols, *std::move(bytes)};
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("format ", FormatName(spec), ": no memory for a matrix of ",
                              matrix.rows, "x", matrix.cols));
  }
}

}  // namespace

Result<EncodedMatrix> Encode(const FormatSpec& spec, MatrixView matrix, float x_scale) {
  return EncodeBy(spec, matrix, x_scale, [](const FormatSpec& body_spec, MatrixView body) {
    return OpsOf(body_spec.id).encode(body_spec, body);
  });
}

Result<EncodedMatrix> EncodeInSections(const FormatSpec& spec, MatrixView matrix,
                                       std::span<const int32_t> sections, float x_scale) {
  if (spec.id != FormatId::k_slot) return Encode(spec, matrix, x_scale);
  return EncodeBy(spec, matrix, x_scale, [sections](const FormatSpec& body_spec, MatrixView body) {
    return EncodeSlotInSections(body_spec, body, sections);
  });
}

Status Validate(const EncodedView& matrix) {
  ESPALIER_RETURN_IF_ERROR(CheckSpec(matrix.spec, matrix.rows, matrix.cols, BadFormat));
  const FormatOps& ops = OpsOf(matrix.spec.id);
  if (matrix.spec.type != WeightType::kI8) return ops.validate(matrix);
  ESPALIER_RETURN_IF_ERROR(CheckRowScales(matrix));
  ESPALIER_RETURN_IF_ERROR(ops.validate(BodyOf(matrix)));
  return CheckSums(matrix);
}

void ForEachStored(const EncodedView& matrix, void* context, VisitFn visit) {
  const FormatOps& ops = OpsOf(matrix.spec.id);
  if (matrix.spec.type != WeightType::kI8) {
    ops.for_each_stored(matrix, context, visit);
    return;
  }
  struct Scaled {
    const float* scale;
    void* context;
    VisitFn visit;
  } scaled{ViewRowScales(matrix).scale, context, visit};
  ops.for_each_stored(BodyOf(matrix), &scaled, [](void* c, int64_t row, int64_t col, float q) {
    const Scaled& to = *static_cast<const Scaled*>(c);
    to.visit(to.context, row, col, to.scale[row] * q);
  });
}

void Decode(const EncodedView& matrix, float* dense) {
  struct Target {
    float* dense;
    int64_t cols;
  } target{dense, matrix.cols};
  std::fill_n(dense, matrix.rows * matrix.cols, 0.0f);
  ForEachStored(matrix, &target, [](void* context, int64_t row, int64_t col, float value) {
    const Target& to = *static_cast<const Target*>(context);
    to.dense[row * to.cols + col] += value;
  });
}

uint64_t StoredCount(const EncodedView& matrix) { return WorkBefore(matrix, RowGroups(matrix)); }

ReadRowFn FindReadRow(const FormatSpec& spec) {
  const ReadRowFn read_row = OpsOf(spec.id).read_row;
  return read_row != nullptr && spec.type == WeightType::kI8 ? ReadScaledRow : read_row;
}

size_t RowGroups(const EncodedView& matrix) {
  return OpsOf(matrix.spec.id).row_groups(BodyOf(matrix));
}

uint64_t WorkBefore(const EncodedView& matrix, size_t group) {
  return OpsOf(matrix.spec.id).work_before(BodyOf(matrix), group);
}

size_t GroupOfRow(const EncodedView& matrix, int64_t row) {
  return OpsOf(matrix.spec.id).group_of_row(BodyOf(matrix), row);
}

Status CheckSize(const char* format, size_t found, uint64_t expected) {
  if (found == expected) return Ok();
  return BadFormat(StrCat(format, ": ", expected, " bytes expected, ", found, " found"));
}

Status CheckStarts(const char* field, std::span<const uint32_t> starts) {
  for (size_t i = 0; i < starts.size(); ++i) {
    const uint32_t low = i == 0 ? 0 : starts[i - 1];
    if (starts[i] < low || (i == 0 && starts[i] != 0)) {
      return BadFormat(StrCat(field, "[", i, "]: ", i == 0 ? "" : "at least ", low, " expected, ",
                              starts[i], " found"));
    }
  }
  return Ok();
}

}  // namespace espalier
