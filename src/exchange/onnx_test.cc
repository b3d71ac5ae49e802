#include "exchange/onnx.h"

#include <onnx/onnx_pb.h>

#include <functional>

#include "base/file.h"
#include "base/strings.h"
#include "exchange/onnx_test_support.h"
#include "model/build.h"
#include "testing/random_graph.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ForeignModel;
using ::espalier::testing::ImportModel;
using ::espalier::testing::ImportStatus;
using ::espalier::testing::ImportText;
using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomNetworkOfEverything;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

const GraphInput kFeatures = {"x", {Element::kF32, Layout::kSequence, 5}};
const GraphInput kIds = {"ids", {Element::kI32, Layout::kSequence, 11}};
const OnnxExportOptions kLean = {OnnxExportOptions::States::kZero,
                                 OnnxExportOptions::Lengths::kNone};

// One of everything.
Graph EveryOperator(const GraphInput& input, CellKind cell, Direction direction) {
  Rng rng(3);
  GraphBuilder builder("every operator", input, &rng);
  if (input.type.element == Element::kI32) builder.Embedding(5);
  builder.Recurrent(cell, 7, {direction, 0.1}).Dropout(0.2).Gemm(4).Activation(Op::kTanh);
  builder.Conv1d(6, {3, 2}).Activation(Op::kRelu).Conv1d(5, {1, 1}).LayerNorm(1e-3).Gemm(6).Glu();
  builder.Recurrent(CellKind::kLstmCell, 5, {direction, 0.1, 3});
  builder.Recurrent(cell, 4, {direction, 0.0}).Dropout(1.0 / 3.0);
  const std::string top = builder.value();
  builder.Concat(top).Add(builder.value()).Activation(Op::kSigmoid).LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Concat(last).Gemm(6).Activation(Op::kRelu);
  builder.Gemm(3).Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  graph.outputs = {graph.outputs[0], top, last};
  return graph;
}

Graph Digits() {
  Rng rng(4);
  GraphBuilder builder("digits", kFeatures, &rng);
  return ValueOrDie(
      builder.Recurrent(CellKind::kLstmCell, 6).Dropout(0.2).LastStep().Gemm(3).Finish());
}

// Digits, exported in a form, changed in protobuf, and read back.
Status ImportChanged(const OnnxExportOptions& options,
                     const std::function<void(onnx::ModelProto*)>& change) {
  const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(Digits(), options));
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  change(&model);
  return ImportModel(model).status();
}

onnx::NodeProto* FindProto(const std::string& name, onnx::ModelProto* model) {
  for (onnx::NodeProto& node : *model->mutable_graph()->mutable_node()) {
    if (node.name() == name) return &node;
  }
  ADD_FAILURE() << name << " is not there";
  return nullptr;
}

onnx::TensorProto* FindTensor(const std::string& name, onnx::ModelProto* model) {
  for (onnx::TensorProto& tensor : *model->mutable_graph()->mutable_initializer()) {
    if (tensor.name() == name) return &tensor;
  }
  ADD_FAILURE() << name << " is not there";
  return nullptr;
}

class EveryCell : public ::testing::TestWithParam<std::tuple<CellKind, Direction>> {};
INSTANTIATE_TEST_SUITE_P(
    Cells, EveryCell,
    ::testing::Combine(::testing::Values(CellKind::kLstmCell, CellKind::kGruCell,
                                         CellKind::kGruResetBeforeCell, CellKind::kRnnTanhCell,
                                         CellKind::kRnnReluCell, CellKind::kLstmPeepholeCell),
                       ::testing::Values(Direction::kForward, Direction::kReverse,
                                         Direction::kBidirectional)),
    [](const auto& cell) {
      return StrCat(InfoOf(std::get<0>(cell.param)).name, "_",
                    DirectionName(std::get<1>(cell.param)));
    });

