// OnnxImporter on recurrent layers: LSTM, GRU and RNN, our functions for what they lack, and what
// layers start from.
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "cells/saturation.h"
#include "exchange/onnx_gates.h"
#include "exchange/onnx_importer.h"
#include "exchange/onnx_scan.h"

namespace espalier {
namespace {

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// The activations of one direction are these, for every direction.
bool AreActivations(const std::vector<std::string>& found,
                    std::initializer_list<std::string_view> expected, size_t directions) {
  if (found.size() != expected.size() * directions) return false;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!EqualsIgnoringCase(found[i], expected.begin()[i % expected.size()])) return false;
  }
  return true;
}

size_t DirectionCount(const Node& node) {
  return node.direction == Direction::kBidirectional ? 2 : 1;
}

}  // namespace

// An LSTM whose P is not 0, or was written by us.
Result<bool> OnnxImporter::HasPeepholes(const OnnxNode& node, const std::string& name) const {
  if (node.input(7).empty()) return false;
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* peepholes, Constant(node, 7));
  ESPALIER_ASSIGN_OR_RETURN(const double written, Metadata("peepholes." + name, 0.0));
  return !peepholes->IsZero() || written > 0.0;
}

Status OnnxImporter::ReadCell(const OnnxNode& node, Node* out) const {
  const std::string& op = node.proto().op_type();
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"hidden_size", "direction", "activations",
                                                 "layout", "input_forget", "linear_before_reset"}));
  for (const char* name : {"layout", "input_forget"}) {
    if (node.Int(name, 0) == 0) continue;
    return node.Refuse(StrCat("attribute '", name, "': 0 expected, ", node.Int(name, 0), " found"));
  }
  const std::string direction = node.Text("direction", "forward");
  bool is_known = false;
  for (const auto candidate :
       {Direction::kForward, Direction::kReverse, Direction::kBidirectional}) {
    if (direction != DirectionName(candidate)) continue;
    out->direction = candidate;
    is_known = true;
  }
  if (!is_known) return node.Damaged("attribute 'direction': '" + direction + "' is not known");

  const size_t directions = DirectionCount(*out);
  const std::vector<std::string> found = node.Texts("activations");
  bool are_known = found.empty();
  if (op == "LSTM") {
    ESPALIER_ASSIGN_OR_RETURN(const bool has_peepholes, HasPeepholes(node, out->name));
    out->cell = has_peepholes ? CellKind::kLstmPeepholeCell : CellKind::kLstmCell;
    are_known = are_known || AreActivations(found, {"Sigmoid", "Tanh", "Tanh"}, directions);
  } else if (op == "GRU") {
    out->cell = node.Int("linear_before_reset", 0) != 0 ? CellKind::kGruCell
                                                        : CellKind::kGruResetBeforeCell;
    are_known = are_known || AreActivations(found, {"Sigmoid", "Tanh"}, directions);
  } else if (AreActivations(found, {"Relu"}, directions)) {
    out->cell = CellKind::kRnnReluCell;
    are_known = true;
  } else {
    out->cell = CellKind::kRnnTanhCell;
    are_known = are_known || AreActivations(found, {"Tanh"}, directions);
  }
  if (are_known) return Ok();
  return node.Refuse("attribute 'activations': " + StrJoin(found, ", ") + " is not a cell of ours");
}

