// LayerNormalization, Slice, Mul, projections, peepholes and starts from values of the reference
// executor, against their equations written out.
#include <cmath>

#include "model/build.h"
#include "model/reference.h"
#include "model/serialize.h"
#include "testing/random_graph.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

const GraphInput kInput = {"x", {Element::kF32, Layout::kSequence, 3}};

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

TEST(LayerNorm, HasMean0AndVariance1BeforeItsWeights) {
  Rng rng(1);
  GraphBuilder builder("norm", {"x", {Element::kF32, Layout::kSequence, 7}}, &rng);
  Graph graph = ValueOrDie(builder.LayerNorm(1e-5).Finish());
  const Batch batch = RandomBatch(graph, 4, 3, 4, &rng);
  StateSet states;
  const auto run = [&] { return ValueOrDie(RunReference(graph, batch, &states)); };
  const std::vector<float> plain = run().at("layer_norm0.out").values;
  for (size_t row = 0; row < 12; ++row) {
    double mean = 0.0, square = 0.0;
    for (size_t f = 0; f < 7; ++f) mean += plain[row * 7 + f] / 7.0;
    for (size_t f = 0; f < 7; ++f) square += plain[row * 7 + f] * plain[row * 7 + f] / 7.0;
    EXPECT_NEAR(mean, 0.0, 1e-6);
    EXPECT_NEAR(square, 1.0, 1e-3);  // the epsilon over the variance
  }
  graph.weights.at("layer_norm0.weight").values[2] = 3.0f;
  graph.weights.at("layer_norm0.bias").values[2] = 0.5f;
  const std::vector<float> scaled = run().at("layer_norm0.out").values;
  EXPECT_NEAR(scaled[2], 3.0 * plain[2] + 0.5, 1e-6);
  EXPECT_EQ(scaled[3], plain[3]);
}

TEST(Glu, IsOneHalfTimesTheSigmoidOfTheOther) {
  Rng rng(2);
  GraphBuilder builder("glu", {"x", {Element::kF32, Layout::kSequence, 6}}, &rng);
  const Graph graph = ValueOrDie(builder.Glu().Finish());
  const Batch batch = RandomBatch(graph, 2, 2, 2, &rng);
  StateSet states;
  const Value y = ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]);
  ASSERT_EQ(y.type.features, 3);
  for (size_t row = 0; row < 4; ++row) {
    for (size_t f = 0; f < 3; ++f) {
      const double expected =
          double{batch.features[row * 6 + f]} * Sigmoid(double{batch.features[row * 6 + 3 + f]});
      EXPECT_NEAR(y.values[row * 3 + f], expected, 1e-6);
    }
  }
}

// Both directions of an LSTM with peepholes and a projection that starts from two vectors.
class StartedLstm : public ::testing::Test {
 protected:
  StartedLstm() {
    GraphBuilder builder("started", kInput, &rng_);
    const std::string h = builder.LastStep().Gemm(2 * kProjection).value();
    const std::string c = builder.From("x").MeanOverTime().Gemm(2 * kHidden).value();
    builder.From("x").Recurrent(CellKind::kLstmPeepholeCell, kHidden,
                                {Direction::kBidirectional, 0.0, kProjection, {h, c}});
    graph_ = ValueOrDie(builder.Finish());
  }

  double W(const std::string& name, int64_t row, int64_t col) const {
    return ViewOf(graph_.weights.at("lstm_peephole0." + name)).at(row, col);
  }
  double V(const std::string& name, int64_t at) const {
    return graph_.weights.at("lstm_peephole0." + name).values[static_cast<size_t>(at)];
  }

  static constexpr int64_t kHidden = 4;
  static constexpr int64_t kProjection = 2;
  Rng rng_{3};
  Graph graph_;
};

