// Convolutions as PyTorch exports them, against the convolution that their weights say.
#include <functional>
#include <limits>

#include "base/strings.h"
#include "exchange/onnx.h"
#include "exchange/onnx_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ForeignModel;
using ::espalier::testing::ImportModel;
using ::espalier::testing::ImportStatus;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::ValueOrDie;

using Shape = std::vector<int64_t>;

constexpr int64_t kInputs = 3;
constexpr int64_t kOutputs = 4;
constexpr int64_t kTaps = 2;

void Transpose(const std::string& x, const std::string& y, const Shape& perm,
               ForeignModel* foreign) {
  ForeignModel::List("perm", perm, foreign->Op("Transpose", {x}, {y}));
}

// x.permute(...) -> F.pad -> nn.Conv1d -> ReLU -> permute back -> nn.GRU -> its last output.
struct Form {
  bool is_batch_major = false;
  bool has_pad_node = false;
  bool has_computed_pads = false;
  int64_t dilation = 1;
  // Attributes of Conv.
  Shape pads = {};
  Shape dilations = {1};
  std::function<void(onnx::NodeProto*)> change = [](onnx::NodeProto*) {};
};

// What PyTorch's exporter (TorchScript, opsets 11 to 20) writes for F.pad(x, (steps, 0)).
void ComputePads(int64_t steps, ForeignModel* foreign) {
  foreign->Ints("pair", {2}, {steps, 0});
  foreign->Ints("others", {1}, {4});
  foreign->Ints("by_axis", {2}, {-1, 2});
  foreign->Ints("flat", {1}, {-1});
  foreign->Ints("minus_one", {1}, {-1});
  foreign->Ints("before_all", {1}, {-std::numeric_limits<int64_t>::max()});
  foreign->Ints("axis_0", {1}, {0});
  onnx::AttributeProto* zero =
      ForeignModel::Attribute("value", foreign->Op("ConstantOfShape", {"others"}, {"zeros"}));
  zero->mutable_t()->set_data_type(onnx::TensorProto::INT64);
  zero->mutable_t()->add_dims(1);
  zero->mutable_t()->add_int64_data(0);
  ForeignModel::Int("axis", 0, foreign->Op("Concat", {"pair", "zeros"}, {"pairs"}));
  foreign->Op("Reshape", {"pairs", "by_axis"}, {"rows"});
  foreign->Op("Slice", {"rows", "minus_one", "before_all", "axis_0", "minus_one"}, {"reversed"});
  Transpose("reversed", "columns", {1, 0}, foreign);
  foreign->Op("Reshape", {"columns", "flat"}, {"pads_i64"});
  ForeignModel::Int("to", onnx::TensorProto::INT64, foreign->Op("Cast", {"pads_i64"}, {"pads"}));
}

ForeignModel Network(const Form& form) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  foreign.Floats("conv.weight", {kOutputs, kInputs, kTaps}, -0.75f);
  foreign.Floats("conv.bias", {kOutputs}, 0.5f);
  Transpose("x", "channels", form.is_batch_major ? Shape{0, 2, 1} : Shape{1, 2, 0}, &foreign);
  std::string input = "channels";
  if (form.has_computed_pads) {
    ComputePads(form.dilation * (kTaps - 1), &foreign);
  } else if (form.has_pad_node) {
    foreign.Ints("pads", {6}, {0, 0, form.dilation * (kTaps - 1), 0, 0, 0});
  }
  if (form.has_pad_node) {
    foreign.Op("Pad", {"channels", "pads"}, {"padded"});
    input = "padded";
  }
  onnx::NodeProto* conv = foreign.Op("Conv", {input, "conv.weight", "conv.bias"}, {"conv_out"});
  conv->set_name("/conv/Conv");
  ForeignModel::List("dilations", form.dilations, conv);
  ForeignModel::Int("group", 1, conv);
  ForeignModel::List("kernel_shape", {kTaps}, conv);
  if (!form.pads.empty()) ForeignModel::List("pads", form.pads, conv);
  ForeignModel::List("strides", {1}, conv);
  form.change(conv);
  foreign.Op("Relu", {"conv_out"}, {"relu_out"});
  foreign.Floats("W", {1, 6, kOutputs}, -0.5f);
  foreign.Floats("R", {1, 6, 2}, -0.25f);
  foreign.Ints("one", {1}, {1});
  Transpose("relu_out", "steps", {2, 0, 1}, &foreign);
  foreign.Op("GRU", {"steps", "W", "R"}, {"Y", ""});
  foreign.Op("Squeeze", {"Y", "one"}, {"sequence"});
  foreign.Ints("last", {}, {-1});
  std::string sequence = "sequence";
  if (form.is_batch_major) {
    Transpose("sequence", "by_batch", {1, 0, 2}, &foreign);
    sequence = "by_batch";
  }
  ForeignModel::Int("axis", form.is_batch_major ? 1 : 0,
                    foreign.Op("Gather", {sequence, "last"}, {"y"}));
  foreign.Output("y");
  return foreign;
}

