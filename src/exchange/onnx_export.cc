#include <onnx/onnx_pb.h>

#include <exception>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/strings.h"
#include "exchange/onnx.h"
#include "exchange/onnx_attributes.h"
#include "exchange/onnx_conv.h"
#include "exchange/onnx_functions.h"
#include "exchange/onnx_gates.h"
#include "exchange/onnx_rules.h"
#include "exchange/onnx_scan.h"
#include "exchange/onnx_types.h"

namespace espalier {
namespace {

constexpr int64_t kIrVersion = 8;  // the first with model-local functions
constexpr char kLengths[] = "lengths";

using Names = std::vector<std::string>;

class Exporter {
 public:
  Exporter(const Graph& graph, const OnnxExportOptions& options, onnx::ModelProto* model)
      : graph_(graph),
        has_states_(options.states == OnnxExportOptions::States::kExplicit),
        has_lengths_(options.lengths == OnnxExportOptions::Lengths::kInput),
        model_(model),
        out_(model->mutable_graph()) {}

  Status Export() {
    ESPALIER_RETURN_IF_ERROR(ValidateGraph(graph_));
    ESPALIER_ASSIGN_OR_RETURN(types_, InferTypes(graph_));
    ESPALIER_RETURN_IF_ERROR(ClaimNames());
    FindLive();
    model_->set_ir_version(kIrVersion);
    model_->set_producer_name("espalier");
    AddOpset("", kOnnxOpset);
    out_->set_name(graph_.name);
    for (const GraphInput& input : graph_.inputs) {
      onnx::ValueInfoProto* info = out_->add_input();
      info->set_name(input.name);
      SetType(input.type, info);
    }
    if (has_lengths_) AddInput(kLengths, onnx::TensorProto::INT32, {kBatch});
    for (const std::string& output : graph_.outputs) {
      onnx::ValueInfoProto* info = out_->add_output();
      info->set_name(output);
      SetType(types_.at(output), info);
    }
    for (const Node& node : graph_.nodes) {
      if (live_.contains(node.name)) ExportNode(node);
    }
    if (!functions_.empty()) AddOpset(kFunctionDomain, 1);
    for (const std::string& name : functions_) AddOnnxFunction(name, model_);
    return Ok();
  }

 private:
  // Names that others see come first: a clash among them is the caller's to solve.
  Status ClaimNames() {
    std::set<std::string> outputs(graph_.outputs.begin(), graph_.outputs.end());
    if (outputs.size() != graph_.outputs.size()) {
      return InvalidArgument("outputs: each value once expected, one found twice");
    }
    for (const auto& [name, type] : types_) names_.insert(name);
    const auto claim = [&](const std::string& name, const std::string& what) {
      if (names_.insert(name).second) return Ok();
      return InvalidArgument("value '" + name +
                             "': another name expected, the ONNX file needs it for " + what);
    };
    if (has_lengths_) ESPALIER_RETURN_IF_ERROR(claim(kLengths, "the lengths of the sequences"));
    if (!has_states_) return Ok();
    for (const Node& node : graph_.nodes) {
      for (const std::string& state : StateNames(node)) {
        ESPALIER_RETURN_IF_ERROR(claim(state, "a state"));
        ESPALIER_RETURN_IF_ERROR(claim(state + ".out", "a state"));
      }
    }
    return Ok();
  }

  // The states of a node as the file names them: both directions in one.
  Names StateNames(const Node& node) const {
    switch (node.op) {
      case Op::kRecurrent:
        if (StartsFromValues(node)) return {};
        if (InfoOf(node.cell).has_cell_state) return {node.name + ".h", node.name + ".c"};
        return {node.name + ".h"};
      case Op::kLastStep:
        // Without lengths some step is always valid, and what was held is never read.
        return has_lengths_ ? Names{node.name + ".last"} : Names{};
      case Op::kMeanOverTime: return {node.name + ".sum", node.name + ".count"};
      case Op::kConv1d: return node.kernel_size > 1 ? Names{node.name + ".past"} : Names{};
      default: return {};
    }
  }

  // With lengths every node is exported, so that the file reads back as the same Graph. Without,
  // what nobody reads once LastStep takes the end state is left out.
  void FindLive() {
    std::set<std::string> values(graph_.outputs.begin(), graph_.outputs.end());
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      const bool is_read = values.contains(node->output) || values.contains(node->end_c);
      const bool keeps_state = has_states_ && !StateNames(*node).empty();
      if (!has_lengths_ && !is_read && !keeps_state && !live_.contains(node->name)) continue;
      live_.insert(node->name);
      const Node* source = EndStateSource(*node);
      if (source != nullptr) {
        live_.insert(source->name);
        continue;
      }
      values.insert(node->inputs.begin(), node->inputs.end());
    }
    live_values_ = std::move(values);
  }