TEST_F(StartedLstm, IsWhatItsEquationsSay) {
  const Batch batch = RandomBatch(graph_, 5, 2, 1, &rng_);
  StateSet states = RandomStates(graph_, 2, &rng_);
  const auto values = ValueOrDie(RunReference(graph_, batch, &states));
  const Value& y = values.at(graph_.outputs[0]);
  for (const bool reverse : {false, true}) {
    const std::string d = reverse ? "_reverse" : "";
    for (int64_t b = 0; b < 2; ++b) {
      const int64_t part = reverse ? 1 : 0;
      std::vector<double> h, c;
      for (int64_t p = 0; p < kProjection; ++p) {
        h.push_back(values.at("gemm0.out").row(0, b)[part * kProjection + p]);
      }
      for (int64_t k = 0; k < kHidden; ++k) {
        c.push_back(values.at("gemm1.out").row(0, b)[part * kHidden + k]);
      }
      const int64_t length = batch.lengths[static_cast<size_t>(b)];
      for (int64_t s = 0; s < length; ++s) {
        const int64_t t = reverse ? length - 1 - s : s;
        std::vector<double> m;
        for (int64_t k = 0; k < kHidden; ++k) {
          const auto sum_of = [&](int64_t gate) {
            const int64_t row = gate * kHidden + k;
            double sum = V("bias_ih" + d, row) + V("bias_hh" + d, row);
            for (int64_t i = 0; i < 3; ++i) {
              sum += W("weight_ih" + d, row, i) *
                     double{batch.features[static_cast<size_t>((t * 2 + b) * 3 + i)]};
            }
            for (int64_t p = 0; p < kProjection; ++p) {
              sum += W("weight_hh" + d, row, p) * h[static_cast<size_t>(p)];
            }
            return sum;
          };
          double& cell = c[static_cast<size_t>(k)];
          const double i = Sigmoid(sum_of(0) + V("weight_peephole" + d, k) * cell);
          const double f = Sigmoid(sum_of(1) + V("weight_peephole" + d, kHidden + k) * cell);
          cell = f * cell + i * std::tanh(sum_of(2));
          const double o = Sigmoid(sum_of(3) + V("weight_peephole" + d, 2 * kHidden + k) * cell);
          m.push_back(o * std::tanh(cell));
        }
        for (int64_t p = 0; p < kProjection; ++p) {
          h[static_cast<size_t>(p)] = 0.0;
          for (int64_t k = 0; k < kHidden; ++k) {
            h[static_cast<size_t>(p)] += W("weight_hr" + d, p, k) * m[static_cast<size_t>(k)];
          }
          EXPECT_NEAR(y.row(t, b)[part * kProjection + p], h[static_cast<size_t>(p)], 1e-5);
        }
      }
    }
  }
}

TEST_F(StartedLstm, HasNoStateAndNeedsTheWholeSequence) {
  EXPECT_FALSE(IsStreamable(graph_));
  for (const StateSpec& spec : StatesOf(graph_)) EXPECT_FALSE(spec.name.starts_with("lstm"));
}

TEST_F(StartedLstm, NamesAStartOfTheWrongSize) {
  graph_.nodes.back().inputs = {"x", "gemm1.out", "gemm1.out"};
  ExpectError(ValidateGraph(graph_), Code::kInvalidArgument,
              {"lstm_peephole0 start h 'gemm1.out'", "f32 [B, 4] expected, f32 [B, 8] found"});
  graph_.nodes.back().inputs = {"x", "gemm0.out"};
  ExpectError(ValidateGraph(graph_), Code::kInvalidArgument,
              {"lstm_peephole0: 1 input or, to start from values, 3 expected, 2 found"});
}

// c is its state: the value is what the state ends as, of a sequence without a step what it starts
// as.
TEST(EndC, IsWhereTheStateEnds) {
  Rng rng(8);
  GraphBuilder builder("end", kInput, &rng);
  builder.Recurrent(CellKind::kLstmCell, 4, {Direction::kBidirectional, 0.0, 2}).EndC();
  const Graph graph = ValueOrDie(builder.Finish());
  Batch batch = RandomBatch(graph, 5, 3, 0, &rng);
  batch.lengths = {5, 0, 2};
  StateSet states = RandomStates(graph, 3, &rng);
  const StateSet start = states;
  const Value c = ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]);
  ASSERT_EQ(c.type, (ValueType{Element::kF32, Layout::kVector, 8}));
  for (size_t b = 0; b < 3; ++b) {
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ(c.values[b * 8 + k], states.at("lstm0.c")[b * 4 + k]);
      EXPECT_EQ(c.values[b * 8 + 4 + k], states.at("lstm0.c_reverse")[b * 4 + k]);
    }
  }
  EXPECT_EQ(c.values[8], start.at("lstm0.c")[4]);
  EXPECT_NE(c.values[0], start.at("lstm0.c")[0]);
}