Status OnnxImporter::ReadRecurrentWeights(const OnnxNode& node, Node* out,
                                          TensorStore* weights) const {
  const auto read = [&](int index, const char* what, const std::vector<int64_t>& expected,
                        Tensor* tensor) -> Status {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* constant, Constant(node, index));
    // -1 stands for what is not known yet.
    bool fits = constant->is_float && constant->shape.size() == expected.size();
    for (size_t i = 0; fits && i < expected.size(); ++i) {
      fits = expected[i] == -1 || expected[i] == constant->shape[i];
    }
    if (!fits) {
      std::vector<std::string> dims;
      for (const int64_t dim : expected) dims.push_back(dim == -1 ? "?" : std::to_string(dim));
      return node.Damaged(StrCat(what, ": f32 ", StrJoin(dims, "x"), " expected, ",
                                 constant->is_float ? "" : "integers ",
                                 ShapeString(constant->shape), " found"));
    }
    *tensor = Tensor(constant->shape, constant->floats);
    return Ok();
  };
  const auto directions = static_cast<int64_t>(DirectionCount(*out));
  const int64_t gates = InfoOf(out->cell).gates;
  OnnxRecurrentWeights onnx_weights;
  ESPALIER_RETURN_IF_ERROR(read(2, "R", {directions, -1, -1}, &onnx_weights.r));
  out->hidden_size = onnx_weights.r.dim(2);
  const int64_t rows = onnx_weights.r.dim(1);
  if (out->hidden_size < 1 || rows % gates != 0 || rows / gates != out->hidden_size) {
    return node.Damaged(StrCat("R: ", directions, "x", gates, "*HxH expected, ",
                               ShapeString(onnx_weights.r.shape), " found"));
  }
  const int64_t hidden_size = node.Int("hidden_size", out->hidden_size);
  if (hidden_size != out->hidden_size) {
    return node.Damaged(StrCat("attribute 'hidden_size': ", out->hidden_size, " expected as in R, ",
                               hidden_size, " found"));
  }
  ESPALIER_RETURN_IF_ERROR(read(1, "W", {directions, rows, -1}, &onnx_weights.w));
  if (node.input(3).empty()) {
    onnx_weights.b = Tensor({directions, 2 * rows});
  } else {
    ESPALIER_RETURN_IF_ERROR(read(3, "B", {directions, 2 * rows}, &onnx_weights.b));
  }
  if (const int64_t peepholes = InfoOf(out->cell).peepholes; peepholes > 0) {
    ESPALIER_RETURN_IF_ERROR(
        read(7, "P", {directions, peepholes * out->hidden_size}, &onnx_weights.p));
  }
  FromOnnxGates(onnx_weights, *out, weights);
  return Ok();
}

// Inputs: X W R B sequence_lens initial_h initial_c P; outputs: Y Y_h Y_c.
Status OnnxImporter::ImportRecurrent(const OnnxNode& node) {
  const bool is_lstm = node.proto().op_type() == "LSTM";
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(3, is_lstm ? 8 : 6));
  Node made;
  made.op = Op::kRecurrent;
  made.name = node.proto().name();
  ESPALIER_RETURN_IF_ERROR(ReadCell(node, &made));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  made.inputs = {data};
  made.name = NodeName(node, std::string(InfoOf(made.cell).name));
  TensorStore weights;
  ESPALIER_RETURN_IF_ERROR(ReadRecurrentWeights(node, &made, &weights));
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 4));
  ESPALIER_RETURN_IF_ERROR(ReadStart(node, 5, is_lstm ? 2 : 1, &made));
  ESPALIER_RETURN_IF_ERROR(ReadRules(&made, &weights));
  made.output = FreshValue(made.name + ".out");
  const size_t index = graph_.nodes.size();
  ESPALIER_RETURN_IF_ERROR(Append(node, std::move(made), std::move(weights)));
  unnamed_.insert(index);
  ESPALIER_RETURN_IF_ERROR(Define(node, node.output(0), {Role::kRecurrent, "", index}));
  ESPALIER_RETURN_IF_ERROR(Define(node, node.output(1), {Role::kEndH, "", index}));
  return is_lstm ? Define(node, node.output(2), {Role::kEndC, "", index}) : Ok();
}

Result<int64_t> OnnxImporter::MetadataCount(const std::string& key, int64_t least,
                                            int64_t most) const {
  ESPALIER_ASSIGN_OR_RETURN(const double value, Metadata(key, static_cast<double>(least)));
  if (value >= static_cast<double>(least) && value <= static_cast<double>(most) &&
      value == std::floor(value)) {
    return static_cast<int64_t>(value);
  }
  return BadFormat(StrCat("metadata 'espalier.", key, "': ", least, " to ", most, " expected, ",
                          value, " found"));
}

Result<Tensor> OnnxImporter::MetadataMatrix(const std::string& rule, const std::string& name,
                                            int64_t rows) const {
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> values, MetadataList(rule + "." + name));
  const auto size = static_cast<int64_t>(values.size());
  if (size % rows == 0) return Tensor({rows, size / rows}, values);
  return BadFormat(StrCat("metadata 'espalier.", rule, ".", name, "': a multiple of ", rows,
                          " numbers expected, ", size, " found"));
}

