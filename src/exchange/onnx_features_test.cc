// Slices, products, norms, projections, peepholes and starts from values: our own files read back
// exactly, and files as other exporters write them.
#include <algorithm>

#include "base/strings.h"
#include "exchange/onnx.h"
#include "exchange/onnx_test_support.h"
#include "model/build.h"
#include "testing/random_graph.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

TEST(OnnxEverything, ReadsBackTheSameGraph) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    for (const auto states :
         {OnnxExportOptions::States::kExplicit, OnnxExportOptions::States::kZero}) {
      const Graph again = ValueOrDie(
          ImportOnnx(ValueOrDie(ExportOnnx(graph, {states, OnnxExportOptions::Lengths::kInput}))));
      ASSERT_TRUE(again == graph);
    }
  }
}

// Dynamic pruning is metadata: read back exactly, and a whole layer to anybody else.
TEST(OnnxRules, ReadsDynamicPruningBack) {
  Rng rng(3);
  GraphBuilder builder("rules", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.direction = Direction::kBidirectional;
  options.delta = Delta{0.1, 1e-3, 4};
  options.skip = true;
  builder.Recurrent(CellKind::kGruCell, 5, options);
  options.direction = Direction::kReverse;
  options.delta.reset();
  options.projection_size = 3;
  builder.Recurrent(CellKind::kLstmCell, 4, options);
  options.projection_size = 0;
  options.direction = Direction::kBidirectional;
  options.banks = UnitBanks{4, 1};
  builder.Recurrent(CellKind::kLstmCell, 6, options);
  options.banks.reset();
  options.idle = IdleCandidates{0.02};
  options.predicted = PredictedRows{3, 0.1};
  builder.Recurrent(CellKind::kGruResetBeforeCell, 5, options);
  const Graph graph = ValueOrDie(builder.LastStep().Gemm(2).Finish());
  EXPECT_EQ(ValueOrDie(ImportOnnx(ValueOrDie(ExportOnnx(graph)))), graph);
}

TEST(OnnxRules, RefusesRulesThatAreDamaged) {
  Rng rng(3);
  GraphBuilder builder("rules", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  GraphBuilder::RecurrentOptions options;
  options.delta = Delta{0.125, 0.25, 4};
  options.skip = true;
  builder.Recurrent(CellKind::kGruCell, 2, options);
  options.delta.reset();
  options.skip = false;
  options.banks = UnitBanks{3, 2};
  builder.Recurrent(CellKind::kRnnTanhCell, 6, options);
  options.banks.reset();
  options.idle = IdleCandidates{0.375};
  options.predicted = PredictedRows{2, 0.0};
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4, options).Finish());
  const auto expect = [&](const std::string& from, const std::string& to,
                          const std::vector<std::string>& parts) {
    std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(graph));
    auto* text = reinterpret_cast<char*>(bytes.data());
    const auto at = std::search(text, text + bytes.size(), from.begin(), from.end());
    ASSERT_NE(at, text + bytes.size()) << from;
    std::copy(to.begin(), to.end(), at);
    const auto read = ImportOnnx(bytes);
    ExpectError(read.status(), read.status().code(), parts);
    EXPECT_FALSE(read.ok());
  };
  expect("0.125", "0.1x5", {"espalier.delta.x.gru0", "a number", "0.1x5"});
  expect("0.125", "-.125", {"gru0.delta.x", "at least 0", "-0.125"});
  expect(
      "bank.gru0\x12\x01"
      "4",
      "bank.gru0\x12\x01"
      "0",
      {"espalier.delta.bank.gru0", "1 to 256"});
  expect("skip.gru0.weight_skip", "skip.gru0.weight_skap", {"skip.gru0.weight_skip", "missing"});
  expect("banks.rnn_tanh0.bias", "banks.rnn_tanh0.bios", {"banks.rnn_tanh0.bias_banks", "missing"});
  expect(
      "banks.size.rnn_tanh0\x12\x01"
      "3",
      "banks.size.rnn_tanh0\x12\x01"
      "7",
      {"espalier.banks.size.rnn_tanh0", "1 to 6", "7 found"});
  expect(
      "banks.size.rnn_tanh0\x12\x01"
      "3",
      "banks.size.rnn_tanh0\x12\x01"
      "1",
      {"espalier.banks.", "rnn_tanh0", "a multiple of 6 numbers", "4 found"});
  expect(
      "idle.epsilon.gru1\x12\x05"
      "0.375",
      "idle.epsilon.gru1\x12\x05"
      "0.575",
      {"gru1.idle.epsilon", "[0, 0.5]", "0.575"});
  expect("predicted.gru1.bias", "predicted.gru1.bios", {"predicted.gru1.bias_predict", "missing"});
}

