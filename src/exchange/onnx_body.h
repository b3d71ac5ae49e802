// Builds the nodes of a function's body, or of a graph inside it.
#ifndef ESPALIER_EXCHANGE_ONNX_BODY_H_
#define ESPALIER_EXCHANGE_ONNX_BODY_H_

#include <onnx/onnx_pb.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "exchange/onnx_attributes.h"
#include "exchange/onnx_functions.h"

namespace espalier {

class OnnxBody {
 public:
  // A new function of the model, over operators of ONNX.
  OnnxBody(std::string_view name, const std::vector<std::string>& inputs,
           const std::vector<std::string>& outputs, onnx::ModelProto* model) {
    onnx::FunctionProto* function = model->add_functions();
    nodes_ = function->mutable_node();
    function->set_name(std::string(name));
    function->set_domain(kFunctionDomain);
    onnx::OperatorSetIdProto* opset = function->add_opset_import();
    opset->set_domain("");
    opset->set_version(kOnnxOpset);
    for (const std::string& input : inputs) function->add_input(input);
    for (const std::string& output : outputs) function->add_output(output);
  }

  // A graph that a node has as an attribute.
  explicit OnnxBody(onnx::GraphProto* graph) : nodes_(graph->mutable_node()) {}

  onnx::NodeProto* Op(const std::string& op, const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs) {
    onnx::NodeProto* node = nodes_->Add();
    node->set_op_type(op);
    for (const std::string& input : inputs) node->add_input(input);
    for (const std::string& output : outputs) node->add_output(output);
    return node;
  }
  onnx::NodeProto* Op(const std::string& op, const std::vector<std::string>& inputs,
                      const std::string& output) {
    return Op(op, inputs, std::vector<std::string>{output});
  }

  void Int(const std::string& attribute, int64_t value, onnx::NodeProto* node) {
    SetInt(attribute, value, node);
  }

  void Transpose(const std::string& input, std::initializer_list<int64_t> perm,
                 const std::string& output) {
    SetInts("perm", perm, Op("Transpose", {input}, output));
  }

  void Cast(const std::string& input, onnx::TensorProto::DataType type, const std::string& output) {
    Int("to", type, Op("Cast", {input}, output));
  }

  // An int64 tensor: a scalar if `dims` is 0, else a vector.
  void Ints(const std::string& output, std::initializer_list<int64_t> values, int dims) {
    onnx::TensorProto* tensor = Constant(output);
    tensor->set_data_type(onnx::TensorProto::INT64);
    if (dims == 1) tensor->add_dims(static_cast<int64_t>(values.size()));
    for (const int64_t value : values) tensor->add_int64_data(value);
  }

  void Float(const std::string& output, float value) {
    onnx::TensorProto* tensor = Constant(output);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    tensor->add_float_data(value);
  }

 private:
  onnx::TensorProto* Constant(const std::string& output) {
    return AddAttribute("value", onnx::AttributeProto::TENSOR, Op("Constant", {}, output))
        ->mutable_t();
  }

  google::protobuf::RepeatedPtrField<onnx::NodeProto>* nodes_ = nullptr;
};

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_BODY_H_