TEST(EndC, NeedsACellState) {
  Rng rng(9);
  GraphBuilder builder("end", kInput, &rng);
  ExpectError(builder.Recurrent(CellKind::kGruCell, 4).EndC().Finish().status(),
              Code::kInvalidArgument, {"gru0.end_c", "the node has no c"});
}

TEST(EndC, NamesAValueThatIsThereAlready) {
  Rng rng(9);
  GraphBuilder builder("end", kInput, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 4).Finish());
  graph.nodes[0].end_c = "x";
  ExpectError(ValidateGraph(graph), Code::kInvalidArgument, {"lstm0: value 'x' is defined twice"});
}

// Each Concat doubles the features: a small file could name more than 64 bits count.
TEST(Graph, BoundsTheFeaturesOfAValue) {
  Rng rng(10);
  GraphBuilder builder("wide", kInput, &rng);
  for (int i = 0; i < 64; ++i) builder.Concat(builder.value());
  ExpectError(builder.Finish().status(), Code::kInvalidArgument,
              {"concat24 output: 1 to 67108864 features expected, 100663296 found"});
}

TEST(Projection, NeedsACellState) {
  Rng rng(4);
  GraphBuilder builder("gru", kInput, &rng);
  ExpectError(
      builder.Recurrent(CellKind::kGruCell, 4, {Direction::kForward, 0.0, 2}).Finish().status(),
      Code::kInvalidArgument, {"gru0.projection_size: 0 expected", "gru has no cell state"});
}

TEST(Slice, NamesFeaturesThatAreNotThere) {
  Rng rng(5);
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{0, 4}, {2, 2}, {-1, 2}, {3, 1}, {0, 0}, {1, INT64_MAX}}) {
    GraphBuilder builder("slice", kInput, &rng);
    ExpectError(builder.Slice(first, count).Finish().status(), Code::kInvalidArgument,
                {"slice0", "features 0 to 2"});
  }
}

TEST(LayerNorm, NamesAnEpsilonOutOfRange) {
  Rng rng(6);
  for (const double epsilon : {0.0, -1.0, 1e-40, 1.5, std::nan("")}) {  // 1e-40: 0 in f32
    GraphBuilder builder("norm", kInput, &rng);
    ExpectError(builder.LayerNorm(epsilon).Finish().status(), Code::kInvalidArgument,
                {"layer_norm0.epsilon: a number in [1e-30, 1] expected"});
  }
}

TEST(Serialize, ReadsBackRandomNetworksOfEverything) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    ByteWriter writer;
    WriteGraph(graph, &writer);
    ByteReader reader(writer.bytes());
    EXPECT_TRUE(ValueOrDie(ReadGraph(&reader)) == graph) << seed;
    EXPECT_EQ(reader.remaining(), 0u);
  }
}

std::vector<std::byte> BytesOf(const Graph& graph) {
  ByteWriter writer;
  WriteGraph(graph, &writer);
  return {writer.bytes().begin(), writer.bytes().end()};
}

// Of a Recurrent node, version 1 lacks the 8 bytes of projection_size, 1 and 2 lack end_c, which is
// 4 bytes if it is empty, 1 to 3 the 2 bytes of skip and has_delta, 1 to 4 that of has_banks, and
// all five the 2 of has_idle and has_predicted.
TEST(Serialize, ReadsGraphsOfOlderVersions) {
  Rng rng(7);
  GraphBuilder builder("old", kInput, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).Finish());
  const std::vector<std::byte> bytes = BytesOf(graph);
  Graph other = graph;
  other.nodes[0].projection_size = -1;  // 8 bytes that are found by comparing
  const std::vector<std::byte> marked = BytesOf(other);
  const auto at = std::mismatch(bytes.begin(), bytes.end(), marked.begin()).first - bytes.begin();
  for (const int version : {1, 2, 3, 4, 5}) {
    std::vector<std::byte> old = bytes;
    old[0] = static_cast<std::byte>(version);
    constexpr int kKnown[] = {0, 8, 12, 14, 15};
    old.erase(old.begin() + at + kKnown[version - 1], old.begin() + at + 17);
    ByteReader reader(old);
    EXPECT_TRUE(ValueOrDie(ReadGraph(&reader)) == graph) << version;
    EXPECT_EQ(reader.remaining(), 0u);
  }
}