// A rule that no layer has, or that we do not know, would be lost without a word. What is left of
// a Dropout that another tool removed loses nothing.
TEST(OnnxRules, RefusesRulesThatNoLayerReads) {
  Rng rng(3);
  GraphBuilder builder("rules", {"x", {Element::kF32, Layout::kSequence, 3}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 2).Finish());
  const std::vector<std::byte> bytes = ValueOrDie(ExportOnnx(graph));
  const auto read = [&](const std::string& key) -> Status {
    onnx::ModelProto model;
    model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
    onnx::StringStringEntryProto* entry = model.add_metadata_props();
    entry->set_key(key);
    entry->set_value("0.125");
    return ImportModel(model).status();
  };
  for (const char* key : {"espalier.delta.x.gru9", "espalier.dalta.x.gru0", "espalier.skip.gru0",
                          "espalier.delta.h.gru9", "espalier.banks.top.gru9"}) {
    ExpectError(read(key), Code::kBadFormat, {key, "none reads found"});
  }
  ExpectError(read("espalier.delta.x.gru9"), Code::kBadFormat, {"'delta.x.gru0'"});
  EXPECT_OK(read("espalier.rate.dropout0"));
  EXPECT_OK(read("author"));
}

TEST(OnnxEverything, ReadsTheLeanFormBackAsTheSameNetwork) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    const Graph again = ValueOrDie(ImportOnnx(ValueOrDie(
        ExportOnnx(graph, {OnnxExportOptions::States::kZero, OnnxExportOptions::Lengths::kNone}))));
    const Batch batch = RandomBatch(graph, 5, 3, 5, &rng);
    StateSet start = ZeroStates(graph, 3);
    StateSet start_again = ZeroStates(again, 3);
    const auto expected = ValueOrDie(RunReference(graph, batch, &start));
    const auto found = ValueOrDie(RunReference(again, batch, &start_again));
    ASSERT_EQ(expected.at(graph.outputs[0]).values, found.at(again.outputs[0]).values);
  }
}

// torch.nn.GRU(x)[1] into another torch.nn.GRU, as its exporter writes it.
ForeignModel EncoderDecoder(const std::string& cell) {
  const int64_t gates = cell == "LSTM" ? 4 : 3;
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 3});
  foreign.Floats("W", {1, gates * 2, 3}, -0.5f);
  foreign.Floats("R", {1, gates * 2, 2}, -0.25f);
  foreign.Ints("one", {1}, {1});
  const bool is_lstm = cell == "LSTM";
  foreign.Op(cell, {"x", "W", "R"},
             is_lstm ? std::vector<std::string>{"", "h", "c"} : std::vector<std::string>{"", "h"});
  foreign.Op(cell,
             is_lstm ? std::vector<std::string>{"x", "W", "R", "", "", "h", "c"}
                     : std::vector<std::string>{"x", "W", "R", "", "", "h"},
             {"Y"});
  foreign.Op("Squeeze", {"Y", "one"}, {"y"});
  foreign.Output("y");
  return foreign;
}

TEST(OnnxStart, OfADecoderIsTheLastStepOfItsEncoder) {
  const Graph graph = ValueOrDie(ImportModel(EncoderDecoder("GRU").model()));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[1].op, Op::kLastStep);
  EXPECT_EQ(graph.nodes[1].inputs[0], graph.nodes[0].output);
  EXPECT_EQ(graph.nodes[2].inputs, (std::vector<std::string>{"x", graph.nodes[1].output}));
  EXPECT_FALSE(IsStreamable(graph));
}

TEST(OnnxStart, OfADecoderIsTheEndOfCOfItsEncoder) {
  const Graph graph = ValueOrDie(ImportModel(EncoderDecoder("LSTM").model()));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[2].inputs,
            (std::vector<std::string>{"x", graph.nodes[1].output, graph.nodes[0].end_c}));
  EXPECT_FALSE(graph.nodes[0].end_c.empty());
}

