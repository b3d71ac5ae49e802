// A pool's streams against sessions of their own.
#include "runtime/pool.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <thread>

#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

Graph StreamingGraph(CellKind cell) { return TwoLayers(cell, Direction::kForward, 0.5); }

StreamPool PoolOf(const Artifact& artifact, int64_t max_streams, int64_t threads = 1) {
  PoolOptions options;
  options.max_streams = max_streams;
  options.threads = threads;
  return ValueOrDie(StreamPool::Create(artifact, options));
}

std::vector<float> RandomFloats(size_t count, Rng* rng) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng->Normal());
  return values;
}

// Streams come, step in any company and order, and go; a session of its own does what each does.
class Crowd {
 public:
  Crowd(const Artifact& artifact, int64_t max_streams, uint64_t seed, int64_t threads = 1)
      : artifact_(artifact),
        pool_(PoolOf(artifact, max_streams, threads)),
        features_(static_cast<size_t>(artifact.graph().inputs[0].type.features)),
        most_(static_cast<size_t>(max_streams)),
        rng_(seed) {}

  void Live(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      while (alone_.size() < most_ && rng_.Uniform() < 0.9) Add();
      if (!alone_.empty() && rng_.Uniform() < 0.4) RemoveOne();
      ASSERT_EQ(pool_.stream_count(), alone_.size());
      ASSERT_NO_FATAL_FAILURE(StepSome());
    }
  }

 private:
  void Add() {
    const int32_t stream = ValueOrDie(pool_.Add());
    const bool is_new = alone_.emplace(stream, SessionOf(artifact_, 1, 1)).second;
    ASSERT_TRUE(is_new) << stream;
  }

  void RemoveOne() {
    auto it = alone_.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(rng_.Uniform() * 0.99 *
                                                 static_cast<double>(alone_.size())));
    ASSERT_OK(pool_.Remove(it->first));
    alone_.erase(it);
  }

  void StepSome() {
    std::vector<int32_t> streams;
    const double share = rng_.Uniform() < 0.3 ? 1.0 : rng_.Uniform();
    for (const auto& [stream, session] : alone_) {
      if (rng_.Uniform() <= share) streams.push_back(stream);
    }
    if (rng_.Uniform() < 0.5) rng_.Shuffle(streams);
    const std::vector<float> x = RandomFloats(streams.size() * features_, &rng_);
    ASSERT_OK(pool_.Step({streams, x, {}}));
    for (size_t i = 0; i < streams.size(); ++i) {
      Session& session = alone_.at(streams[i]);
      ASSERT_OK(session.Step(std::span(x).subspan(i * features_, features_)));
      for (size_t k = 0; k < artifact_.graph().outputs.size(); ++k) {
        const std::span<const float> expected = session.Output(k);
        const auto found = pool_.Output(k).subspan(i * expected.size(), expected.size());
        ASSERT_TRUE(std::ranges::equal(expected, found)) << "stream " << streams[i];
      }
    }
  }

  const Artifact& artifact_;
  StreamPool pool_;
  std::map<int32_t, Session> alone_;
  const size_t features_;
  const size_t most_;
  Rng rng_;
};

TEST(StreamPool, GivesEveryStreamWhatASessionGivesIt) {
  for (const CellInfo& info : kCells) {
    const Artifact artifact = ArtifactOf(StreamingGraph(info.kind), FormatSpec());
    SCOPED_TRACE(info.name);
    Crowd(artifact, 9, 1).Live(30);
  }
}

TEST(StreamPool, GivesTheSameInEveryFormat) {
  for (const FormatSpec& spec : AllFormats()) {
    const Graph graph = Fitted(StreamingGraph(CellKind::kLstmCell), spec);
    const Artifact artifact = ArtifactOf(graph, spec);
    SCOPED_TRACE(FormatName(spec));
    Crowd(artifact, 50, 2).Live(6);
  }
}

TEST(StreamPool, KeepsThePastOfEachStream) {
  Rng rng(4);
  GraphBuilder builder("past", kFeatures, &rng);
  const Graph graph = ValueOrDie(builder.Conv1d(9, {3, 2}).Conv1d(5, {2, 1}).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Crowd(artifact, 20, 2).Live(20);
}

TEST(StreamPool, FollowsTheRulesOfEachStream) {
  Rng rng(5);
  GraphBuilder builder("rules", kFeatures, &rng);
  GraphBuilder::RecurrentOptions delta, skip, banks;
  delta.delta = Delta{0.4, 0.1, 1};
  skip.skip = banks.skip = true;
  banks.banks = UnitBanks{5, 0};
  builder.Recurrent(CellKind::kGruCell, 17, delta).Recurrent(CellKind::kLstmCell, 9, skip);
  Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 21, banks).Finish());
  graph.weights.at("lstm0.bias_skip").values = {-0.8f};
  graph.weights.at("gru1.bias_skip").values = {-0.3f};
  graph.weights.at("gru1.bias_banks").values = {0.0f, 0.1f, -0.1f, 0.05f, 0.0f};
  const Artifact artifact = ArtifactOf(graph, {FormatId::k_slot, 8, 8});
  Crowd(artifact, 12, 6).Live(30);
}

