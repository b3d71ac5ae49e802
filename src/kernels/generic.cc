#include "kernels/generic.h"

#include <algorithm>

#include "formats/row_scales.h"
#include "kernels/quantize.h"

namespace espalier {
namespace {

// The product with one x.
struct Product {
  const EncodedView& matrix;
  const MatMulArgs& args;
  const float* x;
  float* y;
  const int8_t* q = nullptr;  // of kI8: x is about q * scale
  float scale = 0.0f;

  bool Takes(int64_t row) const {
    if (args.first_group == 0 && args.end_group == SIZE_MAX) return true;
    const size_t group = GroupOfRow(matrix, row);
    return group >= args.first_group && group < args.end_group;
  }
};

void Start(const Product& product) {
  const float* init = product.args.init;
  for (int64_t row = 0; row < product.matrix.rows; ++row) {
    if (!product.Takes(row)) continue;
    product.y[row] = std::isnan(product.scale) ? product.scale : init == nullptr ? 0.0f : init[row];
  }
}

void Add(Product* product) {
  Start(*product);
  ForEachStored(product->matrix, product, [](void* context, int64_t row, int64_t col, float value) {
    const Product& to = *static_cast<const Product*>(context);
    if (!to.Takes(row)) return;
    const float x = to.q == nullptr ? to.x[col] : to.scale * to.q[col];
    to.y[row] += value * x;
  });
}

void AddRounded(Product* product) {
  int8_t q[kMaxI8Cols];
  product->q = q;
  product->scale = QuantizeX(product->x, static_cast<size_t>(product->matrix.cols),
                             ViewRowScales(product->matrix).x_scale, q);
  Add(product);
}

}  // namespace

void MatVecGeneric(const EncodedView& matrix, const MatMulArgs& args) {
  for (size_t n = 0; n < args.count; ++n) {
    Product product{matrix, args, args.x + n * args.x_stride, args.y + n * args.y_stride};
    if (matrix.spec.type == WeightType::kI8) {
      AddRounded(&product);
    } else {
      Add(&product);
    }
  }
}

}  // namespace espalier
