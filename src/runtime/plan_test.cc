// How many rows of x the input products of a recurrent layer take together.
#include <numeric>
#include <vector>

#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

constexpr int64_t kHidden = 512;  // 8 KB for each row of W_ih x

int64_t g_input = 0;           // features
std::vector<size_t> g_counts;  // of the products with so many columns, in order

void Count(const EncodedView& w, const MatMulArgs& args) {
  if (w.cols == g_input) g_counts.push_back(args.count);
}

// Of a session with max_batch streams that runs `batch` of them.
std::vector<size_t> CountsOf(const std::string& format, int64_t steps, int64_t batch,
                             int64_t max_batch, int64_t input = 24) {
  g_input = input;
  const FormatSpec spec = ValueOrDie(FindFormat(format));
  Rng rng(3);
  GraphBuilder builder("one", {"x", {Element::kF32, Layout::kSequence, input}}, &rng);
  const Graph graph =
      Fitted(ValueOrDie(builder.Recurrent(CellKind::kLstmCell, kHidden).Finish()), spec);
  const Artifact artifact = ArtifactOf(graph, spec);
  Program program = ValueOrDie(Program::Of(artifact));
  program.kernels = {&WatchedKernels(Count)};
  program.near_cache_bytes = SIZE_MAX;  // so that no product is cut
  SessionOptions options;
  options.max_batch = max_batch;
  options.max_steps = steps;
  AlignedBuffer<std::byte> memory(ValueOrDie(Session::SizeOf(program, options)));
  Session session = ValueOrDie(Session::InitAt(program, options, {memory.data(), memory.size()}));
  const std::vector<float> x(static_cast<size_t>(steps * batch * input), 0.5f);
  g_counts.clear();
  EXPECT_OK(session.Run({steps, batch, x, {}, {}}));
  EXPECT_EQ(std::accumulate(g_counts.begin(), g_counts.end(), size_t{0}),
            static_cast<size_t>(steps * batch));
  return g_counts;
}

using Counts = std::vector<size_t>;

TEST(Plan, TakesAsManyStepsAtATimeAsTheCachesHold) {
  EXPECT_EQ(CountsOf("slot_8x8", 40, 1, 1), (Counts{16, 16, 8}));
  EXPECT_EQ(CountsOf("dense_i8", 20, 2, 2), (Counts{16, 16, 8}));
}

TEST(Plan, TakesStepsInWholeSixteens) {
  EXPECT_EQ(CountsOf("slot_8x8", 20, 3, 3), (Counts{48, 12}));
  EXPECT_EQ(CountsOf("slot_8x8", 20, 5, 5), (Counts{80, 20}));
  EXPECT_EQ(CountsOf("csr", 17, 9, 9), (Counts{144, 9}));
}

TEST(Plan, TakesStepsAsTheyAreIfWholeSixteensAreTooMany) {
  EXPECT_EQ(CountsOf("slot_8x8", 3, 17, 17), (Counts{17, 17, 17}));
}

TEST(Plan, TakesMoreStepsAtATimeWithManyDenseWeights) {
  EXPECT_EQ(CountsOf("dense", 260, 1, 1, 140), (Counts{256, 4}));
  EXPECT_EQ(CountsOf("rows", 260, 1, 1, 140), (Counts{256, 4}));
  EXPECT_EQ(CountsOf("dense_bf16", 90, 3, 3, 280), (Counts{240, 30}));
  EXPECT_EQ(CountsOf("dense", 30, 1, 1, 140), (Counts{30}));
  EXPECT_EQ(CountsOf("dense", 30, 1, 1), (Counts{16, 14}));
  EXPECT_EQ(CountsOf("dense_i8", 30, 1, 1, 600), (Counts{16, 14}));
}

TEST(Plan, TakesMoreStepsOfFewerStreams) {
  EXPECT_EQ(CountsOf("slot_8x8", 10, 2, 16), (Counts{16, 4}));
  EXPECT_EQ(CountsOf("slot_8x8", 10, 3, 16), (Counts{15, 15}));  // no room for 48
}

}  // namespace
}  // namespace espalier