// relu(b + sum over i and k of W[o, i, k] x[t - (K-1-k) D, i]), from ONNX's own order of weights.
double Direct(const Batch& batch, int64_t dilation, int64_t t, int64_t b, int64_t o) {
  double y = 0.5 + static_cast<double>(o) / 16;
  for (int64_t i = 0; i < kInputs; ++i) {
    for (int64_t k = 0; k < kTaps; ++k) {
      const int64_t from = t - (kTaps - 1 - k) * dilation;
      if (from < 0) continue;
      const double weight = -0.75 + static_cast<double>((o * kInputs + i) * kTaps + k) / 16;
      y += weight *
           double{batch.features[static_cast<size_t>((from * batch.size + b) * kInputs + i)]};
    }
  }
  return std::max(y, 0.0);
}

class EveryForm : public ::testing::TestWithParam<Form> {};
INSTANTIATE_TEST_SUITE_P(OnnxConv, EveryForm,
                         ::testing::Values(Form{.pads = {1, 0}},
                                           Form{.has_pad_node = true, .pads = {0, 0}},
                                           Form{.dilation = 3, .pads = {3, 0}, .dilations = {3}},
                                           Form{.is_batch_major = true, .pads = {1, 0}},
                                           Form{.is_batch_major = true,
                                                .has_pad_node = true,
                                                .has_computed_pads = true,
                                                .dilation = 2,
                                                .dilations = {2}}),
                         [](const auto& test) { return StrCat("form", test.index); });

TEST_P(EveryForm, IsReadAsTheConvolutionThatItIs) {
  const Graph graph = ValueOrDie(ImportModel(Network(GetParam()).model()));
  ASSERT_EQ(graph.nodes.size(), 4u);
  EXPECT_EQ(graph.nodes[0].op, Op::kConv1d);
  EXPECT_EQ(graph.nodes[0].name, "/conv/Conv");
  EXPECT_EQ(graph.nodes[0].kernel_size, kTaps);
  EXPECT_EQ(graph.nodes[0].dilation, GetParam().dilation);
  EXPECT_EQ(graph.nodes[3].op, Op::kLastStep);
  EXPECT_EQ(graph.outputs, std::vector<std::string>{"y"});
  Rng rng(1);
  const Batch batch = RandomBatch(graph, 7, 3, 7, &rng);
  StateSet states = ZeroStates(graph, 3);
  const auto values = ValueOrDie(RunReference(graph, batch, &states));
  const Value& found = values.at(graph.nodes[1].output);
  for (int64_t t = 0; t < 7; ++t) {
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t o = 0; o < kOutputs; ++o) {
        EXPECT_NEAR(found.row(t, b)[o], Direct(batch, GetParam().dilation, t, b, o), 1e-5) << t;
      }
    }
  }
}

