#include "kernels/generic.h"

#include <algorithm>

#include "formats/row_scales.h"
#include "kernels/quantize.h"

namespace espalier {
namespace {

// y[row] of one x.
struct Sum {
  const float* x;
  const int8_t* q;  // x / scale, of kI8
  float scale;
  float* y;
};

void Start(const float* init, size_t rows, float* y) {
  if (init == nullptr) {
    std::fill_n(y, rows, 0.0f);
  } else {
    std::copy_n(init, rows, y);
  }
}

void AddProducts(const EncodedView& matrix, Sum sum) {
  ForEachStored(matrix, &sum, [](void* context, int64_t row, int64_t col, float value) {
    const Sum& to = *static_cast<const Sum*>(context);
    to.y[row] += value * to.x[col];
  });
}

void AddRoundedProducts(const EncodedView& matrix, Sum sum) {
  int8_t q[kMaxI8Cols];
  sum.q = q;
  sum.scale = QuantizeX(sum.x, static_cast<size_t>(matrix.cols), ViewRowScales(matrix).x_scale, q);
  if (std::isnan(sum.scale)) std::fill_n(sum.y, matrix.rows, sum.scale);
  ForEachStored(matrix, &sum, [](void* context, int64_t row, int64_t col, float value) {
    const Sum& to = *static_cast<const Sum*>(context);
    to.y[row] += value * (to.scale * static_cast<float>(to.q[col]));
  });
}

}  // namespace

void MatVecGeneric(const EncodedView& matrix, const MatMulArgs& args) {
  for (size_t n = 0; n < args.count; ++n) {
    const Sum sum{args.x + n * args.x_stride, nullptr, 0.0f, args.y + n * args.y_stride};
    Start(args.init, static_cast<size_t>(matrix.rows), sum.y);
    if (matrix.spec.type == WeightType::kI8) {
      AddRoundedProducts(matrix, sum);
    } else {
      AddProducts(matrix, sum);
    }
  }
}

}  // namespace espalier