// Version 2 is version 3 without the 4 bytes of what a Gemm is tied to, if that is nothing.
TEST(Serialize, ReadsAGraphOfVersion2) {
  Rng rng(7);
  GraphBuilder builder("old", kInput, &rng);
  const Graph graph = ValueOrDie(builder.Gemm(4).Finish());
  const std::vector<std::byte> bytes = BytesOf(graph);
  Graph other = graph;
  other.nodes[0].tied = "x";
  const std::vector<std::byte> marked = BytesOf(other);
  const auto at = std::mismatch(bytes.begin(), bytes.end(), marked.begin()).first - bytes.begin();
  std::vector<std::byte> old = bytes;
  old[0] = std::byte{2};
  old.erase(old.begin() + at, old.begin() + at + 4);
  ByteReader reader(old);
  EXPECT_TRUE(ValueOrDie(ReadGraph(&reader)) == graph);
  EXPECT_EQ(reader.remaining(), 0u);
}

const GraphInput kIds = {"x", {Element::kI32, Layout::kSequence, 6}};

TEST(TiedGemm, ComputesWhatAGemmWithACopyOfTheTableDoes) {
  Rng rng(8);
  GraphBuilder builder("text", kIds, &rng);
  builder.Embedding(4).Recurrent(CellKind::kLstmCell, 4).TiedGemm("embedding0");
  const Graph tied = ValueOrDie(builder.Finish());
  EXPECT_FALSE(tied.weights.contains("gemm0.weight"));
  Graph copied = tied;
  copied.nodes.back().tied.clear();
  copied.weights["gemm0.weight"] = tied.weights.at("embedding0.weight");
  const Batch batch = RandomBatch(tied, 5, 3, 5, &rng);
  StateSet states = ZeroStates(tied, 3), states_of_copied = ZeroStates(copied, 3);
  const Value found = ValueOrDie(RunReference(tied, batch, &states)).at(tied.outputs[0]);
  EXPECT_EQ(found.type, (ValueType{Element::kF32, Layout::kSequence, 6}));
  EXPECT_EQ(found.values,
            ValueOrDie(RunReference(copied, batch, &states_of_copied)).at("gemm0.out").values);
  EXPECT_EQ(MultiplyAddsPerStep(tied, Count::kDense), MultiplyAddsPerStep(copied, Count::kDense));
  EXPECT_EQ(ParameterCount(tied, Count::kDense) + 24, ParameterCount(copied, Count::kDense));
}

TEST(TiedGemm, CountsAsAProductOfTheTable) {
  Rng rng(8);
  GraphBuilder builder("text", kIds, &rng);
  const Graph alone = ValueOrDie(builder.Embedding(4).Finish());
  EXPECT_FALSE(IsMultiplied(alone, "embedding0.weight"));
  const Graph tied = ValueOrDie(builder.TiedGemm("embedding0").Finish());
  EXPECT_TRUE(IsMultiplied(tied, "embedding0.weight"));
}

TEST(TiedGemm, WantsAnEmbeddingBeforeItOfItsWidth) {
  Rng rng(9);
  GraphBuilder none("text", kInput, &rng);
  ExpectError(none.TiedGemm("embedding0").Finish().status(), Code::kInvalidArgument,
              {"gemm0.tied: an Embedding before it expected, 'embedding0' found"});
  GraphBuilder wide("text", kIds, &rng);
  wide.Embedding(4).Recurrent(CellKind::kGruCell, 5).TiedGemm("embedding0");
  ExpectError(wide.Finish().status(), Code::kInvalidArgument,
              {"gemm0 input 'gru0.out'", "4 features", "embedding0.weight", "5 found"});
  GraphBuilder other("text", kIds, &rng);
  Graph graph = ValueOrDie(other.Embedding(4).Dropout(0.5).Finish());
  graph.nodes[1].tied = "embedding0";
  ExpectError(ValidateGraph(graph), Code::kInvalidArgument,
              {"dropout0.tied: nothing expected, 'embedding0' found"});
}

}  // namespace
}  // namespace espalier