  // The Recurrent node whose end state is what this LastStep returns, or nullptr: only if all
  // sequences are full, only forward in time, looking through Dropout.
  const Node* EndStateSource(const Node& last_step) const {
    if (has_lengths_ || last_step.op != Op::kLastStep) return nullptr;
    const Node* node = MakerOf(last_step.inputs[0]);
    while (node != nullptr && node->op == Op::kDropout) node = MakerOf(node->inputs[0]);
    const bool fits =
        node != nullptr && node->op == Op::kRecurrent && node->direction == Direction::kForward;
    return fits ? node : nullptr;
  }

  const Node* MakerOf(const std::string& value) const {
    for (const Node& node : graph_.nodes) {
      if (node.output == value) return &node;
    }
    return nullptr;
  }

  // An internal name that nothing else has.
  std::string Fresh(const std::string& wish) {
    std::string name = wish;
    for (int i = 2; !names_.insert(name).second; ++i) name = StrCat(wish, "_", i);
    return name;
  }

  void AddOpset(const std::string& domain, int64_t version) {
    onnx::OperatorSetIdProto* opset = model_->add_opset_import();
    opset->set_domain(domain);
    opset->set_version(version);
  }

  void AddInput(const std::string& name, onnx::TensorProto::DataType element,
                const std::vector<Dim>& dims) {
    onnx::ValueInfoProto* info = out_->add_input();
    info->set_name(name);
    SetType(element, dims, info);
  }

  void AddStateOutput(const std::string& name, const std::vector<Dim>& dims) {
    onnx::ValueInfoProto* info = out_->add_output();
    info->set_name(name);
    SetType(onnx::TensorProto::FLOAT, dims, info);
  }

  onnx::NodeProto* AddNode(const std::string& op, const std::string& name, const Names& inputs,
                           const Names& outputs) {
    onnx::NodeProto* node = out_->add_node();
    node->set_op_type(op);
    node->set_name(name);
    for (const std::string& input : inputs) node->add_input(input);
    for (const std::string& output : outputs) node->add_output(output);
    return node;
  }

  onnx::NodeProto* AddCall(const std::string& function, const std::string& name,
                           const Names& inputs, const Names& outputs) {
    functions_.insert(function);
    onnx::NodeProto* node = AddNode(function, name, inputs, outputs);
    node->set_domain(kFunctionDomain);
    return node;
  }

  // Returns the name of the initialiser.
  std::string AddTensor(const std::string& wish, const Tensor& tensor) {
    onnx::TensorProto* proto = out_->add_initializer();
    proto->set_name(Fresh(wish));
    proto->set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t dim : tensor.shape) proto->add_dims(dim);
    proto->set_raw_data(tensor.values.data(), tensor.values.size() * sizeof(float));
    return proto->name();
  }
  std::string AddScalar(const std::string& wish, float value) {
    return AddTensor(wish, Tensor({}, {value}));
  }
  std::string AddInts(const std::string& wish, const std::vector<int64_t>& values) {
    onnx::TensorProto* proto = out_->add_initializer();
    proto->set_name(Fresh(wish));
    proto->set_data_type(onnx::TensorProto::INT64);
    proto->add_dims(static_cast<int64_t>(values.size()));
    for (const int64_t value : values) proto->add_int64_data(value);
    return proto->name();
  }

  void AddMetadata(const std::string& key, double value) { AddMetadataText(key, ExactText(value)); }
  void AddMetadataText(const std::string& key, const std::string& value) {
    onnx::StringStringEntryProto* entry = model_->add_metadata_props();
    entry->set_key("espalier." + key);
    entry->set_value(value);
  }