TEST(StreamPool, SharesItsWorkAmongThreads) {
  Rng rng(3);
  GraphBuilder builder("large", {"x", {Element::kF32, Layout::kSequence, 40}}, &rng);
  const Graph graph = ValueOrDie(builder.Recurrent(CellKind::kGruCell, 200).Finish());
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  ASSERT_EQ(PoolOf(artifact, 20, 2).threads(), 2u);
  Crowd(artifact, 20, 3, 2).Live(10);
}

// Pools and sessions of one artifact, each on a thread of the caller's.
TEST(StreamPool, IsIndependentOfOthersOfTheArtifact) {
  const Artifact artifact = ArtifactOf(StreamingGraph(CellKind::kLstmCell), FormatSpec());
  std::vector<std::thread> callers;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    callers.emplace_back([&, seed] { Crowd(artifact, 12, seed).Live(10); });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(StreamPool, TakesIds) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  StreamPool pool = PoolOf(artifact, 3);
  Session session = SessionOf(artifact, 2, 1);
  ASSERT_EQ(ValueOrDie(pool.Add()), 0);
  ASSERT_EQ(ValueOrDie(pool.Add()), 1);
  const std::vector<int32_t> streams = {0, 1};
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{3, 22}, {0, 7}}) {
    ASSERT_OK(pool.Step({streams, {}, ids}));
    ASSERT_OK(session.Step(std::span<const int32_t>(ids)));
    for (size_t i = 0; i < graph.outputs.size(); ++i) {
      EXPECT_TRUE(std::ranges::equal(session.Output(i), pool.Output(i))) << graph.outputs[i];
    }
  }
}

// Numbers of the others are those that they have without it.
TEST(StreamPool, KeepsNanAndInfinityToTheirStreams) {
  for (const char* format : {"dense", "dense_i8", "csr", "slot_8x8", "slot_16x16", "slot_64x16",
                             "slot_64x16_bf16", "slot_64x64x4_i8", "blocked_8x4", "blocked_16x1",
                             "blocked_4x4_i8", "blocked_8x4_i8", "blocked_16x1_i8", "nm_16x4x2"}) {
    SCOPED_TRACE(format);
    const FormatSpec spec = ValueOrDie(FindFormat(format));
    const Artifact artifact = ArtifactOf(Fitted(StreamingGraph(CellKind::kLstmCell), spec), spec);
    const auto run = [&](float poison) {
      StreamPool pool = PoolOf(artifact, 20);
      std::vector<int32_t> streams;
      for (int i = 0; i < 20; ++i) streams.push_back(ValueOrDie(pool.Add()));
      std::vector<float> x(20 * 13, 0.5f);
      x[7 * 13] = poison;
      for (int step = 0; step < 3; ++step) EXPECT_OK(pool.Step({streams, x, {}}));
      return std::vector<float>(pool.Output(0).begin(), pool.Output(0).end());
    };
    const std::vector<float> clean = run(0.5f);
    for (const float poison :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const std::vector<float> found = run(poison);
      for (size_t i = 0; i < found.size(); ++i) {
        if (i / 5 == 7) {
          EXPECT_TRUE(std::isnan(found[i]) || std::isinf(poison));
        } else {
          EXPECT_EQ(found[i], clean[i]) << "stream " << i / 5;
        }
      }
    }
  }
}

TEST(StreamPool, BeginsAStreamAnewInAPlaceThatWasUsed) {
  const Artifact artifact = ArtifactOf(StreamingGraph(CellKind::kLstmCell), FormatSpec());
  StreamPool pool = PoolOf(artifact, 1);
  const std::vector<float> x(13, 1.0f);
  std::vector<float> first;
  for (int life = 0; life < 2; ++life) {
    const std::vector<int32_t> streams = {ValueOrDie(pool.Add())};
    ASSERT_OK(pool.Step({streams, x, {}}));
    if (life == 0) first.assign(pool.Output(0).begin(), pool.Output(0).end());
    EXPECT_TRUE(std::ranges::equal(first, pool.Output(0)));
    ASSERT_OK(pool.Remove(streams[0]));
  }
}

