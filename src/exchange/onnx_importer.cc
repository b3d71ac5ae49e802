#include "exchange/onnx_importer.h"

#include <algorithm>
#include <charconv>
#include <sstream>
#include <string_view>

#include "base/strings.h"
#include "exchange/onnx_fold.h"
#include "exchange/onnx_functions.h"
#include "exchange/onnx_scan.h"

namespace espalier {
namespace {

constexpr int64_t kOldestOpset = 13;  // Squeeze, ReduceSum and Softmax changed in 13

bool IsStandard(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

}  // namespace

Result<Graph> OnnxImporter::Import() {
  ESPALIER_RETURN_IF_ERROR(CheckModel());
  graph_.name = in_.name();
  for (const onnx::ValueInfoProto& input : in_.input()) names_.insert(input.name());
  for (const onnx::NodeProto& node : in_.node()) {
    for (const std::string& input : node.input()) ++uses_[input];
    names_.insert(node.output().begin(), node.output().end());
  }
  for (const onnx::ValueInfoProto& output : in_.output()) ++uses_[output.name()];
  ESPALIER_RETURN_IF_ERROR(ReadInitializers());
  ESPALIER_RETURN_IF_ERROR(ReadInputs());
  for (const onnx::NodeProto& node : in_.node()) {
    ESPALIER_RETURN_IF_ERROR(ImportNode(OnnxNode(node)));
  }
  ESPALIER_RETURN_IF_ERROR(ReadOutputs());
  ESPALIER_RETURN_IF_ERROR(CheckMetadata());
  const Status status = ValidateGraph(graph_);
  if (!status.ok()) return BadFormat(status.message());
  return std::move(graph_);
}

Status OnnxImporter::CheckModel() const {
  if (!model_.has_graph()) return BadFormat("the file holds no ONNX graph");
  int64_t opset = 0;
  for (const onnx::OperatorSetIdProto& id : model_.opset_import()) {
    if (IsStandard(id.domain())) opset = id.version();
  }
  if (opset < kOldestOpset) {
    return Unsupported(
        StrCat("opset_import: opset ", kOldestOpset, " or later expected, ", opset, " found"));
  }
  if (in_.sparse_initializer_size() > 0) {
    return Unsupported("initializer '" + in_.sparse_initializer(0).values().name() +
                       "': sparse initializers are not supported");
  }
  return Ok();
}

Status OnnxImporter::ReadInitializers() {
  for (const onnx::TensorProto& tensor : in_.initializer()) {
    const std::string what = "initializer '" + tensor.name() + "'";
    ESPALIER_ASSIGN_OR_RETURN(OnnxConstant constant, ReadConstant(tensor, what));
    names_.insert(tensor.name());
    constants_[tensor.name()] = std::move(constant);
    if (!meanings_.emplace(tensor.name(), Meaning{Role::kConstant, tensor.name(), 0}).second) {
      return BadFormat(what + " is defined twice");
    }
  }
  return Ok();
}

// A graph input is data, lengths or a state; which one, the first node that reads it says.
Status OnnxImporter::ReadInputs() {
  for (const onnx::ValueInfoProto& input : in_.input()) {
    if (constants_.contains(input.name())) continue;  // a default value, as in IR 3
    if (!meanings_.emplace(input.name(), Meaning{Role::kInput, input.name(), 0}).second) {
      return BadFormat("input '" + input.name() + "' is defined twice");
    }
    const onnx::TypeProto::Tensor& type = input.type().tensor_type();
    const int rank = type.shape().dim_size();
    const bool is_f32 = type.elem_type() == onnx::TensorProto::FLOAT;
    const bool is_ids = type.elem_type() == onnx::TensorProto::INT32 ||
                        type.elem_type() == onnx::TensorProto::INT64;
    if (is_f32 && (rank == 2 || rank == 3)) {
      const int64_t features = type.shape().dim(rank - 1).dim_value();  // 0 if it is free
      input_types_[input.name()] = {Element::kF32, rank == 3 ? Layout::kSequence : Layout::kVector,
                                    features};
    } else if (is_ids && (rank == 1 || rank == 2)) {
      // How many ids there are, the table that they index says.
      input_types_[input.name()] = {Element::kI32, rank == 2 ? Layout::kSequence : Layout::kVector,
                                    0};
    }
  }
  return Ok();
}

Status OnnxImporter::ReadOutputs() {
  for (const onnx::ValueInfoProto& output : in_.output()) {
    const auto it = meanings_.find(output.name());
    if (it == meanings_.end())
      return BadFormat("output '" + output.name() + "' is made by no node");
    switch (it->second.role) {
      case Role::kValue: graph_.outputs.push_back(it->second.value); break;
      case Role::kState:
      case Role::kEndC:
      case Role::kStack:
      case Role::kEndH: break;  // a Graph's states are not among its outputs
      case Role::kInput:
        if (input_types_.contains(output.name())) {
          data_inputs_.insert(output.name());
          graph_.outputs.push_back(output.name());
          break;
        }
        [[fallthrough]];
      default:
        return Unsupported("output '" + output.name() +
                           "': a value [T, B, F] or [B, F] or an end state expected");
    }
  }
  for (const onnx::ValueInfoProto& input : in_.input()) {
    const std::string& name = input.name();
    if (data_inputs_.contains(name) && other_inputs_.contains(name)) {
      return Unsupported("input '" + name + "' is read as data and as lengths or state");
    }
    // What no node reads is kept if it can only be data.
    const auto it = input_types_.find(name);
    const bool is_unused_data =
        it != input_types_.end() && !uses_.contains(name) && it->second.element == Element::kF32;
    if (data_inputs_.contains(name) || is_unused_data) graph_.inputs.push_back({name, it->second});
  }
  return Ok();
}

Status OnnxImporter::ImportNode(const OnnxNode& node) {
  const std::string& op = node.proto().op_type();
  if (node.proto().domain() == kFunctionDomain) return ImportOwnFunction(node);
  if (!IsStandard(node.proto().domain())) return node.Refuse("its domain is not known");
  if (auto constant = Folded(node); constant.has_value()) {
    const std::string name = node.output(0);
    ESPALIER_RETURN_IF_ERROR(Define(node, name, {Role::kConstant, name, 0}));
    constants_[name] = *std::move(constant);
    return Ok();
  }
  if (op == "LSTM" || op == "GRU" || op == "RNN") return ImportRecurrent(node);
  if (op == "Gemm") return ImportGemm(node);
  if (op == "MatMul") return ImportMatMul(node);
  if (op == "Add") return ImportAdd(node);
  if (op == "Gather") return ImportGather(node);
  if (op == "Dropout") return ImportDropout(node);
  if (op == "Relu") return ImportActivation(node, Op::kRelu);
  if (op == "Sigmoid") return ImportActivation(node, Op::kSigmoid);
  if (op == "Tanh") return ImportActivation(node, Op::kTanh);
  if (op == "Softmax") return ImportSoftmax(node);
  if (op == "Concat") return ImportConcat(node);
  if (op == "LayerNormalization") return ImportLayerNorm(node);
  if (op == "Mul") return ImportMul(node);
  if (op == "Slice") return ImportSlice(node);
  if (op == "Split") return ImportSplit(node);
  if (op == "Unsqueeze") return ImportUnsqueeze(node);
  if (op == "ReduceMean") return ImportReduceMean(node);
  if (op == "Constant") return ImportConstant(node);
  if (op == "ConstantOfShape") return ImportConstantOfShape(node);
  if (op == "Squeeze") return ImportSqueeze(node);
  if (op == "Transpose") return ImportTranspose(node);
  if (op == "Reshape") return ImportReshape(node);
  if (op == "Identity" || op == "Cast" || op == "Expand") return ImportIdentity(node);
  if (op == "Pad") return ImportPad(node);
  if (op == "Conv") return ImportConv(node);
  if (op == "Shape") return ImportShape(node);
  return node.Refuse("the operator has no counterpart in a Graph");
}

std::optional<OnnxConstant> OnnxImporter::Folded(const OnnxNode& node) const {
  std::vector<const OnnxConstant*> inputs;
  for (int i = 0; i < node.proto().input_size(); ++i) {
    const auto it = meanings_.find(node.input(i));
    if (it == meanings_.end() || it->second.role != Role::kConstant) return std::nullopt;
    inputs.push_back(&constants_.at(it->second.value));
  }
  return FoldIntegers(node, inputs);
}

// onnx_functions.h; known by name, so what their bodies say is not read.
Status OnnxImporter::ImportOwnFunction(const OnnxNode& node) {
  const std::string& op = node.proto().op_type();
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  if (FindScanForm(op).has_value()) return ImportScan(node);
  if (op == "SplitDirections") return ImportSplitDirections(node);
  if (op == "JoinDirections") return ImportJoinDirections(node);
  if (op == "EndState") return ImportEndState(node);
  if (op == "ClampLengths" || op == "FullLengths") {
    ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
    const Role role = op == "FullLengths" ? Role::kFullLengths : Role::kLengths;
    if (role == Role::kLengths) ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 0));
    return Define(node, node.output(0), {role, "", 0});
  }
  if (op == "MaskEmpty") {
    ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
    ESPALIER_ASSIGN_OR_RETURN(const Meaning y, Find(node, 0));
    if (y.role != Role::kRecurrent) return node.Refuse("Y of LSTM, GRU or RNN expected");
    ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 1));
    return Define(node, node.output(0), y);
  }
  if (op == "WithPast") {
    ESPALIER_RETURN_IF_ERROR(node.CheckInputs(3, 3));
    ESPALIER_ASSIGN_OR_RETURN(const std::string sequence, Data(node, 0));
    ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 1));
    ESPALIER_RETURN_IF_ERROR(StartState(node, 2));
    const auto past = input_types_.find(node.input(2));
    const int64_t width = past == input_types_.end() ? 0 : past->second.features;
    const int64_t features = TypeOf(sequence).features;
    if (width < 1 || features < 1 || width % features != 0) {
      return node.Refuse(StrCat("past '", node.input(2), "': a graph input [B, P * ", features,
                                "] expected, [B, ", width, "] found"));
    }
    ESPALIER_RETURN_IF_ERROR(Define(node, node.output(1), {Role::kState, "", 0}));
    return Define(node, node.output(0), {Role::kView, sequence, 0, "TBF", width / features});
  }
  const bool is_mean = op == "MeanOverTime";
  if (!is_mean && op != "LastStep") return node.Refuse("the function is not known");
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(is_mean ? 4 : 3, is_mean ? 4 : 3));
  ESPALIER_ASSIGN_OR_RETURN(const std::string sequence, Data(node, 0));
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 1));
  for (int i = 2; i < node.proto().input_size(); ++i) {
    ESPALIER_RETURN_IF_ERROR(StartState(node, i));
  }
  for (int i = 1; i < node.proto().output_size(); ++i) {
    ESPALIER_RETURN_IF_ERROR(Define(node, node.output(i), {Role::kState, "", 0}));
  }
  if (!is_mean) return MakeLastStep(node, sequence);
  Node made;
  made.name = NodeName(node, "mean_over_time");
  made.op = Op::kMeanOverTime;
  made.inputs = {sequence};
  made.output = node.output(0);
  return AppendAndDefine(node, std::move(made), {});
}

