// Tensor, Mask and the views over them. Everything is f32, row-major; matrices are [rows, cols].
#ifndef ESPALIER_MODEL_TENSOR_H_
#define ESPALIER_MODEL_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace espalier {

// Number of elements of `shape`; 1 for a scalar.
inline int64_t ElementCount(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

// A weight. Promise: values.size() == ElementCount(shape), checked by ValidateGraph.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;

  Tensor() = default;
  explicit Tensor(std::vector<int64_t> dims)
      : shape(std::move(dims)), values(static_cast<size_t>(ElementCount(shape)), 0.0f) {}
  Tensor(std::vector<int64_t> dims, std::vector<float> data)
      : shape(std::move(dims)), values(std::move(data)) {}

  int64_t dim(size_t axis) const { return shape[axis]; }
  size_t size() const { return values.size(); }
  bool operator==(const Tensor&) const = default;
};

// Weights by name; ordered, so that every walk over them is the same on every machine.
using TensorStore = std::map<std::string, Tensor>;

// Which elements of a weight stay: 1 = keep, 0 = gone. Promise: keep.size() == ElementCount(shape).
struct Mask {
  std::vector<int64_t> shape;
  std::vector<uint8_t> keep;

  Mask() = default;
  explicit Mask(std::vector<int64_t> dims, uint8_t value = 1)
      : shape(std::move(dims)), keep(static_cast<size_t>(ElementCount(shape)), value) {}

  size_t KeptCount() const;
  // Zeros / size, in [0, 1]; 0 for an empty mask.
  double Sparsity() const;
  bool operator==(const Mask&) const = default;
};

using MaskSet = std::map<std::string, Mask>;

// A row-major matrix that somebody else owns.
struct MatrixView {
  const float* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  float at(int64_t row, int64_t col) const { return data[row * cols + col]; }
  size_t size() const { return static_cast<size_t>(rows * cols); }
};

// Precondition: tensor.shape has two dimensions.
inline MatrixView ViewOf(const Tensor& tensor) {
  return {tensor.values.data(), tensor.shape[0], tensor.shape[1]};
}

size_t CountNonzeros(std::span<const float> values);
// Zeros / size, in [0, 1]; 0 for an empty span.
double SparsityOf(std::span<const float> values);

// Sets weights to 0 where the mask says so. Errors: kInvalidArgument if a mask names no weight or
// has another shape.
Status ApplyMasks(const MaskSet& masks, TensorStore* weights);
// 1 where the weight is not 0.
Mask MaskOfNonzeros(const Tensor& tensor);

}  // namespace espalier

#endif  // ESPALIER_MODEL_TENSOR_H_
