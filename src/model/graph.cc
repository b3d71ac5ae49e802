#include "model/graph.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "cells/saturation.h"
#include "model/rules.h"

namespace espalier {
namespace {

constexpr const char* kOpNames[] = {
#define ESPALIER_OP(Enum, name) name,
#include "model/ops.inc"
#undef ESPALIER_OP
};

// Expected weights of one node: name -> shape.
using Shapes = std::map<std::string, std::vector<int64_t>>;

bool IsPair(Op op) { return op == Op::kAdd || op == Op::kMul || op == Op::kConcat; }

Status CheckInputCount(const Node& node) {
  const size_t found = node.inputs.size();
  const size_t expected = IsPair(node.op) ? 2 : 1;
  if (found == expected) return Ok();
  if (node.op != Op::kRecurrent) {
    return InvalidArgument(
        StrCat(node.name, ": ", expected, " inputs expected, ", found, " found"));
  }
  const size_t with_states = InfoOf(node.cell).has_cell_state ? 3 : 2;
  if (found == with_states) return Ok();
  return InvalidArgument(StrCat(node.name, ": 1 input or, to start from values, ", with_states,
                                " expected, ", found, " found"));
}

Status Mismatch(const std::string& what, const std::string& expected, const std::string& found) {
  return InvalidArgument(what + ": " + expected + " expected, " + found + " found");
}

Status WantF32(const Node& node, const ValueType& type) {
  if (type.element == Element::kF32) return Ok();
  return Mismatch(node.name + " input '" + node.inputs[0] + "'", "f32", TypeString(type));
}

Status WantSequence(const Node& node, const ValueType& type) {
  ESPALIER_RETURN_IF_ERROR(WantF32(node, type));
  if (type.layout == Layout::kSequence) return Ok();
  return Mismatch(node.name + " input '" + node.inputs[0] + "'", "a sequence [T, B, F]",
                  TypeString(type));
}

// Shape of a weight that must be there to know the node's output; {} if it is missing.
std::vector<int64_t> ShapeOrEmpty(const Graph& graph, const std::string& name) {
  const auto it = graph.weights.find(name);
  return it == graph.weights.end() ? std::vector<int64_t>{} : it->second.shape;
}

Status CheckRate(const std::string& what, double rate) {
  if (rate >= 0.0 && rate < 1.0) return Ok();
  return InvalidArgument(StrCat(what, ": a share in [0, 1) expected, ", rate, " found"));
}

Status CheckCell(const Node& node) {
  if (static_cast<size_t>(node.cell) < kCellCount) return Ok();
  return InvalidArgument(StrCat(node.name, ".cell: one of ", kCellCount, " cells expected, number ",
                                static_cast<int>(node.cell), " found"));
}

// `embeddings`: the names of those before the node.
Status CheckTied(const Node& node, const std::set<std::string>& embeddings) {
  if (node.tied.empty() || (node.op == Op::kGemm && embeddings.contains(node.tied))) return Ok();
  return InvalidArgument(
      StrCat(node.name, ".tied: ", node.op == Op::kGemm ? "an Embedding before it" : "nothing",
             " expected, '", node.tied, "' found"));
}

Status CheckSizes(const Node& node) {
  constexpr int64_t kMost = int64_t{1} << 24;
  if (node.hidden_size < 1 || node.hidden_size > kMost) {
    return InvalidArgument(
        StrCat(node.name, ".hidden_size: 1 to ", kMost, " expected, ", node.hidden_size, " found"));
  }
  if (node.projection_size == 0) return Ok();
  if (node.projection_size < 0 || node.projection_size > kMost) {
    return InvalidArgument(StrCat(node.name, ".projection_size: 0 to ", kMost, " expected, ",
                                  node.projection_size, " found"));
  }
  if (InfoOf(node.cell).has_cell_state) return Ok();
  return InvalidArgument(StrCat(node.name, ".projection_size: 0 expected, since cell ",
                                InfoOf(node.cell).name, " has no cell state, ",
                                node.projection_size, " found"));
}

// The vectors that a node starts from.
Status CheckStart(const Node& node, const std::vector<ValueType>& in) {
  const int64_t directions = node.direction == Direction::kBidirectional ? 2 : 1;
  for (size_t i = 1; i < in.size(); ++i) {
    const int64_t size = i == 1 ? StateSizeOf(node) : node.hidden_size;
    const ValueType expected = {Element::kF32, Layout::kVector, directions * size};
    if (in[i] == expected) continue;
    return Mismatch(StrCat(node.name, " start ", i == 1 ? "h" : "c", " '", node.inputs[i], "'"),
                    TypeString(expected), TypeString(in[i]));
  }
  return Ok();
}

Status InferRecurrent(const Node& node, const std::vector<ValueType>& inputs, ValueType* out,
                      Shapes* shapes) {
  const ValueType& in = inputs[0];
  ESPALIER_RETURN_IF_ERROR(WantSequence(node, in));
  ESPALIER_RETURN_IF_ERROR(CheckSizes(node));
  ESPALIER_RETURN_IF_ERROR(CheckStart(node, inputs));
  ESPALIER_RETURN_IF_ERROR(CheckRate(node.name + ".recurrent_dropout", node.recurrent_dropout));
  ESPALIER_RETURN_IF_ERROR(CheckRules(node));
  const int64_t rows = InfoOf(node.cell).gates * node.hidden_size;
  for (const RecurrentDirection& direction : DirectionsOf(node)) {
    (*shapes)[direction.weight_ih] = {rows, in.features};
    (*shapes)[direction.weight_hh] = {rows, StateSizeOf(node)};
    (*shapes)[direction.bias_ih] = {rows};
    (*shapes)[direction.bias_hh] = {rows};
    if (!direction.weight_hr.empty()) {
      (*shapes)[direction.weight_hr] = {node.projection_size, node.hidden_size};
    }
    if (!direction.weight_peephole.empty()) {
      (*shapes)[direction.weight_peephole] = {InfoOf(node.cell).peepholes * node.hidden_size};
    }
    if (node.skip) {
      (*shapes)[direction.weight_skip] = {StateSizeOf(node)};
      (*shapes)[direction.bias_skip] = {1};
    }
    if (node.banks.has_value()) {
      const int64_t banks = BankCountOf(node);
      (*shapes)[direction.weight_banks_ih] = {banks, in.features};
      (*shapes)[direction.weight_banks_hh] = {banks, node.hidden_size};
      (*shapes)[direction.bias_banks] = {banks};
    }
    if (node.predicted.has_value()) {
      const int64_t size = node.predicted->size;
      const int64_t predicted = SaturationOf(node.cell)->sum_gates * node.hidden_size;
      const int64_t most = std::min(predicted, in.features + StateSizeOf(node));
      if (size < 1 || size > most) {
        return InvalidArgument(StrCat(node.name, ".predicted.size: 1 to ", most,
                                      ", as its rows and columns allow, expected, ", size,
                                      " found"));
      }
      (*shapes)[direction.weight_predict_ih] = {size, in.features};
      (*shapes)[direction.weight_predict_hh] = {size, StateSizeOf(node)};
      (*shapes)[direction.weight_predict] = {predicted, size};
      (*shapes)[direction.bias_predict] = {predicted};
    }
  }
  const int64_t width = node.direction == Direction::kBidirectional ? 2 : 1;
  *out = {Element::kF32, Layout::kSequence, width * StateSizeOf(node)};
  return Ok();
}

// The Embedding has been inferred: shapes has its weight.
Status InferTiedGemm(const Node& node, const ValueType& in, ValueType* out, Shapes* shapes) {
  const std::vector<int64_t> shape = shapes->at(WeightOf(node));
  if (shape[1] != in.features) {
    return Mismatch(node.name + " input '" + node.inputs[0] + "'",
                    StrCat(shape[1], " features, as its tied ", WeightOf(node), " has columns,"),
                    std::to_string(in.features));
  }
  (*shapes)[node.name + ".bias"] = {shape[0]};
  *out = {Element::kF32, in.layout, shape[0]};
  return Ok();
}

Status InferGemm(const Graph& graph, const Node& node, const ValueType& in, ValueType* out,
                 Shapes* shapes) {
  ESPALIER_RETURN_IF_ERROR(WantF32(node, in));
  if (!node.tied.empty()) return InferTiedGemm(node, in, out, shapes);
  const std::vector<int64_t> shape = ShapeOrEmpty(graph, node.name + ".weight");
  if (shape.size() != 2 || shape[0] < 1) {
    return Mismatch(node.name + ".weight", "a matrix [O, " + std::to_string(in.features) + "]",
                    shape.empty() ? "nothing" : ShapeString(shape));
  }
  (*shapes)[node.name + ".weight"] = {shape[0], in.features};
  (*shapes)[node.name + ".bias"] = {shape[0]};
  *out = {Element::kF32, in.layout, shape[0]};
  return Ok();
}

// Bounds the window, and with it the state, as InferRecurrent bounds hidden_size.
Status CheckWindow(const Node& node, int64_t inputs) {
  constexpr int64_t kMostElements = int64_t{1} << 24;
  for (const auto& [what, value] :
       {std::pair{".kernel_size", node.kernel_size}, {".dilation", node.dilation}}) {
    if (value >= 1 && value <= kMostConvSteps) continue;
    return InvalidArgument(
        StrCat(node.name, what, ": 1 to ", kMostConvSteps, " expected, ", value, " found"));
  }
  if (inputs <= kMostElements / (node.kernel_size * node.dilation)) return Ok();
  return InvalidArgument(StrCat(node.name, ": kernel_size * dilation * inputs of at most ",
                                kMostElements, " expected, ", node.kernel_size, " * ",
                                node.dilation, " * ", inputs, " found"));
}

Status InferConv1d(const Graph& graph, const Node& node, const ValueType& in, ValueType* out,
                   Shapes* shapes) {
  ESPALIER_RETURN_IF_ERROR(WantSequence(node, in));
  ESPALIER_RETURN_IF_ERROR(CheckWindow(node, in.features));
  ValueType window = in;
  window.features *= node.kernel_size;
  return InferGemm(graph, node, window, out, shapes);
}

Status InferEmbedding(const Graph& graph, const Node& node, const ValueType& in, ValueType* out,
                      Shapes* shapes) {
  if (in.element != Element::kI32) {
    return Mismatch(node.name + " input '" + node.inputs[0] + "'", "i32 ids", TypeString(in));
  }
  const std::vector<int64_t> shape = ShapeOrEmpty(graph, node.name + ".weight");
  if (shape.size() != 2 || shape[1] < 1) {
    return Mismatch(node.name + ".weight", "a matrix [" + std::to_string(in.features) + ", F]",
                    shape.empty() ? "nothing" : ShapeString(shape));
  }
  (*shapes)[node.name + ".weight"] = {in.features, shape[1]};
  *out = {Element::kF32, in.layout, shape[1]};
  return Ok();
}

Status InferPair(const Node& node, const ValueType& a, const ValueType& b, ValueType* out) {
  ESPALIER_RETURN_IF_ERROR(WantF32(node, a));
  const bool fits =
      node.op != Op::kConcat ? a == b : a.element == b.element && a.layout == b.layout;
  if (!fits)
    return Mismatch(node.name + " input '" + node.inputs[1] + "'", TypeString(a), TypeString(b));
  *out = a;
  if (node.op == Op::kConcat) out->features = a.features + b.features;
  return Ok();
}

Status InferLayerNorm(const Node& node, const ValueType& in, ValueType* out, Shapes* shapes) {
  ESPALIER_RETURN_IF_ERROR(WantF32(node, in));
  if (!(node.epsilon >= kLeastEpsilon && node.epsilon <= 1.0)) {
    return InvalidArgument(StrCat(node.name, ".epsilon: a number in [", kLeastEpsilon,
                                  ", 1] expected, ", node.epsilon, " found"));
  }
  (*shapes)[node.name + ".weight"] = {in.features};
  (*shapes)[node.name + ".bias"] = {in.features};
  *out = in;
  return Ok();
}

Status InferSlice(const Node& node, const ValueType& in, ValueType* out) {
  ESPALIER_RETURN_IF_ERROR(WantF32(node, in));
  const bool fits = node.first >= 0 && node.first < in.features && node.count >= 1 &&
                    node.count <= in.features - node.first;
  if (!fits) {
    return InvalidArgument(StrCat(node.name, ": at least 1 of the features 0 to ", in.features - 1,
                                  " of '", node.inputs[0], "' expected, ", node.count, " from ",
                                  node.first, " on found"));
  }
  *out = in;
  out->features = node.count;
  return Ok();
}

Status InferNode(const Graph& graph, const Node& node, const std::vector<ValueType>& in,
                 ValueType* out, Shapes* shapes) {
  switch (node.op) {
    case Op::kRecurrent: return InferRecurrent(node, in, out, shapes);
    case Op::kGemm: return InferGemm(graph, node, in[0], out, shapes);
    case Op::kConv1d: return InferConv1d(graph, node, in[0], out, shapes);
    case Op::kEmbedding: return InferEmbedding(graph, node, in[0], out, shapes);
    case Op::kDropout:
      ESPALIER_RETURN_IF_ERROR(CheckRate(node.name + ".rate", node.rate));
      [[fallthrough]];
    case Op::kRelu:
    case Op::kSigmoid:
    case Op::kTanh:
    case Op::kSoftmax: *out = in[0]; return WantF32(node, in[0]);
    case Op::kLayerNorm: return InferLayerNorm(node, in[0], out, shapes);
    case Op::kSlice: return InferSlice(node, in[0], out);
    case Op::kConcat:
    case Op::kMul:
    case Op::kAdd: return InferPair(node, in[0], in[1], out);
    case Op::kLastStep:
    case Op::kMeanOverTime:
      *out = {Element::kF32, Layout::kVector, in[0].features};
      return WantSequence(node, in[0]);
  }
  return InvalidArgument(
      StrCat(node.name, ": unknown operator number ", static_cast<int>(node.op)));
}

Status CheckFeatures(const std::string& what, const ValueType& type) {
  if (type.features >= 1 && type.features <= kMostFeatures) return Ok();
  return InvalidArgument(
      StrCat(what, ": 1 to ", kMostFeatures, " features expected, ", type.features, " found"));
}

struct Inference {
  std::map<std::string, ValueType> types;
  Shapes shapes;
};

Result<Inference> Infer(const Graph& graph) {
  Inference inference;
  std::set<std::string> node_names, embeddings;
  if (graph.inputs.empty()) return InvalidArgument("graph: at least one input expected, 0 found");
  for (const GraphInput& input : graph.inputs) {
    ESPALIER_RETURN_IF_ERROR(CheckFeatures("input '" + input.name + "'", input.type));
    if (!inference.types.emplace(input.name, input.type).second) {
      return InvalidArgument("input '" + input.name + "' is defined twice");
    }
  }
  for (const Node& node : graph.nodes) {
    if (node.name.empty() || !node_names.insert(node.name).second) {
      return InvalidArgument("node name '" + node.name + "' is empty or used twice");
    }
    if (node.op == Op::kRecurrent) ESPALIER_RETURN_IF_ERROR(CheckCell(node));
    ESPALIER_RETURN_IF_ERROR(CheckTied(node, embeddings));
    if (node.op == Op::kEmbedding) embeddings.insert(node.name);
    ESPALIER_RETURN_IF_ERROR(CheckInputCount(node));
    std::vector<ValueType> in;
    for (const std::string& name : node.inputs) {
      const auto it = inference.types.find(name);
      if (it == inference.types.end()) {
        return InvalidArgument(node.name + ": input '" + name + "' is not made before it is used");
      }
      in.push_back(it->second);
    }
    ValueType out;
    ESPALIER_RETURN_IF_ERROR(InferNode(graph, node, in, &out, &inference.shapes));
    ESPALIER_RETURN_IF_ERROR(CheckFeatures(node.name + " output", out));
    const auto define = [&](const std::string& name, const ValueType& type) -> Status {
      if (inference.types.emplace(name, type).second) return Ok();
      return InvalidArgument(node.name + ": value '" + name + "' is defined twice");
    };
    ESPALIER_RETURN_IF_ERROR(define(node.output, out));
    if (node.end_c.empty()) continue;
    if (node.op != Op::kRecurrent || !InfoOf(node.cell).has_cell_state) {
      return InvalidArgument(node.name + ".end_c: nothing expected, since the node has no c, '" +
                             node.end_c + "' found");
    }
    const int64_t directions = node.direction == Direction::kBidirectional ? 2 : 1;
    ESPALIER_RETURN_IF_ERROR(
        define(node.end_c, {Element::kF32, Layout::kVector, directions * node.hidden_size}));
  }
  return inference;
}

Status ValidateWeights(const Graph& graph, const Shapes& shapes) {
  for (const auto& [name, shape] : shapes) {
    const auto it = graph.weights.find(name);
    if (it == graph.weights.end()) return Mismatch(name, ShapeString(shape), "nothing");
    const Tensor& tensor = it->second;
    if (tensor.shape != shape) return Mismatch(name, ShapeString(shape), ShapeString(tensor.shape));
    if (tensor.values.size() != static_cast<size_t>(ElementCount(shape))) {
      return Mismatch(name, StrCat(ElementCount(shape), " elements"),
                      StrCat(tensor.values.size(), " elements"));
    }
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      if (!std::isfinite(tensor.values[i])) {
        return InvalidArgument(
            StrCat(name, ": finite weights expected, ", tensor.values[i], " found at element ", i));
      }
    }
  }
  for (const auto& [name, tensor] : graph.weights) {
    if (!shapes.contains(name)) return InvalidArgument("weight '" + name + "' belongs to no node");
  }
  return Ok();
}

bool IsMatrix(const Tensor& tensor) { return tensor.shape.size() == 2; }

}  // namespace

