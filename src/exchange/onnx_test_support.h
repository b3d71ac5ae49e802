// Helpers of the importer's tests: ONNX models as other exporters write them.
#ifndef ESPALIER_EXCHANGE_ONNX_TEST_SUPPORT_H_
#define ESPALIER_EXCHANGE_ONNX_TEST_SUPPORT_H_

#include <onnx/onnx_pb.h>

#include <span>
#include <string>
#include <vector>

#include "exchange/onnx.h"
#include "model/tensor.h"

namespace espalier::testing {

inline Result<Graph> ImportText(const std::string& bytes) {
  return ImportOnnx(std::as_bytes(std::span(bytes)));
}
inline Result<Graph> ImportModel(const onnx::ModelProto& model) {
  return ImportText(model.SerializeAsString());
}

// Builds models as other exporters write them.
class ForeignModel {
 public:
  explicit ForeignModel(int64_t opset = 17) {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(opset);
    model_.mutable_graph()->set_name("foreign");
  }
  void Input(const std::string& name, onnx::TensorProto::DataType element,
             const std::vector<int64_t>& dims) {
    onnx::ValueInfoProto* info = model_.mutable_graph()->add_input();
    info->set_name(name);
    info->mutable_type()->mutable_tensor_type()->set_elem_type(element);
    for (const int64_t dim : dims) {
      auto* proto = info->mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim();
      if (dim > 0) proto->set_dim_value(dim);
    }
  }
  void Output(const std::string& name) { model_.mutable_graph()->add_output()->set_name(name); }
  onnx::NodeProto* Op(const std::string& op, const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs) {
    onnx::NodeProto* node = model_.mutable_graph()->add_node();
    node->set_op_type(op);
    for (const std::string& input : inputs) node->add_input(input);
    for (const std::string& output : outputs) node->add_output(output);
    return node;
  }
  static onnx::AttributeProto* Attribute(const std::string& name, onnx::NodeProto* node) {
    onnx::AttributeProto* attribute = node->add_attribute();
    attribute->set_name(name);
    return attribute;
  }
  static void Int(const std::string& name, int64_t value, onnx::NodeProto* node) {
    onnx::AttributeProto* attribute = Attribute(name, node);
    attribute->set_type(onnx::AttributeProto::INT);
    attribute->set_i(value);
  }
  static void List(const std::string& name, const std::vector<int64_t>& values,
                   onnx::NodeProto* node) {
    onnx::AttributeProto* attribute = Attribute(name, node);
    attribute->set_type(onnx::AttributeProto::INTS);
    for (const int64_t value : values) attribute->add_ints(value);
  }
  static void Text(const std::string& name, const std::string& value, onnx::NodeProto* node) {
    onnx::AttributeProto* attribute = Attribute(name, node);
    attribute->set_type(onnx::AttributeProto::STRING);
    attribute->set_s(value);
  }
  // Values count up from `first` in steps of 1/16; typed data, not raw.
  void Floats(const std::string& name, const std::vector<int64_t>& dims, float first) {
    onnx::TensorProto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t dim : dims) tensor->add_dims(dim);
    for (int64_t i = 0; i < ElementCount(dims); ++i) {
      tensor->add_float_data(first + static_cast<float>(i) / 16);
    }
  }
  void Ints(const std::string& name, const std::vector<int64_t>& dims,
            const std::vector<int64_t>& values) {
    onnx::TensorProto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::INT64);
    for (const int64_t dim : dims) tensor->add_dims(dim);
    for (const int64_t value : values) tensor->add_int64_data(value);
  }
  const onnx::ModelProto& model() const { return model_; }

 private:
  onnx::ModelProto model_;
};

inline Status ImportStatus(const ForeignModel& foreign) {
  return ImportModel(foreign.model()).status();
}

}  // namespace espalier::testing

#endif  // ESPALIER_EXCHANGE_ONNX_TEST_SUPPORT_H_
