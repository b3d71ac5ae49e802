// Steps over weights that the near caches do not hold go there and back: Turns (operation.h).
#include <numeric>
#include <vector>

#include "runtime/operation.h"
#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr int64_t kHidden = 128;  // [512, 128] of f32 and [512, 160]: 3 pieces each
constexpr int64_t kInput = 160;
constexpr size_t kWeightBytes = size_t{4} * kHidden * (kHidden + kInput) * sizeof(float);

struct Piece {
  int64_t cols;  // of the matrix
  size_t first_group, end_group;
};
std::vector<Piece> g_pieces;  // that were multiplied, in order

void Record(const EncodedView& w, const MatMulArgs& args) {
  g_pieces.push_back({w.cols, args.first_group, std::min(args.end_group, RowGroups(w))});
}

// Which matrices a step multiplies, in order, and whether each from the last groups to the first.
struct Multiplied {
  int64_t cols;
  bool backward;
  bool operator==(const Multiplied&) const = default;
};

// Of each of `runs` runs of `steps` steps over near caches of so many bytes.
std::vector<std::vector<Multiplied>> OrdersOf(size_t near_cache_bytes, int64_t steps, size_t runs) {
  Rng rng(3);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, kInput}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kLstmCell, kHidden).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Program program = ValueOrDie(Program::Of(artifact));
  program.kernels = {&WatchedKernels(Record)};
  program.near_cache_bytes = near_cache_bytes;
  SessionOptions session_options;
  session_options.max_steps = steps;
  AlignedBuffer<std::byte> memory(ValueOrDie(Session::SizeOf(program, session_options)));
  Session session =
      ValueOrDie(Session::InitAt(program, session_options, {memory.data(), memory.size()}));
  const std::vector<float> x(static_cast<size_t>(steps * kInput), 0.5f);
  std::vector<std::vector<Multiplied>> orders;
  for (size_t run = 0; run < runs; ++run) {
    g_pieces.clear();
    EXPECT_OK(session.Run({steps, 1, x, {}, {}}));
    std::vector<Multiplied>& order = orders.emplace_back();
    for (size_t i = 0; i < g_pieces.size();) {
      size_t last = i;
      while (last + 1 < g_pieces.size() && g_pieces[last + 1].cols == g_pieces[i].cols &&
             g_pieces[last + 1].end_group == g_pieces[last].first_group) {
        ++last;
      }
      EXPECT_EQ(g_pieces[last].first_group, 0u);
      EXPECT_EQ(g_pieces[i].end_group, 512u / 16);
      order.push_back({g_pieces[i].cols, last > i});
      i = last + 1;
    }
  }
  return orders;
}

const std::vector<Multiplied> kThere = {{kInput, false}, {kHidden, false}};
const std::vector<Multiplied> kBack = {{kHidden, true}, {kInput, true}};

TEST(Turns, AreTakenByStepsOfMoreWeightsThanHalfOfTheCache) {
  const std::vector<std::vector<Multiplied>> turning = {kThere, kBack, kThere, kBack};
  EXPECT_EQ(OrdersOf(0, 1, 4), turning);
  EXPECT_EQ(OrdersOf(2 * kWeightBytes - 2, 1, 4), turning);
}

// Each piece of which would round all of them again.
TEST(Turns, AreNotTakenByManyRowsOrSeveralOfEightBits) {
  const auto next = [](WeightType type, size_t count) {
    bool backward = true;
    const Turns turns = {&backward, 0};
    turns.Next(1, type, count, nullptr);
    return turns.Next(1, type, count, nullptr);
  };
  EXPECT_TRUE(next(WeightType::kI8, 1));
  EXPECT_FALSE(next(WeightType::kI8, 2));
  EXPECT_TRUE(next(WeightType::kF32, 16));
  EXPECT_FALSE(next(WeightType::kF32, 17));
  EXPECT_TRUE(next(WeightType::kBf16, 16));
}

TEST(Turns, AreNotTakenWhereTheCacheHoldsThem) {
  EXPECT_EQ(OrdersOf(2 * kWeightBytes, 1, 3), (std::vector{kThere, kThere, kThere}));
}

TEST(Turns, AreTakenByTheRecurrentProductWhereTheInputsAreMadeAhead) {
  const Multiplied ahead = {kInput, false}, there = {kHidden, false}, back = {kHidden, true};
  EXPECT_EQ(OrdersOf(0, 3, 2), (std::vector<std::vector<Multiplied>>{{ahead, there, back, there},
                                                                     {ahead, back, there, back}}));
  // Which alone are few enough.
  EXPECT_EQ(OrdersOf(kWeightBytes, 3, 1),
            (std::vector<std::vector<Multiplied>>{{ahead, there, there, there}}));
}

}  // namespace
}  // namespace espalier
