#include "formats/format.h"

#include <algorithm>
#include <new>

#include "base/strings.h"
#include "formats/format_ops.h"

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
           tile.type == spec.type;
  });
}

std::string TileList(const Entry& entry) {
  std::vector<std::string> names;
  for (const FormatTile& tile : entry.ops->tiles) {
    names.push_back(FormatName({entry.id, tile.strip_rows, tile.bank_cols, tile.type}));
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
    return bad(StrCat("format ", entry->name, ": one of ", TileList(*entry), " expected, tile ",
                      spec.strip_rows, "x", spec.bank_cols,
                      spec.type == WeightType::kF32 ? "" : " of another type than f32", " found"));
  }
  if (rows < 1 || cols < 1 || rows > kMaxDim || cols > kMaxDim) {
    return bad(StrCat("format ", entry->name, ": 1 to ", kMaxDim, " rows and columns expected, ",
                      rows, "x", cols, " found"));
  }
  return Ok();
}

Status CheckValues(const FormatSpec& spec, const MatrixView& matrix) {
  if (spec.type == WeightType::kF32) return Ok();
  for (int64_t i = 0; i < matrix.rows * matrix.cols; ++i) {
    if (Holds(spec.type, matrix.data[i])) continue;
    return Unsupported(StrCat("format ", FormatName(spec), ": a ", WeightTypeName(spec.type),
                              " number expected in row ", i / matrix.cols, ", column ",
                              i % matrix.cols, ", ", matrix.data[i], " found"));
  }
  return Ok();
}

}  // namespace

std::string FormatName(const FormatSpec& spec) {
  const Entry* entry = FindEntry(spec.id);
  std::string name = entry == nullptr ? "unknown" : entry->name;
  if (spec.strip_rows != 0 || spec.bank_cols != 0) {
    name += StrCat("_", spec.strip_rows, "x", spec.bank_cols);
  }
  return spec.type == WeightType::kF32 ? name : name + "_" + WeightTypeName(spec.type);
}

std::vector<FormatSpec> AllFormats() {
  std::vector<FormatSpec> specs;
  for (const Entry& entry : kFormats) {
    for (const FormatTile& tile : entry.ops->tiles) {
      specs.push_back({entry.id, tile.strip_rows, tile.bank_cols, tile.type});
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

Result<EncodedMatrix> Encode(const FormatSpec& spec, MatrixView matrix) {
  ESPALIER_RETURN_IF_ERROR(CheckSpec(spec, matrix.rows, matrix.cols, InvalidArgument));
  ESPALIER_RETURN_IF_ERROR(CheckValues(spec, matrix));
  try {
    ESPALIER_ASSIGN_OR_RETURN(AlignedBuffer<std::byte> bytes, OpsOf(spec.id).encode(spec, matrix));
    return EncodedMatrix{spec, matrix.rows, matrix.cols, std::move(bytes)};
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("format ", FormatName(spec), ": no memory for a matrix of ",
                              matrix.rows, "x", matrix.cols));
  }
}

Status Validate(const EncodedView& matrix) {
  ESPALIER_RETURN_IF_ERROR(CheckSpec(matrix.spec, matrix.rows, matrix.cols, BadFormat));
  return OpsOf(matrix.spec.id).validate(matrix);
}

void ForEachStored(const EncodedView& matrix, void* context, VisitFn visit) {
  OpsOf(matrix.spec.id).for_each_stored(matrix, context, visit);
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

uint64_t StoredCount(const EncodedView& matrix) {
  return OpsOf(matrix.spec.id).stored_count(matrix);
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