Status OnnxImporter::Define(const OnnxNode& node, const std::string& name, Meaning meaning) {
  if (name.empty()) return Ok();
  if (meanings_.emplace(name, std::move(meaning)).second) return Ok();
  return node.Damaged("value '" + name + "' is defined twice");
}

Result<OnnxImporter::Meaning> OnnxImporter::Find(const OnnxNode& node, int index) const {
  const auto it = meanings_.find(node.input(index));
  if (it != meanings_.end()) return it->second;
  return node.Damaged("input '" + node.input(index) + "' is not made before it is used");
}

Result<std::string> OnnxImporter::Data(const OnnxNode& node, int index) {
  ESPALIER_ASSIGN_OR_RETURN(const Meaning meaning, Find(node, index));
  if (meaning.role == Role::kValue) return meaning.value;
  if (meaning.role == Role::kView) {
    return node.Refuse(StrCat("input '", node.input(index), "': [T, B, F] expected, the axes ",
                              meaning.axes, " with ", meaning.front, " steps in front found"));
  }
  if (meaning.role != Role::kInput) {
    return node.Refuse("input '" + node.input(index) + "': a value [T, B, F] or [B, F] expected");
  }
  return InputData(node, meaning.value, "TBF");
}

Result<std::string> OnnxImporter::InputData(const OnnxNode& node, const std::string& name,
                                            const std::string& axes) {
  const auto it = input_types_.find(name);
  if (it == input_types_.end() ||
      (it->second.element == Element::kF32 && it->second.features < 1)) {
    return Unsupported("input '" + name +
                       "': f32 [T, B, F] or [B, F] with a known F, or ids [T, B] or [B] expected");
  }
  if (it->second.features > kMostFeatures) {
    return BadFormat(StrCat("input '", name, "': at most ", kMostFeatures, " features expected, ",
                            it->second.features, " found"));
  }
  if (it->second.layout == Layout::kSequence &&
      input_axes_.emplace(name, axes).first->second != axes) {
    return node.Refuse("input '" + name + "' is read as [T, B, F] and as [B, T, F]");
  }
  data_inputs_.insert(name);
  types_[name] = it->second;
  return name;
}

