// Formats: how a weight matrix is stored. One encoded matrix is one contiguous run of bytes that
// can be written to a file and mapped back; each format documents its bytes in formats/<name>.h.
//
// formats.inc lists them; the ids are on disk. This room only encodes, validates, decodes and
// counts: arithmetic lives in kernels/.
#ifndef ESPALIER_FORMATS_FORMAT_H_
#define ESPALIER_FORMATS_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "formats/weight_type.h"
#include "model/tensor.h"

namespace espalier {

enum class FormatId : uint8_t {
#define ESPALIER_FORMAT(name, id) k_##name = id,
#include "formats/formats.inc"
#undef ESPALIER_FORMAT
};

// A format, its tile and the type of its weights. `slot`: strips of `strip_rows` rows by banks of
// `bank_cols` columns, `depth` weights of each row in a slot. `blocked`, `diagonal`: blocks of
// `strip_rows` rows by `bank_cols` columns. `nm`: strips of `strip_rows` rows; of every `bank_cols`
// columns a row has at most `depth` weights. Other formats: both 0. Where `depth` means nothing it
// is 1.
struct FormatSpec {
  FormatId id = FormatId::k_dense;
  int32_t strip_rows = 0;
  int32_t bank_cols = 0;
  WeightType type = WeightType::kF32;
  int32_t depth = 1;

  bool operator==(const FormatSpec&) const = default;
};

// e.g. "dense", "csr", "slot_8x16", "slot_16x64x4_i8" (no type: f32, no depth: 1); FindFormat is
// the inverse
// (kInvalidArgument, naming the nearest).
std::string FormatName(const FormatSpec& spec);
Result<FormatSpec> FindFormat(const std::string& name);
// Every format, tile and type that this build can encode: the candidates of the tuner.
std::vector<FormatSpec> AllFormats();

// One matrix [rows, cols] in a format, over bytes that somebody else owns (64-byte aligned, and
// kPaddingBytes readable after the end).
struct EncodedView {
  FormatSpec spec;
  int64_t rows = 0;
  int64_t cols = 0;
  std::span<const std::byte> bytes;
};

struct EncodedMatrix {
  FormatSpec spec;
  int64_t rows = 0;
  int64_t cols = 0;
  AlignedBuffer<std::byte> bytes;

  EncodedView view() const { return {spec, rows, cols, {bytes.data(), bytes.size()}}; }
};

// `x_scale`: of kI8, the scale by which kernels round x, or 0 to take the largest size of each x /
// 127 (formats/row_scales.h).
// Errors: kInvalidArgument if the tile does not fit the format; kUnsupported if the matrix is too
// large for the format's index type (names the limit) or has a value that the type does not hold
// (names it). So every matrix that is encoded round-trips exactly, except that -0 may come back
// as 0.
Result<EncodedMatrix> Encode(const FormatSpec& spec, MatrixView matrix, float x_scale = 0.0f);

// Checks every count, index and size in the bytes, so that kernels and Decode need not.
// Errors: kBadFormat, naming the field, the value and its bound.
Status Validate(const EncodedView& matrix);

// Calls visit(context, row, col, value) for every stored weight of the matrix, padding zeros
// included. The order is that of the bytes; an element may come twice, and its value is then the
// sum. Precondition: Validate passes.
using VisitFn = void (*)(void* context, int64_t row, int64_t col, float value);
void ForEachStored(const EncodedView& matrix, void* context, VisitFn visit);

// Writes all rows * cols elements. Precondition: Validate passes.
void Decode(const EncodedView& matrix, float* dense);

// Writes the `cols` elements of one row: how an embedding is looked up where it is stored.
using ReadRowFn = void (*)(const EncodedView& matrix, int64_t row, float* out);
// nullptr for a format whose rows cannot be read in about the time of reading `cols` floats.
ReadRowFn FindReadRow(const FormatSpec& spec);

// Number of stored weights, padding included (also that of rows past the last): what a kernel
// multiplies.
// Precondition: Validate passes.
uint64_t StoredCount(const EncodedView& matrix);

// Row groups: the rows of a matrix in the portions in which it is stored, so that kernels can take
// a part of them (kernels/kernels.h). Every row is in one group; a group's rows need not be
// neighbours. Groups are numbered in stored order. Precondition of all three: Validate passes.
size_t RowGroups(const EncodedView& matrix);
// Number of stored weights in the groups [0, group), for group <= RowGroups: how to cut a matrix in
// parts of equal work. Takes constant time.
uint64_t WorkBefore(const EncodedView& matrix, size_t group);
// The group of row `row`. Takes a search through the strips in `slot`: for tests and the generic
// kernel.
size_t GroupOfRow(const EncodedView& matrix, int64_t row);

}  // namespace espalier

#endif  // ESPALIER_FORMATS_FORMAT_H_
