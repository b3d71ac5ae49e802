// OnnxImporter on operators over the features of a row: LayerNormalization, Mul, Slice, Split.
#include <algorithm>

#include "base/strings.h"
#include "exchange/onnx_importer.h"

namespace espalier {
namespace {

bool IsLastAxis(int64_t axis, const ValueType& type) {
  return axis == -1 || axis == (type.layout == Layout::kSequence ? 2 : 1);
}

}  // namespace

Status OnnxImporter::ImportLayerNorm(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axis", "epsilon", "stash_type"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 3));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  const int64_t axis = node.Int("axis", -1);
  if (!IsLastAxis(axis, TypeOf(data))) {
    return node.Refuse(StrCat("attribute 'axis': the last one expected, ", axis, " found"));
  }
  if (node.Int("stash_type", 1) != 1) {
    return node.Refuse(
        StrCat("attribute 'stash_type': 1 expected, ", node.Int("stash_type", 1), " found"));
  }
  for (int i = 1; i < node.proto().output_size(); ++i) {
    if (uses_[node.output(i)] == 0) continue;
    return node.Refuse("output '" + node.output(i) +
                       "': mean and deviation are no values of a Graph");
  }
  const int64_t features = TypeOf(data).features;
  Node made;
  made.op = Op::kLayerNorm;
  made.name = NodeName(node, "layer_norm");
  made.inputs = {data};
  made.output = node.output(0);
  ESPALIER_ASSIGN_OR_RETURN(
      made.epsilon,
      Metadata("epsilon." + made.name, static_cast<double>(node.Float("epsilon", 1e-5f))));
  TensorStore weights;
  ESPALIER_ASSIGN_OR_RETURN(weights[made.name + ".weight"], Bias(node, 1, features));
  weights[made.name + ".bias"] = Tensor({features});
  if (!node.input(2).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(weights[made.name + ".bias"], Bias(node, 2, features));
  }
  return AppendAndDefine(node, std::move(made), std::move(weights));
}

Status OnnxImporter::ImportMul(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(2, 2));
  for (int i = 0; i < 2; ++i) {
    ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, i));
    if (from.role == Role::kShape || from.role == Role::kConstant) return ImportOnShapes(node);
  }
  Node made;
  made.op = Op::kMul;
  for (int i = 0; i < 2; ++i) {
    ESPALIER_ASSIGN_OR_RETURN(std::string data, Data(node, i));
    made.inputs.push_back(std::move(data));
  }
  made.name = NodeName(node, "mul");
  made.output = node.output(0);
  return AppendAndDefine(node, std::move(made), {});
}

Status OnnxImporter::AppendSlice(const OnnxNode& node, const std::string& data, int64_t first,
                                 int64_t count, const std::string& name,
                                 const std::string& output) {
  Node made;
  made.op = Op::kSlice;
  made.name = name;
  made.inputs = {data};
  made.output = output;
  made.first = first;
  made.count = count;
  return AppendAndDefine(node, std::move(made), {});
}

// Of shapes, and of features that follow each other.
Status OnnxImporter::ImportSlice(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(3, 5));
  ESPALIER_ASSIGN_OR_RETURN(const Meaning from, Find(node, 0));
  if (from.role == Role::kShape || from.role == Role::kConstant) return ImportOnShapes(node);
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<int64_t> starts, IntsOf(node, 1, ""));
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<int64_t> ends, IntsOf(node, 2, ""));
  std::vector<int64_t> axes = {0};  // the first ones, as ONNX says
  std::vector<int64_t> steps = {1};
  if (!node.input(3).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(axes, IntsOf(node, 3, ""));
  }
  if (!node.input(4).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(steps, IntsOf(node, 4, ""));
  }
  const bool is_one = starts.size() == 1 && ends.size() == 1 && axes.size() == 1 &&
                      steps == std::vector<int64_t>{1};
  if (from.role == Role::kStack) {
    if (!is_one || axes[0] != 0) return node.Refuse("one layer's part of axis 0 expected");
    ESPALIER_ASSIGN_OR_RETURN(const Meaning end, PartOfStack(node, from, starts[0], ends[0]));
    return Define(node, node.output(0), end);
  }
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  const bool fits = is_one && IsLastAxis(axes[0], TypeOf(data));
  if (!fits) return node.Refuse("a slice of the last axis alone, with step 1, expected");
  const int64_t features = TypeOf(data).features;
  const auto position = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? std::max(at, -features) + features : at, 0, features);
  };
  const int64_t first = position(starts[0]);
  return AppendSlice(node, data, first, position(ends[0]) - first, NodeName(node, "slice"),
                     node.output(0));
}

// Each part is a Slice.
Status OnnxImporter::ImportSplit(const OnnxNode& node) {
  ESPALIER_RETURN_IF_ERROR(node.AllowAttributes({"axis", "num_outputs"}));
  ESPALIER_RETURN_IF_ERROR(node.CheckInputs(1, 2));
  ESPALIER_ASSIGN_OR_RETURN(const std::string data, Data(node, 0));
  const int64_t axis = node.Int("axis", 0);
  if (!IsLastAxis(axis, TypeOf(data))) {
    return node.Refuse(StrCat("attribute 'axis': the last one expected, ", axis, " found"));
  }
  const int64_t features = TypeOf(data).features;
  const int64_t parts = std::max(node.proto().output_size(), 1);
  // All equal but the last, which has what is left.
  std::vector<int64_t> sizes(static_cast<size_t>(parts), (features + parts - 1) / parts);
  sizes.back() = features - sizes[0] * (parts - 1);
  if (!node.input(1).empty()) {
    ESPALIER_ASSIGN_OR_RETURN(sizes, IntsOf(node, 1, ""));
  }
  if (static_cast<int64_t>(sizes.size()) != parts) {
    return node.Damaged(StrCat(parts, " sizes expected, ", sizes.size(), " found"));
  }
  int64_t first = 0;
  for (int i = 0; i < node.proto().output_size(); ++i) {
    const int64_t count = sizes[static_cast<size_t>(i)];
    const std::string name = i == 0 ? NodeName(node, "slice") : FreshNodeName("slice");
    if (!node.output(i).empty()) {
      ESPALIER_RETURN_IF_ERROR(AppendSlice(node, data, first, count, name, node.output(i)));
    }
    first += std::clamp<int64_t>(count, 0, features);
  }
  return Ok();
}

}  // namespace espalier
