#include "prune/gone.h"

#include <string>
#include <vector>

#include "prune/plan_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::Masks;
using ::espalier::testing::ValueOrDie;

// After as much is cut as a spec asks for.
std::vector<double> GoneAfter(const PruneSpec& spec) {
  Graph graph = Digits();
  EXPECT_OK(ApplyMasks(Masks(graph, spec), &graph.weights));
  return SharesGone(graph, ValueOrDie(MakePlan(graph, spec)));
}

TEST(SharesGone, AreThoseOfWeightsGatesLinesAndUnits) {
  PruneSpec spec;
  spec.sparsity = 0.75;
  spec.weights = {"lstm0.*"};
  for (const auto& [granularity, per, pools] : {std::tuple("element", "tensor", 2u),
                                                {"element", "gate", 8u},
                                                {"gate_row", "tensor", 1u},
                                                {"row", "tensor", 2u},
                                                {"unit", "tensor", 1u}}) {
    SCOPED_TRACE(std::string(granularity) + " " + per);
    spec.granularity = granularity;
    spec.per = per;
    const std::vector<double> gone = GoneAfter(spec);
    EXPECT_EQ(gone.size(), pools);
    for (const double share : gone) EXPECT_NEAR(share, 0.75, 1e-9);
  }
}

TEST(ShareGone, WeighsPoolsByTheirSize) {
  Graph graph = Digits();
  PruneSpec spec;
  spec.weights = {"lstm0.*"};
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  EXPECT_EQ(ShareGone(graph, plan), 0.0);
  for (float& value : graph.weights.at("lstm0.weight_hh").values) value = 0.0f;
  EXPECT_NEAR(ShareGone(graph, plan), 24.0 / (24.0 + 28.0), 1e-9);
}

}  // namespace
}  // namespace espalier
