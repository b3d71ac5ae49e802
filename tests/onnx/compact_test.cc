// Removing hidden units: the masked and the compacted network agree in ONNX Runtime too.
#include "prune/compact.h"

#include "base/strings.h"
#include "exchange/onnx.h"
#include "onnxruntime_test.h"
#include "peers/onnx_network.h"
#include "prune/units.h"
#include "testing/random_graph.h"

namespace espalier {
namespace {

using ::espalier::testing::MaxAbsDifference;
using ::espalier::testing::OnnxRuntimeTest;
using ::espalier::testing::RandomBatch;
using ::espalier::testing::RandomNetwork;
using ::espalier::testing::RandomNetworkOfEverything;
using ::espalier::testing::RandomStates;
using ::espalier::testing::ValueOrDie;

using CompactTest = OnnxRuntimeTest;

// Drops about half of the units that may go.
Keep RandomKeep(const Coupling& coupling, Rng* rng) {
  Keep keep(coupling.groups.size(), 1);
  std::vector<float> scores;
  for (size_t i = 0; i < keep.size(); ++i) {
    const UnitGroup& group = coupling.groups[i];
    scores.push_back(static_cast<float>(rng->Uniform()));
    if (!group.units.empty() && group.pinned.empty()) keep[i] = rng->Uniform() < 0.5 ? 0 : 1;
  }
  BalanceUnits(coupling, scores, 1, &keep);
  return keep;
}

TEST_F(CompactTest, MaskedAndCompactedGiveTheSameNumbersInOnnxRuntime) {
  const GraphInput input = {"x", {Element::kF32, Layout::kSequence, 5}};
  size_t removed = 0;
  for (uint64_t seed = 0; seed < 240; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    Rng rng(1000 + seed);
    const bool has_everything = seed >= 60;
    Graph masked = has_everything ? RandomNetworkOfEverything(&rng) : RandomNetwork(input, seed);
    masked.outputs = {masked.outputs.back()};  // the others pin the units of the last layer
    const Coupling coupling = ValueOrDie(FindCoupling(masked));
    const Keep keep = RandomKeep(coupling, &rng);
    for (const uint8_t kept : keep) removed += kept == 0;
    const Graph compact = ValueOrDie(Compact(masked, coupling, keep));
    ASSERT_OK(ApplyMasks(UnitMasks(coupling, keep), &masked.weights));
    const auto masked_network =
        ValueOrDie(OnnxNetwork::Load(runtime(), ValueOrDie(ExportOnnx(masked)), masked));
    const auto compact_network =
        ValueOrDie(OnnxNetwork::Load(runtime(), ValueOrDie(ExportOnnx(compact)), compact));

    const int64_t size = 1 + static_cast<int64_t>(rng.Below(4));
    const Batch batch = RandomBatch(masked, 1 + static_cast<int64_t>(rng.Below(7)), size, 0, &rng);
    StateSet states = RandomStates(masked, size, &rng);
    StateSet compact_states = ValueOrDie(CompactStates(coupling, keep, states));
    const auto expected = ValueOrDie(masked_network.Run(batch, &states));
    const auto found = ValueOrDie(compact_network.Run(batch, &compact_states));
    EXPECT_LT(
        MaxAbsDifference(expected.at(masked.outputs[0]).values, found.at(masked.outputs[0]).values),
        1e-5);
    for (const auto& [name, values] : ValueOrDie(CompactStates(coupling, keep, states))) {
      EXPECT_LT(MaxAbsDifference(values, compact_states.at(name)), 1e-5) << name;
    }
  }
  EXPECT_GT(removed, 500u);  // the test is not empty
}

}  // namespace
}  // namespace espalier