const char* OpName(Op op) { return kOpNames[static_cast<size_t>(op)]; }

const char* DirectionName(Direction direction) {
  switch (direction) {
    case Direction::kForward: return "forward";
    case Direction::kReverse: return "reverse";
    case Direction::kBidirectional: return "bidirectional";
  }
  return "unknown";
}

std::string TypeString(const ValueType& type) {
  const std::string features = std::to_string(type.features);
  if (type.element == Element::kI32) {
    return "i32 " + std::string(type.layout == Layout::kSequence ? "[T, B]" : "[B]") + " of " +
           features + " ids";
  }
  return "f32 [" + std::string(type.layout == Layout::kSequence ? "T, B, " : "B, ") + features +
         "]";
}

std::vector<RecurrentDirection> DirectionsOf(const Node& node) {
  std::vector<RecurrentDirection> directions;
  const auto add = [&](bool reverse) {
    const std::string suffix = reverse ? "_reverse" : "";
    const auto name = [&](const char* what) { return node.name + "." + what + suffix; };
    const CellInfo& cell = InfoOf(node.cell);
    RecurrentDirection out;
    out.reverse = reverse;
    out.weight_ih = name("weight_ih");
    out.weight_hh = name("weight_hh");
    out.bias_ih = name("bias_ih");
    out.bias_hh = name("bias_hh");
    if (node.projection_size > 0) out.weight_hr = name("weight_hr");
    if (cell.peepholes > 0) out.weight_peephole = name("weight_peephole");
    out.h = name("h");
    if (cell.has_cell_state) out.c = name("c");
    if (node.delta.has_value()) {
      out.x_sent = name("x_sent");
      out.h_sent = name("h_sent");
    }
    if (node.skip) {
      out.weight_skip = name("weight_skip");
      out.bias_skip = name("bias_skip");
      out.rest = name("rest");
      out.gain = name("gain");
    }
    if (node.banks.has_value()) {
      out.weight_banks_ih = name("weight_banks_ih");
      out.weight_banks_hh = name("weight_banks_hh");
      out.bias_banks = name("bias_banks");
    }
    if (node.predicted.has_value()) {
      out.weight_predict_ih = name("weight_predict_ih");
      out.weight_predict_hh = name("weight_predict_hh");
      out.weight_predict = name("weight_predict");
      out.bias_predict = name("bias_predict");
    }
    directions.push_back(std::move(out));
  };
  if (node.direction != Direction::kReverse) add(false);
  if (node.direction != Direction::kForward) add(true);
  return directions;
}

