#include "runtime/plan.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/strings.h"
#include "cells/cells.h"

namespace espalier {
namespace {

constexpr size_t kAlignmentFloats = kAlignmentBytes / sizeof(float);

class Planner {
 public:
  Planner(const Artifact& artifact, const PlanOptions& options)
      : artifact_(artifact), graph_(artifact.graph()), options_(options) {}

  Result<SessionPlan> Make() {
    if (graph_.inputs.size() != 1) {
      return Unsupported(
          StrCat("graph '", graph_.name, "': 1 input expected, ", graph_.inputs.size(), " found"));
    }
    plan_.input_spec = graph_.inputs[0];
    AliasDropout();
    MakeInput();
    MakeStates();
    MakeScratch();
    for (const Node& node : graph_.nodes) ESPALIER_RETURN_IF_ERROR(AddNode(node));
    for (const std::string& name : graph_.outputs) {
      if (artifact_.types().at(name).element != Element::kF32) {
        return Unsupported("output '" + name + "': f32 expected, i32 found");
      }
      plan_.outputs.push_back(values_.at(Root(name)));
    }
    return std::move(plan_);
  }

 private:
  // Rows that start on cache lines if `stride` allows.
  RowBuffer Allocate(size_t rows, size_t features, size_t stride) {
    plan_.arena.emplace_back(rows * stride);
    return {plan_.arena.back().data(), features, stride, false};
  }
  RowBuffer AllocateAligned(size_t rows, size_t features) {
    return Allocate(rows, features, RoundUp(features, kAlignmentFloats));
  }

  const std::string& Root(const std::string& value) const {
    const auto it = alias_.find(value);
    return it == alias_.end() ? value : it->second;
  }

  void AliasDropout() {
    for (const Node& node : graph_.nodes) {
      if (node.op == Op::kDropout) alias_[node.output] = Root(node.inputs[0]);
    }
  }

  // Outputs are handed out as one span, so their rows have no gaps.
  RowBuffer MakeValue(const std::string& name) {
    const ValueType& type = artifact_.types().at(name);
    const bool has_time = type.layout == Layout::kSequence;
    const size_t rows = options_.max_batch * (has_time ? options_.max_steps : 1);
    const auto features = static_cast<size_t>(type.features);
    const bool is_output =
        std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                    [&](const std::string& output) { return Root(output) == name; });
    RowBuffer value =
        is_output ? Allocate(rows, features, features) : AllocateAligned(rows, features);
    value.has_time = has_time;
    values_[name] = value;
    return value;
  }

  // The input is copied, since kernels read past its last row.
  void MakeInput() {
    if (plan_.input_spec.type.element == Element::kF32) {
      plan_.input = MakeValue(plan_.input_spec.name);
    }
  }

  void MakeStates() {
    plan_.state_specs = StatesOf(graph_);
    for (const StateSpec& spec : plan_.state_specs) {
      plan_.states.push_back(AllocateAligned(options_.max_batch, static_cast<size_t>(spec.width)));
      states_[spec.name] = plan_.states.back();
    }
  }

  // One set for all layers, as large as the largest needs.
  void MakeScratch() {
    size_t rows = 0;
    size_t hidden = 0;
    for (const Node& node : graph_.nodes) {
      if (node.op != Op::kRecurrent) continue;
      hidden = std::max(hidden, static_cast<size_t>(node.hidden_size));
      rows = std::max(rows, static_cast<size_t>(InfoOf(node.cell).gates * node.hidden_size));
    }
    if (rows == 0) return;
    ax_ = AllocateAligned(options_.max_batch * options_.max_steps, rows);
    ah_ = AllocateAligned(options_.max_batch, rows);
    reset_h_ = AllocateAligned(options_.max_batch, hidden);
  }

  const float* Keep(std::span<const float> values) {
    const RowBuffer copy = AllocateAligned(1, values.size());
    std::copy(values.begin(), values.end(), copy.data);
    return copy.data;
  }

