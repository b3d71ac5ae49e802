// The proof that hidden units are removed right: on random graphs, with random keep-sets, the
// masked and the compacted graph give the same numbers over random lengths, batches and initial
// states.
#include "prune/compact.h"

#include "base/strings.h"
#include "model/build.h"
#include "prune/units.h"
#include "testing/random_graph.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomNetworkOfEverything;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;
using ::espalier::testing::ZeroRandomWeights;

// Sums are the same up to terms that are exactly 0.
constexpr double kTolerance = 1e-6;
constexpr uint64_t kSeeds = 500;

// A keep-set that drops each unit that may go with a chance that differs from draw to draw.
Keep DrawKeep(const Coupling& coupling, Rng* rng) {
  Keep keep(coupling.groups.size(), 1);
  std::vector<float> scores;
  const double chance = rng->Uniform();
  for (size_t i = 0; i < keep.size(); ++i) {
    const UnitGroup& group = coupling.groups[i];
    scores.push_back(static_cast<float>(rng->Uniform()));
    if (!group.units.empty() && group.pinned.empty()) keep[i] = rng->Uniform() >= chance;
  }
  BalanceUnits(coupling, scores, 1, &keep);
  return keep;
}

class RandomGraph : public ::testing::TestWithParam<uint64_t> {
 protected:
  RandomGraph() : rng_(GetParam()), graph_(RandomNetworkOfEverything(&rng_)) {
    if (GetParam() % 2 == 1) ZeroRandomWeights(0.5, &rng_, &graph_);
    coupling_ = ValueOrDie(FindCoupling(graph_));
    keep_ = DrawKeep(coupling_, &rng_);
    masked_ = graph_;
    EXPECT_OK(ApplyMasks(UnitMasks(coupling_, keep_), &masked_.weights));
  }

  // Runs both on one random batch from corresponding random states; outputs and end states agree.
  void ExpectSameNumbers(const Graph& large, const Graph& small, const Keep& keep) {
    const int64_t size = 1 + static_cast<int64_t>(rng_.Below(4));
    const int64_t steps = 1 + static_cast<int64_t>(rng_.Below(6));
    const Batch batch = RandomBatch(large, steps, size, 0, &rng_);
    StateSet large_states = RandomStates(large, size, &rng_);
    StateSet small_states = ValueOrDie(CompactStates(coupling_, keep, large_states));
    const auto expected = ValueOrDie(RunReference(large, batch, &large_states));
    const auto found = ValueOrDie(RunReference(small, batch, &small_states));
    for (const std::string& output : large.outputs) {
      EXPECT_LT(MaxAbsDifference(expected.at(output).values, found.at(output).values), kTolerance);
    }
    end_states_ = {ValueOrDie(CompactStates(coupling_, keep, large_states)), small_states};
  }

  Rng rng_;
  Graph graph_, masked_;
  Coupling coupling_;
  Keep keep_;
  std::pair<StateSet, StateSet> end_states_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraph, ::testing::Range<uint64_t>(0, kSeeds));

TEST_P(RandomGraph, GivesTheSameNumbersMaskedAndCompacted) {
  const Graph compact = ValueOrDie(Compact(graph_, coupling_, keep_));
  ExpectSameNumbers(masked_, compact, keep_);
  for (const auto& [name, values] : end_states_.first) {
    EXPECT_LT(MaxAbsDifference(values, end_states_.second.at(name)), kTolerance) << name;
  }
}

TEST_P(RandomGraph, CompactsToTheKeptUnitsOnly) {
  const Graph compact = ValueOrDie(Compact(masked_, coupling_, keep_));
  const Coupling again = ValueOrDie(FindCoupling(compact));
  ASSERT_EQ(again.layers.size(), coupling_.layers.size());
  for (size_t i = 0; i < again.layers.size(); ++i) {
    const UnitLayer& layer = coupling_.layers[i];
    EXPECT_EQ(again.layers[i].units, KeptCount(layer, keep_)) << layer.name();
  }
}

TEST_P(RandomGraph, GivesTheSameOutputsAfterCompactingItsZeros) {
  const Compacted compacted = ValueOrDie(CompactZeros(masked_));
  ExpectSameNumbers(masked_, compacted.graph, compacted.keep);
}

