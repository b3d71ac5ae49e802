#include "exchange/onnx_quantized.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <set>
#include <string>

namespace espalier {
namespace {

constexpr char kDomain[] = "com.microsoft";
constexpr int kInputsBeforeScales = 8;  // X W R B sequence_lens initial_h initial_c P

class Quantizer {
 public:
  Quantizer(int limit, onnx::GraphProto* graph) : limit_(limit), graph_(graph) {}

  Status Quantize(onnx::NodeProto* node) {
    node->set_op_type("DynamicQuantizeLSTM");
    node->set_domain(kDomain);
    while (node->input_size() < kInputsBeforeScales) node->add_input("");
    for (const int input : {1, 2}) {  // W, R
      const std::string name = node->input(input);
      ESPALIER_RETURN_IF_ERROR(QuantizeMatrix(name));
      node->set_input(input, name + ".i8");
      node->add_input(name + ".scale");
      node->add_input(name + ".zero");
    }
    return Ok();
  }

  // The f32 matrices that nothing reads any more.
  void DropOld() {
    auto* all = graph_->mutable_initializer();
    all->erase(std::remove_if(
                   all->begin(), all->end(),
                   [&](const onnx::TensorProto& tensor) { return old_.contains(tensor.name()); }),
               all->end());
  }

 private:
  // [D, R, C] f32 -> [D, C, R] s8 beside its scales and zero points, [D, R].
  Status QuantizeMatrix(const std::string& name) {
    const onnx::TensorProto* found = nullptr;
    for (const onnx::TensorProto& tensor : graph_->initializer()) {
      if (tensor.name() == name) found = &tensor;
    }
    if (found == nullptr || found->dims_size() != 3 ||
        found->data_type() != onnx::TensorProto::FLOAT) {
      return BadFormat("initialiser '" + name + "': f32 [D, R, C] expected");
    }
    const int64_t directions = found->dims(0), rows = found->dims(1), columns = found->dims(2);
    const auto count = static_cast<size_t>(directions * rows * columns);
    if (found->raw_data().size() != count * sizeof(float)) {
      return BadFormat("initialiser '" + name + "': raw data expected");
    }
    std::vector<float> values(count);
    std::memcpy(values.data(), found->raw_data().data(), count * sizeof(float));
    std::vector<int8_t> quantized(count);
    std::vector<float> scales(static_cast<size_t>(directions * rows));
    for (int64_t d = 0; d < directions; ++d) {
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = values.data() + (d * rows + r) * columns;
        float most = 0.0f;
        for (int64_t c = 0; c < columns; ++c) most = std::max(most, std::abs(row[c]));
        const float scale = most > 0.0f ? most / static_cast<float>(limit_) : 1.0f;
        scales[static_cast<size_t>(d * rows + r)] = scale;
        for (int64_t c = 0; c < columns; ++c) {
          quantized[static_cast<size_t>((d * columns + c) * rows + r)] =
              static_cast<int8_t>(std::lround(row[c] / scale));
        }
      }
    }
    const std::vector<int8_t> zeros(scales.size(), 0);
    Add(name + ".i8", onnx::TensorProto::INT8, {directions, columns, rows}, quantized);
    Add(name + ".scale", onnx::TensorProto::FLOAT, {directions, rows}, scales);
    Add(name + ".zero", onnx::TensorProto::INT8, {directions, rows}, zeros);
    old_.insert(name);
    return Ok();
  }

  template <typename T>
  void Add(const std::string& name, onnx::TensorProto::DataType type,
           const std::vector<int64_t>& dims, const std::vector<T>& values) {
    onnx::TensorProto* tensor = graph_->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (const int64_t dim : dims) tensor->add_dims(dim);
    tensor->set_raw_data(values.data(), values.size() * sizeof(T));
  }

  const int limit_;
  onnx::GraphProto* graph_;
  std::set<std::string> old_;
};

}  // namespace

Result<std::vector<std::byte>> QuantizeOnnxLstms(std::span<const std::byte> model, int limit) {
  try {
    onnx::ModelProto proto;
    if (!proto.ParseFromArray(model.data(), static_cast<int>(model.size()))) {
      return BadFormat("an ONNX model expected");
    }
    Quantizer quantizer(limit, proto.mutable_graph());
    int count = 0;
    for (onnx::NodeProto& node : *proto.mutable_graph()->mutable_node()) {
      if (node.op_type() != "LSTM") continue;
      ESPALIER_RETURN_IF_ERROR(quantizer.Quantize(&node));
      ++count;
    }
    if (count == 0)
      return Unsupported("ONNX Runtime's 8-bit operators: an LSTM expected, none found");
    quantizer.DropOld();
    onnx::OperatorSetIdProto* opset = proto.add_opset_import();
    opset->set_domain(kDomain);
    opset->set_version(1);
    std::vector<std::byte> bytes(proto.ByteSizeLong());
    if (!proto.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return Internal("protobuf could not write the quantised ONNX file");
    }
    return bytes;
  } catch (const std::exception& error) {
    return Internal(std::string("quantised ONNX file: ") + error.what());
  }
}

}  // namespace espalier
