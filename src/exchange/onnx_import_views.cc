// OnnxImporter on sequences whose axes are in another order than [T, B, F]: what exporters put
// around a convolution, and around layers that take [B, T, F].
#include <algorithm>

#include "base/strings.h"
#include "exchange/onnx_conv.h"
#include "exchange/onnx_importer.h"

namespace espalier {
namespace {

constexpr char kChannelsFirst[] = "BFT";

// e.g. "[B, F, T]".
std::string AxesString(const std::string& axes) {
  std::vector<std::string> names;
  for (const char axis : axes) names.emplace_back(1, axis);
  return StrCat("[", StrJoin(names, ", "), "]");
}

std::string ListString(const std::vector<int64_t>& values) {
  std::vector<std::string> texts;
  for (const int64_t value : values) texts.push_back(std::to_string(value));
  return StrCat("[", StrJoin(texts, ", "), "]");
}

// Errors: unless the attribute is missing or has this one value.
Status WantInts(const OnnxNode& node, const char* name, int64_t value) {
  const std::vector<int64_t> found = node.Ints(name);
  if (found.empty() || found == std::vector<int64_t>{value}) return Ok();
  return node.Refuse(
      StrCat("attribute '", name, "': [", value, "] expected, ", ListString(found), " found"));
}

// The attributes of a Conv whose kernel size is known, except for its pads.
Status ReadWindow(const OnnxNode& node, Node* out) {
  const std::string auto_pad = node.Text("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET") {
    return node.Refuse("attribute 'auto_pad': 'NOTSET' expected, '" + auto_pad + "' found");
  }
  if (node.Int("group", 1) != 1) {
    return node.Refuse(StrCat("attribute 'group': 1 expected, ", node.Int("group", 1), " found"));
  }
  ESPALIER_RETURN_IF_ERROR(WantInts(node, "strides", 1));
  ESPALIER_RETURN_IF_ERROR(WantInts(node, "kernel_shape", out->kernel_size));
  const std::vector<int64_t> dilations = node.Ints("dilations");
  if (!dilations.empty()) out->dilation = dilations[0];
  if (dilations.size() <= 1 && out->dilation >= 1 && out->dilation <= kMostConvSteps &&
      out->kernel_size <= kMostConvSteps) {
    return Ok();
  }
  return node.Refuse(StrCat("a kernel and one dilation of 1 to ", kMostConvSteps, " expected, K = ",
                            out->kernel_size, " and ", ListString(dilations), " found"));
}

// Causal: `past_steps` before the first, of which `front` are there already, none after the last.
Status CheckPads(const OnnxNode& node, int64_t past_steps, int64_t front) {
  if (front > past_steps) {
    return node.Refuse(
        StrCat("at most ", past_steps, " steps in front of its input expected, ", front, " found"));
  }
  std::vector<int64_t> pads = node.Ints("pads");
  if (pads.empty()) pads = {0, 0};
  const std::vector<int64_t> causal = {past_steps - front, 0};
  if (pads == causal) return Ok();
  const bool looks_ahead = pads.size() == 2 && pads[1] > 0;
  return node.Refuse(StrCat("attribute 'pads': ", ListString(causal), " expected, ",
                            ListString(pads), " found",
                            looks_ahead ? ", which looks into the future" : ""));
}

}  // namespace

Result<OnnxImporter::Meaning> OnnxImporter::View(const OnnxNode& node,
                                                 const std::string& input_axes) {
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role == Role::kView) return from;
  Meaning view{Role::kView, "", 0};
  if (from.role == Role::kInput) {
    ESPALIER_ASSIGN_OR_RETURN(view.value, InputData(node, from.value, input_axes));
    view.axes = input_axes;
  } else {
    ESPALIER_ASSIGN_OR_RETURN(view.value, Data(node, 0));
  }
  const ValueType& type = TypeOf(view.value);
  if (type.element == Element::kF32 && type.layout == Layout::kSequence) return view;
  return node.Refuse("input '" + node.input(0) + "': f32 [T, B, F] expected, " + TypeString(type) +
                     " found");
}

std::string OnnxImporter::ViewedValue(const Meaning& view, const std::string& wish) {
  return view.value.empty() ? NameOutput(view.node, wish) : view.value;
}

Result<std::string> OnnxImporter::SequenceAlong(const OnnxNode& node, int64_t axis) {
  ESPALIER_ASSIGN_OR_RETURN(const Meaning view, View(node, "TBF"));
  const int64_t time = static_cast<int64_t>(view.axes.find('T'));
  if (view.front == 0 && (axis == time || axis == time - 3)) return ViewedValue(view, "");
  return node.Refuse(StrCat("the time axis (", time, ") of ", AxesString(view.axes), " expected, ",
                            axis, " found"));
}

Status OnnxImporter::AppendView(const OnnxNode& node, Node made, TensorStore weights,
                                Meaning view) {
  made.output = FreshValue(made.name + ".out");
  view.value.clear();
  view.node = graph_.nodes.size();
  view.front = 0;
  ESPALIER_RETURN_IF_ERROR(Append(node, std::move(made), std::move(weights)));
  unnamed_.insert(view.node);
  return Define(node, node.output(0), std::move(view));
}

Status OnnxImporter::AppendElementwise(const OnnxNode& node, Node made) {
  ESPALIER_ASSIGN_OR_RETURN(Meaning view, Find(node, 0));
  if (view.role != Role::kView) {
    ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
    made.inputs = {data};
    return AppendAndDefine(node, std::move(made), {});
  }
  if (view.front != 0) return node.Refuse("steps in front of a sequence are read by Conv only");
  made.inputs = {ViewedValue(view, "")};
  return AppendView(node, std::move(made), {}, std::move(view));
}

