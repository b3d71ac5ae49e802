// Helpers of the session's tests: graphs, sessions over them, comparison with the reference.
#ifndef ESPALIER_RUNTIME_SESSION_TEST_SUPPORT_H_
#define ESPALIER_RUNTIME_SESSION_TEST_SUPPORT_H_

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "formats/fit.h"
#include "kernels/kernels.h"
#include "kernels/quantize.h"
#include "model/build.h"
#include "model/without_rules.h"
#include "runtime/session.h"
#include "testing/testing.h"

namespace espalier::testing {

// f32 sums of up to 60 products, through at most 9 steps of 5 layers, against sums in double; times
// max(1, |expected|). Observed: below 7e-7.
inline constexpr double kTolerance = 3e-6;
// Where x is rounded to 8 bits, a number of it may fall on the other side of a tie.
inline constexpr double kI8Tolerance = 1e-2;

inline const GraphInput kFeatures = {"x", {Element::kF32, Layout::kSequence, 13}};
inline const GraphInput kIds = {"ids", {Element::kI32, Layout::kSequence, 23}};

// Those that can have delta and banks: all but one that resets before, which multiplies r * h.
inline std::vector<CellKind> CellsThatMultiplyH() {
  std::vector<CellKind> cells;
  for (const CellInfo& info : kCells) {
    if (!info.reset_before) cells.push_back(info.kind);
  }
  return cells;
}

// The portable kernels, of which `watch` sees every product before it is made.
using WatchFn = void (*)(const EncodedView& w, const MatMulArgs& args);
inline WatchFn g_watch = nullptr;
inline const KernelTable& WatchedKernels(WatchFn watch) {
  static const KernelTable table = [] {
    KernelTable watched = *AvailableKernels().back();
    watched.find_matmul = [](const FormatSpec& spec) -> MatMulFn {
      if (AvailableKernels().back()->find_matmul(spec) == nullptr) return nullptr;
      return [](const EncodedView& w, const MatMulArgs& args) {
        g_watch(w, args);
        AvailableKernels().back()->find_matmul(w.spec)(w, args);
      };
    };
    return watched;
  }();
  g_watch = watch;
  return table;
}

// Two layers of one cell, ragged sizes, the sequence and its last step as outputs.
inline Graph TwoLayers(CellKind cell, Direction direction, double sparsity) {
  Rng rng(11);
  GraphBuilder builder("two", kFeatures, &rng);
  builder.Recurrent(cell, 19, {direction, 0.0}).Dropout(0.5).Recurrent(cell, 10, {direction, 0.0});
  const std::string sequence = builder.value();
  Graph graph = ValueOrDie(builder.LastStep().Gemm(5).Finish());
  graph.outputs.push_back(sequence);
  ZeroRandomWeights(sparsity, &rng, &graph);
  return graph;
}

// Every operator, over time and after it.
inline Graph EveryOperator() {
  Rng rng(12);
  GraphBuilder builder("all", kIds, &rng);
  builder.Embedding(17);
  const std::string embedded = builder.value();
  builder.Gemm(17).Activation(Op::kRelu).Add(embedded).Dropout(0.1);
  builder.Recurrent(CellKind::kGruCell, 8).Activation(Op::kSigmoid).Concat(embedded);
  builder.Conv1d(9, {3, 2}).Activation(Op::kTanh).LayerNorm().Gemm(12).Glu().Slice(1, 4);
  builder.Recurrent(CellKind::kLstmCell, 18, {Direction::kForward, 0.0, 5});
  builder.Recurrent(CellKind::kLstmPeepholeCell, 6, {Direction::kForward, 0.0, 19})
      .Gemm(7)
      .Activation(Op::kSoftmax);
  const std::string top = builder.value();
  builder.LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Add(last).Gemm(6).Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  for (const Node& node : graph.nodes) {
    if (node.output != graph.outputs[0]) graph.outputs.push_back(node.output);
  }
  return graph;
}

// The graph without biases of h, which a session then does not read (compile.h, MergeBiases).
inline Graph WithOneBias(Graph graph) {
  for (auto& [name, weight] : graph.weights) {
    if (name.find("bias_hh") == std::string::npos) continue;
    std::fill(weight.values.begin(), weight.values.end(), 0.0f);
  }
  return graph;
}

// The graph with its matrices changed, so that the format can store them.
inline Graph Fitted(Graph graph, const FormatSpec& spec) {
  for (auto& [name, weight] : graph.weights) {
    if (weight.shape.size() != 2) continue;
    FitMatrix(spec, weight.dim(1), weight.values);
  }
  return graph;
}

// Dense where the format does not store matrices of the shape.
inline Artifact ArtifactOf(const Graph& graph, const FormatSpec& spec) {
  ArtifactContent content;
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph))) {
    if (part.by_column || part.is_plain) continue;
    const bool fits = FitRows(spec, part.rows, part.cols) == part.rows;
    content.choices[part.name].spec = fits ? spec : FormatSpec{.type = spec.type};
  }
  return ValueOrDie(Artifact::FromBytes(ValueOrDie(WriteArtifact(graph, content))));
}

