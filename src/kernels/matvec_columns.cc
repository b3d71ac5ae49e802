// matvec_columns_<type>_<R>x1: y = W x + init over format `columns`, weights in f32 or bf16, sums
// in f32, and add_columns: y += the listed columns of W times d, of which the others cost nothing.
//
// A run is one load of weights, one of y, one multiply-add and one store.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matvec_columns.cc"
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
// clang-format on

#include <algorithm>
#include <span>

#include "formats/columns.h"
#include "kernels/hwy_compat-inl.h"
#include "kernels/matmul_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace espalier {
namespace HWY_NAMESPACE {
namespace {

template <typename W, size_t R>
class ColumnsKernel {
 public:
  using D = hn::CappedTag<float, R>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kVectors = R / kLanes;

  // y += d times the runs of a column.
  static HWY_INLINE void Add(const ColumnsView& w, size_t col, float factor, float* y) {
    const D dd;
    const auto d = hn::Set(dd, factor);
    const W* values = reinterpret_cast<const W*>(w.values);
    const size_t end = w.col_start[col + 1];
    if (HWY_UNLIKELY(w.rows < R)) {
      for (size_t run = w.col_start[col]; run < end; ++run) {
        for (size_t v = 0; v < kVectors; ++v) {
          const auto sum = hn::MulAdd(d, LoadWeights(dd, values + run * R + v * kLanes),
                                      LoadRows(dd, y, v * kLanes, w.rows));
          StoreRows(sum, dd, y, v * kLanes, w.rows);
        }
      }
      return;
    }
    for (size_t run = w.col_start[col]; run < end; ++run) {
      float* to = y + w.row[run];
      for (size_t v = 0; v < kVectors; ++v) {
        const auto weights = LoadWeights(dd, values + run * R + v * kLanes);
        hn::StoreU(hn::MulAdd(d, weights, hn::LoadU(dd, to + v * kLanes)), dd, to + v * kLanes);
      }
    }
  }

  static void MatMul(const EncodedView& matrix, const MatMulArgs& args) {
    if (args.first_group > 0 || args.end_group == 0) return;
    const ColumnsView w = View(matrix);
    for (size_t n = 0; n < args.count; ++n) {
      const float* x = args.x + n * args.x_stride;
      float* y = args.y + n * args.y_stride;
      if (args.init == nullptr) {
        std::fill_n(y, w.rows, 0.0f);
      } else {
        std::copy_n(args.init, w.rows, y);
      }
      for (size_t col = 0; col < w.cols; ++col) Add(w, col, x[col], y);
    }
  }

  static size_t AddColumns(const EncodedView& matrix, const AddColumnsArgs& args) {
    const ColumnsView w = View(matrix);
    size_t runs = 0;
    for (size_t i = 0; i < args.count; ++i) {
      const auto col = static_cast<size_t>(args.cols[i]);
      Add(w, col, args.d[i], args.y);
      runs += w.col_start[col + 1] - w.col_start[col];
    }
    return runs * R;
  }

 private:
  static ColumnsView View(const EncodedView& matrix) {
    EncodedView tile = matrix;
    tile.spec = {FormatId::k_columns, static_cast<int32_t>(R), 1, kTypeOf<W>};  // constants
    return ViewColumns(tile);
  }
};

constexpr WeightType kBf16 = WeightType::kBf16;
constexpr MatMulKernel kKernels[] = {
    {{FormatId::k_columns, 8, 1}, "matvec_columns_f32_8x1", ColumnsKernel<float, 8>::MatMul},
    {{FormatId::k_columns, 16, 1}, "matvec_columns_f32_16x1", ColumnsKernel<float, 16>::MatMul},
    {{FormatId::k_columns, 8, 1, kBf16},
     "matvec_columns_bf16_8x1",
     ColumnsKernel<uint16_t, 8>::MatMul},
    {{FormatId::k_columns, 16, 1, kBf16},
     "matvec_columns_bf16_16x1",
     ColumnsKernel<uint16_t, 16>::MatMul},
};

}  // namespace

std::span<const MatMulKernel> matvec_columns() { return kKernels; }

AddColumnsFn find_add_columns(const FormatSpec& spec) {
  if (spec.id != FormatId::k_columns) return nullptr;
  if (spec.type == WeightType::kF32) {
    return spec.strip_rows == 8 ? ColumnsKernel<float, 8>::AddColumns
                                : ColumnsKernel<float, 16>::AddColumns;
  }
  return spec.strip_rows == 8 ? ColumnsKernel<uint16_t, 8>::AddColumns
                              : ColumnsKernel<uint16_t, 16>::AddColumns;
}

}  // namespace HWY_NAMESPACE
}  // namespace espalier
HWY_AFTER_NAMESPACE();