TEST(OnnxConv, NamesItsValueAsTheFileDoes) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  foreign.Floats("W", {kOutputs, kInputs, 1}, 0.0f);
  Transpose("x", "channels", {1, 2, 0}, &foreign);
  foreign.Op("Conv", {"channels", "W"}, {"conv_out"});
  Transpose("conv_out", "y", {2, 0, 1}, &foreign);
  foreign.Output("y");
  const Graph graph = ValueOrDie(ImportModel(foreign.model()));
  EXPECT_EQ(graph.outputs, std::vector<std::string>{"y"});
  EXPECT_EQ(graph.nodes[0].output, "y");
  EXPECT_EQ(graph.weights.at("conv1d0.bias").values, std::vector<float>(kOutputs, 0.0f));
}

void ExpectRefused(Form form, const std::vector<std::string>& parts) {
  std::vector<std::string> all = {"node '/conv/Conv' (Conv)"};
  all.insert(all.end(), parts.begin(), parts.end());
  ExpectError(ImportStatus(Network(form)), Code::kUnsupported, all);
}

void ExpectChangeRefused(const std::string& attribute,
                         const std::function<void(onnx::AttributeProto*)>& change,
                         const std::vector<std::string>& parts) {
  Form form{.pads = {1, 0}};
  form.change = [&](onnx::NodeProto* conv) {
    for (onnx::AttributeProto& proto : *conv->mutable_attribute()) {
      if (proto.name() == attribute) return change(&proto);
    }
    change(ForeignModel::Attribute(attribute, conv));
  };
  ExpectRefused(form, parts);
}

TEST(OnnxConv, RefusesPaddingThatIsNotCausal) {
  ExpectRefused({.pads = {1, 1}},
                {"'pads': [1, 0] expected, [1, 1] found", "looks into the future"});
  ExpectRefused({.pads = {0, 0}}, {"'pads': [1, 0] expected, [0, 0] found"});
  ExpectRefused({}, {"'pads': [1, 0] expected, [0, 0] found"});
  ExpectRefused({.pads = {2, 0}}, {"'pads': [1, 0] expected, [2, 0] found"});
  ExpectRefused({.pads = {1, 0}, .dilations = {2}}, {"'pads': [2, 0] expected, [1, 0] found"});
  ExpectRefused({.has_pad_node = true, .dilation = 3}, {"at most 1 steps in front", "3 found"});
  ExpectRefused({.has_pad_node = true, .pads = {1, 0}}, {"'pads': [0, 0] expected, [1, 0] found"});
}

TEST(OnnxConv, RefusesAttributesThatAGraphDoesNotHave) {
  ExpectChangeRefused("strides", [](auto* proto) { proto->set_ints(0, 2); },
                      {"'strides': [1] expected, [2] found"});
  ExpectChangeRefused("group", [](auto* proto) { proto->set_i(3); },
                      {"'group': 1 expected, 3 found"});
  ExpectChangeRefused("kernel_shape", [](auto* proto) { proto->set_ints(0, 5); },
                      {"'kernel_shape': [2] expected, [5] found"});
  ExpectChangeRefused("dilations", [](auto* proto) { proto->set_ints(0, 0); },
                      {"1 to 65536 expected", "[0] found"});
  ExpectChangeRefused("dilations", [](auto* proto) { proto->set_ints(0, int64_t{1} << 62); },
                      {"1 to 65536 expected"});
  ExpectChangeRefused("auto_pad", [](auto* proto) { proto->set_s("SAME_UPPER"); },
                      {"'auto_pad': 'NOTSET' expected, 'SAME_UPPER' found"});
  ExpectChangeRefused("transposed", [](auto*) {}, {"attribute 'transposed' is not supported"});
}

TEST(OnnxConv, RefusesAnImage) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 3});
  foreign.Floats("W", {2, 3, 2, 2}, 0.0f);
  foreign.Op("Conv", {"x", "W"}, {"y"});
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kUnsupported,
              {"W: f32 [O, I, K] of a 1-D convolution expected, shape 2x3x2x2 found"});
}

