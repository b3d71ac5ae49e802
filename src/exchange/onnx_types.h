// The types of values as an ONNX file declares them, and numbers as its metadata hold them.
#ifndef ESPALIER_EXCHANGE_ONNX_TYPES_H_
#define ESPALIER_EXCHANGE_ONNX_TYPES_H_

#include <onnx/onnx_pb.h>

#include <charconv>
#include <iterator>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// A dimension: a number, or the name of a free one.
struct Dim {
  int64_t value = 0;
  std::string name;
};
inline const Dim kTime = {0, "T"};
inline const Dim kBatch = {0, "B"};

inline void SetType(onnx::TensorProto::DataType element, const std::vector<Dim>& dims,
                    onnx::ValueInfoProto* info) {
  onnx::TypeProto::Tensor* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(element);
  onnx::TensorShapeProto* shape = type->mutable_shape();  // also if there are no dimensions
  for (const Dim& dim : dims) {
    if (dim.name.empty()) {
      shape->add_dim()->set_dim_value(dim.value);
    } else {
      shape->add_dim()->set_dim_param(dim.name);
    }
  }
}

inline void SetType(const ValueType& type, onnx::ValueInfoProto* info) {
  std::vector<Dim> dims =
      type.layout == Layout::kSequence ? std::vector<Dim>{kTime, kBatch} : std::vector<Dim>{kBatch};
  if (type.element == Element::kF32) dims.push_back({type.features, ""});
  SetType(type.element == Element::kF32 ? onnx::TensorProto::FLOAT : onnx::TensorProto::INT32, dims,
          info);
}

// The shortest text that reads back as the same double.
inline std::string ExactText(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), value);
  ESPALIER_ASSERT(error == std::errc());
  return std::string(text, end);
}

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_TYPES_H_
