// Random graphs, batches, lengths and states against the reference executor.
#include "testing/random_graph.h"

#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

template <typename T>
const T& PickFrom(const std::vector<T>& values, Rng* rng) {
  return values[rng->Below(values.size())];
}

// Appends one random node over time.
void AppendOverTime(Rng* rng, GraphBuilder* builder) {
  const auto width = static_cast<int64_t>(1 + rng->Below(33));
  const std::string before = builder->value();
  switch (rng->Below(9)) {
    case 0: builder->Gemm(width).Concat(before); return;
    case 1:
      builder->Activation(PickFrom<Op>({Op::kRelu, Op::kSigmoid, Op::kTanh, Op::kSoftmax}, rng));
      return;
    case 2: builder->Activation(Op::kTanh).Add(before); return;
    case 3: builder->Dropout(0.5); return;
    case 4:
    case 5: {
      const auto kernel_size = static_cast<int64_t>(1 + rng->Below(4));
      builder->Conv1d(width, {kernel_size, static_cast<int64_t>(1 + rng->Below(4))});
      return;
    }
    default: {
      const auto direction = static_cast<Direction>(rng->Below(3));
      builder->Recurrent(kCells[rng->Below(kCellCount)].kind, width, {direction, 0.1});
    }
  }
}

Graph RandomGraph(Rng* rng) {
  const auto features = static_cast<int64_t>(1 + rng->Below(40));
  const auto element = rng->Below(3) == 0 ? Element::kI32 : Element::kF32;
  GraphBuilder builder("random", {"x", {element, Layout::kSequence, features}}, rng);
  if (element == Element::kI32) builder.Embedding(static_cast<int64_t>(1 + rng->Below(20)));
  const uint64_t count = 1 + rng->Below(5);
  for (uint64_t i = 0; i < count; ++i) AppendOverTime(rng, &builder);
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Concat(last).Gemm(static_cast<int64_t>(1 + rng->Below(20)));
  Graph graph = ValueOrDie(builder.Finish());
  graph.outputs.push_back(graph.nodes[rng->Below(graph.nodes.size())].output);
  ZeroRandomWeights(PickFrom<double>({0.0, 0.5, 0.9, 1.0}, rng), rng, &graph);
  return graph;
}

class RandomGraphs : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Session, RandomGraphs, ::testing::ValuesIn(Targets()),
                         [](const auto& test) { return test.param; });

TEST_P(RandomGraphs, MatchTheReference) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Graph graph = RandomGraph(&rng);
    const FormatSpec spec = PickFrom(AllFormats(), &rng);
    graph = Fitted(std::move(graph), spec);
    const Artifact artifact = ArtifactOf(graph, spec);
    const auto size = static_cast<int64_t>(1 + rng.Below(6));
    const auto steps = static_cast<int64_t>(1 + rng.Below(8));
    Session session = SessionOf(artifact, size, steps, GetParam());
    const Batch batch = RandomBatch(graph, steps, size, 0, &rng);
    ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session, spec.type);
    if (HasFatalFailure()) return;
  }
}

TEST_P(RandomGraphs, OfEverythingMatchTheReference) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Graph graph = RandomNetworkOfEverything(&rng);
    const Artifact artifact = ArtifactOf(graph, FormatSpec());
    const auto size = static_cast<int64_t>(1 + rng.Below(6));
    const auto steps = static_cast<int64_t>(1 + rng.Below(8));
    Session session = SessionOf(artifact, size, steps, GetParam());
    const Batch batch = RandomBatch(graph, steps, size, 0, &rng);
    ExpectMatchesReference(graph, batch, RandomStates(graph, size, &rng), &session);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace espalier
