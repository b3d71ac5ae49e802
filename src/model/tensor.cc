#include "model/tensor.h"

#include <algorithm>

#include "base/strings.h"

namespace espalier {

size_t Mask::KeptCount() const {
  return static_cast<size_t>(
      std::count_if(keep.begin(), keep.end(), [](uint8_t k) { return k != 0; }));
}

double Mask::Sparsity() const {
  if (keep.empty()) return 0.0;
  return 1.0 - static_cast<double>(KeptCount()) / static_cast<double>(keep.size());
}

size_t CountNonzeros(std::span<const float> values) {
  return static_cast<size_t>(
      std::count_if(values.begin(), values.end(), [](float value) { return value != 0.0f; }));
}

double SparsityOf(std::span<const float> values) {
  if (values.empty()) return 0.0;
  return 1.0 - static_cast<double>(CountNonzeros(values)) / static_cast<double>(values.size());
}

Status ApplyMasks(const MaskSet& masks, TensorStore* weights) {
  for (const auto& [name, mask] : masks) {
    const auto it = weights->find(name);
    if (it == weights->end()) return InvalidArgument("mask '" + name + "': no such weight");
    if (it->second.shape != mask.shape) {
      return InvalidArgument(StrCat("mask '", name, "': ", ShapeString(it->second.shape),
                                    " expected, ", ShapeString(mask.shape), " found"));
    }
    for (size_t i = 0; i < mask.keep.size(); ++i) {
      if (mask.keep[i] == 0) it->second.values[i] = 0.0f;
    }
  }
  return Ok();
}

Mask MaskOfNonzeros(const Tensor& tensor) {
  Mask mask(tensor.shape);
  for (size_t i = 0; i < tensor.values.size(); ++i) mask.keep[i] = tensor.values[i] != 0.0f;
  return mask;
}

}  // namespace espalier