Status OnnxImporter::ReadRowRules(Node* made, TensorStore* weights) const {
  if (MetadataText("idle.epsilon." + made->name) != nullptr) {
    ESPALIER_ASSIGN_OR_RETURN(made->idle.emplace().epsilon,
                              Metadata("idle.epsilon." + made->name, 0.0));
  }
  const std::string size = "predicted.size." + made->name;
  const std::string epsilon = "predicted.epsilon." + made->name;
  if (MetadataText(size) == nullptr && MetadataText(epsilon) == nullptr) return Ok();
  for (const std::string& key : {size, epsilon}) {
    if (MetadataText(key) != nullptr) continue;
    return BadFormat(StrCat("metadata 'espalier.", key, "': a number expected, missing"));
  }
  PredictedRows& predicted = made->predicted.emplace();
  ESPALIER_ASSIGN_OR_RETURN(predicted.size, MetadataCount(size, 1, kMostPredictorSize));
  ESPALIER_ASSIGN_OR_RETURN(predicted.epsilon, Metadata(epsilon, 0.0));
  const Saturation* saturation = SaturationOf(made->cell);
  if (saturation == nullptr) return Ok();  // ValidateGraph says that the cell cannot have it
  const int64_t rows = saturation->sum_gates * made->hidden_size;
  for (const RecurrentDirection& direction : DirectionsOf(*made)) {
    for (const auto& [name, count] : {std::pair{direction.weight_predict_ih, predicted.size},
                                      {direction.weight_predict_hh, predicted.size},
                                      {direction.weight_predict, rows}}) {
      ESPALIER_ASSIGN_OR_RETURN((*weights)[name], MetadataMatrix("predicted", name, count));
    }
    const std::string& bias = direction.bias_predict;
    ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> values, MetadataList("predicted." + bias));
    (*weights)[bias] = Tensor({static_cast<int64_t>(values.size())}, values);
  }
  return Ok();
}

Status OnnxImporter::ReadBanks(Node* made, TensorStore* weights) const {
  if (MetadataText("banks.size." + made->name) == nullptr) return Ok();
  UnitBanks& banks = made->banks.emplace();
  ESPALIER_ASSIGN_OR_RETURN(banks.size,
                            MetadataCount("banks.size." + made->name, 1, made->hidden_size));
  const int64_t count = BankCountOf(*made);
  ESPALIER_ASSIGN_OR_RETURN(banks.top, MetadataCount("banks.top." + made->name, 0, count));
  for (const RecurrentDirection& direction : DirectionsOf(*made)) {
    for (const std::string& name :
         {direction.weight_banks_ih, direction.weight_banks_hh, direction.bias_banks}) {
      ESPALIER_ASSIGN_OR_RETURN(Tensor& read = (*weights)[name],
                                MetadataMatrix("banks", name, count));
      if (name == direction.bias_banks) read.shape = {read.dim(0) * read.dim(1)};
    }
  }
  return Ok();
}

Status OnnxImporter::ReadRules(Node* made, TensorStore* weights) const {
  ESPALIER_ASSIGN_OR_RETURN(made->recurrent_dropout,
                            Metadata("recurrent_dropout." + made->name, 0.0));
  if (MetadataText("delta.x." + made->name) != nullptr) {
    Delta& delta = made->delta.emplace();
    ESPALIER_ASSIGN_OR_RETURN(delta.x, Metadata("delta.x." + made->name, 0.0));
    ESPALIER_ASSIGN_OR_RETURN(delta.h, Metadata("delta.h." + made->name, 0.0));
    ESPALIER_ASSIGN_OR_RETURN(delta.bank,
                              MetadataCount("delta.bank." + made->name, 1, kMostDeltaBank));
  }
  ESPALIER_RETURN_IF_ERROR(ReadBanks(made, weights));
  ESPALIER_RETURN_IF_ERROR(ReadRowRules(made, weights));
  const std::string first = "skip." + made->name + ".bias_skip";
  made->skip = MetadataText(first) != nullptr || MetadataText(first + "_reverse") != nullptr;
  if (!made->skip) return Ok();
  for (const RecurrentDirection& direction : DirectionsOf(*made)) {
    for (const std::string& name : {direction.weight_skip, direction.bias_skip}) {
      ESPALIER_ASSIGN_OR_RETURN(const std::vector<float> values, MetadataList("skip." + name));
      (*weights)[name] = Tensor({static_cast<int64_t>(values.size())}, values);
    }
  }
  return Ok();
}

