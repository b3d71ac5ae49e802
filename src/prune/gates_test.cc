// What masks and plans leave to each gate, and patterns of gates.
#include <algorithm>
#include <string>
#include <vector>

#include "prune/plan.h"
#include "prune/plan_test_support.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::Digits;
using ::espalier::testing::DroppedIn;
using ::espalier::testing::ExpectError;
using ::espalier::testing::KeptIn;
using ::espalier::testing::Masks;
using ::espalier::testing::ValueOrDie;

// Three gates of small weights would lose all to the fourth.
TEST(MakeMasks, LeavesSomethingToEachGate) {
  Graph graph = Digits();
  std::vector<float>& values = graph.weights.at("lstm0.weight_hh").values;
  const size_t gate_size = values.size() / 4;
  for (size_t i = 0; i < values.size(); ++i) values[i] *= i < 3 * gate_size ? 1e-3f : 1.0f;
  for (const char* granularity : {"element", "blocked_8x8", "slot_8x8", "row"}) {
    for (const char* allocation : {"uniform", "global"}) {
      PruneSpec spec;
      spec.granularity = granularity;
      spec.allocation = allocation;
      spec.weights = {"lstm0.weight_hh"};
      spec.sparsity = 0.75;
      const Mask mask = Masks(graph, spec).at("lstm0.weight_hh");
      for (size_t gate = 0; gate < 4; ++gate) {
        const auto first = mask.keep.begin() + static_cast<ptrdiff_t>(gate * gate_size);
        EXPECT_GT(std::count(first, first + static_cast<ptrdiff_t>(gate_size), 1), 0)
            << granularity << " " << allocation << " gate " << gate;
      }
      EXPECT_LE(mask.KeptCount(), mask.keep.size() / 4) << granularity;
    }
  }
}

// A gate whose rows are gone is a constant, so that a layer without one of its gates does not work.
TEST(MakeMasks, LeavesARowToEachGate) {
  Graph graph = Digits();
  for (const char* name : {"lstm0.weight_ih", "lstm0.weight_hh"}) {
    std::vector<float>& values = graph.weights.at(name).values;
    const size_t gate_size = values.size() / 4;
    for (size_t i = 0; i < values.size(); ++i) values[i] *= i / gate_size == 1 ? 1.0f : 1e-3f;
  }
  const auto rows_of_gates = [&](const MaskSet& masks) {
    std::vector<int> rows(4, 0);
    for (size_t row = 0; row < 96; ++row) {
      rows[row / 24] += masks.at("lstm0.weight_hh").keep[row * 24];
    }
    return rows;
  };
  PruneSpec spec;
  spec.granularity = "gate_row";
  spec.sparsity = 0.9;
  for (const char* allocation : {"uniform", "global", "lamp"}) {
    spec.allocation = allocation;
    const std::vector<int> rows = rows_of_gates(Masks(graph, spec));
    for (size_t gate = 0; gate < 4; ++gate) EXPECT_GE(rows[gate], 1) << allocation << " " << gate;
    if (spec.allocation == "uniform") {
      EXPECT_EQ(rows, (std::vector<int>{1, 6, 1, 1})) << "9 of 96 rows, the others of the best";
    }
  }
  // What was gone before stays so, and a threshold takes gates for good.
  MaskSet before;
  for (const auto& [name, cols] : {std::pair{"lstm0.weight_ih", 28}, {"lstm0.weight_hh", 24}}) {
    Mask& mask = before[name] = Mask({96, cols});
    std::fill(mask.keep.begin(), mask.keep.begin() + 24 * cols, uint8_t{0});
  }
  spec.allocation = "uniform";
  EXPECT_EQ(rows_of_gates(Masks(graph, spec, before)), (std::vector<int>{0, 7, 1, 1}));
  spec.allocation = "threshold";
  spec.threshold = 0.02;
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  const MaskSet masks = ValueOrDie(MakeMasks(plan, 1.0, StatisticsOf(graph.weights), {}));
  EXPECT_EQ(rows_of_gates(masks), (std::vector<int>{0, 24, 0, 0}));
}

