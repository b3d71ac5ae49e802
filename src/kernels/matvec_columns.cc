// matvec_columns_<type>_<R>x1: y = W x + init over format `columns`, weights in f32 or bf16, sums
// in f32, and add_columns: y += the listed columns of W times d, of which the others cost nothing.
//
// A run is one load of weights, one of y, one multiply-add and one store. Where columns have few
// runs, those of all columns to add are listed first: a loop over each would be predicted badly at
// its end, and know too late which weights come next. [768, 256] at 10 %, 40 columns: 1.0 us
// without, 0.44 to 0.8 with a list; [3072, 1024], 86 columns of 38 runs: 3.7 to 6.5 and 8 to 9.
// With their rows in the list, too, the core knows early where y is written. Without, loads of the
// same sums passed stores and had to begin anew: [768, 81], 40 columns, 1.08 ns a run (median of 70
// processes), but 2.2 to 4.2 in one process of seven; with, 1.15, and 2.7 in one of 35.
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
    if (w.rows < R || w.col_start[w.cols] > kAtOnce * w.cols) {
      for (size_t i = 0; i < args.count; ++i) {
        const auto col = static_cast<size_t>(args.cols[i]);
        Add(w, col, args.d[i], args.y);
        runs += w.col_start[col + 1] - w.col_start[col];
      }
      return runs * R;
    }
    RunList list;
    for (size_t i = 0; i < args.count; ++i) {
      const auto col = static_cast<size_t>(args.cols[i]);
      const uint32_t end = w.col_start[col + 1];
      runs += end - w.col_start[col];
      for (uint32_t run = w.col_start[col]; run < end; run += kAtOnce) {
        if (HWY_UNLIKELY(list.count + kAtOnce > kListed)) {
          AddRuns(w, list, args.y);
          list.count = 0;
        }
        list.Append(w, run, std::min<uint32_t>(kAtOnce, end - run), args.d[i]);
      }
    }
    AddRuns(w, list, args.y);
    return runs * R;
  }

 private:
  static constexpr size_t kListed = 512;
  static constexpr uint32_t kAtOnce = 16;

  // Runs, where they begin in y, and what each is multiplied by.
  struct RunList {
    size_t count = 0;
    HWY_ALIGN uint32_t run[kListed];
    HWY_ALIGN uint32_t row[kListed];
    HWY_ALIGN float factor[kListed];

    // `more` <= kAtOnce that follow each other; there is room for kAtOnce.
    HWY_INLINE void Append(const ColumnsView& w, uint32_t first, uint32_t more, float by) {
      const hn::CappedTag<float, kAtOnce> d;
      const hn::RebindToUnsigned<decltype(d)> du;
      const hn::Rebind<uint16_t, decltype(d)> d16;
      for (uint32_t i = 0; i < kAtOnce; i += static_cast<uint32_t>(hn::MaxLanes(d))) {
        // Not Iota(du, first + i), which 1.0.3 makes lane by lane in memory.
        hn::StoreU(hn::Add(hn::Set(du, first + i), hn::Iota(du, 0)), du, run + count + i);
        hn::StoreU(hn::PromoteTo(du, hn::LoadU(d16, w.row + first + i)), du, row + count + i);
        hn::StoreU(hn::Set(d, by), d, factor + count + i);
      }
      count += more;
    }
  };

  // y += the runs, each times its factor. Precondition: w.rows >= R.
  static HWY_INLINE void AddRuns(const ColumnsView& w, const RunList& list, float* y) {
    const D d;
    const W* values = reinterpret_cast<const W*>(w.values);
    for (size_t i = 0; i < list.count; ++i) {
      const size_t run = list.run[i];
      const auto factor = hn::Set(d, list.factor[i]);
      float* to = y + list.row[i];
      for (size_t v = 0; v < kVectors; ++v) {
        const auto weights = LoadWeights(d, values + run * R + v * kLanes);
        hn::StoreU(hn::MulAdd(factor, weights, hn::LoadU(d, to + v * kLanes)), d, to + v * kLanes);
      }
    }
  }

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