inline Session SessionOf(const Artifact& artifact, int64_t max_batch, int64_t max_steps,
                         const std::string& target = "") {
  SessionOptions options;
  options.max_batch = max_batch;
  options.max_steps = max_steps;
  options.target = target;
  return ValueOrDie(Session::Create(artifact, options));
}

inline void SetStates(const StateSet& states, Session* session) {
  for (const auto& [name, values] : states) ASSERT_OK(session->SetState(name, values));
}

inline StateSet GetStates(const Session& session, int64_t size) {
  StateSet states;
  for (const StateSpec& spec : session.states()) {
    std::vector<float>& values = states[spec.name];
    values.resize(static_cast<size_t>(spec.width * size));
    EXPECT_OK(session.GetState(spec.name, values));
  }
  return states;
}

inline void ExpectNear(const std::vector<float>& expected, std::span<const float> found,
                       double tolerance, const std::string& what) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double allowed = tolerance * std::max(1.0, std::abs(double{expected[i]}));
    ASSERT_NEAR(expected[i], found[i], allowed) << what << " at " << i;
  }
}

// Rounds x as the kernels of an artifact do whose matrices are all of type i8.
inline void RoundEveryX(const std::string& /*weight*/, int64_t /*first_row*/, std::span<double> x) {
  RoundX(0.0f, x);
}

// Runs both executors from the same states and compares all outputs and end states.
inline void ExpectMatchesReference(const Graph& graph, const Batch& batch, const StateSet& start,
                                   Session* session, WeightType type = WeightType::kF32) {
  const bool rounds_x = type == WeightType::kI8;
  const double tolerance = rounds_x ? kI8Tolerance : kTolerance;
  StateSet states = start;
  const auto values =
      ValueOrDie(RunReference(graph, batch, &states, rounds_x ? RoundEveryX : MatrixInputFn()));
  session->SetRests(false);
  session->Reset();
  SetStates(start, session);
  ASSERT_OK(session->Run(ViewOf(batch)));
  session->SetRests(true);
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    ExpectNear(values.at(graph.outputs[i]).values, session->Output(i), tolerance, graph.outputs[i]);
  }
  for (const auto& [name, found] : GetStates(*session, batch.size)) {
    ExpectNear(states.at(name), found, tolerance, name);
  }
}