// What the gates of a matrix keep goes in another one.
TEST(MakeMasks, LeavesSomethingToEachGateWithinTheBudgetOfAll) {
  Graph graph = Digits();
  for (float& value : graph.weights.at("lstm0.weight_hh").values) value *= 1e-3f;
  PruneSpec spec;
  spec.granularity = "row";
  spec.allocation = "global";
  spec.floor = 0.0;
  const MaskSet masks = Masks(graph, spec);
  size_t size = 0;
  for (const auto& [name, mask] : masks) size += mask.keep.size();
  const Mask& small = masks.at("lstm0.weight_hh");
  EXPECT_EQ(small.KeptCount(), 4u * 24u) << "a row to each gate";
  EXPECT_LE(KeptIn(masks), size / 10);
}

TEST(MakePlan, KeepsAPieceOfEachGateWhereTheShareIsLess) {
  const auto refuses = [](const char* granularity, const char* allocation, double sparsity,
                          const std::vector<std::string>& parts) {
    PruneSpec spec;
    spec.granularity = granularity;
    spec.allocation = allocation;
    spec.sparsity = sparsity;
    ExpectError(MakePlan(Digits(), spec).status(), Code::kInvalidArgument, parts);
  };
  PruneSpec few;
  few.granularity = "gate_row";
  few.sparsity = 0.97;  // 2 of 96 rows, and 1 of 60
  EXPECT_EQ(DroppedIn(Masks(Digits(), few)), 92u * 52u + 57u * 44u);
  refuses("gate_row", "global", 0.96,
          {"at most 306 weights in all expected at sparsity 0.96", "340 found",
           "a piece of each gate"});
  // Four blocks of 24 fit in 100 weights, though not the blocks in order, of which each second is
  // of 4.
  PruneSpec cut_short;
  cut_short.granularity = "blocked_1x24";
  cut_short.weights = {"lstm0.weight_ih"};
  cut_short.sparsity = 0.963;
  EXPECT_LE(KeptIn(Masks(Digits(), cut_short)), 100u);
  PruneSpec spec;
  spec.granularity = "gate_row";
  spec.sparsity = 0.95;  // 4 of 96 rows, 3 of 60
  const Graph graph = Digits();
  EXPECT_EQ(DroppedIn(Masks(graph, spec)), 92u * 52u + 57u * 44u);
}

TEST(PerOf, IsGateWhereAPatternNamesOne) {
  PruneSpec spec;
  EXPECT_EQ(ValueOrDie(PerOf(spec)), Per::kTensor);
  spec.weights = {"lstm0.weight_ih", "lstm0.weight_hh[f]"};
  EXPECT_EQ(ValueOrDie(PerOf(spec)), Per::kGate);
  spec.weights.clear();
  spec.sparsities = {{"lstm0.weight_hh[f]", 0.5}};
  EXPECT_EQ(ValueOrDie(PerOf(spec)), Per::kGate);
  spec.per = "tensor";
  ExpectError(MakePlan(Digits(), spec).status(), Code::kInvalidArgument,
              {"per: gate expected", "'lstm0.weight_hh[f]'", "tensor found"});
}

TEST(MakePlan, RefusesAGateOfWhatHasNone) {
  PruneSpec spec;
  spec.weights = {"lstm0.bias_hh[f]"};
  ExpectError(MakePlan(Digits(), spec).status(), Code::kInvalidArgument,
              {"weights: pattern 'lstm0.bias_hh[f]' names none of", "lstm0.weight_hh"});
  spec.granularity = "unit";
  spec.weights = {"lstm0.weight_hh[f]"};
  ExpectError(MakePlan(Digits(), spec).status(), Code::kUnsupported,
              {"'lstm0.weight_hh[f]': granularity 'unit': per tensor expected"});
}

}  // namespace
}  // namespace espalier