TEST_P(RandomGraph, FindsEveryMaskedUnitAmongItsZeros) {
  const Keep found = FindDeadUnits(masked_, coupling_);
  EXPECT_OK(ValidateKeep(coupling_, found));
  for (size_t i = 0; i < found.size(); ++i) EXPECT_LE(found[i], keep_[i]) << "group " << i;
}

TEST_P(RandomGraph, ReadsTheKeepSetBackFromItsMasks) {
  EXPECT_EQ(AliveGroups(coupling_, UnitMasks(coupling_, keep_)), keep_);
}

TEST_P(RandomGraph, CarriesAnElementMaskAlong) {
  MaskSet masks;
  for (const std::string& name : PrunableWeights(graph_)) {
    masks[name] = MaskOfNonzeros(graph_.weights.at(name));
  }
  const Graph compact = ValueOrDie(Compact(graph_, coupling_, keep_));
  const MaskSet carried = ValueOrDie(CompactMasks(coupling_, keep_, masks));
  for (const auto& [name, mask] : carried) {
    EXPECT_EQ(mask, MaskOfNonzeros(compact.weights.at(name))) << name;
  }
}

// Guards the proof itself: the seeds must draw what it claims to cover.
TEST(RandomGraphs, CoverEveryOperatorCellAndDirectionWithUnitsRemoved) {
  std::map<std::string, int> drawn;
  int joined = 0, sliced = 0, moved = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    const Coupling coupling = ValueOrDie(FindCoupling(graph));
    const Keep keep = DrawKeep(coupling, &rng);
    for (size_t i = 0; i < keep.size(); ++i) {
      joined += keep[i] == 0 && coupling.groups[i].units.size() > 1;
    }
    for (const FeatureSlice& slice : coupling.slices) {
      sliced += KeptCount(slice.groups(), keep) < slice.count;
      moved += KeptCount({slice.in.begin(), slice.in.begin() + slice.first}, keep) < slice.first;
    }
    for (const UnitLayer& layer : coupling.layers) {
      const Node& node = *FindNode(graph, layer.node);
      if (KeptCount(layer, keep) == layer.units) continue;
      for (const Node& other : graph.nodes) {
        ++drawn[OpName(other.op)];
        if (!other.tied.empty()) ++drawn["tied"];
      }
      if (layer.part == UnitLayer::Part::kProjection) ++drawn["projected features"];
      if (node.projection_size > 0 && layer.part == UnitLayer::Part::kUnits) ++drawn["projected"];
      if (StartsFromValues(node)) ++drawn["decoder"];
      if (node.op == Op::kConv1d) {
        ++drawn["channels"];
      } else {
        ++drawn[std::string(InfoOf(node.cell).name) + " " + DirectionName(node.direction)];
      }
    }
  }
  EXPECT_GE(joined, 50);
  EXPECT_GE(sliced, 20);
  EXPECT_GE(moved, 20);
  for (const char* op : {"Recurrent", "Gemm",     "Embedding",
                         "Dropout",   "Relu",     "Sigmoid",
                         "Tanh",      "Softmax",  "Concat",
                         "Add",       "LastStep", "MeanOverTime",
                         "Conv1d",    "channels", "LayerNormalization",
                         "Mul",       "Slice",    "projected features",
                         "projected", "decoder",  "tied"}) {
    EXPECT_GE(drawn[op], 20) << op;
  }
  for (const CellInfo& cell : kCells) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      EXPECT_GE(drawn[std::string(cell.name) + " " + direction], 5) << cell.name << direction;
    }
  }
}

