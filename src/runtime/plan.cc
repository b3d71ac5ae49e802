#include "runtime/plan.h"

#include <algorithm>

#include "base/strings.h"
#include "cells/cells.h"

namespace espalier {
namespace {

constexpr size_t kAlignmentFloats = kAlignmentBytes / sizeof(float);

// Calls visit(product, rows of one sequence's step) for every product of the program.
template <typename Visit>
void EachProduct(const Program& program, const Visit& visit) {
  for (const ProgramNode& node : program.nodes) {
    if (node.op == Op::kGemm || node.op == Op::kConv1d) visit(node.product);
    for (const ProgramLayer& layer : std::span(node.layers, node.layer_count)) {
      visit(layer.input);
      visit(layer.recurrent);
      if (layer.candidate.matrix != nullptr) visit(layer.candidate);
      if (layer.projection.matrix != nullptr) visit(layer.projection);
    }
  }
}

class Planner {
 public:
  Planner(const Program& program, const PlanOptions& options, Arena* arena)
      : program_(program), options_(options), arena_(arena) {}

  Result<RunPlan> Make() {
    ESPALIER_RETURN_IF_ERROR(CheckProducts());
    values_ = arena_->Take<RowBuffer>(program_.values.size());
    states_ = arena_->Take<RowBuffer>(program_.states.size());
    outputs_ = arena_->Take<RowBuffer>(program_.outputs.size());
    size_t count = 0;
    for (const ProgramNode& node : program_.nodes) {
      count += node.op == Op::kRecurrent ? node.layer_count : 1;
    }
    operations_ = arena_->Take<Operation>(count);
    for (size_t i = 0; i < program_.values.size(); ++i) Put(MakeValue(i), values_, i);
    for (size_t i = 0; i < program_.states.size(); ++i) {
      Put(Rows(options_.max_streams, static_cast<size_t>(program_.states[i].width)), states_, i);
    }
    MakeScratch();
    for (const ProgramNode& node : program_.nodes) AddNode(node);
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      Put(Value(program_.outputs[i]), outputs_, i);
    }
    if (arena_->bytes() >= Arena::kMostBytes) return OutOfMemory("memory is exhausted");
    if (!arena_->counts()) {
      plan_.outputs = {outputs_, program_.outputs.size()};
      plan_.operations = {operations_, count};
      plan_.states = {states_, program_.states.size()};
    }
    return plan_;
  }

 private:
  Status CheckProducts() {
    Status status;
    EachProduct(program_, [&](const ProgramProduct& product) {
      const EncodedView& view = product.matrix->view;
      if (options_.kernels->find_matmul(view.spec) == nullptr) {
        status =
            Unsupported(StrCat(product.matrix->part.name, ": target ", options_.kernels->target,
                               " has no kernel for format ", FormatName(view.spec)));
      }
      plan_.step_bytes += view.bytes.size();
      if (PaysToShare(view.bytes.size(), options_.max_batch * options_.max_steps)) {
        plan_.threads = options_.threads;
      }
    });
    return status;
  }

  // While counting there is nowhere to put anything, and nothing to look up.
  template <typename T>
  static void Put(const T& value, T* array, size_t index) {
    if (array != nullptr) array[index] = value;
  }
  RowBuffer Value(size_t index) const { return values_ == nullptr ? RowBuffer() : values_[index]; }
  RowBuffer State(size_t index) const { return states_ == nullptr ? RowBuffer() : states_[index]; }

  RowBuffer Rows(size_t rows, size_t features, size_t stride) {
    return {arena_->Take<float>(rows * stride), features, stride, false};
  }
  // Rows that start on cache lines.
  RowBuffer Rows(size_t rows, size_t features) {
    return Rows(rows, features, RoundUp(features, kAlignmentFloats));
  }

  // Outputs are handed out as one span, so their rows have no gaps. The input is copied, since
  // kernels read past its last row.
  RowBuffer MakeValue(size_t index) {
    const ProgramValue& spec = program_.values[index];
    if (spec.features == 0) return RowBuffer();
    const size_t rows = options_.max_batch * (spec.has_time ? options_.max_steps : 1);
    RowBuffer value =
        spec.is_output ? Rows(rows, spec.features, spec.features) : Rows(rows, spec.features);
    value.has_time = spec.has_time;
    if (index == 0) plan_.input = value;
    return value;
  }

  // As many scratch rows as the caches hold beside the weights.
  static size_t CachedRows(size_t width) {
    constexpr size_t kMostBytes = size_t{128} << 10;
    return kMostBytes / (width * sizeof(float));
  }