  // The bias of `part` is its rows of the vector `bias`.
  Status MakeProduct(const std::string& part, const std::string& bias, Product* product) {
    const ArtifactMatrix& matrix = artifact_.matrix(part);
    const MatMulFn matmul = options_.kernels->find_matmul(matrix.view.spec);
    if (matmul == nullptr) {
      return Unsupported(StrCat(part, ": target ", options_.kernels->target,
                                " has no kernel for format ", FormatName(matrix.view.spec)));
    }
    const std::span<const float> biases(graph_.weights.at(bias).values);
    *product = {matmul, matrix.view,
                Keep(biases.subspan(static_cast<size_t>(matrix.part.first_row),
                                    static_cast<size_t>(matrix.part.rows)))};
    if (options_.log.Wants(LogLevel::kDebug)) {
      options_.log.Debug(StrCat("kernel matrix=", part, " format=", FormatName(matrix.view.spec),
                                " kernel=", options_.kernels->matmul_name(matrix.view.spec),
                                " target=", options_.kernels->target,
                                " compiled_for=", matrix.choice.kernel));
    }
    return Ok();
  }

  Status AddRecurrent(const Node& node, Operation op) {
    const auto cell = static_cast<size_t>(node.cell);
    size_t out_offset = 0;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      RecurrentLayer& layer = op.recurrent;
      layer = RecurrentLayer();
      layer.reverse = direction.reverse;
      layer.gate_step = options_.kernels->gate_step[cell];
      layer.h = states_.at(direction.h);
      if (!direction.c.empty()) layer.c = states_.at(direction.c);
      layer.ax = ax_;
      layer.ah = ah_;
      layer.out_offset = out_offset;
      ESPALIER_RETURN_IF_ERROR(MakeProduct(direction.weight_ih, direction.bias_ih, &layer.input));
      std::vector<Product*> products = {&layer.recurrent};
      if (InfoOf(node.cell).reset_before) {
        layer.reset_hidden = options_.kernels->reset_hidden[cell];
        layer.reset_h = reset_h_;
        products.push_back(&layer.candidate);
      }
      size_t next = 0;
      for (const ArtifactMatrix& matrix : artifact_.matrices()) {
        if (matrix.part.weight != direction.weight_hh) continue;
        ESPALIER_RETURN_IF_ERROR(
            MakeProduct(matrix.part.name, direction.bias_hh, products[next++]));
      }
      ESPALIER_ASSERT(next == products.size());
      plan_.operations.push_back(op);
      out_offset += static_cast<size_t>(node.hidden_size);
    }
    return Ok();
  }

  // A table is looked up row by row, which only plain rows allow at no cost.
  void MakeTable(const std::string& weight, Operation* op) {
    const EncodedView& view = artifact_.matrix(weight).view;
    const RowBuffer table = AllocateAligned(1, static_cast<size_t>(view.rows * view.cols));
    Decode(view, table.data);
    op->table = table.data;
  }

  Status AddNode(const Node& node) {
    Operation op;
    op.run = OperationOf(node.op);
    if (op.run == nullptr) return Ok();
    if (node.op != Op::kEmbedding) op.in = values_.at(Root(node.inputs[0]));
    if (node.inputs.size() > 1) op.other = values_.at(Root(node.inputs[1]));
    op.out = MakeValue(node.output);
    switch (node.op) {
      case Op::kRecurrent: return AddRecurrent(node, op);
      case Op::kGemm:
        ESPALIER_RETURN_IF_ERROR(
            MakeProduct(node.name + ".weight", node.name + ".bias", &op.product));
        break;
      case Op::kEmbedding: MakeTable(node.name + ".weight", &op); break;
      case Op::kRelu: op.activation = options_.kernels->relu; break;
      case Op::kSigmoid: op.activation = options_.kernels->sigmoid; break;
      case Op::kTanh: op.activation = options_.kernels->tanh; break;
      case Op::kSoftmax: op.activation = options_.kernels->softmax; break;
      case Op::kLastStep: op.state = states_.at(node.name + ".last"); break;
      case Op::kMeanOverTime:
        op.state = states_.at(node.name + ".sum");
        op.count = states_.at(node.name + ".count");
        break;
      case Op::kAdd:
      case Op::kConcat:
      case Op::kDropout: break;
    }
    plan_.operations.push_back(op);
    return Ok();
  }

  const Artifact& artifact_;
  const Graph& graph_;
  const PlanOptions& options_;
  SessionPlan plan_;
  std::map<std::string, std::string> alias_;  // output of a Dropout -> the value that it repeats
  std::map<std::string, RowBuffer> values_;
  std::map<std::string, RowBuffer> states_;
  RowBuffer ax_, ah_, reset_h_;
};

}  // namespace

Result<SessionPlan> MakePlan(const Artifact& artifact, const PlanOptions& options) {
  return Planner(artifact, options).Make();
}

}  // namespace espalier