TEST_P(EveryCell, ReadsBackTheSameGraph) {
  for (const GraphInput& input : {kFeatures, kIds}) {
    const Graph graph = EveryOperator(input, std::get<0>(GetParam()), std::get<1>(GetParam()));
    EXPECT_TRUE(ValueOrDie(ImportOnnx(ValueOrDie(ExportOnnx(graph)))) == graph);
    const OnnxExportOptions zero = {OnnxExportOptions::States::kZero,
                                    OnnxExportOptions::Lengths::kInput};
    EXPECT_TRUE(ValueOrDie(ImportOnnx(ValueOrDie(ExportOnnx(graph, zero)))) == graph);
  }
}

TEST_P(EveryCell, ReadsTheLeanFormBackAsTheSameNetwork) {
  const Graph graph = EveryOperator(kFeatures, std::get<0>(GetParam()), std::get<1>(GetParam()));
  for (const auto states :
       {OnnxExportOptions::States::kZero, OnnxExportOptions::States::kExplicit}) {
    const Graph again = ValueOrDie(
        ImportOnnx(ValueOrDie(ExportOnnx(graph, {states, OnnxExportOptions::Lengths::kNone}))));
    Rng rng(1);
    const Batch batch = RandomBatch(graph, 6, 3, 6, &rng);
    StateSet start = ZeroStates(graph, 3);
    StateSet start_again = ZeroStates(again, 3);
    const auto expected = ValueOrDie(RunReference(graph, batch, &start));
    const auto found = ValueOrDie(RunReference(again, batch, &start_again));
    ASSERT_EQ(graph.outputs, again.outputs);
    for (const std::string& output : graph.outputs) {
      EXPECT_EQ(expected.at(output).values, found.at(output).values) << output;
    }
  }
}

TEST(OnnxExport, LeavesNothingButTheNetworkInTheLeanForm) {
  onnx::ModelProto model;
  const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(Digits(), kLean));
  ASSERT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  std::vector<std::string> ops;
  for (const onnx::NodeProto& node : model.graph().node()) ops.push_back(node.op_type());
  EXPECT_EQ(ops, (std::vector<std::string>{"LSTM", "Squeeze", "Gemm"}));
  EXPECT_EQ(model.functions_size(), 0);
  EXPECT_EQ(model.graph().input_size(), 1);
}

TEST(OnnxExport, RefusesAValueThatHasTheNameOfTheLengths) {
  Rng rng(1);
  GraphBuilder builder("clash", {"lengths", kFeatures.type}, &rng);
  const Graph graph = ValueOrDie(builder.LastStep().Finish());
  ExpectError(ExportOnnx(graph).status(), Code::kInvalidArgument, {"'lengths'", "another name"});
}

TEST(OnnxExport, RefusesAGraphThatIsNotValid) {
  Graph graph = Digits();
  graph.weights.erase("gemm0.bias");
  ExpectError(ExportOnnx(graph).status(), Code::kInvalidArgument, {"gemm0.bias"});
}

TEST(OnnxExport, WritesAFileOfTheSizeThatItSays) {
  const TempDir folder;
  const std::string path = folder.path("digits.onnx");
  ASSERT_OK(ExportOnnxFile(Digits(), path));
  EXPECT_EQ(ValueOrDie(ReadFile(path)).size(), ValueOrDie(OnnxFileBytes(Digits())));
  EXPECT_TRUE(ValueOrDie(ImportOnnxFile(path)) == Digits());
}

TEST(OnnxImport, NamesTheFileThatIsNotThere) {
  ExpectError(ImportOnnxFile("/nowhere/a.onnx").status(), Code::kIo, {"/nowhere/a.onnx"});
}