Status OnnxImporter::ReadStart(const OnnxNode& node, int first, int count, Node* made) {
  std::vector<std::string> values;
  for (int i = first; i < first + count; ++i) {
    const auto it = meanings_.find(node.input(i));
    const Role role = it == meanings_.end() ? Role::kState : it->second.role;
    if (role == Role::kEndC) values.push_back(NameEndC(it->second.node, ""));
    if (role == Role::kStart) values.push_back(it->second.value);
    if (role == Role::kEndH) {
      if (graph_.nodes[it->second.node].direction != Direction::kForward) {
        return node.Refuse("start state '" + node.input(i) +
                           "': the end state of a forward layer expected, of a " +
                           DirectionName(graph_.nodes[it->second.node].direction) + " one found");
      }
      Node last;
      last.op = Op::kLastStep;
      last.inputs = {NameOutput(it->second.node, "")};
      last.name = FreshNodeName("last_step");
      last.output = FreshValue(last.name + ".out");
      values.push_back(last.output);
      ESPALIER_RETURN_IF_ERROR(Append(node, std::move(last), {}));
    }
    if (role != Role::kStart && role != Role::kEndH && role != Role::kEndC) {
      ESPALIER_RETURN_IF_ERROR(StartState(node, i));
    }
  }
  if (!values.empty() && static_cast<int>(values.size()) != count) {
    return node.Refuse(
        "start states: values of the graph for both h and c, or for neither, expected");
  }
  made->inputs.insert(made->inputs.end(), values.begin(), values.end());
  return Ok();
}

Status OnnxImporter::ImportScan(const OnnxNode& node) {
  const ScanForm form = *FindScanForm(node.proto().op_type());
  Node made;
  made.op = Op::kRecurrent;
  made.cell = form.cell;
  made.direction = form.direction;
  if (form.is_projected) made.projection_size = 1;  // until read: DirectionsOf names its weights
  made.name = NodeName(node, std::string(InfoOf(made.cell).name));
  made.output = node.output(0);
  const std::vector<RecurrentDirection> directions = DirectionsOf(made);
  const auto weight_count = ScanWeights(directions[0]).size();
  const int inputs = 4 + static_cast<int>(weight_count * directions.size());
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(inputs, inputs));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  made.inputs = {data};
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 1));
  ESPALIER_RETURN_IF_ERROR(ReadStart(node, 2, 2, &made));
  TensorStore weights;
  int input = 4;
  for (const RecurrentDirection& direction : directions) {
    for (const std::string& name : ScanWeights(direction)) {
      ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* constant, Constant(node, input++));
      if (!constant->is_float) return node.Damaged(name + ": f32 expected, integers found");
      weights[name] = Tensor(constant->shape, constant->floats);
    }
    const std::string& name = form.is_projected ? direction.weight_hr : direction.weight_hh;
    const Tensor& sizes = weights.at(name);
    if (sizes.shape.size() != 2 || sizes.dim(0) < 1) {
      return node.Damaged(StrCat(name, ": a matrix [", form.is_projected ? "P" : "G*H",
                                 ", H] expected, ", ShapeString(sizes.shape), " found"));
    }
    if (form.is_projected) made.projection_size = sizes.dim(0);
    made.hidden_size = sizes.dim(1);
  }
  // Append infers types alone, so that shapes are compared by ValidateGraph when all is read.
  ESPALIER_RETURN_IF_ERROR(ReadRules(&made, &weights));
  const size_t index = graph_.nodes.size();
  ESPALIER_RETURN_IF_ERROR(AppendAndDefine(node, std::move(made), std::move(weights)));
  ESPALIER_RETURN_IF_ERROR(Define(node, node.output(1), {Role::kEndH, "", index}));
  return Define(node, node.output(2), {Role::kEndC, "", index});
}

Status OnnxImporter::ImportSplitDirections(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
  ESPALIER_ASSIGN_OR_RETURN(const std::string vector, Data(node, 0));
  return Define(node, node.output(0), {Role::kStart, vector, 0});
}

Status OnnxImporter::ImportJoinDirections(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning end, Find(node, 0));
  if (end.role != Role::kEndC) return node.Refuse("Y_c of an LSTM expected");
  return Define(node, node.output(0), {Role::kValue, NameEndC(end.node, node.output(0)), 0});
}