// Two layers of torch.nn.LSTM, whose (h_n, c_n) two layers of another start from: the exporter
// joins the layers' ends and takes them apart.
ForeignModel DeepEncoderDecoder(int64_t first_of_second) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 2});
  foreign.Floats("W", {1, 8, 2}, -0.5f);
  foreign.Floats("R", {1, 8, 2}, -0.25f);
  foreign.Ints("row0", {1}, {0});
  foreign.Ints("row1", {1}, {first_of_second});
  foreign.Ints("end1", {1}, {1});
  foreign.Ints("end2", {1}, {2});
  foreign.Op("LSTM", {"x", "W", "R"}, {"Y0", "h0", "c0"});
  foreign.Op("Squeeze", {"Y0", "end1"}, {"y0"});
  foreign.Op("LSTM", {"y0", "W", "R"}, {"", "h1", "c1"});
  for (const std::string state : {"h", "c"}) {
    ForeignModel::Int("axis", 0, foreign.Op("Concat", {state + "0", state + "1"}, {state}));
    foreign.Op("Slice", {state, "row0", "end1", "row0"}, {state + "_first"});
    foreign.Op("Slice", {state, "row1", "end2", "row0"}, {state + "_second"});
  }
  foreign.Op("LSTM", {"x", "W", "R", "", "", "h_first", "c_first"}, {"Y2"});
  foreign.Op("Squeeze", {"Y2", "end1"}, {"y2"});
  foreign.Op("LSTM", {"y2", "W", "R", "", "", "h_second", "c_second"}, {"Y3"});
  foreign.Op("Squeeze", {"Y3", "end1"}, {"y3"});
  foreign.Output("y3");
  return foreign;
}

TEST(OnnxStart, OfLayersIsTheEndOfAsManyLayers) {
  const Graph graph = ValueOrDie(ImportModel(DeepEncoderDecoder(1).model()));
  std::vector<const Node*> layers;
  for (const Node& node : graph.nodes) {
    if (node.op == Op::kRecurrent) layers.push_back(&node);
  }
  ASSERT_EQ(layers.size(), 4u);
  for (size_t i : {size_t{0}, size_t{1}}) {
    ASSERT_EQ(layers[i + 2]->inputs.size(), 3u);
    EXPECT_EQ(layers[i + 2]->inputs[2], layers[i]->end_c);
    for (const Node& node : graph.nodes) {
      if (node.output != layers[i + 2]->inputs[1]) continue;
      EXPECT_EQ(node.inputs[0], layers[i]->output);
    }
  }
}

TEST(OnnxStart, RefusesRowsThatAreNotALayers) {
  ExpectError(ImportStatus(DeepEncoderDecoder(0)), Code::kUnsupported,
              {"the rows of one of 2 layers expected, 0 to before 2 of 2 found"});
}

// torch's h_n[-1] of two layers, and c_n[-1].
TEST(OnnxEnd, OfTheLastLayerIsAVector) {
  for (const std::string end : {"h", "c"}) {
    ForeignModel foreign = DeepEncoderDecoder(1);
    foreign.Ints("last", {}, {-1});
    foreign.Op("Gather", {end, "last"}, {"vector"});
    foreign.Output("vector");
    const Graph graph = ValueOrDie(ImportModel(foreign.model()));
    const auto types = ValueOrDie(InferTypes(graph));
    EXPECT_EQ(types.at(graph.outputs[1]), (ValueType{Element::kF32, Layout::kVector, 2}));
  }
}

TEST(OnnxImport, BoundsTheFeaturesOfAnInput) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, int64_t{1} << 62});
  foreign.Floats("scale", {1}, 1.0f);
  foreign.Op("LayerNormalization", {"x", "scale"}, {"y"});
  foreign.Output("y");
  ExpectError(ImportStatus(foreign), Code::kBadFormat,
              {"input 'x': at most 67108864 features expected, 4611686018427387904 found"});
}

// torch.nn.functional.glu: chunk, sigmoid, times.
TEST(OnnxSplit, IsReadAsSlices) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 6});
  ForeignModel::Int("axis", 2, foreign.Op("Split", {"x"}, {"a", "b"}));
  foreign.Op("Sigmoid", {"b"}, {"gate"});
  foreign.Op("Mul", {"a", "gate"}, {"y"});
  foreign.Output("y");
  const Graph graph = ValueOrDie(ImportModel(foreign.model()));
  ASSERT_EQ(graph.nodes.size(), 4u);
  EXPECT_EQ(graph.nodes[0].op, Op::kSlice);
  EXPECT_EQ(graph.nodes[0].first, 0);
  EXPECT_EQ(graph.nodes[1].first, 3);
  EXPECT_EQ(graph.nodes[1].count, 3);
  EXPECT_EQ(graph.nodes[3].op, Op::kMul);
}