Result<std::map<std::string, ValueType>> InferTypes(const Graph& graph) {
  ESPALIER_ASSIGN_OR_RETURN(Inference inference, Infer(graph));
  return std::move(inference.types);
}

Result<Shapes> InferWeightShapes(const Graph& graph) {
  ESPALIER_ASSIGN_OR_RETURN(Inference inference, Infer(graph));
  return std::move(inference.shapes);
}

Status ValidateGraph(const Graph& graph) {
  ESPALIER_ASSIGN_OR_RETURN(const Inference inference, Infer(graph));
  ESPALIER_RETURN_IF_ERROR(ValidateWeights(graph, inference.shapes));
  if (graph.outputs.empty()) return InvalidArgument("graph: at least one output expected, 0 found");
  for (const std::string& output : graph.outputs) {
    if (!inference.types.contains(output)) {
      return InvalidArgument("output '" + output + "' is made by no node");
    }
  }
  return Ok();
}

std::vector<StateSpec> StatesOf(const Graph& graph) {
  std::vector<StateSpec> states;
  const auto types = InferTypes(graph);
  ESPALIER_ASSERT(types.ok());
  for (const Node& node : graph.nodes) {
    if (StartsFromValues(node)) continue;
    if (node.op == Op::kRecurrent) {
      for (const RecurrentDirection& direction : DirectionsOf(node)) {
        states.push_back({direction.h, StateSizeOf(node)});
        if (!direction.c.empty()) states.push_back({direction.c, node.hidden_size});
        if (node.delta.has_value()) {
          states.push_back({direction.x_sent, types->at(node.inputs[0]).features});
          states.push_back({direction.h_sent, StateSizeOf(node)});
        }
        if (node.skip) {
          states.push_back({direction.rest, 1});
          states.push_back({direction.gain, 1});
        }
      }
    } else if (node.op == Op::kLastStep) {
      states.push_back({node.name + ".last", types->at(node.output).features});
    } else if (node.op == Op::kMeanOverTime) {
      states.push_back({node.name + ".sum", types->at(node.output).features});
      states.push_back({node.name + ".count", 1});
    } else if (node.op == Op::kConv1d && node.kernel_size > 1) {
      states.push_back({node.name + ".past", PastSteps(node) * types->at(node.inputs[0]).features});
    }
  }
  return states;
}