// Of a sequence without a step, what the layer starts from; of others what it ends with. (Y_h is no
// value then: LastStep gives 0 where there is no step.)
Status OnnxImporter::ImportEndState(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(3, 3));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning end, Find(node, 0));
  if (end.role != Role::kEndH && end.role != Role::kEndC) {
    return node.Refuse("Y_h or Y_c of LSTM, GRU or RNN expected");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Meaning start, Find(node, 1));
  const Node& layer = graph_.nodes[end.node];
  const size_t input = end.role == Role::kEndC ? 2 : 1;
  const bool is_its_start =
      start.role == Role::kStart && StartsFromValues(layer) && layer.inputs[input] == start.value;
  if (!is_its_start) ESPALIER_RETURN_IF_ERROR(StartState(node, 1));
  ESPALIER_RETURN_IF_ERROR(LooksAlongTime(node, 2));
  return Define(node, node.output(0), end.role == Role::kEndC ? end : Meaning{Role::kState, "", 0});
}

std::string OnnxImporter::NameEndC(size_t index, const std::string& wish) {
  Node& node = graph_.nodes[index];
  if (node.end_c.empty()) {
    node.end_c = wish.empty() ? FreshValue(node.name + ".end_c") : wish;
    const int64_t width = static_cast<int64_t>(DirectionCount(node)) * node.hidden_size;
    types_[node.end_c] = {Element::kF32, Layout::kVector, width};
  }
  return node.end_c;
}

Status OnnxImporter::ImportEndAsVector(const OnnxNode& node, const Meaning& end) {
  if (end.role == Role::kEndH) return LastStepOfEnd(node, end);
  if (DirectionCount(graph_.nodes[end.node]) != 1) {
    return node.Damaged("Y_c of one direction expected, of 2 found");
  }
  return Define(node, node.output(0), {Role::kValue, NameEndC(end.node, node.output(0)), 0});
}

Status OnnxImporter::ImportStack(const OnnxNode& node) {
  std::vector<Meaning> parts;
  for (int i = 0; i < node.proto().input_size(); ++i) {
    ESPALIER_ASSIGN_OR_RETURN(const Meaning part, Find(node, i));
    const bool is_end = part.role == Role::kEndH || part.role == Role::kEndC;
    if (!is_end || (i > 0 && part.role != parts[0].role)) {
      return node.Refuse("Y_h of each layer, or Y_c of each, expected");
    }
    parts.push_back(part);
  }
  if (node.Int("axis", 1) != 0) {
    return node.Refuse(StrCat("attribute 'axis': 0 expected of Y_h and Y_c [D, B, H], ",
                              node.Int("axis", 1), " found"));
  }
  stacks_[node.output(0)] = std::move(parts);
  return Define(node, node.output(0), {Role::kStack, node.output(0), 0});
}

Result<OnnxImporter::Meaning> OnnxImporter::PartOfStack(const OnnxNode& node, const Meaning& stack,
                                                        int64_t first, int64_t end) const {
  const std::vector<Meaning>& parts = stacks_.at(stack.value);
  int64_t rows = 0;
  for (const Meaning& part : parts)
    rows += static_cast<int64_t>(DirectionCount(graph_.nodes[part.node]));
  const bool is_last = first == -1 && end == 0;  // row -1 to the one after it
  const auto position = [&](int64_t at) { return at < 0 ? at + rows : std::min(at, rows); };
  const int64_t from = position(first);
  const int64_t to = is_last ? rows : position(end);
  int64_t row = 0;
  for (const Meaning& part : parts) {
    const auto count = static_cast<int64_t>(DirectionCount(graph_.nodes[part.node]));
    if (from == row && to == row + count) return part;
    row += count;
  }
  return node.Refuse(StrCat("the rows of one of ", parts.size(), " layers expected, ", first,
                            " to before ", end, " of ", rows, " found"));
}

// Of shapes, and of a vector [B, S] that becomes the start [1, B, S] of a layer.
Status OnnxImporter::ImportUnsqueeze(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 2));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role != Role::kValue || TypeOf(from.value).layout != Layout::kVector) {
    return ImportOnShapes(node);
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<int64_t> axes, IntsOf(node, 1, "axes"));
  if (axes != std::vector<int64_t>{0} && axes != std::vector<int64_t>{-3}) {
    return node.Refuse("a vector [B, S] that becomes a start [1, B, S] (axis 0) expected");
  }
  return Define(node, node.output(0), {Role::kStart, from.value, 0});
}

}  // namespace espalier
