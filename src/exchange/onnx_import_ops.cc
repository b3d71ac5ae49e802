// OnnxImporter, operator by operator.
#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "exchange/onnx_importer.h"

namespace espalier {
namespace {

bool IsInteger(int64_t onnx_type) {
  return onnx_type == onnx::TensorProto::INT32 || onnx_type == onnx::TensorProto::INT64;
}

int64_t RankOf(const ValueType& type) { return type.layout == Layout::kSequence ? 3 : 2; }

bool IsLastAxis(int64_t axis, const ValueType& type) {
  return axis == -1 || axis == RankOf(type) - 1;
}

size_t DirectionCount(const Node& node) {
  return node.direction == Direction::kBidirectional ? 2 : 1;
}

Node MakeNode(Op op, std::string name, std::vector<std::string> inputs, std::string output) {
  Node node;
  node.op = op;
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.output = std::move(output);
  return node;
}

}  // namespace

Status OnnxImporter::ImportGemm(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"alpha", "beta", "transA", "transB"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 3));
  for (const char* name : {"alpha", "beta"}) {
    if (node.Float(name, 1.0f) == 1.0f) continue;
    return node.Refuse(
        StrCat("attribute '", name, "': 1 expected, ", node.Float(name, 1.0f), " found"));
  }
  if (node.Int("transA", 0) != 0) return node.Refuse("attribute 'transA': 0 expected");
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  if (TypeOf(data).layout != Layout::kVector) return node.Refuse("an input [B, F] expected");
  return AppendLinear(node, data, node.Int("transB", 0) != 0, node.input(2).empty() ? -1 : 2);
}

Status OnnxImporter::ImportMatMul(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  const size_t index = graph_.nodes.size();
  ESPALIER_RETURN_IF_ERROR(AppendLinear(node, data, false, -1));
  // An Add of a constant to this value alone is its bias.
  if (uses_[node.output(0)] == 1) products_[node.output(0)] = index;
  return Ok();
}

Status OnnxImporter::AppendLinear(const OnnxNode& node, const std::string& data, bool has_rows_out,
                                  int bias_input) {
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* matrix, Matrix(node, 1));
  const size_t outputs = static_cast<size_t>(matrix->shape[has_rows_out ? 0 : 1]);
  const size_t inputs = static_cast<size_t>(matrix->shape[has_rows_out ? 1 : 0]);
  Node made = MakeNode(Op::kGemm, NodeName(node, "gemm"), {data}, node.output(0));
  made.tied = TiedTo(node, has_rows_out);
  TensorStore weights;
  Tensor bias({static_cast<int64_t>(outputs)});
  if (bias_input >= 0) {
    ESPALIER_ASSIGN_OR_RETURN(bias, Bias(node, bias_input, bias.dim(0)));
  }
  weights[made.name + ".bias"] = std::move(bias);
  if (!made.tied.empty()) return AppendAndDefine(node, std::move(made), std::move(weights));
  Tensor weight({static_cast<int64_t>(outputs), static_cast<int64_t>(inputs)}, matrix->floats);
  if (!has_rows_out) {
    for (size_t o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < inputs; ++i) {
        weight.values[o * inputs + i] = matrix->floats[i * outputs + o];
      }
    }
  }
  weights[made.name + ".weight"] = std::move(weight);
  return AppendAndDefine(node, std::move(made), std::move(weights));
}

std::string OnnxImporter::TiedTo(const OnnxNode& node, bool has_rows_out) const {
  std::string constant = meanings_.at(node.input(1)).value;
  if (!has_rows_out) {
    const auto source = transposed_.find(constant);
    if (source == transposed_.end()) return "";
    constant = source->second;
  }
  const auto table = tables_.find(constant);
  return table == tables_.end() ? "" : table->second;
}