  void ExportNode(const Node& node) {
    switch (node.op) {
      case Op::kRecurrent: return NeedsScan(node) ? ExportScan(node) : ExportRecurrent(node);
      case Op::kGemm: return ExportGemm(node);
      case Op::kConv1d: return ExportConv1d(node);
      case Op::kEmbedding:
        tables_[node.name] = AddWeight(node.name + ".weight");
        AddNode("Gather", node.name, {tables_[node.name], node.inputs[0]}, {node.output});
        return;
      case Op::kDropout:
        AddNode("Dropout", node.name,
                {node.inputs[0], AddScalar(node.name + ".rate", static_cast<float>(node.rate))},
                {node.output});
        AddMetadata("rate." + node.name, node.rate);
        return;
      case Op::kRelu:
      case Op::kSigmoid:
      case Op::kTanh:
      case Op::kMul:
      case Op::kAdd: AddNode(OpName(node.op), node.name, node.inputs, {node.output}); return;
      case Op::kSoftmax:
      case Op::kConcat:
        SetInt("axis", -1, AddNode(OpName(node.op), node.name, node.inputs, {node.output}));
        return;
      case Op::kSlice:
        AddNode("Slice", node.name,
                {node.inputs[0], AddInts(node.name + "/first", {node.first}),
                 AddInts(node.name + "/end", {node.first + node.count}), Axes(-1)},
                {node.output});
        return;
      case Op::kLayerNorm: return ExportLayerNorm(node);
      case Op::kLastStep: return ExportLastStep(node);
      case Op::kMeanOverTime: return ExportMeanOverTime(node);
    }
  }

  void ExportGemm(const Node& node) {
    const std::string bias = AddWeight(node.name + ".bias");
    const bool is_tied = !node.tied.empty();
    if (types_.at(node.inputs[0]).layout == Layout::kVector) {
      const std::string matrix = is_tied ? tables_.at(node.tied) : AddWeight(WeightOf(node));
      SetInt("transB", 1,
             AddNode("Gemm", node.name, {node.inputs[0], matrix, bias}, {node.output}));
      return;
    }
    // Gemm takes no third dimension; MatMul does, and wants [I, O].
    const std::string matrix = is_tied ? AddTransposed(node) : AddTransposedWeight(node);
    const std::string product = Fresh(node.output + "/product");
    AddNode("MatMul", node.name, {node.inputs[0], matrix}, {product});
    AddNode("Add", node.name + "/bias", {product, bias}, {node.output});
  }

  // The table that a Gemm is tied to, transposed by the file's reader, so that it is there once.
  std::string AddTransposed(const Node& node) {
    const std::string transposed = Fresh(node.name + "/transposed");
    SetInts("perm", {1, 0},
            AddNode("Transpose", node.name + "/transpose", {tables_.at(node.tied)}, {transposed}));
    return transposed;
  }

  std::string AddTransposedWeight(const Node& node) {
    const Tensor& weight = graph_.weights.at(WeightOf(node));
    Tensor transposed({weight.dim(1), weight.dim(0)});
    for (int64_t o = 0; o < weight.dim(0); ++o) {
      for (int64_t i = 0; i < weight.dim(1); ++i) {
        transposed.values[static_cast<size_t>(i * weight.dim(0) + o)] = ViewOf(weight).at(o, i);
      }
    }
    return AddTensor(node.name + ".weight_transposed", transposed);
  }

  std::string AddWeight(const std::string& name) {
    return AddTensor(name, graph_.weights.at(name));
  }

  void ExportLayerNorm(const Node& node) {
    onnx::NodeProto* proto =
        AddNode("LayerNormalization", node.name,
                {node.inputs[0], AddWeight(node.name + ".weight"), AddWeight(node.name + ".bias")},
                {node.output});
    SetInt("axis", -1, proto);
    AddAttribute("epsilon", onnx::AttributeProto::FLOAT, proto)
        ->set_f(static_cast<float>(node.epsilon));
    AddMetadata("epsilon." + node.name, node.epsilon);
  }

  // Conv wants [B, F, T]. The steps before the first are its padding, or those of the state.
  void ExportConv1d(const Node& node) {
    const int64_t features = types_.at(node.inputs[0]).features;
    std::string x = node.inputs[0];
    int64_t padding = PastSteps(node);
    if (has_states_ && padding > 0) {
      const std::string past = node.name + ".past";
      const std::vector<Dim> dims = {kBatch, {padding * features, ""}};
      AddInput(past, onnx::TensorProto::FLOAT, dims);
      AddStateOutput(past + ".out", dims);
      const std::string joined = Fresh(past + "/joined");
      AddCall("WithPast", past + "/join", {x, has_lengths_ ? kLengths : FullLengths(x), past},
              {joined, past + ".out"});
      x = joined;
      padding = 0;
    }
    const Tensor& weight = graph_.weights.at(node.name + ".weight");
    Tensor taps_last({weight.dim(0), features, node.kernel_size});
    for (size_t i = 0; i < weight.size(); ++i) {
      taps_last.values[TapsLast(i, features, node.kernel_size)] = weight.values[i];
    }
    const std::string channels = Fresh(node.output + "/channels");
    const std::string product = Fresh(node.output + "/product");
    SetInts("perm", {1, 2, 0}, AddNode("Transpose", node.name + "/channels", {x}, {channels}));
    onnx::NodeProto* conv =
        AddNode("Conv", node.name,
                {channels, AddTensor(node.name + ".weight", taps_last),
                 AddTensor(node.name + ".bias", graph_.weights.at(node.name + ".bias"))},
                {product});
    SetInts("dilations", {node.dilation}, conv);
    SetInts("kernel_shape", {node.kernel_size}, conv);
    SetInts("pads", {padding, 0}, conv);
    SetInts("perm", {2, 0, 1},
            AddNode("Transpose", node.name + "/transpose", {product}, {node.output}));
  }