Status OnnxImporter::StartState(const OnnxNode& node, int index) {
  if (node.input(index).empty()) return Ok();
  ESPALIER_ASSIGN_OR_RETURN(const Meaning meaning, Find(node, index));
  switch (meaning.role) {
    case Role::kZeros: return Ok();
    case Role::kInput: other_inputs_.insert(meaning.value); return Ok();
    case Role::kConstant:
      if (constants_.at(meaning.value).IsZero()) return Ok();
      [[fallthrough]];
    default:
      return node.Refuse("start state '" + node.input(index) +
                         "': a graph input or zeros expected");
  }
}

Status OnnxImporter::LooksAlongTime(const OnnxNode& node, int lengths_index) {
  bool has_lengths = false;
  if (!node.input(lengths_index).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const Meaning meaning, Find(node, lengths_index));
    has_lengths = meaning.role != Role::kFullLengths;
    if (meaning.role == Role::kInput) {
      other_inputs_.insert(meaning.value);
    } else if (has_lengths && meaning.role != Role::kLengths) {
      return node.Refuse("lengths '" + node.input(lengths_index) + "': a graph input expected");
    }
  }
  if (has_lengths_.value_or(has_lengths) != has_lengths) {
    return node.Refuse("lengths are read here and not elsewhere, or the other way round");
  }
  has_lengths_ = has_lengths;
  return Ok();
}

