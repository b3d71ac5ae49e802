#include "exchange/onnx_fold.h"

#include <algorithm>
#include <string>

namespace espalier {
namespace {

constexpr int64_t kMostElements = 64;

using Inputs = std::vector<const OnnxConstant*>;
using Ints = std::vector<int64_t>;

std::optional<OnnxConstant> Make(Ints shape, Ints ints) {
  OnnxConstant constant;
  constant.shape = std::move(shape);
  constant.ints = std::move(ints);
  return constant;
}

// Integer zeros; without the attribute they would be floats.
std::optional<OnnxConstant> FoldConstantOfShape(const OnnxNode& node, const Inputs& inputs) {
  const onnx::AttributeProto* value = node.Attribute("value");
  const Ints& shape = inputs[0]->ints;
  if (value == nullptr || value->t().data_type() != onnx::TensorProto::INT64) return std::nullopt;
  if (shape.size() != 1 || shape[0] < 0 || shape[0] > kMostElements) return std::nullopt;
  const auto zero = ReadConstant(value->t(), node.Label());
  if (!zero.ok() || !zero->IsZero()) return std::nullopt;
  return Make(shape, Ints(static_cast<size_t>(shape[0]), 0));
}

std::optional<OnnxConstant> FoldConcat(const OnnxNode& node, const Inputs& inputs) {
  if (node.Int("axis", -1) != 0) return std::nullopt;
  Ints all;
  for (const OnnxConstant* input : inputs) {
    if (input->shape.size() != 1) return std::nullopt;
    all.insert(all.end(), input->ints.begin(), input->ints.end());
  }
  const auto size = static_cast<int64_t>(all.size());
  return Make({size}, std::move(all));
}

std::optional<OnnxConstant> FoldReshape(const Inputs& inputs) {
  const auto size = static_cast<int64_t>(inputs[0]->ints.size());
  if (inputs.size() != 2) return std::nullopt;
  if (inputs[1]->ints == Ints{-1}) return Make({size}, inputs[0]->ints);
  if (inputs[1]->ints == Ints{-1, 2} && size % 2 == 0) return Make({size / 2, 2}, inputs[0]->ints);
  return std::nullopt;
}

// Rows in the reverse order. Inputs: data starts ends axes steps.
std::optional<OnnxConstant> FoldSlice(const Inputs& inputs) {
  if (inputs.size() != 5 || inputs[0]->shape.size() != 2) return std::nullopt;
  const int64_t rows = inputs[0]->shape[0];
  const int64_t cols = inputs[0]->shape[1];
  const bool is_reversal = inputs[1]->ints == Ints{-1} && inputs[2]->ints.size() == 1 &&
                           inputs[2]->ints[0] < -rows && inputs[3]->ints == Ints{0} &&
                           inputs[4]->ints == Ints{-1};
  if (!is_reversal) return std::nullopt;
  Ints reversed;
  for (int64_t row = rows - 1; row >= 0; --row) {
    const auto begin = inputs[0]->ints.begin() + row * cols;
    reversed.insert(reversed.end(), begin, begin + cols);
  }
  return Make(inputs[0]->shape, std::move(reversed));
}

std::optional<OnnxConstant> FoldTranspose(const OnnxNode& node, const Inputs& inputs) {
  if (inputs[0]->shape.size() != 2 || node.Ints("perm") != Ints{1, 0}) return std::nullopt;
  const int64_t rows = inputs[0]->shape[0];
  const int64_t cols = inputs[0]->shape[1];
  Ints transposed;
  for (int64_t col = 0; col < cols; ++col) {
    for (int64_t row = 0; row < rows; ++row) {
      transposed.push_back(inputs[0]->ints[static_cast<size_t>(row * cols + col)]);
    }
  }
  return Make({cols, rows}, std::move(transposed));
}

}  // namespace

std::optional<OnnxConstant> FoldIntegers(const OnnxNode& node, const Inputs& inputs) {
  for (const OnnxConstant* input : inputs) {
    if (input->is_float || input->ints.size() > kMostElements) return std::nullopt;
  }
  const std::string& op = node.proto().op_type();
  if (inputs.empty()) return std::nullopt;
  if (op == "ConstantOfShape") return FoldConstantOfShape(node, inputs);
  if (op == "Concat") return FoldConcat(node, inputs);
  if (op == "Reshape") return FoldReshape(inputs);
  if (op == "Slice") return FoldSlice(inputs);
  if (op == "Transpose") return FoldTranspose(node, inputs);
  return std::nullopt;
}

}  // namespace espalier