  // A state of a Recurrent node, as an input and an output of the file.
  void AddState(const std::string& state, int64_t directions, int64_t size) {
    const std::vector<Dim> dims = {{directions, ""}, kBatch, {size, ""}};
    AddInput(state, onnx::TensorProto::FLOAT, dims);
    AddStateOutput(state + ".out", dims);
  }

  // Input `index`, [B, D*S], as ONNX wants a start: [D, B, S].
  std::string StartOf(const Node& node, size_t index) {
    const std::string start = Fresh(node.name + (index == 1 ? "/start_h" : "/start_c"));
    if (node.direction == Direction::kBidirectional) {
      AddCall("SplitDirections", start, {node.inputs[index]}, {start});
    } else {
      AddNode("Unsqueeze", start, {node.inputs[index], Axes(0)}, {start});
    }
    return start;
  }

  void ExportScan(const Node& node) {
    const int64_t directions = node.direction == Direction::kBidirectional ? 2 : 1;
    Names inputs = {node.inputs[0], has_lengths_ ? kLengths : FullLengths(node.inputs[0])};
    Names outputs = {node.output};
    for (const auto& [what, index, size] :
         {std::tuple{".h", size_t{1}, StateSizeOf(node)}, {".c", size_t{2}, node.hidden_size}}) {
      const std::string state = node.name + what;
      const bool is_state = has_states_ && !StartsFromValues(node);
      if (is_state) AddState(state, directions, size);
      inputs.push_back(StartsFromValues(node) ? StartOf(node, index) : is_state ? state : Zero());
      outputs.push_back(is_state ? state + ".out" : Fresh(state + "/end"));
    }
    end_states_[node.name] = outputs[1];
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      for (const std::string& weight : ScanWeights(direction)) {
        inputs.push_back(AddWeight(weight));
      }
    }
    AddCall(ScanFunctionName(ScanFormOf(node)), node.name, inputs, outputs);
    AddRules(node);
    if (!node.end_c.empty()) ExportEndC(node, outputs[2]);
  }

  // Y_c [D, B, H] -> the node's end_c [B, D*H].
  void ExportEndC(const Node& node, const std::string& y_c) {
    const std::string name = node.name + "/end_c";
    const bool is_pair = node.direction == Direction::kBidirectional;
    is_pair ? AddCall("JoinDirections", name, {y_c}, {node.end_c})
            : AddNode("Squeeze", name, {y_c, Axes(0)}, {node.end_c});
  }

  void AddRules(const Node& node) {
    for (const auto& [key, text] : RulesOf(graph_, node)) AddMetadataText(key, text);
  }

  void ExportRecurrent(const Node& node) {
    const CellInfo& info = InfoOf(node.cell);
    const OnnxRecurrentWeights weights = ToOnnxGates(graph_, node);
    const int64_t directions = weights.w.dim(0);
    // Inputs: X W R B sequence_lens initial_h [initial_c]; outputs: Y Y_h [Y_c].
    Names inputs = {node.inputs[0], AddTensor(node.name + ".W", weights.w),
                    AddTensor(node.name + ".R", weights.r), AddTensor(node.name + ".B", weights.b),
                    has_lengths_ ? ClampedLengths() : ""};
    const bool is_read = has_lengths_ || live_values_.contains(node.output);
    Names outputs = {is_read ? Fresh(node.output + "/Y") : ""};
    const Names states = has_states_ ? StateNames(node) : Names();
    for (size_t i = 1; i < node.inputs.size(); ++i) inputs.push_back(StartOf(node, i));
    if (!states.empty()) {
      for (const std::string& state : states) {
        AddState(state, directions, node.hidden_size);
        inputs.push_back(state);
        outputs.push_back(has_lengths_ ? Fresh(state + "/end") : state + ".out");
      }
      end_states_[node.name] = outputs[1];
    } else if (!has_lengths_) {
      outputs.push_back(end_states_[node.name] = Fresh(node.name + ".h/end"));
    }
    if (!node.end_c.empty() && outputs.size() < 3) {
      outputs.resize(2);
      outputs.push_back(Fresh(node.name + ".c/end"));
    }
    if (info.peepholes > 0) {
      inputs.resize(7);
      inputs.push_back(AddTensor(node.name + ".P", weights.p));
      AddMetadata("peepholes." + node.name, static_cast<double>(info.peepholes));
    }
    onnx::NodeProto* proto = AddNode(std::string(info.onnx_op), node.name, inputs, outputs);
    SetInt("hidden_size", node.hidden_size, proto);
    AddAttribute("direction", onnx::AttributeProto::STRING, proto)
        ->set_s(DirectionName(node.direction));
    if (info.onnx_op == "GRU") SetInt("linear_before_reset", info.reset_before ? 0 : 1, proto);
    if (info.onnx_op == "RNN") {
      onnx::AttributeProto* activations =
          AddAttribute("activations", onnx::AttributeProto::STRINGS, proto);
      for (int64_t d = 0; d < directions; ++d) {
        activations->add_strings(node.cell == CellKind::kRnnReluCell ? "Relu" : "Tanh");
      }
    }
    AddRules(node);
    if (has_lengths_ && !states.empty()) {
      for (size_t i = 1; i < outputs.size(); ++i) {
        const std::string& start = inputs[4 + i];
        AddCall("EndState", start + "/state", {outputs[i], start, kLengths}, {start + ".out"});
      }
    }
    if (!node.end_c.empty()) ExportEndC(node, EndCOf(node, inputs, outputs[2]));
    if (is_read) ExportSequence(node, directions, outputs[0]);
  }

  // Y_c as it is of sequences without a step too.
  std::string EndCOf(const Node& node, const Names& inputs, const std::string& y_c) {
    if (!has_lengths_) return y_c;
    if (has_states_ && !StartsFromValues(node)) return node.name + ".c.out";
    const std::string start = StartsFromValues(node) ? inputs[6] : Zero();
    const std::string end = Fresh(node.name + ".c/state");
    return AddCall("EndState", end, {y_c, start, kLengths}, {end})->output(0);
  }

  // Y [T, D, B, H] -> the node's output [T, B, D*H].
  void ExportSequence(const Node& node, int64_t directions, std::string y) {
    if (has_lengths_) {
      const std::string masked = Fresh(node.output + "/masked");
      AddCall("MaskEmpty", node.name + "/mask", {y, kLengths}, {masked});
      y = masked;
    }
    if (directions == 1) {
      AddNode("Squeeze", node.name + "/squeeze", {y, Axes(1)}, {node.output});
      return;
    }
    const std::string transposed = Fresh(node.output + "/transposed");
    onnx::NodeProto* transpose = AddNode("Transpose", node.name + "/transpose", {y}, {transposed});
    SetInts("perm", {0, 2, 1, 3}, transpose);
    AddNode("Reshape", node.name + "/reshape",
            {transposed, AddInts(node.name + "/shape", {0, 0, 2 * node.hidden_size})},
            {node.output});
  }

  void ExportLastStep(const Node& node) {
    const Node* source = EndStateSource(node);
    if (source != nullptr) {
      AddNode("Squeeze", node.name, {end_states_.at(source->name), Axes(0)}, {node.output});
      return;
    }
    if (!has_lengths_) {
      onnx::TensorProto* index = out_->add_initializer();
      index->set_name(Fresh(node.name + "/index"));
      index->set_data_type(onnx::TensorProto::INT64);
      index->add_int64_data(-1);
      SetInt("axis", 0,
             AddNode("Gather", node.name, {node.inputs[0], index->name()}, {node.output}));
      return;
    }
    const std::string last = node.name + ".last";
    const int64_t features = types_.at(node.output).features;
    if (has_states_) {
      AddInput(last, onnx::TensorProto::FLOAT, {kBatch, {features, ""}});
      AddStateOutput(last + ".out", {kBatch, {features, ""}});
    }
    // Every output is named: ONNX Runtime 1.30 wants that of a function.
    AddCall("LastStep", node.name, {node.inputs[0], kLengths, has_states_ ? last : Zero()},
            {node.output, has_states_ ? last + ".out" : Fresh(last + "/end")});
  }

  void ExportMeanOverTime(const Node& node) {
    if (!has_lengths_ && !has_states_) {
      onnx::NodeProto* mean = AddNode("ReduceMean", node.name, {node.inputs[0]}, {node.output});
      SetInts("axes", {0}, mean);
      SetInt("keepdims", 0, mean);
      return;
    }
    const std::string lengths = has_lengths_ ? kLengths : FullLengths(node.inputs[0]);
    if (!has_states_) {
      AddCall("MeanOverTime", node.name, {node.inputs[0], lengths, Zero(), Zero()},
              {node.output, Fresh(node.name + ".sum/end"), Fresh(node.name + ".count/end")});
      return;
    }
    const std::string sum = node.name + ".sum";
    const std::string count = node.name + ".count";
    const std::vector<Dim> sum_dims = {kBatch, {types_.at(node.output).features, ""}};
    const std::vector<Dim> count_dims = {kBatch, {1, ""}};
    AddInput(sum, onnx::TensorProto::FLOAT, sum_dims);
    AddInput(count, onnx::TensorProto::FLOAT, count_dims);
    AddStateOutput(sum + ".out", sum_dims);
    AddStateOutput(count + ".out", count_dims);
    AddCall("MeanOverTime", node.name, {node.inputs[0], lengths, sum, count},
            {node.output, sum + ".out", count + ".out"});
  }

  // Values that several nodes share, made when they are first needed.
  std::string ClampedLengths() {
    if (clamped_lengths_.empty()) {
      clamped_lengths_ = Fresh("lengths/clamped");
      AddCall("ClampLengths", "lengths/clamp", {kLengths}, {clamped_lengths_});
    }
    return clamped_lengths_;
  }
  std::string FullLengths(const std::string& sequence) {
    if (full_lengths_.empty()) {
      full_lengths_ = Fresh("lengths/full");
      AddCall("FullLengths", "lengths/full", {sequence}, {full_lengths_});
    }
    return full_lengths_;
  }
  std::string Zero() {
    if (zero_.empty()) zero_ = AddScalar("zero", 0.0f);
    return zero_;
  }
  std::string Axes(int64_t axis) {
    std::string& name = axes_[axis];
    if (name.empty()) name = AddInts(StrCat("axes_", axis), {axis});
    return name;
  }

  const Graph& graph_;
  const bool has_states_;
  const bool has_lengths_;
  onnx::ModelProto* model_;
  onnx::GraphProto* out_;
  std::map<std::string, ValueType> types_;
  std::set<std::string> names_;                    // of all values of the file
  std::set<std::string> live_;                     // nodes to export
  std::set<std::string> live_values_;              // values that an exported node or output reads
  std::map<std::string, std::string> end_states_;  // Recurrent node -> its Y_h
  std::map<std::string, std::string> tables_;      // Embedding -> its initialiser
  std::set<std::string> functions_;
  std::string clamped_lengths_, full_lengths_, zero_;
  std::map<int64_t, std::string> axes_;
};

}  // namespace