Status OnnxImporter::ImportAdd(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
  for (int i = 0; i < 2; ++i) {
    const auto product = products_.find(node.input(i));
    const auto other = meanings_.find(node.input(1 - i));
    if (product == products_.end() || other == meanings_.end() ||
        other->second.role != Role::kConstant) {
      continue;
    }
    Node& gemm = graph_.nodes[product->second];
    Tensor& bias = graph_.weights.at(gemm.name + ".bias");
    ESPALIER_ASSIGN_OR_RETURN(bias, Bias(node, 1 - i, bias.dim(0)));
    types_[node.output(0)] = TypeOf(gemm.output);
    gemm.output = node.output(0);
    return Define(node, node.output(0), {Role::kValue, node.output(0), 0});
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::string a, Data(node, 0));
  ESPALIER_ASSIGN_OR_RETURN(const std::string b, Data(node, 1));
  return AppendAndDefine(node, MakeNode(Op::kAdd, NodeName(node, "add"), {a, b}, node.output(0)),
                         {});
}

Status OnnxImporter::ImportGather(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axis"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role == Role::kShape) return ImportOnShapes(node);
  const int64_t axis = node.Int("axis", 0);
  if (axis != 0 && from.role != Role::kView) return node.Refuse("attribute 'axis': 0 expected");
  if (from.role == Role::kConstant) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* table, Matrix(node, 0));
    ESPALIER_ASSIGN_OR_RETURN(const std::string ids, Data(node, 1));
    ValueType& type = types_.at(ids);
    if (type.element == Element::kI32 && type.features == 0) {
      type.features = input_types_.at(ids).features = table->shape[0];
    }
    Node made = MakeNode(Op::kEmbedding, NodeName(node, "embedding"), {ids}, node.output(0));
    TensorStore weights;
    weights[made.name + ".weight"] = Tensor(table->shape, table->floats);
    tables_.emplace(from.value, made.name);
    return AppendAndDefine(node, std::move(made), std::move(weights));
  }
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* index, Constant(node, 1));
  const bool is_scalar = index->shape.empty() && index->ints.size() == 1;
  if (from.role == Role::kStack && is_scalar &&
      index->ints[0] != std::numeric_limits<int64_t>::max()) {
    const int64_t row = index->ints[0];
    ESPALIER_ASSIGN_OR_RETURN(const Meaning end, PartOfStack(node, from, row, row + 1));
    return ImportEndAsVector(node, end);
  }
  const bool is_end = from.role == Role::kEndH || from.role == Role::kEndC;
  if (is_end && is_scalar && (index->ints[0] == 0 || index->ints[0] == -1)) {
    return ImportEndAsVector(node, from);
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::string sequence, SequenceAlong(node, axis));
  if (!is_scalar || index->ints[0] != -1) {
    return node.Refuse("the last step (index -1) of a sequence expected");
  }
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, node.proto().input_size()));
  return MakeLastStep(node, sequence);
}

Status OnnxImporter::LastStepOfEnd(const OnnxNode& node, const Meaning& end) {
  if (graph_.nodes[end.node].direction != Direction::kForward) {
    return node.Refuse("Y_h is the last step of a forward layer only, a " +
                       std::string(DirectionName(graph_.nodes[end.node].direction)) + " one found");
  }
  return MakeLastStep(node, NameOutput(end.node, ""));
}

Status OnnxImporter::ImportDropout(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"seed"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 3));
  double rate = 0.5;
  if (!node.input(1).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* ratio, Constant(node, 1));
    if (ratio->floats.size() != 1) return node.Damaged("ratio: one f32 expected");
    rate = static_cast<double>(ratio->floats[0]);
  }
  if (!node.input(2).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* training, Constant(node, 2));
    if (!training->IsZero()) return node.Refuse("training_mode: false expected");
  }
  if (!node.output(1).empty() && uses_[node.output(1)] > 0) {
    return node.Refuse("output 'mask' is not supported");
  }
  Node made = MakeNode(Op::kDropout, NodeName(node, "dropout"), {}, node.output(0));
  ESPALIER_ASSIGN_OR_RETURN(made.rate, Metadata("rate." + made.name, rate));
  return AppendElementwise(node, std::move(made));
}