Status SliceStatus(const std::vector<int64_t>& numbers, Graph* graph) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 6});
  const char* names[] = {"start", "end", "axis", "step"};
  std::vector<std::string> inputs = {"x"};
  for (size_t i = 0; i < numbers.size(); ++i) {
    foreign.Ints(names[i], {1}, {numbers[i]});
    inputs.push_back(names[i]);
  }
  foreign.Op("Slice", inputs, {"y"});
  foreign.Output("y");
  auto imported = ImportModel(foreign.model());
  if (imported.ok()) *graph = *imported;
  return imported.status();
}

TEST(OnnxSlice, CountsFromBothEnds) {
  Graph graph;
  ASSERT_OK(SliceStatus({-4, int64_t{1} << 62, -1}, &graph));
  EXPECT_EQ(graph.nodes[0].first, 2);
  EXPECT_EQ(graph.nodes[0].count, 4);
  ASSERT_OK(SliceStatus({1, -2, 2, 1}, &graph));
  EXPECT_EQ(graph.nodes[0].first, 1);
  EXPECT_EQ(graph.nodes[0].count, 3);
}

TEST(OnnxSlice, RefusesOtherAxesAndSteps) {
  Graph graph;
  ExpectError(SliceStatus({0, 2, 0}, &graph), Code::kUnsupported, {"last axis alone"});
  ExpectError(SliceStatus({0, 2}, &graph), Code::kUnsupported, {"last axis alone"});
  ExpectError(SliceStatus({0, 4, 2, 2}, &graph), Code::kUnsupported, {"step 1"});
  ExpectError(SliceStatus({4, 4, 2}, &graph), Code::kBadFormat, {"at least 1 of the features"});
}

Status LayerNormStatus(int64_t axis, int64_t features) {
  ForeignModel foreign;
  foreign.Input("x", onnx::TensorProto::FLOAT, {0, 0, 6});
  foreign.Floats("scale", {features}, 1.0f);
  ForeignModel::Int("axis", axis, foreign.Op("LayerNormalization", {"x", "scale"}, {"y"}));
  foreign.Output("y");
  return ImportStatus(foreign);
}

TEST(OnnxLayerNorm, IsOverFeaturesAlone) {
  EXPECT_OK(LayerNormStatus(-1, 6));
  EXPECT_OK(LayerNormStatus(2, 6));
  ExpectError(LayerNormStatus(1, 6), Code::kUnsupported, {"'axis'", "1 found"});
  ExpectError(LayerNormStatus(-1, 5), Code::kUnsupported, {"scale", "6 f32 elements"});
}

Graph TiedNetwork() {
  Rng rng(4);
  GraphBuilder builder("text", {"x", {Element::kI32, Layout::kSequence, 6}}, &rng);
  builder.Embedding(4).Recurrent(CellKind::kLstmCell, 4).TiedGemm("embedding0");
  return ValueOrDie(builder.Finish());
}

TEST(OnnxTied, WritesTheTableOnce) {
  const Graph graph = TiedNetwork();
  onnx::ModelProto model;
  const auto bytes = ValueOrDie(ExportOnnx(graph));
  ASSERT_TRUE(model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  int matrices = 0;  // of the table's size
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    matrices += tensor.dims_size() == 2 && tensor.dims(0) * tensor.dims(1) == 24;
  }
  EXPECT_EQ(matrices, 1);
  EXPECT_TRUE(ValueOrDie(ImportOnnx(bytes)) == graph);
}

// As PyTorch's exporter writes decoder.weight = encoder.weight, and as it does without the tie.
TEST(OnnxTied, ReadsATableThatIsTransposedOrCopied) {
  for (const bool is_tied : {true, false}) {
    ForeignModel foreign;
    foreign.Input("ids", onnx::TensorProto::INT64, {0, 0});
    foreign.Floats("table", {6, 4}, -0.5f);
    if (!is_tied) foreign.Floats("copy", {6, 4}, -0.5f);
    foreign.Op("Gather", {"table", "ids"}, {"features"});
    ForeignModel::List("perm", {1, 0},
                       foreign.Op("Transpose", {is_tied ? "table" : "copy"}, {"turned"}));
    foreign.Op("MatMul", {"features", "turned"}, {"logits"});
    foreign.Output("logits");
    const Graph graph = ValueOrDie(ImportModel(foreign.model()));
    EXPECT_EQ(graph.nodes.back().tied, is_tied ? graph.nodes.front().name : "");
    EXPECT_EQ(graph.weights.size(), is_tied ? 2u : 3u);
    const Tensor& matrix = graph.weights.at(WeightOf(graph.nodes.back()));
    EXPECT_EQ(matrix.shape, (std::vector<int64_t>{6, 4}));
    EXPECT_EQ(matrix.values[5], -0.5f + 5.0f / 16);
  }
}

}  // namespace
}  // namespace espalier
