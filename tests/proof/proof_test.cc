// Masked and compacted networks of everything in the runtime. (In the reference:
// src/prune/compact_test.cc; in ONNX Runtime: tests/onnx/compact_test.cc.)
#include <algorithm>

#include "prune/compact.h"
#include "prune/units.h"
#include "runtime/session_test_support.h"
#include "testing/random_graph.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

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

struct Found {
  std::vector<float> output;
  StateSet states;
};

// Makes 0 of what an output at every step says past a sequence's length, which is nobody's number.
void ForgetPastLengths(const Batch& batch, std::vector<float>* output) {
  const size_t rows = static_cast<size_t>(batch.steps * batch.size);
  const size_t width = output->size() / rows;
  for (size_t row = 0; row < rows; ++row) {
    const size_t step = row / static_cast<size_t>(batch.size);
    const int32_t length = batch.lengths[row % static_cast<size_t>(batch.size)];
    if (step < static_cast<size_t>(length)) continue;
    std::fill_n(output->begin() + static_cast<ptrdiff_t>(row * width), width, 0.0f);
  }
}

// In chunks of so many steps; outputs at every step come one after the other.
Found RunInChunks(const Graph& graph, const Batch& batch, const StateSet& start,
                  int64_t chunk_steps, Session* session) {
  SetStates(start, session);
  const bool has_time =
      ValueOrDie(InferTypes(graph)).at(graph.outputs[0]).layout == Layout::kSequence;
  Found found;
  for (int64_t first = 0; first < batch.steps; first += chunk_steps) {
    const int64_t count = std::min(chunk_steps, batch.steps - first);
    EXPECT_OK(session->Run(ViewOf(Chunk(graph, batch, first, count))));
    if (!has_time) found.output.clear();
    const auto output = session->Output(0);
    found.output.insert(found.output.end(), output.begin(), output.end());
  }
  if (has_time) ForgetPastLengths(batch, &found.output);
  found.states = GetStates(*session, batch.size);
  return found;
}

TEST(Proof, MaskedAndCompactedGiveTheSameNumbersInSessions) {
  int removed = 0, streamed = 0, unequal = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Graph masked = RandomNetworkOfEverything(&rng);
    const Coupling coupling = ValueOrDie(FindCoupling(masked));
    const Keep keep = DrawKeep(coupling, &rng);
    removed += static_cast<int>(std::count(keep.begin(), keep.end(), 0));
    const Graph compact = ValueOrDie(Compact(masked, coupling, keep));
    ASSERT_OK(ApplyMasks(UnitMasks(coupling, keep), &masked.weights));

    const int64_t size = 1 + static_cast<int64_t>(rng.Below(4));
    const int64_t steps = 1 + static_cast<int64_t>(rng.Below(7));
    const Artifact masked_artifact = ArtifactOf(masked, FormatSpec());
    const Artifact compact_artifact = ArtifactOf(compact, FormatSpec());
    Session large = SessionOf(masked_artifact, size, steps);
    Session small = SessionOf(compact_artifact, size, steps);
    const bool streams = IsStreamable(compact);
    ASSERT_EQ(streams, IsStreamable(masked));
    const Batch batch = RandomBatch(masked, steps, size, 0, &rng);
    const auto [shortest, longest] =
        std::minmax_element(batch.lengths.begin(), batch.lengths.end());
    unequal += static_cast<int>(streams && *shortest < *longest);
    const StateSet start = RandomStates(masked, size, &rng);
    const StateSet small_start = ValueOrDie(CompactStates(coupling, keep, start));
    const Found expected = RunInChunks(masked, batch, start, steps, &large);
    const Found found = RunInChunks(compact, batch, small_start, steps, &small);
    ExpectNear(expected.output, found.output, kTolerance, masked.outputs[0]);
    for (const auto& [name, values] : ValueOrDie(CompactStates(coupling, keep, expected.states))) {
      ExpectNear(values, found.states.at(name), kTolerance, name);
    }
    if (HasFatalFailure()) return;
    if (!streams) continue;
    ++streamed;
    for (const int64_t chunk_steps : {1, 2}) {
      const Found chunks = RunInChunks(compact, batch, small_start, chunk_steps, &small);
      ASSERT_EQ(chunks.output, found.output) << chunk_steps;
      ASSERT_EQ(chunks.states, found.states) << chunk_steps;
    }
  }
  EXPECT_GE(removed, 1000);  // the proof is not empty
  EXPECT_GE(streamed, 80);
  EXPECT_GE(unequal, 40);  // of these
}

}  // namespace
}  // namespace espalier