Status OnnxImporter::ImportActivation(const OnnxNode& node, Op op) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
  return AppendElementwise(node, MakeNode(op, NodeName(node, OpName(op)), {}, node.output(0)));
}

Status OnnxImporter::ImportSoftmax(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axis"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  const int64_t axis = node.Int("axis", -1);
  if (!IsLastAxis(axis, TypeOf(data))) {
    return node.Refuse(StrCat("attribute 'axis': the last one expected, ", axis, " found"));
  }
  return AppendAndDefine(
      node, MakeNode(Op::kSoftmax, NodeName(node, "softmax"), {data}, node.output(0)), {});
}

Status OnnxImporter::ImportConcat(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axis"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, node.proto().input_size()));
  for (int i = 0; i < node.proto().input_size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(const Meaning part, Find(node, i));
    if (part.role == Role::kShape) return ImportOnShapes(node);
    if (part.role == Role::kEndH || part.role == Role::kEndC) return ImportStack(node);
  }
  if (node.proto().input_size() < 2) return node.Refuse("at least 2 inputs expected");
  ESPALIER_ASSIGN_OR_RETURN(std::string left, Data(node, 0));
  const int64_t axis = node.Int("axis", 0);
  if (!IsLastAxis(axis, TypeOf(left))) {
    return node.Refuse(StrCat("attribute 'axis': the last one expected, ", axis, " found"));
  }
  // A Graph joins two at a time.
  for (int i = 1; i + 1 < node.proto().input_size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(const std::string right, Data(node, i));
    Node made = MakeNode(Op::kConcat, FreshNodeName("concat"), {left, right}, "");
    made.output = left = FreshValue(made.name + ".out");
    ESPALIER_RETURN_IF_ERROR(Append(node, std::move(made), {}));
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::string right, Data(node, node.proto().input_size() - 1));
  return AppendAndDefine(
      node, MakeNode(Op::kConcat, NodeName(node, "concat"), {left, right}, node.output(0)), {});
}

Status OnnxImporter::ImportReduceMean(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axes", "keepdims", "noop_with_empty_axes"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 2));
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<int64_t> axes, IntsOf(node, 1, "axes"));
  if (axes.size() != 1 || node.Int("keepdims", 1) != 0) {
    return node.Refuse("a mean over T alone (one axis, keepdims 0) expected");
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, SequenceAlong(node, axes[0]));
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, node.proto().input_size()));
  return AppendAndDefine(
      node, MakeNode(Op::kMeanOverTime, NodeName(node, "mean_over_time"), {data}, node.output(0)),
      {});
}

Status OnnxImporter::ImportConstant(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(
      node.AllowAttributes({"value", "value_float", "value_int", "value_ints"}));
  OnnxConstant constant;
  if (const onnx::AttributeProto* value = node.Attribute("value"); value != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(constant, ReadConstant(value->t(), node.Label()));
  } else if (node.Attribute("value_float") != nullptr) {
    constant.is_float = true;
    constant.floats = {node.Float("value_float", 0.0f)};
  } else if (node.Attribute("value_int") != nullptr) {
    constant.ints = {node.Int("value_int", 0)};
  } else {
    constant.ints = node.Ints("value_ints");
    constant.shape = {static_cast<int64_t>(constant.ints.size())};
  }
  const std::string name = node.output(0);
  ESPALIER_RETURN_IF_ERROR(Define(node, name, {Role::kConstant, name, 0}));
  constants_[name] = std::move(constant);
  return Ok();
}

Status OnnxImporter::ImportConstantOfShape(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"value"}));
  if (const onnx::AttributeProto* value = node.Attribute("value"); value != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant constant, ReadConstant(value->t(), node.Label()));
    if (!constant.IsZero()) return node.Refuse("attribute 'value': 0 expected");
  }
  return Define(node, node.output(0), {Role::kZeros, "", 0});
}