// What PyTorch's exporter writes for a bidirectional LSTM with start states that it traced as
// zeros.
TEST(OnnxImport, MergesTheDirectionsAsPyTorchExportsThem) {
  ForeignModel foreign;
  foreign.Input("input", onnx::TensorProto::FLOAT, {0, 0, 3});
  foreign.Floats("W", {2, 8, 3}, -1.0f);
  foreign.Floats("R", {2, 8, 2}, -0.5f);
  foreign.Floats("B", {2, 16}, 0.0f);
  foreign.Ints("one", {}, {1});
  foreign.Ints("axis", {1}, {0});
  foreign.Ints("two", {1}, {2});
  foreign.Ints("shape", {3}, {0, 0, -1});
  foreign.Op("Shape", {"input"}, {"input_shape"});
  foreign.Op("Gather", {"input_shape", "one"}, {"batch"});
  foreign.Op("Unsqueeze", {"batch", "axis"}, {"batch_1d"});
  ForeignModel::Int("axis", 0, foreign.Op("Concat", {"two", "batch_1d", "two"}, {"h0_shape"}));
  foreign.Op("ConstantOfShape", {"h0_shape"}, {"h0"});
  onnx::NodeProto* lstm =
      foreign.Op("LSTM", {"input", "W", "R", "B", "", "h0", "h0"}, {"Y", "Y_h", "Y_c"});
  ForeignModel::Text("direction", "bidirectional", lstm);
  ForeignModel::Int("hidden_size", 2, lstm);
  onnx::AttributeProto* perm =
      ForeignModel::Attribute("perm", foreign.Op("Transpose", {"Y"}, {"Y_t"}));
  for (const int64_t axis : {0, 2, 1, 3}) perm->add_ints(axis);
  foreign.Op("Reshape", {"Y_t", "shape"}, {"output"});
  foreign.Output("output");
  foreign.Output("Y_h");
  const Graph graph = ValueOrDie(ImportModel(foreign.model()));
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].name, "lstm0");
  EXPECT_EQ(graph.nodes[0].direction, Direction::kBidirectional);
  EXPECT_EQ(graph.outputs, std::vector<std::string>{"output"});
  // ONNX's second gate, o, is our fourth; of the reverse direction: row 8 + 2.
  EXPECT_EQ(graph.weights.at("lstm0.weight_ih_reverse").values[6 * 3], -1.0f + (10.0f * 3) / 16);
  EXPECT_EQ(graph.weights.at("lstm0.bias_hh").values[6], (8.0f + 2) / 16);
}

TEST(OnnxImport, TakesTheEndStateOfAForwardLayerAsItsLastStep) {
  ForeignModel foreign;
  foreign.Input("input", onnx::TensorProto::FLOAT, {0, 0, 3});
  foreign.Floats("W", {1, 6, 3}, -1.0f);
  foreign.Floats("R", {1, 6, 2}, -0.5f);
  foreign.Floats("table", {2, 4}, 0.0f);
  foreign.Ints("index", {}, {-1});
  foreign.Op("GRU", {"input", "W", "R"}, {"", "Y_h"});
  foreign.Op("Gather", {"Y_h", "index"}, {"last"});
  foreign.Op("Gemm", {"last", "table"}, {"scores"});
  foreign.Output("scores");
  const Graph graph = ValueOrDie(ImportModel(foreign.model()));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[0].cell, CellKind::kGruResetBeforeCell);  // ONNX's default
  EXPECT_EQ(graph.nodes[1].op, Op::kLastStep);
  EXPECT_EQ(graph.weights.at("gemm0.weight").values[1], 4.0f / 16);  // transposed
}

TEST(OnnxImport, ReadsIdsOf64BitsAMatMulWithBiasAndAChainOfConcats) {
  ForeignModel foreign(13);
  foreign.Input("ids", onnx::TensorProto::INT64, {0, 0});
  foreign.Floats("table", {9, 4}, 0.0f);
  foreign.Floats("matrix", {4, 2}, 1.0f);
  foreign.Floats("bias", {2}, 3.0f);
  foreign.Op("Gather", {"table", "ids"}, {"features"});
  foreign.Op("MatMul", {"features", "matrix"}, {"product"});
  foreign.Op("Add", {"bias", "product"}, {"sum"});
  ForeignModel::Int("axis", 2, foreign.Op("Concat", {"sum", "features", "sum"}, {"all"}));
  foreign.Output("all");
  const Graph graph = ValueOrDie(ImportModel(foreign.model()));
  EXPECT_EQ(graph.inputs[0].type.features, 9);
  EXPECT_EQ(graph.weights.at("gemm0.bias").values, (std::vector<float>{3.0f, 3.0f + 1.0f / 16}));
  EXPECT_EQ(ValueOrDie(InferTypes(graph)).at("all").features, 8);
}

