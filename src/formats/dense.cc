#include "formats/dense.h"

#include "formats/format_ops.h"

namespace espalier {
namespace {

constexpr FormatTile kTiles[] = {{0, 0}, {0, 0, WeightType::kBf16}, {0, 0, WeightType::kI8}};

size_t RowGroupsDense(const EncodedView& matrix) {
  return static_cast<size_t>(DivideUp(matrix.rows, kDenseStripRows));
}

uint64_t WorkBeforeDense(const EncodedView& matrix, size_t group) {
  const uint64_t cols = RoundUp(static_cast<uint64_t>(matrix.cols), DenseDepth(matrix.spec.type));
  return uint64_t{group} * cols * kDenseStripRows;
}

size_t GroupOfRowDense(const EncodedView& /*matrix*/, int64_t row) {
  return static_cast<size_t>(row) / kDenseStripRows;
}

size_t OffsetOf(const DenseView& view, size_t row, size_t col) {
  const size_t strip = row / kDenseStripRows;
  const size_t quad = (strip * view.stored_cols() + col / view.depth * view.depth);
  return quad * kDenseStripRows + row % kDenseStripRows * view.depth + col % view.depth;
}

Result<AlignedBuffer<std::byte>> EncodeDense(const FormatSpec& spec, MatrixView matrix) {
  const EncodedView shape{spec, matrix.rows, matrix.cols, {}};
  const uint64_t count = WorkBeforeDense(shape, RowGroupsDense(shape));
  AlignedBuffer<std::byte> bytes(count * SizeOf(spec.type));
  const DenseView view = ViewDense({spec, matrix.rows, matrix.cols, {bytes.data(), bytes.size()}});
  for (size_t row = 0; row < view.rows; ++row) {
    for (size_t col = 0; col < view.cols; ++col) {
      StoreWeight(matrix.data[row * view.cols + col], bytes.data(), spec.type,
                  OffsetOf(view, row, col));
    }
  }
  return bytes;
}

Status ValidateDense(const EncodedView& matrix) {
  return CheckSize("dense", matrix.bytes.size(),
                   WorkBeforeDense(matrix, RowGroupsDense(matrix)) * SizeOf(matrix.spec.type));
}

void ForEachStoredDense(const EncodedView& matrix, void* context, VisitFn visit) {
  const DenseView view = ViewDense(matrix);
  for (size_t strip = 0; strip < view.strips; ++strip) {
    const size_t first = strip * kDenseStripRows;
    const size_t end = std::min(view.rows, first + kDenseStripRows);
    for (size_t col = 0; col < view.cols; ++col) {
      for (size_t row = first; row < end; ++row) {
        visit(context, static_cast<int64_t>(row), static_cast<int64_t>(col),
              LoadWeight(view.values, matrix.spec.type, OffsetOf(view, row, col)));
      }
    }
  }
}

// A stride of one cache line a column: for 128 of them that is still far from a product's time.
void ReadRowDense(const EncodedView& matrix, int64_t row, float* out) {
  const DenseView view = ViewDense(matrix);
  for (size_t col = 0; col < view.cols; ++col) {
    const size_t offset = OffsetOf(view, static_cast<size_t>(row), col);
    out[col] = LoadWeight(view.values, matrix.spec.type, offset);
  }
}

}  // namespace

const FormatOps dense_format = {
    kTiles,         EncodeDense,     ValidateDense,   ForEachStoredDense,
    RowGroupsDense, WorkBeforeDense, GroupOfRowDense, ReadRowDense};

}  // namespace espalier
