// The systems that RunBench can time.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "exchange/onnx.h"
#include "pipeline/bench.h"
#include "runtime/session.h"

namespace espalier {
namespace {

// Two sessions: one for whole sequences, one that streams, so that neither disturbs the other.
struct SessionPair {
  Session whole;
  Session stream;
  const Session* last = nullptr;
  size_t width = 0;  // of the first output
};

// ONNX Runtime with every input and output bound to memory of its own once. Streaming swaps two
// bindings, so that the states need no copying.
struct OnnxState {
  std::vector<float> x;
  std::vector<float> y;
  std::vector<OnnxBinding> whole;  // one
  std::vector<float> step_x;
  std::vector<std::array<std::vector<float>, 2>> states;
  std::vector<OnnxBinding> stream;  // two, or none
  size_t turn = 0;
};

Status BindWhole(const OnnxRuntime& runtime, const Graph& graph, int64_t steps, int threads,
                 OnnxState* state) {
  ESPALIER_ASSIGN_OR_RETURN(
      const auto bytes,
      ExportOnnx(graph, {OnnxExportOptions::States::kZero, OnnxExportOptions::Lengths::kNone}));
  ESPALIER_ASSIGN_OR_RETURN(const OnnxSession session, runtime.Load(bytes, {.threads = threads}));
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));
  const ValueType& out = types.at(graph.outputs[0]);
  const int64_t width = graph.inputs[0].type.features;
  state->x.resize(static_cast<size_t>(steps * width));
  std::vector<int64_t> shape = {1, out.features};
  if (out.layout == Layout::kSequence) shape.insert(shape.begin(), steps);
  state->y.resize(static_cast<size_t>(ElementCount(shape)));
  ESPALIER_ASSIGN_OR_RETURN(
      OnnxBinding binding,
      session.Bind({{graph.inputs[0].name, {steps, 1, width}, std::span<const float>(state->x)}},
                   {{graph.outputs[0], shape, state->y}}));
  state->whole.push_back(std::move(binding));
  return Ok();
}

Status BindStream(const OnnxRuntime& runtime, const Graph& graph, int threads, OnnxState* state) {
  ESPALIER_ASSIGN_OR_RETURN(
      const auto bytes,
      ExportOnnx(graph, {OnnxExportOptions::States::kExplicit, OnnxExportOptions::Lengths::kNone}));
  ESPALIER_ASSIGN_OR_RETURN(const OnnxSession session, runtime.Load(bytes, {.threads = threads}));
  const int64_t width = graph.inputs[0].type.features;
  state->step_x.resize(static_cast<size_t>(width));
  std::vector<StateSpec> specs;
  for (const StateSpec& spec : StatesOf(graph)) {
    const auto& names = session.input_names();
    if (std::find(names.begin(), names.end(), spec.name) != names.end()) specs.push_back(spec);
  }
  state->states.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    for (auto& buffer : state->states[i]) buffer.assign(static_cast<size_t>(specs[i].width), 0.0f);
  }
  for (size_t turn = 0; turn < 2; ++turn) {
    std::vector<OnnxInput> inputs = {
        {graph.inputs[0].name, {1, 1, width}, std::span<const float>(state->step_x)}};
    const auto features = static_cast<int64_t>(state->y.size());
    std::vector<OnnxOutput> outputs = {{graph.outputs[0], {1, features}, state->y}};
    for (size_t i = 0; i < specs.size(); ++i) {
      const std::vector<int64_t> shape = {1, 1, specs[i].width};
      inputs.push_back({specs[i].name, shape, std::span<const float>(state->states[i][turn])});
      outputs.push_back({specs[i].name + ".out", shape, state->states[i][1 - turn]});
    }
    ESPALIER_ASSIGN_OR_RETURN(OnnxBinding binding, session.Bind(inputs, outputs));
    state->stream.push_back(std::move(binding));
  }
  return Ok();
}

}  // namespace

Result<BenchSystem> EspalierSystem(const std::string& name, const Artifact& artifact,
                                   const Graph& graph, int64_t steps, const std::string& target) {
  SessionOptions options;
  options.target = target;
  options.max_steps = steps;
  ESPALIER_ASSIGN_OR_RETURN(Session whole, Session::Create(artifact, options));
  options.max_steps = 1;
  ESPALIER_ASSIGN_OR_RETURN(Session stream, Session::Create(artifact, options));
  const auto width = static_cast<size_t>(artifact.types().at(artifact.graph().outputs[0]).features);
  auto pair = std::make_shared<SessionPair>(
      SessionPair{std::move(whole), std::move(stream), nullptr, width});
  BenchSystem system;
  system.name = name;
  system.graph = &graph;
  system.run_sequence = [pair, steps](std::span<const float> x) {
    pair->last = &pair->whole;
    pair->whole.Reset();
    return pair->whole.Run({steps, 1, x, {}, {}});
  };
  if (IsStreamable(artifact.graph())) {
    system.run_step = [pair](std::span<const float> x) {
      pair->last = &pair->stream;
      return pair->stream.Step(x);
    };
  }
  system.output = [pair] { return pair->last->Output(0).last(pair->width); };
  return system;
}

Result<BenchSystem> OnnxRuntimeSystem(const std::string& name, const OnnxRuntime& runtime,
                                      const Graph& graph, int64_t steps, int threads) {
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));
  const ValueType out = types.at(graph.outputs[0]);
  auto state = std::make_shared<OnnxState>();
  ESPALIER_RETURN_IF_ERROR(BindWhole(runtime, graph, steps, threads, state.get()));
  BenchSystem system;
  system.name = name;
  system.graph = &graph;
  system.run_sequence = [state](std::span<const float> x) {
    std::copy(x.begin(), x.end(), state->x.begin());
    return state->whole[0].Run();
  };
  // MeanOverTime has a state that the lean form does not carry over steps.
  const bool streams = IsStreamable(graph) && out.layout == Layout::kVector &&
                       std::none_of(graph.nodes.begin(), graph.nodes.end(),
                                    [](const Node& node) { return node.op == Op::kMeanOverTime; });
  if (streams) {
    ESPALIER_RETURN_IF_ERROR(BindStream(runtime, graph, threads, state.get()));
    system.run_step = [state](std::span<const float> x) {
      std::copy(x.begin(), x.end(), state->step_x.begin());
      return state->stream[state->turn++ % 2].Run();
    };
  }
  const auto features = static_cast<size_t>(out.features);
  system.output = [state, features] { return std::span<const float>(state->y).last(features); };
  return system;
}

}  // namespace espalier
