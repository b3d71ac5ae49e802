#include "runtime/program.h"

#include <algorithm>
#include <map>
#include <new>
#include <string>
#include <utility>

#include "base/machine.h"
#include "base/strings.h"
#include "cells/cells.h"

namespace espalier {
namespace {

class Resolver {
 public:
  explicit Resolver(const Artifact& artifact) : artifact_(artifact), graph_(artifact.graph()) {}

  Result<Program> Resolve() {
    if (graph_.inputs.size() != 1) {
      return Unsupported(
          StrCat("graph '", graph_.name, "': 1 input expected, ", graph_.inputs.size(), " found"));
    }
    program_.input = &graph_.inputs[0];
    program_.states = artifact_.states();
    program_.kernels = AvailableKernels();
    program_.near_cache_bytes = NearCacheBytes();
    AddValue(graph_.inputs[0].name);
    for (const Node& node : graph_.nodes) AddNode(node);
    for (const std::string& name : graph_.outputs) {
      if (artifact_.types().at(name).element != Element::kF32) {
        return Unsupported("output '" + name + "': f32 expected, i32 found");
      }
      program_.outputs.push_back(values_.at(name));
      program_.values[program_.outputs.back()].is_output = true;
    }
    return std::move(program_);
  }

 private:
  size_t AddValue(const std::string& name) {
    const ValueType& type = artifact_.types().at(name);
    const bool is_ids = type.element == Element::kI32;
    const size_t index = program_.values.size();
    program_.values.push_back(
        {is_ids ? 0 : static_cast<size_t>(type.features), type.layout == Layout::kSequence, false});
    values_[name] = index;
    return index;
  }

  // The bias of `part` is its rows of the vector `bias`, or nothing if that is all 0.
  ProgramProduct ProductOf(const ArtifactMatrix& matrix, const std::string& bias) const {
    const std::vector<float>& values = graph_.weights.at(bias).values;
    if (CountNonzeros(values) == 0) return {&matrix, nullptr};
    return {&matrix, values.data() + matrix.part.first_row};
  }
  ProgramProduct ProductOf(const std::string& part, const std::string& bias) const {
    return ProductOf(artifact_.matrix(part), bias);
  }

  const float* Vector(const std::string& name) const {
    return graph_.weights.at(name).values.data();
  }

  void AddLayers(const Node& node, ProgramNode* out) {
    out->starts_from_values = StartsFromValues(node);
    if (node.inputs.size() > 2) out->start_c = values_.at(node.inputs[2]);
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      ProgramLayer& layer = out->layers[out->layer_count++];
      layer.reverse = direction.reverse;
      layer.input = ProductOf(direction.weight_ih, direction.bias_ih);
      ProgramProduct* next = &layer.recurrent;
      for (const ArtifactMatrix& matrix : artifact_.matrices()) {
        if (matrix.part.weight != direction.weight_hh || matrix.part.by_column) continue;
        if (matrix.part.is_plain) {
          layer.recurrent_plain = ProductOf(matrix, direction.bias_hh);
          continue;
        }
        *next = ProductOf(matrix, direction.bias_hh);
        next = &layer.candidate;
      }
      if (!direction.weight_hr.empty()) {
        layer.projection.matrix = &artifact_.matrix(direction.weight_hr);
      }
      if (!direction.weight_peephole.empty()) layer.peephole = Vector(direction.weight_peephole);
      layer.units = static_cast<size_t>(node.hidden_size);
      layer.width = static_cast<size_t>(StateSizeOf(node));
      if (!out->starts_from_values) layer.h = TakeStates(direction.c.empty() ? 1 : 2);
      layer.node = node.name;
      if (node.delta.has_value()) {
        layer.has_delta = true;
        layer.delta = *node.delta;
        layer.input_columns.matrix = &artifact_.matrix(ColumnsPartName(direction.weight_ih));
        layer.recurrent_columns.matrix = &artifact_.matrix(ColumnsPartName(direction.weight_hh));
        layer.x_sent = TakeStates(2);
      }
      if (node.skip) {
        layer.weight_skip = Vector(direction.weight_skip);
        layer.bias_skip = *Vector(direction.bias_skip);
        layer.rest = TakeStates(2);
      }
      if (node.banks.has_value()) {
        layer.has_banks = true;
        layer.banks = *node.banks;
        layer.bank_input = ProductOf(direction.weight_banks_ih, direction.bias_banks);
        layer.bank_recurrent.matrix = &artifact_.matrix(direction.weight_banks_hh);
      }
      if (node.idle.has_value()) {
        layer.has_idle = true;
        layer.idle = *node.idle;
      }
      if (node.predicted.has_value()) {
        layer.has_predicted = true;
        layer.predicted = *node.predicted;
        layer.predict_input.matrix = &artifact_.matrix(direction.weight_predict_ih);
        layer.predict_recurrent.matrix = &artifact_.matrix(direction.weight_predict_hh);
        layer.predict = ProductOf(direction.weight_predict, direction.bias_predict);
      }
      program_.hidden = std::max({program_.hidden, layer.units, layer.width});
    }
    const auto hidden = static_cast<size_t>(node.hidden_size);
    program_.gate_rows =
        std::max(program_.gate_rows, static_cast<size_t>(InfoOf(node.cell).gates) * hidden);
  }