  // Input products are made for as many steps at a time as the caches hold: those of all of a long
  // sequence would go to the L2 cache or L3 and back (Zen 4, T = 200, B = 1: LSTM-512 in slot_64x16
  // took 9.3 us a step and takes 8.8). For whole kRowsTogether, if that is not too many: the rows
  // that are left over may take as long as the others (T = 96: LSTM-512 in slot_8x16 takes 0.8 of
  // the time with B = 6, 9, 11 or 12; slot_64x16 and i8 0.95 to 1.02; from B = 17 on it gains
  // little or nothing). A reverse layer takes the steps of each sequence from its own end.
  //
  // Dense f32 and bf16 read their weights once for all rows. Where the L2 cache does not hold them,
  // LSTM-1024 takes 0.8 of the time with 256 rows that it takes with 16, and LSTM-512 0.9; more
  // rows gain no more. csr, blocked and nm read theirs once, too, but there are fewer: 0.97 to 1.04
  // of the time with 48 rows. (Zen 4 with AVX-512, 2026-11.)
  size_t AxRows(const ProgramLayer& layer) const {
    constexpr size_t kMostWholeRows = 12 * kRowsTogether;
    constexpr size_t kLargeBytes = size_t{1} << 20;
    constexpr size_t kRowsOfLarge = 16 * kRowsTogether;
    const size_t batch = options_.max_batch;
    const size_t all = batch * options_.max_steps;
    if (layer.reverse) return all;
    const size_t cached = CachedRows(program_.gate_rows);
    const size_t whole = batch * WholeSteps(batch);
    size_t rows = std::max(cached, whole <= kMostWholeRows ? whole : batch);
    const EncodedView& weights = layer.input.matrix->view;
    const bool reads_once =
        weights.spec.id == FormatId::k_dense && weights.spec.type != WeightType::kI8;
    if (reads_once && weights.bytes.size() > kLargeBytes) rows = std::max(rows, kRowsOfLarge);
    return std::min(all, rows);
  }

  // Without the rows while counting.
  WindowRows WindowsOf(const ProgramNode& node) const {
    const auto width = static_cast<size_t>(node.product.matrix->view.cols);
    const RowBuffer rows = {windows_, width, RoundUp(width, kAlignmentFloats), false};
    const size_t most = std::max<size_t>(CachedRows(width), kRowsTogether);
    return {rows, std::min(options_.max_batch * options_.max_steps, most), node.dilation};
  }

  // One set for all layers, as large as the largest needs.
  void MakeScratch() {
    size_t window_floats = 0;
    for (const ProgramNode& node : program_.nodes) {
      if (node.op != Op::kConv1d) continue;
      const WindowRows windows = WindowsOf(node);
      window_floats = std::max(window_floats, windows.max_rows * windows.rows.stride);
    }
    if (window_floats > 0) windows_ = arena_->Take<float>(window_floats);
    if (program_.hidden == 0) return;
    size_t ax_rows = 0;
    for (const ProgramNode& node : program_.nodes) {
      for (const ProgramLayer& layer : std::span(node.layers, node.layer_count)) {
        ax_rows = std::max(ax_rows, AxRows(layer));
      }
    }
    ax_ = Rows(ax_rows, program_.gate_rows);
    ah_ = Rows(options_.max_batch, program_.gate_rows);
    reset_h_ = Rows(options_.max_batch, program_.hidden);
    if (!options_.streams_in_order) gathered_ = Rows(options_.max_batch, program_.hidden);
    bool has_projection = false;
    bool has_start = false;
    for (const ProgramNode& node : program_.nodes) {
      has_start |= node.starts_from_values;
      has_projection |= node.layer_count > 0 && node.layers[0].projection.matrix != nullptr;
    }
    if (has_projection) {
      cell_h_ = Rows(options_.max_batch, program_.hidden);
      projected_ = Rows(options_.max_batch, program_.hidden);
    }
    if (has_start) {
      own_h_ = Rows(options_.max_batch, program_.hidden);
      own_c_ = Rows(options_.max_batch, program_.hidden);
    }
  }

  Product MakeProduct(const ProgramProduct& product) {
    const EncodedView& view = product.matrix->view;
    return {options_.kernels->find_matmul(view.spec), view, product.bias, MakeCuts(view)};
  }

  // Chunks of equal work, as far as whole row groups can be equal.
  const size_t* MakeCuts(const EncodedView& view) {
    if (plan_.threads == 1) return nullptr;
    const size_t chunks = plan_.threads * ChunksPerThread(view.spec);
    size_t* cuts = arena_->Take<size_t>(chunks + 1);
    if (cuts == nullptr) return nullptr;
    const size_t groups = RowGroups(view);
    const uint64_t work = WorkBefore(view, groups);
    size_t group = 0;
    for (size_t i = 0; i <= chunks; ++i) {
      while (group < groups && WorkBefore(view, group) * chunks < work * i) ++group;
      cuts[i] = i == chunks ? groups : group;
    }
    return cuts;
  }

