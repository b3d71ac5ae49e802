// The systems that RunBench can time.
#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "base/stopwatch.h"
#include "exchange/onnx.h"
#include "exchange/onnx_quantized.h"
#include "model/without_rules.h"
#include "peers/cpu.h"
#include "pipeline/bench.h"
#include "runtime/session.h"

namespace espalier {
namespace {

// Two sessions: one for whole sequences, one that streams, so that neither disturbs the other.
struct SessionPair {
  Session whole;
  Session stream;
  const Session* last = nullptr;
  size_t width = 0;  // of the first output, B * O
  bool is_ids = false;
  std::vector<int32_t> ids;  // what x is then

  std::span<const int32_t> IdsOf(std::span<const float> x) {
    ids.resize(x.size());
    std::transform(x.begin(), x.end(), ids.begin(),
                   [](float id) { return static_cast<int32_t>(id); });
    return ids;
  }
};

// What a network reads, of one kind or the other.
struct OnnxX {
  std::vector<float> features;
  std::vector<int32_t> ids;

  void Resize(const ValueType& input, int64_t rows) {
    const auto count = static_cast<size_t>(rows * StepWidth(input));
    input.element == Element::kI32 ? ids.resize(count) : features.resize(count);
  }
  void Set(std::span<const float> x) {
    if (ids.empty()) {
      std::copy(x.begin(), x.end(), features.begin());
    } else {
      std::transform(x.begin(), x.end(), ids.begin(),
                     [](float id) { return static_cast<int32_t>(id); });
    }
  }
  OnnxInput InputOf(const GraphInput& input, int64_t steps, int64_t batch) const {
    if (!ids.empty()) return {input.name, {steps, batch}, std::span<const int32_t>(ids)};
    return {input.name, {steps, batch, input.type.features}, std::span<const float>(features)};
  }
};

// ONNX Runtime with every input and output bound to memory of its own once. Streaming swaps two
// bindings, so that the states need no copying.
struct OnnxState {
  int64_t features = 0;      // of the first output
  bool is_sequence = false;  // the first output is [T, B, features]
  OnnxX x;
  std::vector<float> y;
  std::vector<OnnxBinding> whole;  // one
  OnnxX step_x;
  std::vector<std::array<std::vector<float>, 2>> states;
  std::vector<OnnxBinding> stream;  // two, or none
  bool streamed_last = false;       // rather than run a sequence
  size_t turn = 0;
};

constexpr OnnxSessionOptions::Weights kWeightForms[] = {OnnxSessionOptions::Weights::kPacked,
                                                        OnnxSessionOptions::Weights::kAsStored};

// Which of ONNX Runtime's two forms of weights is faster depends on sizes (peers/onnxruntime.h), so
// both are tried and the peer gets the better one. The bindings of a form are run in turn.
Result<std::vector<OnnxBinding>> Faster(
    const std::function<Result<std::vector<OnnxBinding>>(OnnxSessionOptions::Weights)>& bind) {
  constexpr int kRounds = 5;
  constexpr size_t kRuns = 40;
  std::vector<std::vector<OnnxBinding>> forms;
  for (const OnnxSessionOptions::Weights weights : kWeightForms) {
    ESPALIER_ASSIGN_OR_RETURN(std::vector<OnnxBinding> bindings, bind(weights));
    forms.push_back(std::move(bindings));
  }
  std::vector<double> best(forms.size(), std::numeric_limits<double>::infinity());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < forms.size(); ++i) {
      Stopwatch watch;
      for (size_t run = 0; run < kRuns; ++run) {
        ESPALIER_RETURN_IF_ERROR(forms[i][run % forms[i].size()].Run());
      }
      best[i] = std::min(best[i], watch.ElapsedNs());
    }
  }
  return std::move(forms[best[0] <= best[1] ? 0 : 1]);
}

Result<std::vector<OnnxBinding>> BindWhole(const OnnxSession& session, const Graph& graph,
                                           const BenchShape& shape, OnnxState* state) {
  std::vector<int64_t> y_shape = {shape.batch, state->features};
  if (state->is_sequence) y_shape.insert(y_shape.begin(), shape.steps);
  ESPALIER_ASSIGN_OR_RETURN(
      OnnxBinding binding,
      session.Bind({state->x.InputOf(graph.inputs[0], shape.steps, shape.batch)},
                   {{graph.outputs[0], y_shape, state->y}}));
  std::vector<OnnxBinding> bindings;
  bindings.push_back(std::move(binding));
  return bindings;
}