TEST(Compact, RemovesAUnitThatOnlyDeadUnitsRead) {
  Rng rng(1);
  GraphBuilder builder("chain", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  builder.Recurrent(CellKind::kGruCell, 3).Recurrent(CellKind::kGruCell, 2).LastStep().Gemm(1);
  Graph graph = ValueOrDie(builder.Finish());
  // Unit 1 of gru1 is read by nothing but itself; unit 2 of gru0 only by that unit and itself.
  const auto zero = [&](const std::string& name, auto is_zero) {
    Tensor& tensor = graph.weights.at(name);
    for (int64_t row = 0; row < tensor.dim(0); ++row) {
      for (int64_t col = 0; col < tensor.dim(1); ++col) {
        if (is_zero(row, col)) tensor.values[static_cast<size_t>(row * tensor.dim(1) + col)] = 0.0f;
      }
    }
  };
  zero("gemm0.weight", [](int64_t, int64_t col) { return col == 1; });
  zero("gru1.weight_hh", [](int64_t row, int64_t col) { return col == 1 && row % 2 != 1; });
  zero("gru1.weight_ih", [](int64_t row, int64_t col) { return col == 2 && row % 2 != 1; });
  zero("gru0.weight_hh", [](int64_t row, int64_t col) { return col == 2 && row % 3 != 2; });
  const Compacted compacted = ValueOrDie(CompactZeros(graph));
  const auto kept = KeptUnits(compacted.coupling, compacted.keep);
  EXPECT_EQ(kept.at("gru0"), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(kept.at("gru1"), (std::vector<int64_t>{0}));
}

TEST(Compact, RemovesTheChannelsThatNoLayerReads) {
  Rng rng(1);
  GraphBuilder builder("conv", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  builder.Conv1d(4, {3, 2}).Activation(Op::kRelu).Recurrent(CellKind::kLstmCell, 3).LastStep();
  Graph graph = ValueOrDie(builder.Gemm(1).Finish());
  Tensor& reader = graph.weights.at("lstm0.weight_ih");
  for (size_t row = 0; row < 12; ++row) reader.values[row * 4 + 1] = 0.0f;
  const Compacted compacted = ValueOrDie(CompactZeros(graph));
  EXPECT_EQ(KeptUnits(compacted.coupling, compacted.keep).at("conv1d0"),
            (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(compacted.graph.weights.at("conv1d0.weight").shape, (std::vector<int64_t>{3, 6}));
  EXPECT_EQ(compacted.graph.weights.at("conv1d0.bias").shape, (std::vector<int64_t>{3}));
  EXPECT_EQ(compacted.graph.weights.at("lstm0.weight_ih").shape, (std::vector<int64_t>{12, 3}));
}

TEST(Compact, LeavesADenseGraphAsItIs) {
  Rng rng(1);
  GraphBuilder builder("dense", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  const Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kLstmCell, 4).LastStep().Gemm(2).Finish());
  EXPECT_EQ(ValueOrDie(CompactZeros(graph)).graph, graph);
}

TEST(Compact, KeepsAUnitOfALayerThatIsAllZero) {
  Rng rng(1);
  GraphBuilder builder("zero", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 4, {Direction::kBidirectional, 0.0}).LastStep().Gemm(2);
  Graph graph = ValueOrDie(builder.Finish());
  for (auto& [name, tensor] : graph.weights) tensor.values.assign(tensor.size(), 0.0f);
  EXPECT_EQ(ValueOrDie(CompactZeros(graph)).graph.nodes[0].hidden_size, 1);
}

TEST(Compact, RefusesACouplingOfAnotherGraph) {
  Rng rng(1);
  const auto make = [&](int64_t inputs) {
    GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, inputs}}, &rng);
    return ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Gemm(2).Finish());
  };
  const Coupling coupling = ValueOrDie(FindCoupling(make(2)));
  ExpectError(Compact(make(3), coupling, Keep(coupling.groups.size(), 1)).status(),
              Code::kInvalidArgument, {"gru0.weight_ih", "12x2 expected", "12x3 found"});
}

TEST(Compact, NamesAMissingState) {
  Rng rng(1);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 2}}, &rng);
  const Graph graph =
      ValueOrDie(builder.Recurrent(CellKind::kGruCell, 4).LastStep().Gemm(2).Finish());
  const Coupling coupling = ValueOrDie(FindCoupling(graph));
  StateSet states = ZeroStates(graph, 2);
  states.erase("gru0.h");
  ExpectError(CompactStates(coupling, Keep(coupling.groups.size(), 1), states).status(),
              Code::kInvalidArgument, {"gru0.h", "multiple of 4"});
}

}  // namespace
}  // namespace espalier