// One sequence of kFeatures whole, in chunks of these sizes, and as the second of three: the same
// bits, and the same units and rows run. The first output has a row a step.
inline void ExpectSameInChunksAndBatches(const Graph& graph, const Artifact& artifact,
                                         int64_t steps, const std::vector<int64_t>& chunks) {
  Rng rng(9);
  const Batch batch = RandomBatch(graph, steps, 1, steps, &rng);
  Session whole = SessionOf(artifact, 1, steps);
  ASSERT_OK(whole.Run(ViewOf(batch)));
  const std::vector<float> expected(whole.Output(0).begin(), whole.Output(0).end());
  for (const int64_t chunk : chunks) {
    Session session = SessionOf(artifact, 1, steps);
    std::vector<float> found;
    for (int64_t step = 0; step < steps; step += chunk) {
      const Batch part = Chunk(graph, batch, step, std::min(chunk, steps - step));
      ASSERT_OK(session.Run(ViewOf(part)));
      found.insert(found.end(), session.Output(0).begin(), session.Output(0).end());
    }
    EXPECT_EQ(found, expected) << chunk;
    EXPECT_EQ(session.Activity(0).counters.rows_run, whole.Activity(0).counters.rows_run);
    EXPECT_EQ(session.Activity(0).counters.units_run, whole.Activity(0).counters.units_run);
  }
  constexpr size_t kSize = 3, kPlace = 1;
  const auto inputs = static_cast<size_t>(kFeatures.type.features);
  const size_t outputs = expected.size() / static_cast<size_t>(steps);
  Batch three = RandomBatch(graph, steps, kSize, steps, &rng);
  for (size_t t = 0; t < static_cast<size_t>(steps); ++t) {
    std::copy_n(batch.features.data() + t * inputs, inputs,
                three.features.data() + (t * kSize + kPlace) * inputs);
  }
  Session together = SessionOf(artifact, kSize, steps);
  ASSERT_OK(together.Run(ViewOf(three)));
  for (size_t t = 0; t < static_cast<size_t>(steps); ++t) {
    const std::span<const float> row =
        together.Output(0).subspan((t * kSize + kPlace) * outputs, outputs);
    ASSERT_TRUE(std::equal(row.begin(), row.end(), expected.data() + t * outputs)) << t;
  }
}

// Two sessions of three streams and nine steps say the same but for rounding: over calls of random
// lengths, each of which goes on where the last one ended, and streams that begin anew.
inline void ExpectSameOverChunksAndResets(const Graph& graph, Session* expected, Session* found,
                                          const std::string& what) {
  Rng rng(10);
  for (int run = 0; run < 30; ++run) {
    const auto steps = 1 + static_cast<int64_t>(rng.Below(9));
    const auto size = 1 + static_cast<int64_t>(rng.Below(3));
    const Batch batch = RandomBatch(graph, steps, size, 0, &rng);
    for (Session* session : {expected, found}) ASSERT_OK(session->Run(ViewOf(batch)));
    ExpectNear({expected->Output(0).begin(), expected->Output(0).end()}, found->Output(0),
               kTolerance, StrCat(what, " in call ", run));
    if (rng.Below(4) != 0) continue;
    const auto stream = static_cast<int64_t>(rng.Below(3));
    for (Session* session : {expected, found}) ASSERT_OK(session->ResetStream(stream));
  }
}

// The network, two layers of this cell in slots of 8x8, with all rules off is the plain one.
// Returns what its first layer counted.
inline LayerCounters ExpectPlainWithRulesOff(const Graph& graph, CellKind cell) {
  const FormatSpec spec{FormatId::k_slot, 8, 8};
  const Artifact artifact = ArtifactOf(graph, spec);
  const Artifact plain_artifact = ArtifactOf(WithoutRules(graph), spec);
  Session off = SessionOf(artifact, 3, 9);
  Session plain = SessionOf(plain_artifact, 3, 9);
  const std::string name(InfoOf(cell).name);
  for (const char* number : {"0", "1"}) EXPECT_OK(off.SetRules(name + number, LayerRules()));
  ExpectSameOverChunksAndResets(graph, &plain, &off, name);
  return off.Activity(0).counters;
}

// The instruction sets of this machine, best first.
inline std::vector<std::string> Targets() {
  std::vector<std::string> targets;
  for (const KernelTable* table : AvailableKernels()) targets.emplace_back(table->target);
  return targets;
}

}  // namespace espalier::testing

#endif  // ESPALIER_RUNTIME_SESSION_TEST_SUPPORT_H_
