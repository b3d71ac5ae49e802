#include "exchange/onnx_scan.h"

#include "exchange/onnx_body.h"

namespace espalier {
namespace {

constexpr CellKind kScanCells[] = {CellKind::kLstmCell, CellKind::kLstmPeepholeCell,
                                   CellKind::kEgruCell};
constexpr Direction kDirections[] = {Direction::kForward, Direction::kReverse,
                                     Direction::kBidirectional};

// Declares what a Scan's body takes or gives; shapes follow from the outside.
void Declare(const std::string& name, onnx::TensorProto::DataType type,
             onnx::ValueInfoProto* info) {
  info->set_name(name);
  info->mutable_type()->mutable_tensor_type()->set_elem_type(type);
}

// One direction; `d` ends the names of its weights and of its values.
class DirectionBody {
 public:
  DirectionBody(const ScanForm& form, std::string d, OnnxBody* body)
      : form_(form), d_(std::move(d)), body_(*body) {}

  // From x, of steps in the order of the direction, to y, h_end and c_end.
  void Add(const std::string& x) {
    body_.Op("Transpose", {N("weight_ih")}, N("w"));
    body_.Op("Transpose", {N("weight_hh")}, N("r"));
    if (form_.is_projected) body_.Op("Transpose", {N("weight_hr")}, N("p"));
    body_.Op("MatMul", {x, N("w")}, N("product"));
    body_.Op("Add", {N("product"), N("bias_ih")}, N("ax"));
    if (HasPeepholes()) {
      body_.Int("axis", 0,
                body_.Op("Split", {N("weight_peephole")}, {N("p_i"), N("p_f"), N("p_o")}));
    }
    onnx::NodeProto* scan = body_.Op("Scan", {N("h_start"), N("c_start"), N("ax"), "is_valid"},
                                     {N("h_end"), N("c_end"), N("y")});
    body_.Int("num_scan_inputs", 2, scan);
    onnx::AttributeProto* attribute = scan->add_attribute();
    attribute->set_name("body");
    attribute->set_type(onnx::AttributeProto::GRAPH);
    AddStep(attribute->mutable_g());
  }

 private:
  std::string N(const std::string& name) const { return name + d_; }
  bool HasPeepholes() const { return form_.cell == CellKind::kLstmPeepholeCell; }

  // gate += peephole * cell
  void Peep(OnnxBody* step, const std::string& gate, const std::string& cell) {
    if (!HasPeepholes()) {
      step->Op("Identity", {N("sum_" + gate)}, N("in_" + gate));
      return;
    }
    step->Op("Mul", {N("p_" + gate), cell}, N("peep_" + gate));
    step->Op("Add", {N("sum_" + gate), N("peep_" + gate)}, N("in_" + gate));
  }

  // From a, ah and c to c_new and m, which is h before a projection.
  void AddLstm(OnnxBody* step) {
    step->Op("Add", {N("a"), N("ah")}, N("sum"));
    step->Int("axis", -1,
              step->Op("Split", {N("sum")}, {N("sum_i"), N("sum_f"), N("sum_g"), N("sum_o")}));
    Peep(step, "i", N("c"));
    Peep(step, "f", N("c"));
    step->Op("Sigmoid", {N("in_i")}, N("i"));
    step->Op("Sigmoid", {N("in_f")}, N("f"));
    step->Op("Tanh", {N("sum_g")}, N("g"));
    step->Op("Mul", {N("f"), N("c")}, N("kept"));
    step->Op("Mul", {N("i"), N("g")}, N("written"));
    step->Op("Add", {N("kept"), N("written")}, N("c_new"));
    Peep(step, "o", N("c_new"));
    step->Op("Sigmoid", {N("in_o")}, N("o"));
    step->Op("Tanh", {N("c_new")}, N("squashed"));
    step->Op("Mul", {N("o"), N("squashed")}, N("m"));
  }

  // e = c where c is above the thresholds, or else 0.
  void AddEvent(OnnxBody* step, const std::string& c, const std::string& e) {
    step->Op("LessOrEqual", {c, N("weight_peephole")}, e + "_is_not");
    step->Op("Where", {e + "_is_not", "nothing", c}, e);
  }

