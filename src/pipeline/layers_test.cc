#include "pipeline/layers.h"

#include <algorithm>
#include <cmath>

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr ValueType kInput = {Element::kF32, Layout::kSequence, 5};

TEST(ParseLayer, ReadsKindSizeAndDirection) {
  const LayerSpec layer = ValueOrDie(ParseLayer("gru:12:bidirectional"));
  EXPECT_EQ(layer.kind, "gru");
  EXPECT_EQ(layer.size, 12);
  EXPECT_EQ(layer.direction, Direction::kBidirectional);
}

TEST(ParseLayer, ReadsTheStepsAndTheDilationOfAConv1d) {
  const LayerSpec layer = ValueOrDie(ParseLayer("conv1d:12:3"));
  EXPECT_EQ(layer.size, 12);
  EXPECT_EQ(layer.kernel_size, 3);
  EXPECT_EQ(layer.dilation, 1);
  EXPECT_EQ(ValueOrDie(ParseLayer("conv1d:12:3:4")).dilation, 4);
}

TEST(ParseLayer, ReadsAProjection) {
  const LayerSpec layer = ValueOrDie(ParseLayer("lstm_peephole:12:5:reverse"));
  EXPECT_EQ(layer.size, 12);
  EXPECT_EQ(layer.projection, 5);
  EXPECT_EQ(layer.direction, Direction::kReverse);
  EXPECT_EQ(ValueOrDie(ParseLayer("lstm:12")).projection, 0);
}

TEST(ParseLayer, ReadsARate) { EXPECT_EQ(ValueOrDie(ParseLayer("dropout:0.25")).rate, 0.25); }

struct BadLayer {
  const char* word;
  std::vector<std::string> parts;
};

class RefusedLayer : public ::testing::TestWithParam<BadLayer> {};

TEST_P(RefusedLayer, NamesTheWordAndWhatWasExpected) {
  std::vector<std::string> parts = GetParam().parts;
  parts.push_back(std::string("'") + GetParam().word + "'");
  ExpectError(ParseLayer(GetParam().word).status(), Code::kInvalidArgument, parts);
}

INSTANTIATE_TEST_SUITE_P(
    Words, RefusedLayer,
    ::testing::Values(BadLayer{"", {"a kind expected"}},
                      BadLayer{"lstn:8", {"did you mean 'lstm'"}},
                      BadLayer{"lstm", {"lstm:SIZE expected"}},
                      BadLayer{"lstm:8x", {"lstm:SIZE expected"}},
                      BadLayer{"lstm:99999999999999999999", {"lstm:SIZE expected"}},
                      BadLayer{"lstm:-8", {"1 to 1000000 expected, -8 found"}},
                      BadLayer{"lstm:1000001", {"1 to 1000000 expected, 1000001 found"}},
                      BadLayer{"gru:9223372036854775807", {"1 to 1000000", "9223372036854775807"}},
                      BadLayer{"lstm:8:both", {"'bidirectional' or 'reverse'"}},
                      BadLayer{"lstm:8:reverse:x", {"nothing after 'reverse'"}},
                      BadLayer{"lstm:8:0", {"lstm:SIZE:PROJECTION"}},
                      BadLayer{"lstm:8:1000001", {".projection: 0 to 1000000", "1000001 found"}},
                      BadLayer{"gru:8:4", {"'bidirectional' or 'reverse'"}},
                      BadLayer{"gemm:0", {"1 to 1000000 expected, 0 found"}},
                      BadLayer{"conv1d:4", {"conv1d:SIZE:STEPS"}},
                      BadLayer{"conv1d:4:3:x", {"conv1d:SIZE:STEPS:DILATION expected"}},
                      BadLayer{"conv1d:4:0", {".kernel_size: 1 to 65536 expected, 0 found"}},
                      BadLayer{"conv1d:4:2:65537", {".dilation: 1 to 65536", "65537 found"}},
                      BadLayer{"conv1d:4:3:2:1", {"nothing after '2'"}},
                      BadLayer{"dropout", {"dropout:RATE expected"}},
                      BadLayer{"dropout:x", {"dropout:RATE expected"}},
                      BadLayer{"dropout:1", {"[0, 1) expected, 1 found"}},
                      BadLayer{"dropout:nan", {"[0, 1) expected, nan found"}},
                      BadLayer{"last_step:3", {"nothing after 'last_step'"}}));

TEST(ParseLayers, WantsAtLeastOne) {
  ExpectError(ParseLayers("  ").status(), Code::kInvalidArgument, {"at least one layer"});
}

TEST(BuildNetwork, StacksTheLayersInTheirOrder) {
  Rng rng(1);
  const Graph graph = ValueOrDie(BuildNetwork(
      "net", kInput,
      ValueOrDie(ParseLayers("lstm:4:bidirectional gru:3 last_step dropout:0.5 gemm:2 softmax")),
      &rng));
  std::vector<Op> ops;
  for (const Node& node : graph.nodes) ops.push_back(node.op);
  EXPECT_EQ(ops, (std::vector<Op>{Op::kRecurrent, Op::kRecurrent, Op::kLastStep, Op::kDropout,
                                  Op::kGemm, Op::kSoftmax}));
  EXPECT_EQ(graph.nodes[0].direction, Direction::kBidirectional);
  EXPECT_EQ(graph.nodes[1].hidden_size, 3);
  EXPECT_EQ(graph.nodes[3].rate, 0.5);
}

