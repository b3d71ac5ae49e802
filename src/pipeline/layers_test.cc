#include "pipeline/layers.h"

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
                      BadLayer{"lstm:-8", {"at least 1 expected, -8 found"}},
                      BadLayer{"lstm:8:both", {"'bidirectional' or 'reverse'"}},
                      BadLayer{"lstm:8:reverse:x", {"nothing after 'reverse'"}},
                      BadLayer{"gemm:0", {"at least 1 expected, 0 found"}},
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

TEST(BuildNetwork, NamesTheLayerThatIsWrong) {
  Rng rng(1);
  std::vector<LayerSpec> layers = ValueOrDie(ParseLayers("lstm:4 gemm:2"));
  layers[1].size = 0;
  ExpectError(BuildNetwork("net", kInput, layers, &rng).status(), Code::kInvalidArgument,
              {"model[1]", "0 found"});
}

}  // namespace
}  // namespace espalier