TEST(OnnxImport, RefusesAnOperatorThatAGraphDoesNotHave) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 3});
  foreign.Op("MaxPool", {"x"}, {"y"})->set_name("pool7");
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kUnsupported, {"pool7", "MaxPool"});
}

TEST(OnnxImport, RefusesAnOlderOperatorSet) {
  ExpectError(ImportStatus(ForeignModel(11)), Code::kUnsupported, {"13 or later expected", "11"});
}

TEST(OnnxImport, RefusesAttributesOfALayerThatHaveNoCounterpart) {
  const auto status_with = [](const std::function<void(onnx::NodeProto*)>& change) {
    return ImportChanged({}, [&](onnx::ModelProto* model) { change(FindProto("lstm0", model)); });
  };
  ExpectError(status_with([](onnx::NodeProto* node) { ForeignModel::Attribute("clip", node); }),
              Code::kUnsupported, {"lstm0", "LSTM", "clip"});
  ExpectError(status_with([](onnx::NodeProto* node) { ForeignModel::Int("layout", 1, node); }),
              Code::kUnsupported, {"lstm0", "layout", "0 expected"});
  ExpectError(
      status_with([](onnx::NodeProto* node) { ForeignModel::Int("input_forget", 1, node); }),
      Code::kUnsupported, {"lstm0", "input_forget"});
  ExpectError(status_with([](onnx::NodeProto* node) {
                onnx::AttributeProto* names = ForeignModel::Attribute("activations", node);
                for (const char* name : {"HardSigmoid", "Tanh", "Tanh"}) names->add_strings(name);
              }),
              Code::kUnsupported, {"lstm0", "activations", "HardSigmoid"});
  ExpectError(status_with([](onnx::NodeProto* node) { node->add_input("lstm0.B"); }),
              Code::kBadFormat, {"lstm0", "P: f32 1x18 expected, 1x48 found"});
}

TEST(OnnxImport, RefusesWeightsOfTheWrongShape) {
  ExpectError(ImportChanged({}, [](auto* model) { FindTensor("lstm0.W", model)->set_dims(1, 23); }),
              Code::kBadFormat, {"lstm0.W", "bytes expected"});
  ExpectError(ImportChanged({},
                            [](auto* model) {
                              FindTensor("lstm0.W", model)->set_dims(1, 20);
                              FindTensor("lstm0.W", model)->set_dims(2, 6);
                            }),
              Code::kBadFormat, {"lstm0", "W", "1x24x? expected", "1x20x6 found"});
  ExpectError(
      ImportChanged(
          {}, [](auto* model) { FindTensor("lstm0.W", model)->set_dims(1, int64_t{1} << 62); }),
      Code::kBadFormat, {"lstm0.W", "is not a tensor's"});
  ExpectError(
      ImportChanged(
          {}, [](auto* model) { FindTensor("lstm0.W", model)->mutable_raw_data()->pop_back(); }),
      Code::kBadFormat, {"lstm0.W", "480 bytes expected", "479 found"});
}

TEST(OnnxImport, RefusesElementsAndPlacesThatItCannotRead) {
  ExpectError(
      ImportChanged({},
                    [](auto* model) {
                      FindTensor("lstm0.W", model)->set_data_type(onnx::TensorProto::FLOAT16);
                    }),
      Code::kUnsupported, {"lstm0.W", "FLOAT16 found"});
  ExpectError(
      ImportChanged({},
                    [](auto* model) {
                      FindTensor("lstm0.W", model)->set_data_location(onnx::TensorProto::EXTERNAL);
                    }),
      Code::kUnsupported, {"lstm0.W", "external data"});
}