Result<std::vector<OnnxBinding>> BindStream(const OnnxSession& session, const Graph& graph,
                                            const std::vector<StateSpec>& specs, int64_t batch,
                                            OnnxState* state) {
  std::vector<int64_t> y_shape = {batch, state->features};
  if (state->is_sequence) y_shape.insert(y_shape.begin(), 1);
  const auto step_values = static_cast<size_t>(batch * state->features);
  std::vector<OnnxBinding> bindings;
  for (size_t turn = 0; turn < 2; ++turn) {
    std::vector<OnnxInput> inputs = {state->step_x.InputOf(graph.inputs[0], 1, batch)};
    std::vector<OnnxOutput> outputs = {
        {graph.outputs[0], y_shape, std::span(state->y).first(step_values)}};
    for (size_t i = 0; i < specs.size(); ++i) {
      const std::vector<int64_t> state_shape = {1, batch, specs[i].width};
      inputs.push_back(
          {specs[i].name, state_shape, std::span<const float>(state->states[i][turn])});
      outputs.push_back({specs[i].name + ".out", state_shape, state->states[i][1 - turn]});
    }
    ESPALIER_ASSIGN_OR_RETURN(OnnxBinding binding, session.Bind(inputs, outputs));
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

Result<std::vector<std::byte>> ModelOf(const Graph& graph, OnnxExportOptions::States states,
                                       const OnnxSystemOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                            ExportOnnx(graph, {states, OnnxExportOptions::Lengths::kNone}));
  if (!options.quantized) return bytes;
  return QuantizeOnnxLstms(bytes, WeightLimitOfThisCpu());
}

Status MakeWhole(const OnnxRuntime& runtime, const Graph& graph, const BenchShape& shape,
                 const OnnxSystemOptions& options, OnnxState* state) {
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes,
                            ModelOf(graph, OnnxExportOptions::States::kZero, options));
  const int64_t rows = shape.steps * shape.batch;
  state->x.Resize(graph.inputs[0].type, rows);
  state->y.resize(static_cast<size_t>(state->features * (state->is_sequence ? rows : shape.batch)));
  const auto bind = [&](auto weights) -> Result<std::vector<OnnxBinding>> {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxSession session,
                              runtime.Load(bytes, {options.threads, weights}));
    return BindWhole(session, graph, shape, state);
  };
  ESPALIER_ASSIGN_OR_RETURN(state->whole, Faster(bind));
  return Ok();
}

Status MakeStream(const OnnxRuntime& runtime, const Graph& graph, int64_t batch,
                  const OnnxSystemOptions& options, OnnxState* state) {
  ESPALIER_ASSIGN_OR_RETURN(const auto bytes,
                            ModelOf(graph, OnnxExportOptions::States::kExplicit, options));
  state->step_x.Resize(graph.inputs[0].type, batch);
  std::vector<StateSpec> specs;
  const auto bind = [&](auto weights) -> Result<std::vector<OnnxBinding>> {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxSession session,
                              runtime.Load(bytes, {options.threads, weights}));
    if (specs.empty()) {
      const std::vector<std::string>& names = session.input_names();
      for (const StateSpec& spec : StatesOf(graph)) {
        if (std::find(names.begin(), names.end(), spec.name) == names.end()) continue;
        specs.push_back(spec);
        const auto width = static_cast<size_t>(batch * spec.width);
        state->states.push_back({std::vector<float>(width), std::vector<float>(width)});
      }
    }
    return BindStream(session, graph, specs, batch, state);
  };
  ESPALIER_ASSIGN_OR_RETURN(state->stream, Faster(bind));
  return Ok();
}

}  // namespace