  void AddEgru(OnnxBody* step) {
    step->Int("axis", -1, step->Op("Split", {N("a")}, {N("a_r"), N("a_z"), N("a_n")}));
    step->Int("axis", -1, step->Op("Split", {N("ah")}, {N("ah_r"), N("ah_z"), N("ah_n")}));
    for (const std::string gate : {"r", "z"}) {
      step->Op("Add", {N("a_" + gate), N("ah_" + gate)}, N("in_" + gate));
      step->Op("Sigmoid", {N("in_" + gate)}, N(gate + "_gate"));
    }
    step->Op("Mul", {N("r_gate"), N("ah_n")}, N("reset"));
    step->Op("Add", {N("a_n"), N("reset")}, N("in_n"));
    step->Op("Tanh", {N("in_n")}, N("n"));
    step->Op("Sub", {N("c"), N("n")}, N("gap"));
    step->Op("Mul", {N("z_gate"), N("gap")}, N("kept"));
    step->Op("Add", {N("kept"), N("n")}, N("mixed"));
    AddEvent(step, N("c"), N("event"));
    step->Op("Sub", {N("mixed"), N("event")}, N("c_new"));
    AddEvent(step, N("c_new"), N("m"));
  }

  void AddStep(onnx::GraphProto* graph) {
    graph->set_name("step" + d_);
    Declare(N("h"), onnx::TensorProto::FLOAT, graph->add_input());
    Declare(N("c"), onnx::TensorProto::FLOAT, graph->add_input());
    Declare(N("a"), onnx::TensorProto::FLOAT, graph->add_input());
    Declare(N("valid"), onnx::TensorProto::BOOL, graph->add_input());
    OnnxBody step(graph);
    step.Op("MatMul", {N("h"), N("r")}, N("ah_product"));
    step.Op("Add", {N("ah_product"), N("bias_hh")}, N("ah"));
    form_.cell == CellKind::kEgruCell ? AddEgru(&step) : AddLstm(&step);
    form_.is_projected ? step.Op("MatMul", {N("m"), N("p")}, N("h_new"))
                       : step.Op("Identity", {N("m")}, N("h_new"));
    step.Op("Where", {N("valid"), N("h_new"), N("h")}, N("h_next"));
    step.Op("Where", {N("valid"), N("c_new"), N("c")}, N("c_next"));
    step.Op("Where", {N("valid"), N("h_new"), "nothing"}, N("y_step"));
    for (const char* output : {"h_next", "c_next", "y_step"}) {
      Declare(N(output), onnx::TensorProto::FLOAT, graph->add_output());
    }
  }