bool IsStreamable(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    if (node.direction != Direction::kForward || StartsFromValues(node)) return false;
  }
  return true;
}

bool IsDynamic(const Node& node) {
  return node.delta.has_value() || node.skip || node.banks.has_value() || node.idle.has_value() ||
         node.predicted.has_value();
}

bool IsDynamic(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return IsDynamic(node); });
}

std::vector<std::string> PrunableWeights(const Graph& graph) {
  std::set<std::string> choosers;
  for (const Node& node : graph.nodes) {
    if (node.op != Op::kRecurrent) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      choosers.insert({direction.weight_banks_ih, direction.weight_banks_hh,
                       direction.weight_predict_ih, direction.weight_predict_hh,
                       direction.weight_predict});
    }
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : graph.weights) {
    if (IsMatrix(tensor) && !choosers.contains(name)) names.push_back(name);
  }
  return names;
}

const Node* FindNode(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes) {
    if (node.name == name) return &node;
  }
  return nullptr;
}

const Node* FindOwner(const Graph& graph, const std::string& weight_name) {
  const size_t dot = weight_name.rfind('.');
  return dot == std::string::npos ? nullptr : FindNode(graph, weight_name.substr(0, dot));
}

bool IsMultiplied(const Graph& graph, const std::string& weight_name) {
  const Node* owner = FindOwner(graph, weight_name);
  if (owner == nullptr || owner->op != Op::kEmbedding) return owner != nullptr;
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [&](const Node& node) { return node.tied == owner->name; });
}

