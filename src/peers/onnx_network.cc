#include "peers/onnx_network.h"

#include <algorithm>

#include "base/strings.h"

namespace espalier {
namespace {

// A state as the file has it: one tensor over the states of all directions of a node.
struct FileState {
  std::string name;                // "<node>.h"
  std::vector<std::string> parts;  // names in a StateSet, forward first
  std::vector<int64_t> shape;      // [D, B, H] or [B, width]
  std::vector<float> start, end;
};

std::vector<FileState> FileStatesOf(const Graph& graph, const std::vector<StateSpec>& specs,
                                    int64_t size) {
  constexpr std::string_view kReverse = "_reverse";
  std::vector<FileState> states;
  for (const StateSpec& spec : specs) {
    const Node* node = FindOwner(graph, spec.name);
    FileState state{spec.name, {spec.name}, {size, spec.width}, {}, {}};
    if (node->op == Op::kRecurrent) {
      state.shape.insert(state.shape.begin(), 1);
      if (spec.name.ends_with(kReverse)) state.name.resize(spec.name.size() - kReverse.size());
    }
    const auto same = std::find_if(states.begin(), states.end(), [&](const FileState& other) {
      return other.name == state.name;
    });
    if (same == states.end()) {
      states.push_back(std::move(state));
    } else {
      same->parts.push_back(spec.name);
      ++same->shape[0];
    }
  }
  return states;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Result<OnnxNetwork> OnnxNetwork::Load(const OnnxRuntime& runtime, std::span<const std::byte> model,
                                      const Graph& graph) {
  ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph));
  ESPALIER_ASSIGN_OR_RETURN(OnnxSession session, runtime.Load(model, {}));
  OnnxNetwork network(graph, std::move(session));
  ESPALIER_ASSIGN_OR_RETURN(network.types_, InferTypes(graph));
  network.states_ = StatesOf(graph);
  network.graph_.weights.clear();
  return network;
}

Result<std::map<std::string, Value>> OnnxNetwork::Run(const Batch& batch, StateSet* states) const {
  ESPALIER_RETURN_IF_ERROR(ValidateBatch(graph_, batch));
  const GraphInput& input = graph_.inputs[0];
  std::vector<OnnxInput> inputs;
  const bool is_sequence = input.type.layout == Layout::kSequence;
  std::vector<int64_t> shape = is_sequence ? std::vector<int64_t>{batch.steps, batch.size}
                                           : std::vector<int64_t>{batch.size};
  if (input.type.element == Element::kI32) {
    inputs.push_back({input.name, shape, std::span<const int32_t>(batch.ids)});
  } else {
    shape.push_back(input.type.features);
    inputs.push_back({input.name, shape, std::span<const float>(batch.features)});
  }
  if (Contains(session_.input_names(), "lengths")) {
    inputs.push_back({"lengths", {batch.size}, std::span<const int32_t>(batch.lengths)});
  } else {
    for (const int32_t length : batch.lengths) {
      if (length == batch.steps) continue;
      return InvalidArgument(StrCat("lengths: all T = ", batch.steps,
                                    " expected by a file without lengths, ", length, " found"));
    }
  }

  std::vector<OnnxOutput> outputs;
  std::vector<FileState> file_states = FileStatesOf(graph_, states_, batch.size);
  std::erase_if(file_states, [&](const FileState& state) {
    return !Contains(session_.input_names(), state.name);
  });
  for (FileState& state : file_states) {
    for (const std::string& part : state.parts) {
      const auto it = states->find(part);
      const size_t expected = static_cast<size_t>(batch.size * state.shape.back());
      if (it == states->end() || it->second.size() != expected) {
        return InvalidArgument(StrCat("state '", part, "': ", expected, " elements expected, ",
                                      it == states->end() ? 0 : it->second.size(), " found"));
      }
      state.start.insert(state.start.end(), it->second.begin(), it->second.end());
    }
    state.end.resize(state.start.size());
    inputs.push_back({state.name, state.shape, std::span<const float>(state.start)});
    outputs.push_back({state.name + ".out", state.shape, state.end});
  }
  std::map<std::string, Value> values;
  for (const std::string& name : graph_.outputs) {
    Value& value = values[name];
    value.type = types_.at(name);
    value.steps = value.type.layout == Layout::kSequence ? batch.steps : 1;
    value.size = batch.size;
    value.values.resize(static_cast<size_t>(value.steps * value.size * value.type.features));
    std::vector<int64_t> value_shape = {value.size, value.type.features};
    if (value.type.layout == Layout::kSequence)
      value_shape.insert(value_shape.begin(), value.steps);
    outputs.push_back({name, value_shape, value.values});
  }

  ESPALIER_ASSIGN_OR_RETURN(OnnxBinding binding, session_.Bind(inputs, outputs));
  ESPALIER_RETURN_IF_ERROR(binding.Run());
  for (const FileState& state : file_states) {
    auto from = state.end.begin();
    for (const std::string& part : state.parts) {
      std::vector<float>& to = states->at(part);
      std::copy_n(from, to.size(), to.begin());
      from += static_cast<std::ptrdiff_t>(to.size());
    }
  }
  return values;
}

}  // namespace espalier
