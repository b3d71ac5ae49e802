// A stream that never ends: 10^6 steps beside the reference executor, each from its own state.
#include <gtest/gtest.h>

#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// A sanitizer, or qemu (cmake --preset neon), takes minutes for all of them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__aarch64__)
constexpr int64_t kSteps = 50'000;
#else
constexpr int64_t kSteps = 1'000'000;
#endif
constexpr int64_t kChunk = 1000;

// Largest difference of any state over the whole run.
double Drift(CellKind cell, const std::string& format) {
  Rng rng(3);
  GraphBuilder builder("stream", {"x", {Element::kF32, Layout::kSequence, 5}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(cell, 8).Finish());
  const FormatSpec spec = ValueOrDie(FindFormat(format));
  graph = Fitted(std::move(graph), spec);
  const Artifact artifact = ArtifactOf(graph, spec);
  Session session = SessionOf(artifact, 1, kChunk);
  StateSet states = ZeroStates(graph, 1);
  double drift = 0.0;
  for (int64_t step = 0; step < kSteps; step += kChunk) {
    const Batch batch = RandomBatch(graph, kChunk, 1, kChunk, &rng);
    EXPECT_OK(session.Run(ViewOf(batch)));
    EXPECT_OK(RunReference(graph, batch, &states,
                           spec.type == WeightType::kI8 ? RoundEveryX : MatrixInputFn()));
    for (const auto& [name, values] : GetStates(session, 1)) {
      drift = std::max(drift, testing::MaxAbsDifference(values, states.at(name)));
    }
  }
  return drift;
}

TEST(SessionLongRun, OfAnLstmDoesNotDrift) {
  EXPECT_LT(Drift(CellKind::kLstmCell, "slot_8x8"), 1e-5);
}

TEST(SessionLongRun, OfAGruDoesNotDrift) { EXPECT_LT(Drift(CellKind::kGruCell, "slot_8x8"), 1e-5); }

TEST(SessionLongRun, InWideSlotsDoesNotDrift) {
  EXPECT_LT(Drift(CellKind::kLstmCell, "slot_64x16"), 1e-5);
}

TEST(SessionLongRun, OfAGruInEightBitsDoesNotDrift) {
  EXPECT_LT(Drift(CellKind::kGruCell, "slot_64x64x4_i8"), 0.05);
}

// A number of x on the other side of a tie is forgotten again.
TEST(SessionLongRun, InEightBitsDoesNotDrift) {
  EXPECT_LT(Drift(CellKind::kLstmCell, "slot_16x64x4_i8"), 0.05);
}

}  // namespace
}  // namespace espalier