Result<const OnnxConstant*> OnnxImporter::Constant(const OnnxNode& node, int index) const {
  ESPALIER_ASSIGN_OR_RETURN(const Meaning meaning, Find(node, index));
  if (meaning.role == Role::kConstant) return &constants_.at(meaning.value);
  return node.Refuse("input '" + node.input(index) + "': a constant expected");
}

Result<const OnnxConstant*> OnnxImporter::Matrix(const OnnxNode& node, int index) const {
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* constant, Constant(node, index));
  if (constant->is_float && constant->shape.size() == 2) return constant;
  return node.Refuse("input '" + node.input(index) + "': a constant f32 matrix expected, shape " +
                     ShapeString(constant->shape) + " found");
}

Result<Tensor> OnnxImporter::Bias(const OnnxNode& node, int index, int64_t size) const {
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* constant, Constant(node, index));
  const auto found = static_cast<int64_t>(constant->floats.size());
  const bool is_row = constant->shape.empty() || constant->shape.back() == found;
  if (!constant->is_float || !is_row || found < 1 || (found != size && found != 1)) {
    return node.Refuse(StrCat("bias '", node.input(index), "': ", size,
                              " f32 elements in one row expected, shape ",
                              ShapeString(constant->shape), " found"));
  }
  Tensor bias({size}, constant->floats);
  bias.values.resize(static_cast<size_t>(size), constant->floats[0]);
  return bias;
}

Result<std::vector<int64_t>> OnnxImporter::IntsOf(const OnnxNode& node, int index,
                                                  const char* name) const {
  if (node.input(index).empty()) return node.Ints(name);
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* constant, Constant(node, index));
  return constant->ints;
}

std::string OnnxImporter::NodeName(const OnnxNode& node, const std::string& kind) {
  const std::string& name = node.proto().name();
  return !name.empty() && node_names_.insert(name).second ? name : FreshNodeName(kind);
}

std::string OnnxImporter::FreshNodeName(const std::string& kind) {
  int i = 0;
  while (!node_names_.insert(StrCat(kind, i)).second) ++i;
  return StrCat(kind, i);
}