  const ScanForm form_;
  const std::string d_;
  OnnxBody& body_;
};

std::vector<std::string> Suffixes(Direction direction) {
  if (direction == Direction::kForward) return {""};
  if (direction == Direction::kReverse) return {"_reverse"};
  return {"", "_reverse"};
}

// x with the valid steps of each sequence in the other order.
void Reverse(const std::string& x, const std::string& reversed, OnnxBody* body) {
  onnx::NodeProto* node = body->Op("ReverseSequence", {x, "length"}, reversed);
  body->Int("batch_axis", 1, node);
  body->Int("time_axis", 0, node);
}

}  // namespace

bool NeedsScan(const Node& node) {
  return node.projection_size > 0 || InfoOf(node.cell).onnx_op.empty();
}

ScanForm ScanFormOf(const Node& node) {
  return {node.cell, node.direction, node.projection_size > 0};
}

std::string ScanFunctionName(const ScanForm& form) {
  std::string name;
  if (form.direction == Direction::kReverse) name += "Reverse";
  if (form.direction == Direction::kBidirectional) name += "Bidirectional";
  if (form.is_projected) name += "Projected";
  if (form.cell == CellKind::kLstmPeepholeCell) name += "Peephole";
  return name + (form.cell == CellKind::kEgruCell ? "EGRU" : "LSTM");
}

std::optional<ScanForm> FindScanForm(const std::string& function) {
  for (const CellKind cell : kScanCells) {
    for (const Direction direction : kDirections) {
      for (const bool is_projected : {false, true}) {
        if (!is_projected && !InfoOf(cell).onnx_op.empty()) continue;
        const ScanForm form{cell, direction, is_projected};
        if (ScanFunctionName(form) == function) return form;
      }
    }
  }
  return std::nullopt;
}

std::vector<std::string> ScanWeights(const RecurrentDirection& direction) {
  std::vector<std::string> names = {direction.weight_ih, direction.weight_hh, direction.bias_ih,
                                    direction.bias_hh};
  if (!direction.weight_hr.empty()) names.push_back(direction.weight_hr);
  if (!direction.weight_peephole.empty()) names.push_back(direction.weight_peephole);
  return names;
}

void AddScanFunction(const ScanForm& form, onnx::ModelProto* model) {
  std::vector<std::string> inputs = {"X", "lengths", "h", "c"};
  const std::vector<std::string> suffixes = Suffixes(form.direction);
  for (const std::string& d : suffixes) {
    for (const char* weight : {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}) {
      inputs.push_back(weight + d);
    }
    if (form.is_projected) inputs.push_back("weight_hr" + d);
    if (InfoOf(form.cell).peepholes > 0) inputs.push_back("weight_peephole" + d);
  }
  OnnxBody body(ScanFunctionName(form), inputs, {"Y", "h_out", "c_out"}, model);
  body.Ints("zero", {0}, 0);
  body.Ints("one", {1}, 0);
  body.Ints("axis_0", {0}, 1);
  body.Ints("axis_1", {1}, 1);
  body.Ints("axis_2", {2}, 1);
  body.Ints("directions", {static_cast<int64_t>(suffixes.size())}, 1);
  body.Float("nothing", 0.0f);
  body.Cast("lengths", onnx::TensorProto::INT64, "length");
  body.Op("Shape", {"X"}, "shape");
  body.Int("axis", 0, body.Op("Gather", {"shape", "zero"}, "steps"));
  body.Int("axis", 0, body.Op("Gather", {"shape", "axis_1"}, "batch"));
  body.Op("Range", {"zero", "steps", "one"}, "step");
  body.Op("Unsqueeze", {"step", "axis_1"}, "step_column");
  body.Op("Less", {"step_column", "length"}, "is_valid_2d");  // [T, B]
  body.Op("Unsqueeze", {"is_valid_2d", "axis_2"}, "is_valid");
  // A start that is one 0 becomes a whole state.
  body.Op("Shape", {"weight_hh" + suffixes[0]}, "h_sizes");  // [G*H, P]
  body.Int("axis", 0, body.Op("Gather", {"h_sizes", "axis_1"}, "h_size"));
  body.Op("Shape", {(form.is_projected ? "weight_hr" : "weight_hh") + suffixes[0]}, "c_sizes");
  body.Int("axis", 0, body.Op("Gather", {"c_sizes", "axis_1"}, "c_size"));
  for (const std::string state : {"h", "c"}) {
    body.Int("axis", 0,
             body.Op("Concat", {"directions", "batch", state + "_size"}, state + "_shape"));
    body.Op("Expand", {state, state + "_shape"}, state + "_whole");
  }
  std::vector<std::string> y, h, c;
  for (size_t i = 0; i < suffixes.size(); ++i) {
    const std::string& d = suffixes[i];
    const bool is_reverse = !d.empty();
    body.Ints("number" + d, {static_cast<int64_t>(i)}, 0);
    for (const std::string state : {"h", "c"}) {
      body.Int("axis", 0,
               body.Op("Gather", {state + "_whole", "number" + d}, state + "_start" + d));
    }
    if (is_reverse) Reverse("X", "X_reverse", &body);
    DirectionBody(form, d, &body).Add(is_reverse ? "X_reverse" : "X");
    if (is_reverse) Reverse("y" + d, "y_in_order" + d, &body);
    y.push_back((is_reverse ? "y_in_order" : "y") + d);
    body.Op("Unsqueeze", {"h_end" + d, "axis_0"}, "h_part" + d);
    body.Op("Unsqueeze", {"c_end" + d, "axis_0"}, "c_part" + d);
    h.push_back("h_part" + d);
    c.push_back("c_part" + d);
  }
  body.Int("axis", 2, body.Op("Concat", y, "Y"));
  body.Int("axis", 0, body.Op("Concat", h, "h_out"));
  body.Int("axis", 0, body.Op("Concat", c, "c_out"));
}

}  // namespace espalier