TEST(OnnxImport, RefusesWeightsThatAreNotFinite) {
  ExpectError(ImportChanged({},
                            [](auto* model) {
                              auto* raw = FindTensor("gemm0.weight", model)->mutable_raw_data();
                              raw->replace(0, 4, std::string("\0\0\x80\x7f", 4));
                            }),
              Code::kBadFormat, {"gemm0.weight", "finite"});
}

TEST(OnnxImport, RefusesAStartStateThatIsAConstant) {
  ExpectError(ImportChanged(kLean,
                            [](auto* model) {
                              auto* lstm = FindProto("lstm0", model);
                              while (lstm->input_size() < 6) lstm->add_input("");
                              lstm->set_input(5, "gemm0.bias");
                            }),
              Code::kUnsupported, {"lstm0", "start state 'gemm0.bias'"});
}

TEST(OnnxImport, RefusesLengthsThatOnlySomeNodesRead) {
  ExpectError(ImportChanged({}, [](auto* model) { FindProto("lstm0", model)->set_input(4, ""); }),
              Code::kUnsupported, {"lengths", "elsewhere"});
}

TEST(OnnxImport, RefusesMetadataThatIsNotANumber) {
  ExpectError(
      ImportChanged({}, [](auto* model) { model->mutable_metadata_props(0)->set_value("0.2x"); }),
      Code::kBadFormat, {"espalier.rate.dropout0", "'0.2x'"});
}

TEST(OnnxImport, RefusesTextsThatAreNotUtf8AndSaysWhich) {
  const auto expect = [](const std::string& where, void (*change)(onnx::ModelProto*)) {
    SCOPED_TRACE(where);
    ExpectError(ImportChanged({}, change), Code::kBadFormat,
                {where + ": a text in UTF-8 expected"});
  };
  expect("graph.name", [](auto* model) { model->mutable_graph()->set_name("caf\xe9"); });
  expect("graph.node[1].name",
         [](auto* model) { model->mutable_graph()->mutable_node(1)->set_name("caf\xe9"); });
  expect("graph.node[2].output[0]",
         [](auto* model) { model->mutable_graph()->mutable_node(2)->set_output(0, "caf\xe9"); });
  expect("graph.initializer[0].name",
         [](auto* model) { model->mutable_graph()->mutable_initializer(0)->set_name("caf\xe9"); });
  expect("graph.input[0].name",
         [](auto* model) { model->mutable_graph()->mutable_input(0)->set_name("caf\xe9"); });
  expect("metadata_props[0].value",
         [](auto* model) { model->mutable_metadata_props(0)->set_value("caf\xe9"); });
  expect("graph.node[0].attribute[0].s", [](auto* model) {
    model->mutable_graph()->mutable_node(0)->add_attribute()->set_s("caf\xe9");
  });
}

TEST(OnnxImport, KeepsNamesBeyondAscii) {
  Graph graph = Digits();
  graph.name = "caf\xc3\xa9";
  EXPECT_EQ(ValueOrDie(ImportOnnx(ValueOrDie(ExportOnnx(graph)))).name, graph.name);
}

TEST(OnnxImport, RefusesBytesThatAreNoModel) {
  ExpectError(ImportOnnx({}).status(), Code::kBadFormat, {"no ONNX graph"});
  ExpectError(ImportText("not ONNX, but text").status(), Code::kBadFormat, {"not an ONNX model"});
}

TEST(OnnxImport, RefusesEveryTruncationOrReadsWhatIsLeft) {
  const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(Digits()));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto graph = ImportOnnx(std::span(bytes).first(size));
    if (graph.ok()) EXPECT_OK(ValidateGraph(*graph));
  }
}