Result<std::vector<std::byte>> ExportOnnx(const Graph& graph, const OnnxExportOptions& options) {
  try {
    onnx::ModelProto model;
    ESPALIER_RETURN_IF_ERROR(Exporter(graph, options, &model).Export());
    const size_t size_bytes = model.ByteSizeLong();
    if (size_bytes > static_cast<size_t>(std::numeric_limits<int>::max())) {
      return Unsupported(StrCat("graph '", graph.name, "': an ONNX file of at most 2 GB expected, ",
                                HumanBytes(size_bytes), " found"));
    }
    std::vector<std::byte> bytes(size_bytes);
    if (!model.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return Internal("graph '" + graph.name + "': protobuf could not write the ONNX file");
    }
    return bytes;
  } catch (const std::bad_alloc&) {
    return OutOfMemory("graph '" + graph.name + "': not enough memory to write the ONNX file");
  } catch (const std::exception& error) {
    return Internal(StrCat("graph '", graph.name, "': ", error.what()));
  }
}

Status ExportOnnxFile(const Graph& graph, const std::string& path,
                      const OnnxExportOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ExportOnnx(graph, options));
  return WriteFileAtomic(path, bytes);
}

Result<uint64_t> OnnxFileBytes(const Graph& graph, const OnnxExportOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, ExportOnnx(graph, options));
  return uint64_t{bytes.size()};
}

}  // namespace espalier
