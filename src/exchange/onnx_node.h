// What the importer reads of ONNX's protobuf: tensors as checked values, and nodes as named things
// whose attributes can be asked for with a default.
#ifndef ESPALIER_EXCHANGE_ONNX_NODE_H_
#define ESPALIER_EXCHANGE_ONNX_NODE_H_

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace espalier {

// A constant of a file: `floats` if is_float, else `ints`; one of them has a value an element.
struct OnnxConstant {
  std::vector<int64_t> shape;
  bool is_float = false;
  std::vector<float> floats;
  std::vector<int64_t> ints;

  bool IsZero() const;  // every element
};

// Reads f32, i32, i64 and bool tensors. Errors: kUnsupported for other element types and for data
// outside of the file; kBadFormat for a size that is not what the shape says. `what` names the
// tensor.
Result<OnnxConstant> ReadConstant(const onnx::TensorProto& tensor, const std::string& what);

class OnnxNode {
 public:
  explicit OnnxNode(const onnx::NodeProto& proto) : proto_(proto) {}

  const onnx::NodeProto& proto() const { return proto_; }
  // e.g. "node 'lstm0' (LSTM)".
  std::string Label() const;
  // An error about this node.
  Status Refuse(const std::string& why) const;   // kUnsupported
  Status Damaged(const std::string& why) const;  // kBadFormat

  // "" if there is no such input or output.
  std::string input(int index) const;
  std::string output(int index) const;

  // Errors: kUnsupported naming the first attribute that is not one of `names`.
  Status AllowAttributes(std::initializer_list<std::string_view> names) const;
  // Errors: kBadFormat unless there are `least` to `most` inputs, the first `least` of them named.
  Status CheckInputs(int least, int most) const;

  // nullptr if there is no such attribute.
  const onnx::AttributeProto* Attribute(std::string_view name) const;
  int64_t Int(std::string_view name, int64_t fallback) const;
  float Float(std::string_view name, float fallback) const;
  std::string Text(std::string_view name, const std::string& fallback) const;
  std::vector<int64_t> Ints(std::string_view name) const;
  std::vector<std::string> Texts(std::string_view name) const;

 private:
  const onnx::NodeProto& proto_;
};

}  // namespace espalier

#endif  // ESPALIER_EXCHANGE_ONNX_NODE_H_