TEST(OnnxConv, RefusesASequenceThatIsNotTransposed) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  foreign.Floats("W", {kOutputs, kInputs, 1}, 0.0f);
  foreign.Op("Conv", {"x", "W"}, {"y"});
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kUnsupported,
              {"input 'x'", "[B, F, T] expected, [T, B, F] found"});
}

TEST(OnnxConv, RefusesWeightsOfOtherInputs) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  foreign.Floats("W", {kOutputs, 5, 1}, 0.0f);
  Transpose("x", "channels", {1, 2, 0}, &foreign);
  foreign.Op("Conv", {"channels", "W"}, {"y"});
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kBadFormat, {"W: O x 3 x K expected, 4x5x1 found"});
}

// Pad alone: what may stand between a Transpose and a Conv.
Status PadStatus(const Shape& pads,
                 const std::function<void(ForeignModel*, onnx::NodeProto*)>& change) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  foreign.Ints("pads", {static_cast<int64_t>(pads.size())}, pads);
  foreign.Floats("half", {}, 0.5f);
  Transpose("x", "channels", {1, 2, 0}, &foreign);
  change(&foreign, foreign.Op("Pad", {"channels", "pads"}, {"y"}));
  foreign.Output("y");
  return ImportStatus(foreign);
}

TEST(OnnxConv, RefusesAPadOfAnythingButZerosInFront) {
  const auto nothing = [](ForeignModel*, onnx::NodeProto*) {};
  for (const Shape& pads :
       {Shape{0, 0, 1, 0, 0, 1}, {1, 0, 0, 0, 0, 0}, {0, 0, -1, 0, 0, 0}, {1}}) {
    ExpectError(PadStatus(pads, nothing), Code::kUnsupported,
                {"(Pad): pads: 6 numbers, 0 except in front of the time axis (2), expected"});
  }
  const Shape causal = {0, 0, 1, 0, 0, 0};
  ExpectError(PadStatus(causal, [](auto*, auto* pad) { pad->add_input("half"); }),
              Code::kUnsupported, {"constant_value: 0 expected"});
  ExpectError(
      PadStatus(causal, [](auto*, auto* pad) { ForeignModel::Text("mode", "reflect", pad); }),
      Code::kUnsupported, {"'mode': 'constant' expected, 'reflect' found"});
  ExpectError(PadStatus(causal, [](auto* foreign, auto*) { foreign->Op("Relu", {"y"}, {"z"}); }),
              Code::kUnsupported, {"(Relu): steps in front of a sequence are read by Conv only"});
  const auto multiply = [](auto* foreign, auto*) {
    foreign->Floats("matrix", {kInputs, 2}, 0.0f);
    foreign->Op("MatMul", {"y", "matrix"}, {"z"});
  };
  ExpectError(
      PadStatus(causal, multiply), Code::kUnsupported,
      {"(MatMul): input 'y': [T, B, F] expected, the axes BFT with 1 steps in front found"});
  ExpectError(PadStatus(causal, nothing), Code::kUnsupported, {"output 'y'"});
}

TEST(OnnxImport, TakesAnInputInOneLayoutOnly) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
  Transpose("x", "steps", {1, 0, 2}, &foreign);
  foreign.Op("Add", {"steps", "x"}, {"y"});
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kUnsupported,
              {"input 'x' is read as [T, B, F] and as [B, T, F]"});
}

TEST(OnnxImport, RefusesATransposeThatIsNoOrderOfASequence) {
  for (const Shape& perm : {Shape{1, 0}, {0, 1, 3}, {0, 0, 2}, {0, 1, 2, 3}, {}}) {
    ForeignModel foreign;
    foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, kInputs});
    Transpose("x", "y", perm, &foreign);
    foreign.Output("y");
    ExpectError(ImportStatus(foreign), Code::kUnsupported, {"(Transpose)", "'perm'", "found"});
  }
}

}  // namespace
}  // namespace espalier
