#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <tuple>

#include "model/build.h"
#include "peers/cpu.h"
#include "pipeline/peers/peer.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

constexpr CellKind kCellsToRun[] = {CellKind::kLstmCell, CellKind::kGruCell,
                                    CellKind::kGruResetBeforeCell};

// Can `peer` run this cell on this machine, if its library is there?
bool HasKernel(const Peer& peer, CellKind cell) {
  const std::string_view dtype = peer.dtype;
  if (dtype == "bf16") return HasBf16Products();
  const std::string_view system = peer.system;
  if (system == "libtorch" || system == "eigen") return cell != CellKind::kGruResetBeforeCell;
  return dtype != "i8" || cell == CellKind::kLstmCell;
}

using PeerAndCell = std::tuple<Peer, CellKind>;

enum class Kernel { kThere, kMissing };

std::vector<PeerAndCell> PeersAndCells(Kernel kernel) {
  std::vector<PeerAndCell> all;
  for (const Peer& peer : AllPeers()) {
    for (const CellKind cell : kCellsToRun) {
      if (HasKernel(peer, cell) == (kernel == Kernel::kThere)) all.emplace_back(peer, cell);
    }
  }
  return all;
}

std::string NameOf(const ::testing::TestParamInfo<PeerAndCell>& instance) {
  const auto& [peer, cell] = instance.param;
  return std::string(peer.name) + "_" + std::string(InfoOf(cell).name);
}

// A layer whose sizes are ragged on every vector length, and several streams.
class PeerTest : public ::testing::TestWithParam<PeerAndCell> {
 protected:
  PeerTest() {
    options_.shape = {7, 3};
    options_.repetitions = 1;
    options_.sequence_count = 8;
    const char* directory = std::getenv("ESPALIER_NODE_DIR");
    const auto path = FindOnnxRuntime(directory != nullptr ? directory : ESPALIER_SOURCE_DIR);
    if (path.ok()) onnxruntime_.emplace(ValueOrDie(OnnxRuntime::Open(*path)));
    Rng rng(7);
    GraphBuilder builder("layer", {"x", {Element::kF32, Layout::kSequence, 21}}, &rng);
    graph_ = ValueOrDie(builder.Recurrent(cell(), 37).Finish());
    for (auto& [name, tensor] : graph_.weights) {
      for (size_t i = 0; i < tensor.size(); i += 3) tensor.values[i] = 0.0f;
    }
  }

  const Peer& peer() const { return std::get<0>(GetParam()); }
  CellKind cell() const { return std::get<1>(GetParam()); }

  Result<BenchSystem> Make(const Graph& graph) {
    return peer().make(peer(), {graph, options_.shape, onnxruntime_ ? &*onnxruntime_ : nullptr, 1});
  }

  // Verifies the peer, running `graph`, against the reference running graph_.
  Status Verify(const Graph& graph) {
    BenchSystem system = ValueOrDie(Make(graph));
    system.graph = &graph_;
    return TimeSystems({system}, options_).status();
  }

  std::optional<OnnxRuntime> onnxruntime_;
  Graph graph_;
  BenchOptions options_;
};

class EveryPeer : public PeerTest {
 protected:
  void SetUp() override {
    const Result<BenchSystem> made = Make(graph_);
    if (made.ok()) return;
    const char* required = std::getenv("ESPALIER_REQUIRE_PEERS");
    if (required != nullptr && std::strcmp(required, "1") == 0) FAIL() << made.status().message();
    GTEST_SKIP() << "NOT TESTED: " << made.status().message();
  }
};

TEST_P(EveryPeer, AgreesWithTheReferenceInSequencesAndStepByStep) {
  const Status status = Verify(graph_);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST_P(EveryPeer, IsRefusedWithTwoGatesSwapped) {
  const int64_t gates = InfoOf(cell()).gates;
  for (int64_t gate = 1; gate < gates; ++gate) {
    Graph swapped = graph_;
    for (auto& [name, tensor] : swapped.weights) {
      const size_t size = tensor.size() / static_cast<size_t>(gates);
      const auto first = tensor.values.begin() + static_cast<std::ptrdiff_t>(size) * (gate - 1);
      const auto second = first + static_cast<std::ptrdiff_t>(size);
      std::swap_ranges(first, second, second);
    }
    SCOPED_TRACE(gate);
    ExpectError(Verify(swapped), Code::kInternal, {peer().name});
  }
}

TEST_P(EveryPeer, IsRefusedWithAMatrixOfTheWrongScale) {
  Graph scaled = graph_;
  for (auto& [name, tensor] : scaled.weights) {
    if (!name.ends_with("weight_ih")) continue;
    for (float& weight : tensor.values) weight *= 0.5f;
  }
  ExpectError(Verify(scaled), Code::kInternal, {peer().name});
}

TEST_P(EveryPeer, StartsEverySequenceFromZeros) {
  BenchSystem system = ValueOrDie(Make(graph_));
  const std::vector<float> x(7 * 3 * 21, 0.5f);
  const auto run = [&](const std::function<Status()>& body) {
    EXPECT_TRUE(body().ok());
    const std::span<const float> y = system.output();
    return std::vector<float>(y.begin(), y.end());
  };
  const auto sequence = [&] { return system.run_sequence(x); };
  const auto step = [&] { return system.run_step(std::span(x).first(3 * 21)); };
  const std::vector<float> whole = run(sequence);
  EXPECT_EQ(run(sequence), whole);
  system.reset_stream();
  const std::vector<float> first = run(step);
  EXPECT_NE(run(step), first);
  EXPECT_EQ(run(sequence), whole);
  system.reset_stream();
  EXPECT_EQ(run(step), first);
}

INSTANTIATE_TEST_SUITE_P(All, EveryPeer, ::testing::ValuesIn(PeersAndCells(Kernel::kThere)),
                         NameOf);

class PeerWithoutKernel : public PeerTest {};

TEST_P(PeerWithoutKernel, SaysThatItIsUnsupported) {
  ExpectError(Make(graph_).status(), Code::kUnsupported, {"expected"});
}

INSTANTIATE_TEST_SUITE_P(All, PeerWithoutKernel,
                         ::testing::ValuesIn(PeersAndCells(Kernel::kMissing)), NameOf);

}  // namespace
}  // namespace espalier