// One layer of each that has weights, and how many those are, by hand:
//   lstm 2 * 4*3 (5 + 3 + 2), conv1d 2 (3*6 + 1), gru 3*2 (2 + 2 + 2), gemm 7 (2 + 1)
TEST(BuildNetwork, RefusesANetworkThatNoFileCanHoldBeforeItTakesMemory) {
  Rng rng(1);
  const std::string head =
      "lstm:3:bidirectional conv1d:2:3 gru:2 dropout:0.5 relu last_step gemm:7 ";
  const int64_t before = 240 + 38 + 36 + 21;
  ExpectError(
      BuildNetwork("net", kInput, ValueOrDie(ParseLayers(head + "gemm:1000000 gemm:1000000")), &rng)
          .status(),
      Code::kInvalidArgument,
      {"model[8].gemm", "size 1000000 over 1000000 inputs",
       std::to_string(before + 8 * 1000000 + 1000001 * int64_t{1000000}) + " weights and biases",
       "at most 500000000 expected"});
}

// What the count before any memory is taken says is what there is then.
TEST(BuildNetwork, CountsWhatItBuilds) {
  Rng rng(1);
  const std::string words = "lstm_peephole:4:6:bidirectional layer_norm glu lstm:3:2 gemm:4 glu ";
  const int64_t before = static_cast<int64_t>(
      ParameterCount(ValueOrDie(BuildNetwork("net", kInput, ValueOrDie(ParseLayers(words)), &rng)),
                     Count::kDense));
  ExpectError(
      BuildNetwork("net", kInput, ValueOrDie(ParseLayers(words + "gemm:1000000 gemm:1000000")),
                   &rng)
          .status(),
      Code::kInvalidArgument,
      {std::to_string(before + 3 * 1000000 + 1000001 * int64_t{1000000}) + " weights and biases"});
}

TEST(BuildNetwork, RefusesAGluOfAnOddNumberOfFeatures) {
  Rng rng(1);
  ExpectError(BuildNetwork("net", kInput, ValueOrDie(ParseLayers("gru:7 glu")), &rng).status(),
              Code::kInvalidArgument, {"model[1].glu: an even number", "7 found"});
}

TEST(BuildNetwork, RefusesTheLargestCellsWithoutAnOverflow) {
  Rng rng(1);
  const auto layers = ValueOrDie(ParseLayers("lstm:1000000:bidirectional"));
  ExpectError(BuildNetwork("net", kInput, layers, &rng).status(), Code::kInvalidArgument,
              {"model[0].lstm", "8000056000000 weights and biases"});
}

TEST(BuildNetwork, CountsTheRowsOfAnEmbedding) {
  Rng rng(1);
  const ValueType ids = {Element::kI32, Layout::kSequence, 100000};
  ExpectError(BuildNetwork("net", ids, ValueOrDie(ParseLayers("embedding:5001")), &rng).status(),
              Code::kInvalidArgument, {"model[0].embedding", "500100000 weights"});
}

TEST(BuildNetwork, NamesTheLayerThatIsWrong) {
  Rng rng(1);
  std::vector<LayerSpec> layers = ValueOrDie(ParseLayers("lstm:4 gemm:2"));
  layers[1].size = 0;
  ExpectError(BuildNetwork("net", kInput, layers, &rng).status(), Code::kInvalidArgument,
              {"model[1].gemm", "0 found"});
}

TEST(BuildNetwork, TiesTheLastLayerToTheEmbedding) {
  Rng rng(1);
  const ValueType ids = {Element::kI32, Layout::kSequence, 50};
  const Graph graph = ValueOrDie(
      BuildNetwork("net", ids, ValueOrDie(ParseLayers("embedding:8 lstm:8 tied_gemm")), &rng));
  EXPECT_EQ(graph.nodes.back().tied, "embedding0");
  EXPECT_FALSE(graph.weights.contains("gemm0.weight"));
  const std::vector<float>& table = graph.weights.at("embedding0.weight").values;
  EXPECT_LE(*std::max_element(table.begin(), table.end()), 1.0f / std::sqrt(8.0f));
}

TEST(BuildNetwork, RefusesATiedGemmWithoutAnEmbedding) {
  Rng rng(1);
  ExpectError(
      BuildNetwork("net", kInput, ValueOrDie(ParseLayers("lstm:8 tied_gemm")), &rng).status(),
      Code::kInvalidArgument,
      {"model[1].tied_gemm: an embedding as the first layer expected, lstm found"});
  ExpectError(BuildNetwork("net", kInput, ValueOrDie(ParseLayers("tied_gemm")), &rng).status(),
              Code::kInvalidArgument, {"model[0].tied_gemm", "nothing found"});
}

}  // namespace
}  // namespace espalier
