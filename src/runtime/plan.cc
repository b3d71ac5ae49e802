#include "runtime/plan.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "cells/cells.h"
#include "runtime/delta.h"
#include "runtime/rest.h"
#include "runtime/saturation.h"
#include "runtime/unit_parts.h"

namespace espalier {
namespace {

constexpr size_t kBankBits = 64;  // of BankLayer::runs
constexpr size_t kAlignmentFloats = kAlignmentBytes / sizeof(float);

constexpr size_t DivideUp(size_t value, size_t divisor) { return (value + divisor - 1) / divisor; }

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
    dynamic_count_ = CountDynamicLayers(program_);
    dynamic_layers_ = arena_->Take<DynamicLayer>(dynamic_count_);
    plan_.rests = arena_->Take<bool>(1);
    Put(true, plan_.rests, 0);
    plan_.forecast = arena_->Take<StepForecast>(1);
    Put(StepForecast(), plan_.forecast, 0);
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
      plan_.dynamic_layers = {dynamic_layers_, dynamic_count_};
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
    EachLayer(program_, [&](const ProgramNode&, const ProgramLayer& layer) {
      const size_t bytes =
          layer.input.matrix->view.bytes.size() + layer.recurrent.matrix->view.bytes.size();
      if (PaysToShare(bytes, options_.max_batch)) plan_.threads = options_.threads;  // a step
      if (!layer.has_delta) return;
      for (const ProgramProduct& product : {layer.input_columns, layer.recurrent_columns}) {
        const EncodedView& view = product.matrix->view;
        if (options_.kernels->find_add_columns(view.spec) != nullptr) continue;
        status =
            Unsupported(StrCat(product.matrix->part.name, ": target ", options_.kernels->target,
                               " cannot add columns of format ", FormatName(view.spec)));
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
  // Dense and rows in f32 and bf16 read their weights once for all rows. Where the L2 cache does
  // not hold them, LSTM-1024 takes 0.8 of the time with 256 rows that it takes with 16, and
  // LSTM-512 0.9; more rows gain no more. csr, blocked and nm read theirs once, too, but there are
  // fewer: 0.97 to 1.04 of the time with 48 rows. (Zen 4 with AVX-512, 2026-11.)
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
    const FormatId format = weights.spec.id;
    const bool is_full = format == FormatId::k_dense || format == FormatId::k_rows;
    const bool reads_once = is_full && weights.spec.type != WeightType::kI8;
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
    if (!options_.streams_in_order || dynamic_count_ > 0) {
      gathered_ = Rows(options_.max_batch, program_.hidden);
    }
    MakeDynamicScratch();
    bool has_projection = false, has_start = false;
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

  void MakeDynamicScratch() {
    size_t features = 0, banks = 0;
    size_t gate_rows = 0, groups = 0, predictor = 0;  // of layers that saturate
    EachLayer(program_, [&](const ProgramNode&, const ProgramLayer& layer) {
      if (!layer.is_dynamic()) return;
      if (layer.has_banks) banks = std::max(banks, CountBanks(layer));
      if (layer.saturates()) {
        groups = std::max(groups, layer.units);  // also flags by unit
        gate_rows = std::max(gate_rows, static_cast<size_t>(layer.input.matrix->view.rows));
        for (const ProgramProduct& product : {layer.input, layer.recurrent, layer.candidate}) {
          if (product.matrix != nullptr) groups = std::max(groups, RowGroups(product.matrix->view));
        }
        predictor = std::max(predictor, static_cast<size_t>(layer.predicted.size));
      }
      features =
          std::max({features, static_cast<size_t>(layer.input.matrix->view.cols), layer.width});
    });
    if (features == 0) return;
    constexpr size_t kMoreWritten = 16;  // by send_changes
    sequences_ = arena_->Take<uint32_t>(options_.max_batch);
    gathered_x_ = Rows(options_.max_batch, features);
    input_rows_ = arena_->Take<const float*>(options_.max_batch);
    if (options_.max_steps > 1) {
      size_t rows = 0;
      EachLayer(program_, [&](const ProgramNode&, const ProgramLayer& layer) {
        if (layer.has_delta) rows = std::max(rows, AxRows(layer));
      });
      sent_ahead_ = Rows(rows, features);
    }
    columns_ = arena_->Take<int32_t>(features + kMoreWritten);
    changes_ = arena_->Take<float>(features + kMoreWritten);
    sent_before_ = arena_->Take<float>(features);
    if (gate_rows > 0) MakeSaturationScratch(gate_rows, groups, predictor);
    if (banks == 0) return;
    bank_scores_ = Rows(options_.max_batch, banks);
    bank_scores_h_ = Rows(options_.max_batch, banks);
    bank_runs_ = arena_->Take<uint64_t>((options_.max_batch + 1) * DivideUp(banks, kBankBits));
    bank_order_ = arena_->Take<uint32_t>(banks);
  }

  void MakeSaturationScratch(size_t rows, size_t groups, size_t predictor) {
    due_rows_ = arena_->Take<uint8_t>(rows);
    due_groups_ = arena_->Take<uint8_t>(groups);
    for (uint8_t*& done : done_groups_) done = arena_->Take<uint8_t>(groups);
    saturated_ax_ = arena_->Take<float*>(options_.max_batch);
    through_x_ = Rows(options_.max_batch, predictor);
    through_ = Rows(options_.max_batch, predictor);
    predicted_ = Rows(options_.max_batch, rows);
  }

  RowProduct MakeRowProduct(const ProgramProduct& plain, size_t units, uint8_t* done) {
    RowProduct product;
    const EncodedView& view = plain.matrix->view;
    const auto rows = static_cast<size_t>(view.rows);
    product.plain = MakeProduct(plain);
    product.groups = RowGroups(view);
    product.multiply_adds = WorkOf(plain);
    product.done = done;
    const bool is_by_row = product.groups == rows;
    uint32_t* group_of_row = is_by_row ? nullptr : arena_->Take<uint32_t>(rows);
    GroupRange* ranges = arena_->Take<GroupRange>(rows / units);
    product.group_of_row = group_of_row;
    product.gate_groups = ranges;
    if (ranges == nullptr) return product;
    for (size_t row = 0; row < rows; ++row) {
      const size_t group = is_by_row ? row : GroupOfRow(view, static_cast<int64_t>(row));
      GroupRange& range = ranges[row / units];
      const bool is_first = row % units == 0;
      range.first = is_first ? group : std::min(range.first, group);
      range.end = is_first ? group + 1 : std::max(range.end, group + 1);
      if (!is_by_row) group_of_row[row] = static_cast<uint32_t>(group);
    }
    return product;
  }

  SaturationLayer MakeSaturation(const ProgramNode& node, const ProgramLayer& spec) {
    SaturationLayer layer;
    layer.gates = SaturationOf(node.cell);
    layer.has_idle = spec.has_idle;
    layer.stand_in = options_.kernels->stand_in;
    layer.units = spec.units;
    layer.rows = static_cast<size_t>(spec.input.matrix->view.rows);
    layer.input = MakeRowProduct(spec.input, spec.units, done_groups_[0]);
    layer.recurrent = MakeRowProduct(spec.recurrent, spec.units, done_groups_[1]);
    if (spec.candidate.matrix != nullptr) {
      layer.candidate = MakeRowProduct(spec.candidate, spec.units, done_groups_[0]);
    }
    layer.ax = saturated_ax_;
    layer.due_rows = due_rows_;
    layer.due_groups = due_groups_;
    layer.least_left_out = LeastLeftOut(spec);
    layer.limits = arena_->Take<SaturationLimits>(1);
    Put(SaturationLimits(), layer.limits, 0);
    if (!spec.has_predicted) return layer;
    const auto size = static_cast<size_t>(spec.predicted.size);
    layer.predict_x = MakeProduct(spec.predict_input);
    layer.predict_h = MakeProduct(spec.predict_recurrent);
    layer.predict = MakeProduct(spec.predict);
    layer.predictor_multiply_adds =
        WorkOf(spec.predict_input) + WorkOf(spec.predict_recurrent) + WorkOf(spec.predict);
    layer.through_x = Narrowed(through_x_, size);
    layer.through = Narrowed(through_, size);
    layer.predicted = predicted_;
    return layer;
  }

  static size_t CountBanks(const ProgramLayer& layer) {
    return static_cast<size_t>(layer.bank_recurrent.matrix->view.rows);
  }

  BankProduct MakeBankProduct(const ProgramLayer& spec, const ProgramProduct& plain) {
    BankProduct product;
    const EncodedView& view = plain.matrix->view;
    product.plain = MakeProduct(plain);
    product.groups = RowGroups(view);
    product.multiply_adds = WorkOf(plain);
    const size_t words = DivideUp(CountBanks(spec), kBankBits);
    uint64_t* banks = arena_->Take<uint64_t>(product.groups * words);
    product.banks_of_group = banks;
    if (banks == nullptr) return product;
    for (int64_t row = 0; row < view.rows; ++row) {
      const size_t bank =
          static_cast<size_t>(row) % spec.units / static_cast<size_t>(spec.banks.size);
      banks[GroupOfRow(view, row) * words + bank / kBankBits] |= uint64_t{1} << bank % kBankBits;
    }
    return product;
  }

  BankLayer MakeBanks(const ProgramLayer& spec) {
    BankLayer banks;
    banks.count = CountBanks(spec);
    banks.size = static_cast<size_t>(spec.banks.size);
    banks.top = static_cast<size_t>(spec.banks.top);
    banks.units = spec.units;
    banks.words = DivideUp(banks.count, kBankBits);
    banks.score_x = MakeProduct(spec.bank_input);
    banks.score_h = MakeProduct(spec.bank_recurrent);
    banks.multiply_adds = WorkOf(spec.bank_input) + WorkOf(spec.bank_recurrent);
    banks.input = MakeBankProduct(spec, spec.input);
    banks.recurrent = MakeBankProduct(spec, spec.recurrent);
    banks.scores = Narrowed(bank_scores_, banks.count);
    banks.scores_h = Narrowed(bank_scores_h_, banks.count);
    banks.runs = bank_runs_;
    banks.order = bank_order_;
    return banks;
  }

  DeltaProduct MakeDeltaProduct(const ProgramProduct& plain, const ProgramProduct& columns) {
    DeltaProduct product;
    product.plain = MakeProduct(plain);
    product.columns = columns.matrix->view;
    product.add = options_.kernels->find_add_columns(product.columns.spec);
    SetCosts(*plain.matrix, *columns.matrix, &product);
    product.plain_multiply_adds = WorkOf(plain);
    product.mean_ns = arena_->Take<double>(1);
    return product;
  }

  static const ProgramProduct& PlainOf(const ProgramLayer& layer) {
    return layer.recurrent_plain.matrix == nullptr ? layer.recurrent : layer.recurrent_plain;
  }

  static size_t WorkOf(const ProgramProduct& product) {
    const EncodedView& view = product.matrix->view;
    return WorkBefore(view, RowGroups(view));
  }

  const DynamicLayer* MakeDynamic(const ProgramNode& node, const ProgramLayer& spec) {
    DynamicLayer layer;
    layer.node = spec.node;
    layer.reverse = spec.reverse;
    layer.rules = arena_->Take<LayerRules>(1);
    layer.own = arena_->Take<LayerRules>(1);
    layer.counters = arena_->Take<LayerCounters>(1);
    layer.rests = plan_.rests;
    layer.forecast = plan_.forecast;
    layer.streams = options_.max_streams;
    layer.pace = Rows(options_.max_streams, kPaces, kPaces);
    layer.sequences = sequences_;
    layer.tries_ahead = arena_->Take<bool>(1);
    layer.starts_ahead = spec.weight_skip == nullptr && !spec.has_banks;
    Put(layer.starts_ahead, layer.tries_ahead, 0);
    layer.plain_multiply_adds = WorkOf(spec.input) + WorkOf(PlainOf(spec));
    if (spec.candidate.matrix != nullptr) layer.plain_multiply_adds += WorkOf(spec.candidate);
    layer.gathered_x = Narrowed(gathered_x_, static_cast<size_t>(spec.input.matrix->view.cols));
    LayerRules rules;
    if (spec.weight_skip != nullptr) {
      layer.weight_skip = spec.weight_skip;
      layer.bias_skip = spec.bias_skip;
      layer.dot = options_.kernels->dot;
      layer.rest = State(spec.rest);
      layer.gain = State(spec.rest + 1);
      rules.skip = true;
    }
    if (spec.has_banks) {
      layer.banks = MakeBanks(spec);
      // After 8 steps in which nearly all units ran, since looking takes little.
      layer.first_rest = 1.0f / 16384;
      layer.most_rest = 3.0f;
      rules.banks = true;
    }
    if (spec.saturates()) {
      layer.saturation = MakeSaturation(node, spec);
      layer.first_rest = 4.0f;  // looking takes up to a step
      layer.most_rest = 64.0f;
      rules.idle = static_cast<float>(spec.idle.epsilon);
      rules.predicted = static_cast<float>(spec.predicted.epsilon);
    }
    if (spec.has_delta) {
      const size_t rows = static_cast<size_t>(InfoOf(node.cell).gates) * spec.units;
      layer.has_delta = true;
      layer.bank = static_cast<size_t>(spec.delta.bank);
      layer.send = options_.kernels->send_changes;
      layer.columns = columns_;
      layer.changes = changes_;
      layer.sent_before = sent_before_;
      layer.sent_ahead = Narrowed(sent_ahead_, layer.gathered_x.features);
      layer.input_rows = input_rows_;
      layer.input = MakeDeltaProduct(spec.input, spec.input_columns);
      layer.recurrent = MakeDeltaProduct(spec.recurrent, spec.recurrent_columns);
      layer.x_sent = State(spec.x_sent);
      layer.h_sent = State(spec.x_sent + 1);
      layer.input_memory = Rows(options_.max_streams, rows);
      layer.recurrent_memory = Rows(options_.max_streams, rows);
      layer.never_gains = layer.input.most_columns == 0 && layer.recurrent.most_columns == 0;
      rules.delta_x = static_cast<float>(spec.delta.x);
      rules.delta_h = static_cast<float>(spec.delta.h);
    }
    Put(rules, layer.rules, 0);
    Put(rules, layer.own, 0);
    const size_t index = next_dynamic_++;
    Put(layer, dynamic_layers_, index);
    return dynamic_layers_ == nullptr ? nullptr : dynamic_layers_ + index;
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
    layer.recurrent = MakeProduct(PlainOf(spec));
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
    const bool is_one_loop = layer.reset_hidden == nullptr && layer.projection.matmul == nullptr;
    if (plan_.threads > 1 && is_one_loop && !spec.is_dynamic()) {
      layer.parts = CutUnits(spec.input.matrix->view, spec.recurrent.matrix->view, spec.units,
                             plan_.threads, arena_);
      layer.next_h = Narrowed(reset_h_, spec.units);
    }
    layer.ax = ax_;
    layer.max_ax_rows = AxRows(spec);
    layer.ah = ah_;
    layer.gathered = gathered_;
    layer.gathered.features = layer.h.features;
    layer.out_offset = layer.number * spec.width;
    if (spec.is_dynamic()) layer.dynamic = MakeDynamic(node, spec);
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

  void Emit(Operation op) {
    // Half of the cache: the rest of a step needs some, too.
    op.turns = {arena_->Take<bool>(1), program_.near_cache_bytes / 2};
    if (op.turns.backward != nullptr) *op.turns.backward = true;  // the first goes forward
    Put(op, operations_, next_operation_++);
  }

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
  DynamicLayer* dynamic_layers_ = nullptr;
  size_t dynamic_count_ = 0;
  size_t next_dynamic_ = 0;
  uint32_t* sequences_ = nullptr;
  const float** input_rows_ = nullptr;
  RowBuffer gathered_x_, sent_ahead_;
  int32_t* columns_ = nullptr;
  float* changes_ = nullptr;
  float* sent_before_ = nullptr;
  RowBuffer bank_scores_, bank_scores_h_;
  uint64_t* bank_runs_ = nullptr;
  uint8_t* due_rows_ = nullptr;
  uint8_t* due_groups_ = nullptr;
  uint8_t* done_groups_[2] = {};
  float** saturated_ax_ = nullptr;
  RowBuffer through_x_, through_, predicted_;
  uint32_t* bank_order_ = nullptr;
};

}  // namespace

Result<RunPlan> MakePlan(const Program& program, const PlanOptions& options, Arena* arena) {
  return Planner(program, options, arena).Make();
}

}  // namespace espalier