  // States come in the order of the nodes (StatesOf).
  size_t TakeStates(size_t count) { return std::exchange(next_state_, next_state_ + count); }

  void AddNode(const Node& node) {
    ProgramNode out;
    out.op = node.op;
    out.cell = node.cell;
    out.in = values_.at(node.inputs[0]);
    if (node.op == Op::kDropout) {
      values_[node.output] = out.in;
      return;
    }
    if (node.inputs.size() > 1) out.other = values_.at(node.inputs[1]);
    out.out = AddValue(node.output);
    switch (node.op) {
      case Op::kRecurrent:
        AddLayers(node, &out);
        out.has_end_c = !node.end_c.empty();
        if (out.has_end_c) out.end_c = AddValue(node.end_c);
        break;
      case Op::kGemm: out.product = ProductOf(WeightOf(node), node.name + ".bias"); break;
      case Op::kConv1d:
        out.product = ProductOf(node.name + ".weight", node.name + ".bias");
        out.dilation = static_cast<size_t>(node.dilation);
        if (node.kernel_size == 1) {
          out.op = Op::kGemm;
        } else {
          out.state = TakeStates(1);
        }
        break;
      case Op::kLayerNorm:
        out.norm = {Vector(node.name + ".weight"), Vector(node.name + ".bias"),
                    static_cast<float>(node.epsilon)};
        break;
      case Op::kSlice: out.first = static_cast<size_t>(node.first); break;
      case Op::kEmbedding: out.product.matrix = &artifact_.matrix(node.name + ".weight"); break;
      case Op::kLastStep: out.state = TakeStates(1); break;
      case Op::kMeanOverTime: out.state = TakeStates(2); break;
      default: break;
    }
    program_.nodes.push_back(out);
  }

  const Artifact& artifact_;
  const Graph& graph_;
  Program program_;
  std::map<std::string, size_t> values_;
  size_t next_state_ = 0;
};

}  // namespace

Result<Program> Program::Of(const Artifact& artifact) {
  try {
    return Resolver(artifact).Resolve();
  } catch (const std::bad_alloc&) {
    return OutOfMemory(StrCat("graph '", artifact.graph().name, "': memory is exhausted"));
  }
}

Result<const KernelTable*> Program::KernelsFor(std::string_view target) const {
  if (target.empty()) return kernels.front();
  for (const KernelTable* table : kernels) {
    if (target == table->target) return table;
  }
  return FindKernels(std::string(target));  // says what there is
}

size_t CountDynamicLayers(const Program& program) {
  size_t count = 0;
  EachLayer(program, [&](const ProgramNode&, const ProgramLayer& layer) {
    count += layer.is_dynamic() ? 1 : 0;
  });
  return count;
}

void LogKernels(const Program& program, const KernelTable& kernels, const LogSink& log) {
  if (!log.Wants(LogLevel::kDebug)) return;
  EachProduct(program, [&](const ProgramProduct& product) {
    const FormatSpec& spec = product.matrix->view.spec;
    log.Debug(StrCat("kernel matrix=", product.matrix->part.name, " format=", FormatName(spec),
                     " kernel=", kernels.matmul_name(spec), " target=", kernels.target,
                     " compiled_for=", product.matrix->choice.kernel));
  });
}

}  // namespace espalier