// What a damaged file may do is to be refused, or to be another valid network.
TEST(OnnxImport, SurvivesDamagedBytes) {
  const Graph graph = EveryOperator(kIds, CellKind::kLstmCell, Direction::kBidirectional);
  for (const OnnxExportOptions& options : {OnnxExportOptions{}, kLean}) {
    const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(graph, options));
    Rng rng(1);
    for (int round = 0; round < 10000; ++round) {
      std::vector<std::byte> damaged = bytes;
      const uint64_t changes = 1 + rng.Below(8);
      for (uint64_t i = 0; i < changes; ++i) {
        damaged[rng.Below(damaged.size())] = static_cast<std::byte>(rng.Below(256));
      }
      if (rng.Below(4) == 0) damaged.resize(rng.Below(damaged.size()));
      const auto found = ImportOnnx(damaged);
      if (found.ok()) {
        EXPECT_OK(ValidateGraph(*found));
      } else {
        EXPECT_FALSE(found.status().message().empty());
      }
    }
  }
}

// Damage to the structure rather than to the bytes: weights are most of a file's bytes, so that
// random bytes seldom hit a name or an attribute.
void ExpectToSurviveADamagedStructure(const Graph& graph, int rounds, Rng* rng) {
  for (const OnnxExportOptions& options : {OnnxExportOptions{}, kLean}) {
    const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(graph, options));
    onnx::ModelProto model;
    ASSERT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    const auto below = [&](int size) {
      return static_cast<int>(rng->Below(static_cast<uint64_t>(size)));
    };
    const auto number = [&] {
      const auto any = static_cast<int64_t>(rng->Next() >> rng->Below(64));
      return rng->Below(2) == 0 ? any : -any;
    };
    for (int round = 0; round < rounds; ++round) {
      onnx::ModelProto damaged = model;
      onnx::GraphProto* in = damaged.mutable_graph();
      for (uint64_t change = 0; change <= rng->Below(3); ++change) {
        onnx::NodeProto* node = in->mutable_node(below(in->node_size()));
        const onnx::NodeProto other = in->node(below(in->node_size()));
        onnx::TensorProto* tensor = in->mutable_initializer(below(in->initializer_size()));
        switch (rng->Below(12)) {
          case 0: node->set_op_type(other.op_type()); break;
          case 1:
            if (node->input_size() > 0 && other.output_size() > 0)
              node->set_input(below(node->input_size()), other.output(0));
            break;
          case 2:
            if (node->input_size() > 0) node->mutable_input()->RemoveLast();
            break;
          case 3: node->mutable_attribute()->Clear(); break;
          case 4: *node->mutable_input() = other.input(); break;
          case 5:
            if (tensor->dims_size() > 0) tensor->set_dims(below(tensor->dims_size()), number());
            break;
          case 6: tensor->set_name(in->initializer(below(in->initializer_size())).name()); break;
          case 7:
            if (node->attribute_size() > 0)
              node->mutable_attribute(below(node->attribute_size()))->set_i(number());
            break;
          case 8:
            if (tensor->int64_data_size() > 0)
              tensor->set_int64_data(below(tensor->int64_data_size()), number());
            break;
          case 9: {
            onnx::ValueInfoProto* input = in->mutable_input(below(in->input_size()));
            auto* shape = input->mutable_type()->mutable_tensor_type()->mutable_shape();
            if (shape->dim_size() > 0)
              shape->mutable_dim(below(shape->dim_size()))->set_dim_value(number());
            break;
          }
          case 10:
            if (node->output_size() > 0 && other.output_size() > 0)
              node->set_output(below(node->output_size()), other.output(0));
            break;
          default: node->mutable_output()->Clear(); break;
        }
      }
      const auto found = ImportModel(damaged);
      if (found.ok()) {
        EXPECT_OK(ValidateGraph(*found));
      } else {
        EXPECT_NE(found.status().code(), Code::kInternal) << found.status().message();
        EXPECT_NE(found.status().code(), Code::kOutOfMemory) << found.status().message();
      }
    }
  }
}

TEST(OnnxImport, SurvivesADamagedStructure) {
  Rng rng(2);
  ExpectToSurviveADamagedStructure(
      EveryOperator(kIds, CellKind::kGruCell, Direction::kBidirectional), 3000, &rng);
}

TEST(OnnxImport, SurvivesADamagedStructureOfRandomNetworks) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    ExpectToSurviveADamagedStructure(graph, 10, &rng);
  }
}

}  // namespace
}  // namespace espalier