TEST(StreamPool, MovesAStreamByItsState) {
  const Artifact artifact = ArtifactOf(StreamingGraph(CellKind::kGruCell), FormatSpec());
  StreamPool from = PoolOf(artifact, 2);
  StreamPool to = PoolOf(artifact, 2);
  const std::vector<float> x(13, 1.0f);
  const std::vector<int32_t> a = {ValueOrDie(from.Add())};
  const std::vector<int32_t> b = {ValueOrDie(to.Add())};
  ASSERT_OK(from.Step({a, x, {}}));
  for (const StateSpec& spec : from.states()) {
    std::vector<float> values(static_cast<size_t>(spec.width));
    ASSERT_OK(from.GetState(a[0], spec.name, values));
    ASSERT_OK(to.SetState(b[0], spec.name, values));
  }
  ASSERT_OK(from.Step({a, x, {}}));
  ASSERT_OK(to.Step({b, x, {}}));
  EXPECT_TRUE(std::ranges::equal(from.Output(0), to.Output(0)));
  ASSERT_OK(to.ResetStream(b[0]));
  std::vector<float> h(19, 1.0f);
  ASSERT_OK(to.GetState(b[0], "gru0.h", h));
  EXPECT_EQ(h, std::vector<float>(19, 0.0f));
}

TEST(StreamPool, StepsNoStreams) {
  const Artifact artifact = ArtifactOf(StreamingGraph(CellKind::kGruCell), FormatSpec());
  StreamPool pool = PoolOf(artifact, 2);
  EXPECT_OK(pool.Step({}));
  EXPECT_TRUE(pool.Output(0).empty());
}

class PoolErrors : public ::testing::Test {
 protected:
  Status Step(const std::vector<int32_t>& streams, size_t values) {
    const std::vector<float> x(values, 0.0f);
    return pool_.Step({streams, x, {}});
  }

  const Artifact artifact_ = ArtifactOf(StreamingGraph(CellKind::kLstmCell), FormatSpec());
  StreamPool pool_ = PoolOf(artifact_, 2);
  const int32_t first_ = ValueOrDie(pool_.Add());
};

TEST_F(PoolErrors, NameAStreamThatIsNotThere) {
  ExpectError(Step({first_, 1}, 26), Code::kInvalidArgument, {"1 streams expected", "1 found"});
  ExpectError(Step({-1}, 13), Code::kInvalidArgument, {"-1 found"});
  ExpectError(Step({2}, 13), Code::kInvalidArgument, {"2 found"});
  ExpectError(pool_.Remove(1), Code::kInvalidArgument, {"stream", "1 found"});
  ExpectError(pool_.ResetStream(7), Code::kInvalidArgument, {"stream", "7 found"});
}

TEST_F(PoolErrors, NameAStreamThatComesTwice) {
  ExpectError(Step({first_, first_}, 26), Code::kInvalidArgument, {"0 found again"});
  EXPECT_OK(Step({first_}, 13));
}

TEST_F(PoolErrors, NameAnInputOfTheWrongSize) {
  ExpectError(Step({first_}, 12), Code::kInvalidArgument, {"'x'", "13 elements", "12 found"});
}

TEST_F(PoolErrors, NameAFullPool) {
  ASSERT_OK(pool_.Add());
  ExpectError(pool_.Add().status(), Code::kInvalidArgument, {"max_streams = 2", "2 found"});
}

TEST_F(PoolErrors, NameAState) {
  std::vector<float> h(18);
  ExpectError(pool_.GetState(first_, "lstm0.h", h), Code::kInvalidArgument,
              {"19 values expected", "18 found"});
  ExpectError(pool_.SetState(first_, "lstm0.g", h), Code::kInvalidArgument, {"lstm0.g"});
}

TEST_F(PoolErrors, RefuseALayerThatStartsFromValues) {
  Rng rng(1);
  GraphBuilder builder("decoder", kFeatures, &rng);
  builder.Recurrent(CellKind::kGruCell, 4).LastStep();
  const std::string start = builder.value();
  builder.From("x").Recurrent(CellKind::kGruCell, 4, {Direction::kForward, 0.0, 0, {start}});
  const Artifact artifact = ArtifactOf(ValueOrDie(builder.Finish()), FormatSpec());
  ExpectError(StreamPool::Create(artifact, {}).status(), Code::kUnsupported,
              {"starts from values"});
}

TEST_F(PoolErrors, RefuseAReverseDirection) {
  const Artifact artifact =
      ArtifactOf(TwoLayers(CellKind::kGruCell, Direction::kBidirectional, 0.0), FormatSpec());
  ExpectError(StreamPool::Create(artifact, {}).status(), Code::kUnsupported, {"reverse"});
}

TEST_F(PoolErrors, RefuseNoStreams) {
  PoolOptions options;
  options.max_streams = 0;
  ExpectError(StreamPool::Create(artifact_, options).status(), Code::kInvalidArgument,
              {"max_streams", "0 found"});
}

}  // namespace
}  // namespace espalier
