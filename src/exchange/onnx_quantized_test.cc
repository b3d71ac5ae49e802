#include "exchange/onnx_quantized.h"

#include <onnx/onnx_pb.h>

#include <cmath>

#include "exchange/onnx.h"
#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

std::vector<std::byte> Exported(CellKind cell) {
  Rng rng(3);
  GraphBuilder builder("layer", {"x", {Element::kF32, Layout::kSequence, 5}}, &rng);
  return ValueOrDie(ExportOnnx(ValueOrDie(builder.Recurrent(cell, 4).Finish())));
}

onnx::ModelProto Parsed(const std::vector<std::byte>& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  return model;
}

const onnx::TensorProto& Initialiser(const onnx::ModelProto& model, const std::string& name) {
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    if (tensor.name() == name) return tensor;
  }
  ADD_FAILURE() << "no initialiser " << name;
  static const onnx::TensorProto kNone;
  return kNone;
}

TEST(QuantizeOnnxLstms, KeepsEveryWeightWithinHalfAScale) {
  const std::vector<std::byte> bytes = Exported(CellKind::kLstmCell);
  const onnx::ModelProto before = Parsed(bytes);
  const onnx::ModelProto after = Parsed(ValueOrDie(QuantizeOnnxLstms(bytes, 63)));
  const std::string exact = Initialiser(before, "lstm0.W").raw_data();
  const std::string scales = Initialiser(after, "lstm0.W.scale").raw_data();
  const onnx::TensorProto& quantized = Initialiser(after, "lstm0.W.i8");
  ASSERT_EQ(quantized.dims(1), 5);
  ASSERT_EQ(quantized.dims(2), 16);
  int most = 0;
  for (size_t row = 0; row < 16; ++row) {
    const float scale = reinterpret_cast<const float*>(scales.data())[row];
    for (size_t c = 0; c < 5; ++c) {
      const int q = static_cast<int8_t>(quantized.raw_data()[c * 16 + row]);
      const float w = reinterpret_cast<const float*>(exact.data())[row * 5 + c];
      EXPECT_NEAR(static_cast<float>(q) * scale, w, 0.5001f * scale);
      most = std::max(most, std::abs(q));
    }
  }
  EXPECT_EQ(most, 63);
}

TEST(QuantizeOnnxLstms, DropsTheWeightsThatNothingReads) {
  const std::vector<std::byte> bytes = Exported(CellKind::kLstmCell);
  const onnx::ModelProto after = Parsed(ValueOrDie(QuantizeOnnxLstms(bytes, 127)));
  for (const onnx::TensorProto& tensor : after.graph().initializer()) {
    EXPECT_NE(tensor.name(), "lstm0.W");
    EXPECT_NE(tensor.name(), "lstm0.R");
  }
}

TEST(QuantizeOnnxLstms, RefusesANetworkWithoutLstm) {
  ExpectError(QuantizeOnnxLstms(Exported(CellKind::kGruCell), 127).status(), Code::kUnsupported,
              {"LSTM"});
}

TEST(QuantizeOnnxLstms, RefusesBytesThatAreNoModel) {
  const std::vector<std::byte> bytes(9, std::byte{0xff});
  ExpectError(QuantizeOnnxLstms(bytes, 127).status(), Code::kBadFormat, {"ONNX"});
}

}  // namespace
}  // namespace espalier
