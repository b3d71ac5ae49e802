#include "kernels/generic.h"

#include <algorithm>

namespace espalier {

void MatVecGeneric(const EncodedView& matrix, const MatMulArgs& args) {
  const auto rows = static_cast<size_t>(matrix.rows);
  for (size_t n = 0; n < args.count; ++n) {
    float* y = args.y + n * args.y_stride;
    if (args.init == nullptr) {
      std::fill_n(y, rows, 0.0f);
    } else {
      std::copy_n(args.init, rows, y);
    }
  }
  MatMulArgs context = args;
  ForEachStored(matrix, &context, [](void* c, int64_t row, int64_t col, float value) {
    const MatMulArgs& a = *static_cast<const MatMulArgs*>(c);
    for (size_t n = 0; n < a.count; ++n) {
      a.y[n * a.y_stride + static_cast<size_t>(row)] +=
          value * a.x[n * a.x_stride + static_cast<size_t>(col)];
    }
  });
}

}  // namespace espalier