Status OnnxImporter::ImportTranspose(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"perm"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 1));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  const std::vector<int64_t> perm = node.Ints("perm");
  if (from.role == Role::kConstant) return TransposeConstant(node, from.value);
  if (from.role == Role::kRecurrent && perm == std::vector<int64_t>{0, 2, 1, 3}) {
    return Define(node, node.output(0), {Role::kTransposed, "", from.node});
  }
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  if (from.role == Role::kRecurrent || sorted != std::vector<int64_t>{0, 1, 2}) {
    return node.Refuse(
        "attribute 'perm': an order of [T, B, F], or [0, 2, 1, 3] of Y [T, D, B, H], expected, " +
        ListString(perm) + " found");
  }
  // Of an input these make [T, B, F] or [B, F, T] if it is [B, T, F].
  const bool is_batch_major =
      perm == std::vector<int64_t>{1, 0, 2} || perm == std::vector<int64_t>{0, 2, 1};
  ESPALIER_ASSIGN_OR_RETURN(Meaning view, View(node, is_batch_major ? "BTF" : "TBF"));
  std::string axes;
  for (const int64_t axis : perm) axes += view.axes[static_cast<size_t>(axis)];
  view.axes = axes;
  if (axes != "TBF" || view.front != 0) return Define(node, node.output(0), std::move(view));
  return Define(node, node.output(0), {Role::kValue, ViewedValue(view, node.output(0)), 0});
}

// A matrix: exporters leave it to the reader to transpose a table that is read as a product, too.
Status OnnxImporter::TransposeConstant(const OnnxNode& node, const std::string& constant) {
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* matrix, Matrix(node, 0));
  const std::vector<int64_t> perm = node.Ints("perm");
  if (!perm.empty() && perm != std::vector<int64_t>{1, 0}) {
    return node.Refuse("attribute 'perm': [1, 0] expected of a constant matrix, " +
                       ListString(perm) + " found");
  }
  const auto rows = static_cast<size_t>(matrix->shape[0]);
  const auto cols = static_cast<size_t>(matrix->shape[1]);
  OnnxConstant transposed{{matrix->shape[1], matrix->shape[0]}, true, matrix->floats, {}};
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c)
      transposed.floats[c * rows + r] = matrix->floats[r * cols + c];
  }
  const std::string name = node.output(0);
  ESPALIER_RETURN_IF_ERROR(Define(node, name, {Role::kConstant, name, 0}));
  constants_[name] = std::move(transposed);
  transposed_[name] = constant;
  return Ok();
}

// Zeros in front of the first step. Inputs: data pads constant_value.
Status OnnxImporter::ImportPad(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"mode"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 3));
  const std::string mode = node.Text("mode", "constant");
  if (mode != "constant") {
    return node.Refuse("attribute 'mode': 'constant' expected, '" + mode + "' found");
  }
  if (!node.input(2).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* value, Constant(node, 2));
    if (!value->IsZero()) return node.Refuse("constant_value: 0 expected");
  }
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* pads, Constant(node, 1));
  ESPALIER_ASSIGN_OR_RETURN(Meaning view, View(node, "TBF"));
  const size_t time = view.axes.find('T');
  const bool fits = pads->ints.size() == 6;
  std::vector<int64_t> allowed(6);
  if (fits) allowed[time] = std::clamp<int64_t>(pads->ints[time], 0, int64_t{1} << 32);
  if (pads->ints != allowed) {
    return node.Refuse(StrCat("pads: 6 numbers, 0 except in front of the time axis (", time,
                              "), expected, ", ListString(pads->ints), " found"));
  }
  view.front += allowed[time];
  return Define(node, node.output(0), std::move(view));
}

// Inputs: X [B, I, T], W [O, I, K], B [O]; output: Y [B, O, T].
Status OnnxImporter::ImportConv(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(
      node.AllowAttributes({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 3));
  ESPALIER_ASSIGN_OR_RETURN(const OnnxConstant* taps, Constant(node, 1));
  if (!taps->is_float || taps->shape.size() != 3 || taps->floats.empty()) {
    return node.Refuse("W: f32 [O, I, K] of a 1-D convolution expected, shape " +
                       ShapeString(taps->shape) + " found");
  }
  Node made;
  made.op = Op::kConv1d;
  made.kernel_size = taps->shape[2];
  ESPALIER_RETURN_IF_ERROR(ReadWindow(node, &made));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning view, View(node, "TBF"));
  if (view.axes != kChannelsFirst) {
    return node.Refuse("input '" + node.input(0) +
                       "': a sequence transposed to [B, F, T] expected, " + AxesString(view.axes) +
                       " found");
  }
  ESPALIER_RETURN_IF_ERROR(CheckPads(node, PastSteps(made), view.front));
  made.inputs = {ViewedValue(view, "")};
  const int64_t inputs = taps->shape[1];
  if (TypeOf(made.inputs[0]).features != inputs) {
    return node.Damaged(StrCat("W: O x ", TypeOf(made.inputs[0]).features, " x K expected, ",
                               ShapeString(taps->shape), " found"));
  }
  made.name = NodeName(node, "conv1d");
  Tensor weight({taps->shape[0], made.kernel_size * inputs});
  for (size_t i = 0; i < weight.size(); ++i) {
    weight.values[i] = taps->floats[TapsLast(i, inputs, made.kernel_size)];
  }
  TensorStore weights;
  Tensor bias({weight.dim(0)});
  if (!node.input(2).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(bias, Bias(node, 2, weight.dim(0)));
  }
  weights[made.name + ".bias"] = std::move(bias);
  weights[made.name + ".weight"] = std::move(weight);
  return AppendView(node, std::move(made), std::move(weights), view);
}

}  // namespace espalier
