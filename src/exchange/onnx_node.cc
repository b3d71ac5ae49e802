#include "exchange/onnx_node.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace espalier {
namespace {

// Copies `count` elements of a tensor, which are either raw bytes or a typed protobuf field.
template <typename Raw, typename Field, typename Out>
Status CopyElements(const onnx::TensorProto& tensor, const Field& field, size_t count,
                    const std::string& what, std::vector<Out>* out) {
  const bool is_raw = tensor.has_raw_data();
  const size_t found_bytes =
      is_raw ? tensor.raw_data().size() : static_cast<size_t>(field.size()) * sizeof(Raw);
  // count <= bytes of the file, checked by the caller: the product cannot overflow.
  if (found_bytes != count * sizeof(Raw)) {
    return BadFormat(StrCat(what, ": ", count * sizeof(Raw), " bytes expected for ", count,
                            " elements, ", found_bytes, " found"));
  }
  out->resize(count);
  for (size_t i = 0; i < count; ++i) {
    Raw value;
    if (is_raw) {
      std::memcpy(&value, tensor.raw_data().data() + i * sizeof(Raw), sizeof(Raw));
    } else {
      value = static_cast<Raw>(field.Get(static_cast<int>(i)));
    }
    (*out)[i] = value;
  }
  return Ok();
}

std::string ElementName(int32_t type) {
  return onnx::TensorProto::DataType_IsValid(type)
             ? onnx::TensorProto::DataType_Name(static_cast<onnx::TensorProto::DataType>(type))
             : "element type " + std::to_string(type);
}

}  // namespace

bool OnnxConstant::IsZero() const {
  return std::all_of(floats.begin(), floats.end(), [](float x) { return x == 0.0f; }) &&
         std::all_of(ints.begin(), ints.end(), [](int64_t x) { return x == 0; });
}

Result<OnnxConstant> ReadConstant(const onnx::TensorProto& tensor, const std::string& what) {
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL || tensor.external_data_size() > 0) {
    return Unsupported(what +
                       ": its data lie outside of the file (external data); save the model "
                       "as one file");
  }
  if (tensor.has_segment()) return Unsupported(what + ": a tensor in segments is not supported");
  OnnxConstant constant;
  constant.shape.assign(tensor.dims().begin(), tensor.dims().end());
  // No element takes less than a byte in a file of at most 2 GB.
  constexpr int64_t kMaxElements = int64_t{1} << 31;
  int64_t count = 1;
  for (const int64_t dim : constant.shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count) || count > kMaxElements) {
      return BadFormat(what + ": shape " + ShapeString(constant.shape) + " is not a tensor's");
    }
  }
  const auto size = static_cast<size_t>(count);
  constant.is_float = tensor.data_type() == onnx::TensorProto::FLOAT;
  Status status;
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT:
      status = CopyElements<float>(tensor, tensor.float_data(), size, what, &constant.floats);
      break;
    case onnx::TensorProto::INT32:
      status = CopyElements<int32_t>(tensor, tensor.int32_data(), size, what, &constant.ints);
      break;
    case onnx::TensorProto::INT64:
      status = CopyElements<int64_t>(tensor, tensor.int64_data(), size, what, &constant.ints);
      break;
    case onnx::TensorProto::BOOL:
      status = CopyElements<uint8_t>(tensor, tensor.int32_data(), size, what, &constant.ints);
      break;
    default:
      return Unsupported(what + ": elements of FLOAT, INT32, INT64 or BOOL expected, " +
                         ElementName(tensor.data_type()) + " found");
  }
  if (!status.ok()) return status;
  return constant;
}

std::string OnnxNode::Label() const {
  std::string op = proto_.op_type();
  if (!proto_.domain().empty() && proto_.domain() != "ai.onnx") op = proto_.domain() + "::" + op;
  const std::string name = proto_.name().empty() ? output(0) : proto_.name();
  return "node '" + name + "' (" + op + ")";
}

Status OnnxNode::Refuse(const std::string& why) const { return Unsupported(Label() + ": " + why); }
Status OnnxNode::Damaged(const std::string& why) const { return BadFormat(Label() + ": " + why); }

std::string OnnxNode::input(int index) const {
  return index < proto_.input_size() ? proto_.input(index) : "";
}

std::string OnnxNode::output(int index) const {
  return index < proto_.output_size() ? proto_.output(index) : "";
}

Status OnnxNode::AllowAttributes(std::initializer_list<std::string_view> names) const {
  for (const onnx::AttributeProto& attribute : proto_.attribute()) {
    if (std::find(names.begin(), names.end(), attribute.name()) == names.end()) {
      return Refuse("attribute '" + attribute.name() + "' is not supported");
    }
  }
  return Ok();
}

Status OnnxNode::CheckInputs(int least, int most) const {
  bool fits = proto_.input_size() >= least && proto_.input_size() <= most;
  for (int i = 0; fits && i < least; ++i) fits = !proto_.input(i).empty();
  if (fits) return Ok();
  return Damaged(StrCat(least, " to ", most, " inputs expected, ", proto_.input_size(), " found"));
}

const onnx::AttributeProto* OnnxNode::Attribute(std::string_view name) const {
  for (const onnx::AttributeProto& attribute : proto_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

int64_t OnnxNode::Int(std::string_view name, int64_t fallback) const {
  const onnx::AttributeProto* attribute = Attribute(name);
  return attribute == nullptr ? fallback : attribute->i();
}

float OnnxNode::Float(std::string_view name, float fallback) const {
  const onnx::AttributeProto* attribute = Attribute(name);
  return attribute == nullptr ? fallback : attribute->f();
}

std::string OnnxNode::Text(std::string_view name, const std::string& fallback) const {
  const onnx::AttributeProto* attribute = Attribute(name);
  return attribute == nullptr ? fallback : attribute->s();
}

std::vector<int64_t> OnnxNode::Ints(std::string_view name) const {
  const onnx::AttributeProto* attribute = Attribute(name);
  if (attribute == nullptr) return {};
  return {attribute->ints().begin(), attribute->ints().end()};
}

std::vector<std::string> OnnxNode::Texts(std::string_view name) const {
  const onnx::AttributeProto* attribute = Attribute(name);
  if (attribute == nullptr) return {};
  return {attribute->strings().begin(), attribute->strings().end()};
}

}  // namespace espalier
