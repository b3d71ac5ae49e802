// Gates that no longer depend on anything: their rows are zero in both matrices, and the gate is a
// constant of its biases.
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

class EveryGate : public ::testing::TestWithParam<CellInfo> {};
INSTANTIATE_TEST_SUITE_P(Cells, EveryGate, ::testing::ValuesIn(kCells),
                         [](const auto& cell) { return std::string(cell.param.name); });

TEST_P(EveryGate, IsNotStoredByCompactOnceItIsConstant) {
  constexpr int64_t kHidden = 32;
  const CellInfo& cell = GetParam();
  const FormatSpec compact = ValueOrDie(FindFormat("compact"));
  for (int64_t gate = 0; gate < cell.gates; ++gate) {
    SCOPED_TRACE(cell.gate_names[static_cast<size_t>(gate)]);
    Rng rng(61);
    GraphBuilder builder("gates", kFeatures, &rng);
    Graph graph = ValueOrDie(builder.Recurrent(cell.kind, kHidden).Finish());
    const RecurrentDirection direction = DirectionsOf(graph.nodes[0])[0];
    for (const std::string& name : {direction.weight_ih, direction.weight_hh}) {
      Tensor& weight = graph.weights.at(name);
      const int64_t size = kHidden * weight.dim(1);
      std::fill_n(weight.values.begin() + gate * size, size, 0.0f);
    }
    const Artifact artifact = ArtifactOf(graph, compact);
    uint64_t stored = 0;
    for (const ArtifactMatrix& matrix : artifact.matrices()) stored += StoredCount(matrix.view);
    EXPECT_EQ(stored, static_cast<uint64_t>((cell.gates - 1) * kHidden * (13 + kHidden)));
    Session session = SessionOf(artifact, 3, 6);
    ExpectMatchesReference(graph, RandomBatch(graph, 6, 3, 0, &rng), RandomStates(graph, 3, &rng),
                           &session);
  }
}

}  // namespace
}  // namespace espalier