std::string OnnxImporter::FreshValue(const std::string& wish) {
  std::string name = wish;
  for (int i = 2; !names_.insert(name).second; ++i) name = StrCat(wish, "_", i);
  return name;
}

// A graph of this node alone, so that the one inference in model/ says what comes out.
Status OnnxImporter::Append(const OnnxNode& node, Node made, TensorStore weights) {
  Graph alone;
  for (const std::string& input : std::set<std::string>(made.inputs.begin(), made.inputs.end())) {
    alone.inputs.push_back({input, TypeOf(input)});
  }
  alone.nodes = {made};
  alone.weights = std::move(weights);
  if (const Node* embedding = FindNode(graph_, made.tied); embedding != nullptr) {
    const std::string& ids = embedding->inputs[0];
    std::erase_if(alone.inputs,
                  [&](const GraphInput& input) { return input.name == embedding->output; });
    if (ids != made.inputs[0]) alone.inputs.push_back({ids, TypeOf(ids)});
    alone.nodes.insert(alone.nodes.begin(), *embedding);
    alone.weights[WeightOf(made)] = graph_.weights.at(WeightOf(made));
  }
  auto types = InferTypes(alone);
  if (!types.ok()) return node.Damaged(types.status().message());
  types_[made.output] = types->at(made.output);
  graph_.nodes.push_back(std::move(made));
  graph_.weights.merge(alone.weights);
  return Ok();
}

Status OnnxImporter::AppendAndDefine(const OnnxNode& node, Node made, TensorStore weights) {
  const std::string output = made.output;
  if (output.empty()) return node.Damaged("an output expected, none found");
  ESPALIER_RETURN_IF_ERROR(Append(node, std::move(made), std::move(weights)));
  return Define(node, output, {Role::kValue, output, 0});
}

std::string OnnxImporter::NameOutput(size_t index, const std::string& wish) {
  Node& node = graph_.nodes[index];
  if (unnamed_.erase(index) == 1 && !wish.empty()) {
    types_[wish] = types_.at(node.output);
    node.output = wish;
  }
  return node.output;
}

Status OnnxImporter::MakeLastStep(const OnnxNode& node, const std::string& sequence) {
  Node made;
  made.name = NodeName(node, "last_step");
  made.op = Op::kLastStep;
  made.inputs = {sequence};
  made.output = node.output(0);
  return AppendAndDefine(node, std::move(made), {});
}

Status OnnxImporter::CheckMetadata() const {
  const std::string ours = kMetadata;
  for (const onnx::StringStringEntryProto& entry : model_.metadata_props()) {
    if (!entry.key().starts_with(ours)) continue;
    const std::string key = entry.key().substr(ours.size());
    // Tools that simplify a file remove Dropout and merge layer normalisations, and leave these.
    if (key.starts_with("rate.") || key.starts_with("epsilon.")) continue;
    if (asked_.contains(key)) continue;
    return BadFormat(StrCat("metadata '", entry.key(),
                            "': a key that a layer of the network reads expected, one that none "
                            "reads found",
                            DidYouMean(key, {asked_.begin(), asked_.end()})));
  }
  return Ok();
}

const std::string* OnnxImporter::MetadataText(const std::string& key) const {
  asked_.insert(key);
  for (const onnx::StringStringEntryProto& entry : model_.metadata_props()) {
    if (entry.key() == kMetadata + key) return &entry.value();
  }
  return nullptr;
}

namespace {

template <typename T>
Result<T> ParseMetadata(const std::string& key, std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  return BadFormat("metadata 'espalier." + key + "': a number expected, '" + std::string(text) +
                   "' found");
}

}  // namespace

Result<double> OnnxImporter::Metadata(const std::string& key, double fallback) const {
  const std::string* text = MetadataText(key);
  if (text == nullptr) return fallback;
  return ParseMetadata<double>(key, *text);
}

Result<std::vector<float>> OnnxImporter::MetadataList(const std::string& key) const {
  const std::string* text = MetadataText(key);
  if (text == nullptr) return BadFormat("metadata 'espalier." + key + "': missing");
  std::vector<float> values;
  std::istringstream words(*text);
  for (std::string word; words >> word;) {
    ESPALIER_ASSIGN_OR_RETURN(const float value, ParseMetadata<float>(key, word));
    values.push_back(value);
  }
  return values;
}

}  // namespace espalier
