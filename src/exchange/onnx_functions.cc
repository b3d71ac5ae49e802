#include "exchange/onnx_functions.h"

#include <string_view>

#include "exchange/onnx_body.h"
#include "exchange/onnx_scan.h"

namespace espalier {
namespace {

void AddLastStep(onnx::ModelProto* model) {
  OnnxBody body("LastStep", {"X", "lengths", "last"}, {"Y", "last_out"}, model);
  body.Ints("zero", {0}, 0);
  body.Ints("one", {1}, 0);
  body.Ints("axis_1", {1}, 1);
  body.Cast("lengths", onnx::TensorProto::INT64, "length");
  body.Op("Sub", {"length", "one"}, "before");
  body.Op("Max", {"before", "zero"}, "step");  // [B]
  body.Op("Size", {"lengths"}, "size");
  body.Op("Range", {"zero", "size", "one"}, "sequence");  // [B]
  body.Op("Unsqueeze", {"step", "axis_1"}, "step_column");
  body.Op("Unsqueeze", {"sequence", "axis_1"}, "sequence_column");
  body.Int("axis", 1, body.Op("Concat", {"step_column", "sequence_column"}, "where"));  // [B, 2]
  body.Op("GatherND", {"X", "where"}, "found");                                         // [B, F]
  body.Op("Greater", {"length", "zero"}, "is_valid");
  body.Op("Unsqueeze", {"is_valid", "axis_1"}, "is_valid_column");
  body.Op("Where", {"is_valid_column", "found", "last"}, "Y");
  body.Op("Identity", {"Y"}, "last_out");
}

void AddMeanOverTime(onnx::ModelProto* model) {
  OnnxBody body("MeanOverTime", {"X", "lengths", "sum", "count"}, {"Y", "sum_out", "count_out"},
                model);
  body.Ints("zero", {0}, 0);
  body.Ints("one", {1}, 0);
  body.Ints("axis_0", {0}, 1);
  body.Ints("axis_1", {1}, 1);
  body.Ints("axis_2", {2}, 1);
  body.Float("nothing", 0.0f);
  body.Op("Shape", {"X"}, "shape");
  body.Int("axis", 0, body.Op("Gather", {"shape", "zero"}, "steps"));
  body.Op("Range", {"zero", "steps", "one"}, "step");
  body.Op("Unsqueeze", {"step", "axis_1"}, "step_column");  // [T, 1]
  body.Cast("lengths", onnx::TensorProto::INT64, "length");
  body.Op("Less", {"step_column", "length"}, "is_valid");  // [T, B]
  body.Op("Unsqueeze", {"is_valid", "axis_2"}, "is_valid_3d");
  body.Op("Where", {"is_valid_3d", "X", "nothing"}, "valid");
  body.Int("keepdims", 0, body.Op("ReduceSum", {"valid", "axis_0"}, "sum_here"));
  body.Op("Add", {"sum_here", "sum"}, "sum_out");
  body.Cast("lengths", onnx::TensorProto::FLOAT, "count_here");
  body.Op("Unsqueeze", {"count_here", "axis_1"}, "count_column");
  body.Op("Add", {"count_column", "count"}, "count_out");
  body.Op("Div", {"sum_out", "count_out"}, "mean");  // 0 / 0 is not selected
  body.Op("Greater", {"count_out", "nothing"}, "is_any");
  body.Op("Where", {"is_any", "mean", "nothing"}, "Y");
}

void AddWithPast(onnx::ModelProto* model) {
  OnnxBody body("WithPast", {"X", "lengths", "past"}, {"joined", "past_out"}, model);
  body.Ints("zero", {0}, 0);
  body.Ints("one", {1}, 0);
  body.Ints("axis_1", {1}, 1);
  body.Ints("axis_2", {2}, 1);
  body.Ints("batch_and_steps", {0, -1}, 1);
  body.Op("Shape", {"X"}, "shape");
  body.Int("axis", 0, body.Op("Gather", {"shape", "axis_2"}, "features"));
  body.Int("axis", 0, body.Op("Concat", {"batch_and_steps", "features"}, "split"));
  body.Op("Reshape", {"past", "split"}, "past_by_batch");  // [B, P, F]
  body.Transpose("past_by_batch", {1, 0, 2}, "past_steps");
  body.Int("axis", 0, body.Op("Concat", {"past_steps", "X"}, "joined"));
  body.Op("Shape", {"past_steps"}, "past_shape");
  body.Int("axis", 0, body.Op("Gather", {"past_shape", "zero"}, "count"));
  body.Op("Range", {"zero", "count", "one"}, "offset");  // [P]
  body.Cast("lengths", onnx::TensorProto::INT64, "length");
  body.Op("Unsqueeze", {"length", "axis_1"}, "first");
  body.Op("Add", {"first", "offset"}, "step");  // [B, P]
  body.Op("Size", {"lengths"}, "size");
  body.Op("Range", {"zero", "size", "one"}, "number");
  body.Op("Unsqueeze", {"number", "axis_1"}, "number_column");
  body.Op("Shape", {"step"}, "step_shape");
  body.Op("Expand", {"number_column", "step_shape"}, "sequence");
  body.Op("Unsqueeze", {"step", "axis_2"}, "step_3d");
  body.Op("Unsqueeze", {"sequence", "axis_2"}, "sequence_3d");
  body.Int("axis", 2, body.Op("Concat", {"step_3d", "sequence_3d"}, "where"));  // [B, P, 2]
  body.Op("GatherND", {"joined", "where"}, "kept");
  body.Op("Shape", {"past"}, "past_out_shape");
  body.Op("Reshape", {"kept", "past_out_shape"}, "past_out");
}

void AddClampLengths(onnx::ModelProto* model) {
  OnnxBody body("ClampLengths", {"lengths"}, {"clamped"}, model);
  body.Ints("one", {1}, 0);
  body.Cast("one", onnx::TensorProto::INT32, "one_i32");
  body.Op("Max", {"lengths", "one_i32"}, "clamped");
}

// selected = lengths[b] > 0 ? if_any : if_none
void AddSelection(OnnxBody* body, const std::string& if_any, const std::string& if_none) {
  body->Ints("zero", {0}, 0);
  body->Ints("column", {-1, 1}, 1);  // [B, 1] goes with [T, D, B, H] and [D, B, H]
  body->Cast("zero", onnx::TensorProto::INT32, "zero_i32");
  body->Op("Greater", {"lengths", "zero_i32"}, "is_any");
  body->Op("Reshape", {"is_any", "column"}, "is_any_column");
  body->Op("Where", {"is_any_column", if_any, if_none}, "selected");
}

void AddMaskEmpty(onnx::ModelProto* model) {
  OnnxBody body("MaskEmpty", {"Y", "lengths"}, {"selected"}, model);
  body.Float("nothing", 0.0f);
  AddSelection(&body, "Y", "nothing");
}

void AddEndState(onnx::ModelProto* model) {
  OnnxBody body("EndState", {"end", "start", "lengths"}, {"selected"}, model);
  AddSelection(&body, "end", "start");
}

void AddFullLengths(onnx::ModelProto* model) {
  OnnxBody body("FullLengths", {"X"}, {"lengths"}, model);
  body.Ints("zero", {0}, 0);
  body.Ints("second", {1}, 1);
  body.Op("Shape", {"X"}, "shape");
  body.Int("axis", 0, body.Op("Gather", {"shape", "zero"}, "steps"));
  body.Int("axis", 0, body.Op("Gather", {"shape", "second"}, "batch"));  // [1]
  body.Op("Expand", {"steps", "batch"}, "all");
  body.Cast("all", onnx::TensorProto::INT32, "lengths");
}

void AddSplitDirections(onnx::ModelProto* model) {
  OnnxBody body("SplitDirections", {"V"}, {"states"}, model);
  body.Ints("split", {0, 2, -1}, 1);
  body.Op("Reshape", {"V", "split"}, "by_sequence");  // [B, 2, S]
  body.Transpose("by_sequence", {1, 0, 2}, "states");
}

void AddJoinDirections(onnx::ModelProto* model) {
  OnnxBody body("JoinDirections", {"states"}, {"V"}, model);
  body.Ints("join", {0, -1}, 1);
  body.Transpose("states", {1, 0, 2}, "by_sequence");  // [B, 2, S]
  body.Op("Reshape", {"by_sequence", "join"}, "V");
}

struct Definition {
  std::string_view name;
  void (*add)(onnx::ModelProto*);
};

constexpr Definition kDefinitions[] = {
    {"LastStep", AddLastStep},
    {"MeanOverTime", AddMeanOverTime},
    {"WithPast", AddWithPast},
    {"MaskEmpty", AddMaskEmpty},
    {"ClampLengths", AddClampLengths},
    {"EndState", AddEndState},
    {"FullLengths", AddFullLengths},
    {"SplitDirections", AddSplitDirections},
    {"JoinDirections", AddJoinDirections},
};

}  // namespace

void AddOnnxFunction(const std::string& name, onnx::ModelProto* model) {
  for (const Definition& definition : kDefinitions) {
    if (definition.name == name) return definition.add(model);
  }
  const auto scan = FindScanForm(name);
  if (scan.has_value()) AddScanFunction(*scan, model);
}

}  // namespace espalier