bool IsPredictor(const Graph& graph, const std::string& weight_name) {
  const Node* owner = FindOwner(graph, weight_name);
  if (owner == nullptr || !owner->predicted.has_value()) return false;
  const auto directions = DirectionsOf(*owner);
  return std::any_of(directions.begin(), directions.end(), [&](const RecurrentDirection& each) {
    return weight_name == each.weight_predict_ih || weight_name == each.weight_predict_hh ||
           weight_name == each.weight_predict || weight_name == each.bias_predict;
  });
}

int64_t GatesOfWeight(const Node& owner, const std::string& weight_name) {
  if (owner.op != Op::kRecurrent) return 0;
  for (const RecurrentDirection& direction : DirectionsOf(owner)) {
    if (weight_name == direction.weight_ih || weight_name == direction.weight_hh) {
      return InfoOf(owner.cell).gates;
    }
  }
  return 0;
}

uint64_t MultiplyAddsPerStep(const Graph& graph, Count count) {
  uint64_t total = 0;
  for (const auto& [name, tensor] : graph.weights) {
    if (!IsMatrix(tensor) || !IsMultiplied(graph, name)) continue;
    total += count == Count::kDense ? tensor.size() : CountNonzeros(tensor.values);
  }
  return total;
}

uint64_t ParameterCount(const Graph& graph, Count count) {
  uint64_t total = 0;
  for (const auto& [name, tensor] : graph.weights) {
    total += count == Count::kDense ? tensor.size() : CountNonzeros(tensor.values);
  }
  return total;
}

}  // namespace espalier
