// Attributes of nodes, as they are written.
#ifndef ESPALIER_EXCHANGE_ONNX_ATTRIBUTES_H_
#define ESPALIER_EXCHANGE_ONNX_ATTRIBUTES_H_

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace espalier {

inline onnx::AttributeProto* AddAttribute(const std::string& name,
                                          onnx::AttributeProto::AttributeType type,
                                          onnx::NodeProto* node) {
  onnx::AttributeProto* attribute = node->add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return attribute;
}

inline void SetInt(const std::string& name, int64_t value, onnx::NodeProto* node) {
  AddAttribute(name, onnx::AttributeProto::INT, node)->set_i(value);
}

inline void SetInts(const std::string& name, const std::vector<int64_t>& values,
                    onnx::NodeProto* node) {
  onnx::AttributeProto* attribute = AddAttribute(name, onnx::AttributeProto::INTS, node);
  for (const int64_t value : values) attribute->add_ints(value);
}

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_ATTRIBUTES_H_
