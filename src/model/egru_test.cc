// The event-based cell in the reference executor, step by step.
#include <cmath>

#include "model/build.h"
#include "model/reference.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

// One unit without weights of h, z = 0.5 and n = tanh(x): its state gathers x, says so once it is
// above 0.5 and begins anew.
TEST(Egru, SaysSomethingAboveItsThresholdAndBeginsAnew) {
  Rng rng(1);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kEgruCell, 1).Finish());
  for (auto& [name, weight] : graph.weights) {
    weight.values.assign(weight.size(), 0.0f);
    if (name == "egru0.weight_ih") weight.values[2] = 1.0f;
    if (name == "egru0.weight_peephole") weight.values[0] = 0.5f;
  }
  Batch batch;
  batch.steps = 5;
  batch.size = 1;
  batch.lengths = {5};
  batch.features = {0.6f, 0.6f, 0.6f, 0.6f, 0.6f};
  StateSet states = ZeroStates(graph, 1);
  const std::vector<float> h =
      ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]).values;
  const double n = std::tanh(0.6);
  double c = 0.0;
  int events = 0;
  for (size_t t = 0; t < h.size(); ++t) {
    c = 0.5 * n + 0.5 * c - (c > 0.5 ? c : 0.0);
    EXPECT_NEAR(h[t], c > 0.5 ? c : 0.0, 1e-6) << t;
    events += h[t] != 0.0f ? 1 : 0;
  }
  EXPECT_EQ(events, 1);
  EXPECT_NEAR(states.at("egru0.c")[0], c, 1e-6);
}

TEST(Egru, BeginsWithThresholdsThatAreNotNegative) {
  Rng rng(1);
  GraphBuilder builder("many", {"x", {Element::kF32, Layout::kSequence, 1}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kEgruCell, 50).Finish());
  for (const float value : graph.weights.at("egru0.weight_peephole").values) EXPECT_GE(value, 0.2f);
}

}  // namespace
}  // namespace espalier