  void AddLayer(const ProgramNode& node, const ProgramLayer& spec, Operation op) {
    const auto cell = static_cast<size_t>(node.cell);
    RecurrentLayer& layer = op.recurrent;
    layer.reverse = spec.reverse;
    layer.input = MakeProduct(spec.input);
    layer.recurrent = MakeProduct(spec.recurrent);
    if (spec.candidate.matrix != nullptr) {
      layer.candidate = MakeProduct(spec.candidate);
      layer.reset_hidden = options_.kernels->reset_hidden[cell];
      layer.reset_h = reset_h_;
    }
    if (spec.projection.matrix != nullptr) {
      layer.projection = MakeProduct(spec.projection);
      layer.cell_h = Narrowed(cell_h_, spec.units);
      layer.projected = Narrowed(projected_, spec.width);
    }
    layer.gate_step = options_.kernels->gate_step[cell];
    layer.peephole = spec.peephole;
    layer.units = spec.units;
    layer.number = spec.reverse == node.layers[0].reverse ? 0 : 1;
    const bool has_c = InfoOf(node.cell).has_cell_state;
    if (node.starts_from_values) {
      layer.starts_from_values = true;
      layer.start_h = Value(node.other);
      layer.h = Narrowed(own_h_, spec.width);
      if (has_c) layer.start_c = Value(node.start_c);
      if (has_c) layer.c = Narrowed(own_c_, spec.units);
    } else {
      layer.h = State(spec.h);
      if (has_c) layer.c = State(spec.h + 1);
    }
    if (node.has_end_c) layer.end_c = Value(node.end_c);
    layer.ax = ax_;
    layer.max_ax_rows = AxRows(spec);
    layer.ah = ah_;
    layer.gathered = gathered_;
    layer.gathered.features = layer.h.features;
    layer.out_offset = layer.number * spec.width;
    Emit(op);
  }

  // The rows of scratch that is as wide as the widest layer needs.
  static RowBuffer Narrowed(RowBuffer rows, size_t features) {
    rows.features = features;
    return rows;
  }

  // A table that cannot be read row by row is decoded, into this plan's own memory.
  void MakeTable(const EncodedView& view, Operation* op) {
    op->matrix = view;
    op->read_row = FindReadRow(view.spec);
    if (op->read_row != nullptr) return;
    float* table = arena_->Take<float>(static_cast<size_t>(view.rows * view.cols));
    if (table != nullptr) Decode(view, table);
    op->table = table;
  }

  void AddNode(const ProgramNode& node) {
    Operation op;
    op.run = OperationOf(node.op);
    op.in = Value(node.in);
    op.other = Value(node.other);
    op.out = Value(node.out);
    switch (node.op) {
      case Op::kRecurrent:
        for (size_t i = 0; i < node.layer_count; ++i) AddLayer(node, node.layers[i], op);
        return;
      case Op::kConv1d:
        op.state = State(node.state);
        op.windows = WindowsOf(node);
        [[fallthrough]];
      case Op::kGemm: op.product = MakeProduct(node.product); break;
      case Op::kEmbedding: MakeTable(node.product.matrix->view, &op); break;
      case Op::kRelu: op.activation = options_.kernels->relu; break;
      case Op::kSigmoid: op.activation = options_.kernels->sigmoid; break;
      case Op::kTanh: op.activation = options_.kernels->tanh; break;
      case Op::kSoftmax: op.activation = options_.kernels->softmax; break;
      case Op::kMeanOverTime: op.count = State(node.state + 1); [[fallthrough]];
      case Op::kLastStep: op.state = State(node.state); break;
      case Op::kLayerNorm: op.norm = node.norm; break;
      case Op::kSlice: op.first = node.first; break;
      case Op::kAdd:
      case Op::kMul:
      case Op::kConcat:
      case Op::kDropout: break;
    }
    Emit(op);
  }

  void Emit(const Operation& op) { Put(op, operations_, next_operation_++); }

  const Program& program_;
  const PlanOptions& options_;
  Arena* arena_;
  RunPlan plan_;
  RowBuffer* values_ = nullptr;
  RowBuffer* states_ = nullptr;
  RowBuffer* outputs_ = nullptr;
  Operation* operations_ = nullptr;
  size_t next_operation_ = 0;
  RowBuffer ax_, ah_, reset_h_, gathered_, cell_h_, projected_, own_h_, own_c_;
  float* windows_ = nullptr;
};

}  // namespace

Result<RunPlan> MakePlan(const Program& program, const PlanOptions& options, Arena* arena) {
  return Planner(program, options, arena).Make();
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