Status OnnxImporter::ImportSqueeze(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axes"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 2));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role == Role::kShape) return ImportOnShapes(node);
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<int64_t> axes, IntsOf(node, 1, "axes"));
  const int64_t axis = axes.size() == 1 ? axes[0] : -9;
  const bool is_end = from.role == Role::kEndH || from.role == Role::kEndC;
  if (is_end && (axis == 0 || axis == -3)) return ImportEndAsVector(node, from);
  if (from.role == Role::kRecurrent && (axis == 1 || axis == -3)) {
    if (DirectionCount(graph_.nodes[from.node]) != 1) {
      return node.Damaged("one direction expected, 2 found");
    }
    return Define(node, node.output(0), {Role::kValue, NameOutput(from.node, node.output(0)), 0});
  }
  return node.Refuse(
      "only Y [T, 1, B, H] over axis 1 and Y_h or Y_c [1, B, H] over axis 0 are supported");
}

Status OnnxImporter::ImportReshape(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"allowzero"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role == Role::kShape) return ImportOnShapes(node);
  if (from.role != Role::kTransposed) {
    return node.Refuse("only Y [T, B, D, H] of LSTM, GRU or RNN can be reshaped");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Meaning shape, Find(node, 1));
  if (shape.role != Role::kShape) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* dims, Constant(node, 1));
    const Node& layer = graph_.nodes[from.node];
    const int64_t width = static_cast<int64_t>(DirectionCount(layer)) * layer.hidden_size;
    if (dims->ints.size() != 3 || (dims->ints[2] != -1 && dims->ints[2] != width)) {
      return node.Refuse(
          StrCat("a new shape [T, B, ", width, "] expected, ", ShapeString(dims->ints), " found"));
    }
  }
  return Define(node, node.output(0), {Role::kValue, NameOutput(from.node, node.output(0)), 0});
}

// Identity, and Cast and Expand where they change nothing that a Graph keeps.
Status OnnxImporter::ImportIdentity(const OnnxNode& node) {
  const std::string& op = node.proto().op_type();
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"to"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, op == "Expand" ? 2 : 1));
  ESPALIER_ASSIGN_OR_RETURN(Meaning from, Find(node, 0));
  bool fits = op == "Identity" || from.role == Role::kShape || from.role == Role::kZeros;
  if (op == "Expand" && from.role == Role::kConstant && constants_.at(from.value).IsZero()) {
    fits = true;
    from = {Role::kZeros, "", 0};
  }
  if (op == "Cast" && IsInteger(node.Int("to", 0))) {
    const auto input = input_types_.find(from.value);
    fits = fits || from.role == Role::kLengths || from.role == Role::kFullLengths ||
           (from.role == Role::kInput && input != input_types_.end() &&
            input->second.element == Element::kI32) ||
           (from.role == Role::kConstant && !constants_.at(from.value).is_float);
  }
  if (!fits) return node.Refuse("only shapes, zeros, lengths and ids are supported");
  return Define(node, node.output(0), std::move(from));
}

Status OnnxImporter::ImportShape(const OnnxNode& node) {
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  (void)from;  // of any value
  return Define(node, node.output(0), {Role::kShape, "", 0});
}

Status OnnxImporter::ImportOnShapes(const OnnxNode& node) {
  bool has_shape = false;
  for (int i = 0; i < node.proto().input_size(); ++i) {
    if (node.input(i).empty()) continue;
    ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, i));
    has_shape = has_shape || from.role == Role::kShape;
    if (from.role != Role::kShape && from.role != Role::kConstant) {
      return node.Refuse("the operator is supported on shapes only");
    }
  }
  if (!has_shape) return node.Refuse("the operator is supported on shapes only");
  return Define(node, node.output(0), {Role::kShape, "", 0});
}

}  // namespace espalier
