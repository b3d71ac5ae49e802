#include "kernels/generic.h"

#include <bit>

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

  bool Takes(int64_t row) const {
    if (args.first_group == 0 && args.end_group == SIZE_MAX) return true;
    const size_t group = GroupOfRow(matrix, row);
    return group >= args.first_group && group < args.end_group;
  }
  float init(int64_t row) const { return args.init == nullptr ? 0.0f : args.init[row]; }
};

void Add(const Product& product) {
  for (int64_t row = 0; row < product.matrix.rows; ++row) {
    if (product.Takes(row)) product.y[row] = product.init(row);
  }
  Product to = product;
  ForEachStored(product.matrix, &to, [](void* context, int64_t row, int64_t col, float value) {
    const Product& p = *static_cast<const Product*>(context);
    if (p.Takes(row)) p.y[row] += value * p.x[col];
  });
}

// Of type i8: sums of whole numbers. Until they are scaled their bits are in y.
struct RoundedProduct {
  Product of;
  const float* scale;  // of rows
  const int8_t* q;     // x is about q times its scale

  int32_t Sum(int64_t row) const { return std::bit_cast<int32_t>(of.y[row]); }
  void SetSum(int64_t row, int32_t sum) const { of.y[row] = std::bit_cast<float>(sum); }
};

void AddRounded(const Product& product) {
  int8_t q[kMaxI8Cols];
  const RowScales scales = ViewRowScales(product.matrix);
  const float x_scale =
      QuantizeX(product.x, static_cast<size_t>(product.matrix.cols), scales.x_scale, q);
  RoundedProduct to{product, scales.scale, q};
  for (int64_t row = 0; row < product.matrix.rows; ++row) {
    if (product.Takes(row)) to.SetSum(row, 0);
  }
  ForEachStored(product.matrix, &to, [](void* context, int64_t row, int64_t col, float value) {
    const auto& p = *static_cast<const RoundedProduct*>(context);
    if (value == 0.0f || !p.of.Takes(row)) return;
    const auto number = static_cast<int32_t>(value / p.scale[row]);  // exact
    p.SetSum(row, p.Sum(row) + number * p.q[col]);
  });
  for (int64_t row = 0; row < product.matrix.rows; ++row) {
    if (!product.Takes(row)) continue;
    const auto sum = static_cast<float>(to.Sum(row));
    product.y[row] = product.init(row) + ScaledSum(sum, scales.scale[row], x_scale);
  }
}

}  // namespace

void MatVecGeneric(const EncodedView& matrix, const MatMulArgs& args) {
  for (size_t n = 0; n < args.count; ++n) {
    const Product product{matrix, args, args.x + n * args.x_stride, args.y + n * args.y_stride};
    if (matrix.spec.type == WeightType::kI8) {
      AddRounded(product);
    } else {
      Add(product);
    }
  }
}

}  // namespace espalier