Result<BenchSystem> EspalierSystem(const std::string& name, const Artifact& artifact,
                                   const Graph& graph, const BenchShape& shape,
                                   const SessionOptions& session) {
  SessionOptions options = session;
  options.max_batch = shape.batch;
  options.max_steps = shape.steps;
  ESPALIER_ASSIGN_OR_RETURN(Session whole, Session::Create(artifact, options));
  options.max_steps = 1;
  ESPALIER_ASSIGN_OR_RETURN(Session stream, Session::Create(artifact, options));
  const int64_t features = artifact.types().at(artifact.graph().outputs[0]).features;
  const auto width = static_cast<size_t>(shape.batch * features);
  auto pair = std::make_shared<SessionPair>(
      SessionPair{std::move(whole),
                  std::move(stream),
                  nullptr,
                  width,
                  artifact.graph().inputs[0].type.element == Element::kI32,
                  {}});
  BenchSystem system;
  system.name = name;
  system.graph = &graph;
  if (artifact.RoundsX()) system.rms_tolerance = kInt8RmsTolerance;
  if (IsDynamic(graph)) {
    system.rms_tolerance = kDynamicRmsTolerance;
    system.set_rests = [pair](bool rests) {
      pair->whole.SetRests(rests);
      pair->stream.SetRests(rests);
    };
  }
  system.threads = pair->whole.threads();
  system.run_sequence = [pair, shape](std::span<const float> x) {
    pair->last = &pair->whole;
    pair->whole.Reset();
    if (pair->is_ids) return pair->whole.Run({shape.steps, shape.batch, {}, pair->IdsOf(x), {}});
    return pair->whole.Run({shape.steps, shape.batch, x, {}, {}});
  };
  if (IsStreamable(artifact.graph())) {
    system.run_step = [pair](std::span<const float> x) {
      pair->last = &pair->stream;
      return pair->is_ids ? pair->stream.Step(pair->IdsOf(x)) : pair->stream.Step(x);
    };
    system.reset_stream = [pair] { pair->stream.Reset(); };
  }
  system.output = [pair] { return pair->last->Output(0).last(pair->width); };
  return system;
}

Result<BenchSystem> OnnxRuntimeSystem(const std::string& name, const OnnxRuntime& runtime,
                                      const Graph& given, const BenchShape& shape,
                                      const OnnxSystemOptions& options) {
  // It runs every step of a layer with dynamic pruning in full.
  const auto own = IsDynamic(given) ? std::make_shared<const Graph>(WithoutRules(given)) : nullptr;
  const Graph& graph = own != nullptr ? *own : given;
  ESPALIER_ASSIGN_OR_RETURN(const auto types, InferTypes(graph));
  const ValueType out = types.at(graph.outputs[0]);
  auto state = std::make_shared<OnnxState>();
  state->features = out.features;
  state->is_sequence = out.layout == Layout::kSequence;
  ESPALIER_RETURN_IF_ERROR(MakeWhole(runtime, graph, shape, options, state.get()));
  BenchSystem system;
  system.name = name;
  system.graph = &graph;
  if (options.quantized) system.rms_tolerance = kInt8RmsTolerance;
  system.run_sequence = [state, own](std::span<const float> x) {
    state->streamed_last = false;
    state->x.Set(x);
    return state->whole[0].Run();
  };
  // MeanOverTime has a state that the lean form does not carry over steps.
  const bool streams = IsStreamable(graph) &&
                       std::none_of(graph.nodes.begin(), graph.nodes.end(),
                                    [](const Node& node) { return node.op == Op::kMeanOverTime; });
  if (streams) {
    ESPALIER_RETURN_IF_ERROR(MakeStream(runtime, graph, shape.batch, options, state.get()));
    system.run_step = [state](std::span<const float> x) {
      state->streamed_last = true;
      state->step_x.Set(x);
      return state->stream[state->turn++ % 2].Run();
    };
    system.reset_stream = [state] {
      for (auto& pair : state->states) {
        for (std::vector<float>& buffer : pair) std::fill(buffer.begin(), buffer.end(), 0.0f);
      }
    };
    system.reset_stream();  // Faster ran some steps
  }
  // After a step the output is at the front of y, after a sequence its last step at the end.
  const auto width = static_cast<size_t>(shape.batch * out.features);
  system.output = [state, width] {
    const std::span<const float> y(state->y);
    return state->streamed_last ? y.first(width) : y.last(width);
  };
  return system;
}

}  // namespace espalier
