#include "runtime/recurrent.h"

#include <algorithm>
#include <cmath>

#include "runtime/banks.h"
#include "runtime/delta.h"
#include "runtime/rest.h"
#include "runtime/saturation.h"
#include "runtime/step_rows.h"
#include "runtime/unit_parts.h"

namespace espalier {
namespace {

// Recurrent writes 0 past a sequence's length.
void ZeroPastLengths(const Operation& op, const RunContext& run) {
  const size_t hidden = op.recurrent.h.features;
  for (size_t b = 0; b < run.size; ++b) {
    for (auto t = static_cast<size_t>(run.lengths[b]); t < run.steps; ++t) {
      std::fill_n(op.out.row(t * run.size + b) + op.recurrent.out_offset, hidden, 0.0f);
    }
  }
}

// Of a step all of whose units run.
struct AllRun {
  template <typename Visit>
  void operator()(const Units& units, const Visit& visit) const {
    visit(units);
  }
};

// The product of a cell that resets before, y = W reset_h + b, of all candidates.
struct AllCandidates {
  void operator()(const RecurrentLayer& layer, const RunContext& run, RowsAt y,
                  size_t count) const {
    layer.candidate.Run(run.team, layer.reset_h, y, count);
  }
};

// What comes after the products of a step: ax(i) and ah(i) are those of row i, each_running(units,
// visit) calls visit for those of the units that run, and `candidates` multiplies those of a cell
// that resets before. A sequence that has ended is left as it is.
template <typename Ax, typename Ah, typename EachRunning = AllRun,
          typename Candidates = AllCandidates>
void FinishStep(const Operation& op, const RunContext& run, const StepRows& rows, const Ax& ax,
                const Ah& ah, const EachRunning& each_running = {},
                const Candidates& candidates = {}) {
  const RecurrentLayer& layer = op.recurrent;
  const size_t hidden = layer.units;
  const bool is_projected = layer.projection.matmul != nullptr;
  const auto is_live = [&](size_t i) { return IsLive(run, rows.s, rows.SequenceOf(i)); };
  const auto out_of = [&](size_t b) {
    return op.out.row(RowOf(layer, run, rows.s, b)) + layer.out_offset;
  };
  const auto args_of = [&](const Units& units) -> GateStepArgs {
    const size_t b = rows.SequenceOf(units.i);
    float* h = is_projected ? layer.cell_h.row(units.i) : StateOf(layer, run, layer.h, b);
    return GateArgs(layer, run, b, units, ax(units.i), ah(units.i), h);
  };
  if (layer.reset_hidden != nullptr) {
    EachUnit(run, rows.count, hidden, [&](const Units& units) {
      if (!is_live(units.i)) return;
      layer.reset_hidden(args_of(units), layer.reset_h.row(units.i) + units.first);
    });
    const RowsAt last_gate = {layer.ah.data + layer.recurrent.weight.rows, layer.ah.stride};
    candidates(layer, run, last_gate, rows.count);
  }
  EachUnit(run, rows.count, hidden, [&](const Units& units) {
    if (!is_live(units.i)) return;
    each_running(units, [&](const Units& running) { layer.gate_step(args_of(running)); });
    if (is_projected) return;
    const size_t b = rows.SequenceOf(units.i);
    CopyFloats(StateOf(layer, run, layer.h, b) + units.first, units.end - units.first,
               out_of(b) + units.first);
  });
  if (!is_projected) return;
  layer.projection.Run(run.team, layer.cell_h, layer.projected, rows.count);
  for (size_t i = 0; i < rows.count; ++i) {
    if (!is_live(i)) continue;
    const size_t b = rows.SequenceOf(i);
    const size_t width = layer.projected.features;
    CopyFloats(layer.projected.row(i), width, StateOf(layer, run, layer.h, b));
    CopyFloats(layer.projected.row(i), width, out_of(b));
  }
}

// Takes the start from the values of the graph.
void StartFromValues(const RecurrentLayer& layer, const RunContext& run) {
  if (!layer.starts_from_values) return;
  const auto copy = [&](const RowBuffer& from, const RowBuffer& to) {
    for (size_t b = 0; b < run.size; ++b) {
      CopyFloats(from.row(b) + layer.number * to.features, to.features, to.row(b));
    }
  };
  copy(layer.start_h, layer.h);
  if (layer.c.data != nullptr) copy(layer.start_c, layer.c);
}

// The input products of the steps from s on, as many as there is room for; returns where row
// RowOf(s, b) of them is.
class InputProducts {
 public:
  InputProducts(const Operation& op, const RunContext& run)
      : op_(op),
        run_(run),
        chunk_(StepsTogether(op.recurrent.max_ax_rows, run.size, run.max_length)) {}

  size_t chunk() const { return chunk_; }

  void Multiply(size_t s) { Multiply(RowsFrom(s), s); }
  // `x`: in the place of the input, its row 0 that of step s.
  void Multiply(RowsAt x, size_t s) {
    const RecurrentLayer& layer = op_.recurrent;
    Begin(s);
    const size_t count = std::min(chunk_, run_.max_length - s) * run_.size;
    if (layer.parts.count == 0 || !layer.input.IsShared(run_.team, count)) {
      layer.input.Run(run_.team, x, layer.ax, count);
      return;
    }
    run_.team->For(layer.parts.per_thread, [&](size_t part) {
      MultiplyPart(layer.parts.input[part], layer.input, x, layer.ax, count);
    });
  }
  // In the place of Multiply, if those of one step are made elsewhere, all or part by part.
  void Begin(size_t s) { first_ = s * run_.size; }
  RowsAt RowsFrom(size_t s) const { return {op_.in.row(s * run_.size), op_.in.stride}; }

  float* Row(size_t s, size_t b) const {
    return op_.recurrent.ax.row(RowOf(op_.recurrent, run_, s, b) - first_);
  }

 private:
  const Operation& op_;
  const RunContext& run_;
  const size_t chunk_;
  size_t first_ = 0;
};

// The direction of a step's products, of which `with_input` are the input's, too.
bool NextTurn(const Operation& op, const RunContext& run, bool with_input, size_t count) {
  const RecurrentLayer& layer = op.recurrent;
  const EncodedView& recurrent = layer.recurrent.weight;
  const size_t input_bytes = with_input ? layer.input.weight.bytes.size() : 0;
  return op.turns.Next(recurrent.bytes.size() + input_bytes, recurrent.spec.type, count, run.team);
}

// The products of a step of `count` rows; without an `x` the input's have been made.
void MultiplyStep(const Operation& op, const RunContext& run, const RowsAt* x, RowsAt h,
                  size_t count) {
  const RecurrentLayer& layer = op.recurrent;
  const bool backward = NextTurn(op, run, x != nullptr, count);
  if (x != nullptr && !backward) layer.input.Run(run.team, *x, layer.ax, count);
  layer.recurrent.Run(run.team, h, layer.ah, count, backward);
  if (x != nullptr && backward) layer.input.Run(run.team, *x, layer.ax, count, backward);
}

// A step of which each thread of the team takes some units, from their products to their gates.
// `with_input`: input products, too.
void RunParts(const Operation& op, const RunContext& run, const StepRows& rows,
              const InputProducts& inputs, bool with_input) {
  const RecurrentLayer& layer = op.recurrent;
  const RowsAt x = inputs.RowsFrom(rows.s);
  const RowsAt h = HiddenRows(layer, run, rows);
  const bool backward = NextTurn(op, run, with_input, rows.count);
  run.team->For(layer.parts.per_thread, [&](size_t part) {
    if (backward) part = MirroredIn(layer.parts.per_thread, part);
    const auto multiply_input = [&] {
      if (!with_input) return;
      MultiplyPart(layer.parts.input[part], layer.input, x, layer.ax, run.size, backward);
    };
    if (!backward) multiply_input();
    MultiplyPart(layer.parts.recurrent[part], layer.recurrent, h, layer.ah, rows.count, backward);
    if (backward) multiply_input();
    const size_t k = layer.parts.units[part];
    const size_t units = layer.parts.units[part + 1] - k;
    for (size_t b = 0; b < rows.count; ++b) {
      if (!IsLive(run, rows.s, b)) continue;
      // Others multiply h yet.
      float* next = layer.next_h.row(b);
      CopyFloats(StateOf(layer, run, layer.h, b) + k, units, next + k);
      layer.gate_step(
          GateArgs(layer, run, b, {b, k, k + units}, inputs.Row(rows.s, b), layer.ah.row(b), next));
      float* out = op.out.row(RowOf(layer, run, rows.s, b)) + layer.out_offset;
      CopyFloats(next + k, units, out + k);
    }
  });
  for (size_t b = 0; b < rows.count; ++b) {
    if (!IsLive(run, rows.s, b)) continue;
    CopyFloats(layer.next_h.row(b), layer.units, StateOf(layer, run, layer.h, b));
  }
}

// Whether the team shares a step of `count` sequences by units.
bool SharesUnits(const RecurrentLayer& layer, const RunContext& run, size_t count,
                 bool with_input) {
  const size_t bytes =
      layer.recurrent.weight.bytes.size() + (with_input ? layer.input.weight.bytes.size() : 0);
  return run.team != nullptr && layer.parts.count > 0 && PaysToShare(bytes, count);
}

// Step `s` of the first `active` sequences. One among them that has ended is multiplied along.
void RunPlain(const Operation& op, const RunContext& run) {
  const RecurrentLayer& layer = op.recurrent;
  InputProducts inputs(op, run);
  const bool one_by_one = inputs.chunk() == 1;
  size_t active = run.size;
  for (size_t s = 0; s < run.max_length; ++s) {
    // With lengths in descending order nothing is multiplied in vain.
    while (!IsLive(run, s, active - 1)) --active;
    const StepRows rows{s, active};
    if (one_by_one) {
      inputs.Begin(s);
    } else if (s % inputs.chunk() == 0) {
      inputs.Multiply(s);
    }
    if (SharesUnits(layer, run, active, one_by_one)) {
      RunParts(op, run, rows, inputs, one_by_one);
      continue;
    }
    const RowsAt x = inputs.RowsFrom(s);
    MultiplyStep(op, run, one_by_one ? &x : nullptr, HiddenRows(layer, run, rows), active);
    FinishStep(
        op, run, rows, [&](size_t b) { return inputs.Row(s, b); },
        [&](size_t b) { return layer.ah.row(b); });
  }
}

// Whether step s of sequence b is an update; if not, the step is done.
bool BeginStep(const Operation& op, const RunContext& run, size_t s, size_t b) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  ++dynamic.counters->steps;
  dynamic.counters->multiply_adds_without += dynamic.plain_multiply_adds;
  if (!dynamic.rules->skip) return true;
  float& rest = *run.StateOf(dynamic.rest, b);
  if (!(rest > 0.5f)) return true;
  rest = std::max(0.0f, rest - *run.StateOf(dynamic.gain, b));
  ++dynamic.counters->skipped;
  dynamic.counters->multiply_adds_skipped += dynamic.plain_multiply_adds;
  CopyFloats(run.StateOf(layer.h, b), layer.h.features,
             op.out.row(RowOf(layer, run, s, b)) + layer.out_offset);
  return false;
}

// After an update.
void SetGain(const RecurrentLayer& layer, const RunContext& run, size_t b) {
  const DynamicLayer& dynamic = *layer.dynamic;
  const float* h = run.StateOf(layer.h, b);
  const float sum = dynamic.bias_skip + dynamic.dot(dynamic.weight_skip, h, layer.h.features);
  const float gain = 1.0f / (1.0f + std::exp(-sum));  // the kernel is for vectors: 45 ns for one
  *run.StateOf(dynamic.gain, b) = gain;
  *run.StateOf(dynamic.rest, b) = 1.0f - gain;
}

// The rows of x of a step, one after the other.
RowsAt InputRows(const Operation& op, const RunContext& run, const StepRows& rows) {
  const RecurrentLayer& layer = op.recurrent;
  if (rows.count == 1 || (rows.sequences == nullptr && !layer.reverse)) {
    return {op.in.row(RowOf(layer, run, rows.s, rows.SequenceOf(0))), op.in.stride};
  }
  const RowsAt x = layer.dynamic->gathered_x;
  for (size_t i = 0; i < rows.count; ++i) {
    CopyFloats(op.in.row(RowOf(layer, run, rows.s, rows.SequenceOf(i))), op.in.features, x.row(i));
  }
  return x;
}

// The input products of a step, and where that of sequence b is if they have been made ahead.
struct AxAhead {
  const InputProducts& inputs;
  size_t s;

  float* operator()(size_t b) const { return inputs.Row(s, b); }
};

// The products of a step and what comes after them, of the banks that run. `ax_ahead`: its input
// products where all of them have been made.
void RunBanks(const Operation& op, const RunContext& run, const StepRows& rows,
              const AxAhead* ax_ahead) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  const BankLayer& banks = dynamic.banks;
  LayerCounters& counters = *dynamic.counters;
  const RowsAt x = InputRows(op, run, rows);
  const RowsAt h = HiddenRows(layer, run, rows);
  ChooseBanks(banks, x, h, rows.count, &counters.multiply_adds);
  for (size_t i = 0; i < rows.count; ++i) {
    const size_t units_run = CountRunningUnits(banks, i);
    counters.units += banks.units;
    counters.units_run += units_run;
    // Choosing takes as long as one of so many units.
    constexpr size_t kUnitsOfChoice = 16;
    const bool gains = (banks.units - units_run) * kUnitsOfChoice >= banks.units;
    EndTry(dynamic, gains, run.StateOf(dynamic.pace, rows.SequenceOf(i)));
  }
  if (ax_ahead == nullptr) {
    counters.multiply_adds += MultiplyBanks(banks, banks.input, run.team, x, layer.ax, rows.count);
  } else {
    counters.multiply_adds += rows.count * banks.input.multiply_adds;
  }
  counters.multiply_adds +=
      MultiplyBanks(banks, banks.recurrent, run.team, h, layer.ah, rows.count);
  FinishStep(
      op, run, rows,
      [&](size_t i) {
        return ax_ahead == nullptr ? layer.ax.row(i) : (*ax_ahead)(rows.SequenceOf(i));
      },
      [&](size_t i) { return layer.ah.row(i); },
      [&](const Units& units, const auto& visit) {
        EachRunningUnits(banks, units.i, units.first, units.end, [&](size_t first, size_t end) {
          visit({units.i, first, end});
        });
      });
}

// As RunBanks, of a layer that leaves out rows of gates that saturate.
void RunSaturated(const Operation& op, const RunContext& run, const StepRows& rows,
                  const AxAhead* ax_ahead) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  float** ax = dynamic.saturation.ax;
  for (size_t i = 0; i < rows.count; ++i) {
    ax[i] = ax_ahead == nullptr ? layer.ax.row(i) : (*ax_ahead)(rows.SequenceOf(i));
  }
  SaturatedStep step(
      dynamic, run.team,
      {InputRows(op, run, rows), HiddenRows(layer, run, rows), ax, layer.ah, rows.count});
  step.Multiply(ax_ahead == nullptr ? &layer.ax : nullptr);
  for (size_t i = 0; i < rows.count; ++i) {
    EndTry(dynamic, step.StandInOf(i), run.StateOf(dynamic.pace, rows.SequenceOf(i)));
  }
  FinishStep(
      op, run, rows, [&](size_t i) { return ax[i]; }, [&](size_t i) { return layer.ah.row(i); },
      AllRun(),
      [&](const RecurrentLayer&, const RunContext&, RowsAt y, size_t /*count*/) {
        step.MultiplyCandidates(layer.reset_h, y);
      });
}

// Before the products that were made ahead go: KeepRow of all sequences. At step 0 there is none.
void KeepRows(const Operation& op, const RunContext& run, size_t s) {
  const DynamicLayer& dynamic = *op.recurrent.dynamic;
  for (size_t b = 0; b < run.size; ++b) {
    float* memory = run.StateOf(dynamic.input_memory, b);
    if (s == 0) dynamic.input_rows[b] = memory;
    KeepRow(dynamic.input, memory, &dynamic.input_rows[b]);
  }
}

DeltaStep DeltaStepOf(const Operation& op, const RunContext& run, size_t s, size_t b) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  return {op.in.row(RowOf(layer, run, s, b)),
          run.StateOf(layer.h, b),
          run.StateOf(dynamic.pace, b),
          run.StateOf(dynamic.x_sent, b),
          run.StateOf(dynamic.h_sent, b),
          run.StateOf(dynamic.input_memory, b),
          run.StateOf(dynamic.recurrent_memory, b)};
}

// A step of a layer with delta. `ax_ahead`: the input products of what is sent, where they have
// been made. Returns how many sequences have theirs made anew, or would have.
size_t RunDelta(const Operation& op, const RunContext& run, const StepRows& rows,
                const AxAhead* ax_ahead) {
  const DynamicLayer& dynamic = *op.recurrent.dynamic;
  size_t anew = 0;
  for (size_t i = 0; i < rows.count; ++i) {
    const size_t b = rows.SequenceOf(i);
    const DeltaStep step = DeltaStepOf(op, run, rows.s, b);
    const float* ahead = ax_ahead == nullptr ? nullptr : (*ax_ahead)(b);
    const BroughtUp products = MultiplyChanges(dynamic, step, ahead, &dynamic.input_rows[b]);
    EndTry(dynamic, products.gains, step.pace);
    anew += products.anew ? 1 : 0;
  }
  FinishStep(
      op, run, rows, [&](size_t i) { return dynamic.input_rows[rows.SequenceOf(i)]; },
      [&](size_t i) { return run.StateOf(dynamic.recurrent_memory, rows.SequenceOf(i)); });
  return anew;
}

// A step at rest of a layer with rules, or one that has none but skipping: with all of both
// products, together for all its sequences.
void RunAtRest(const Operation& op, const RunContext& run, const StepRows& rows,
               const AxAhead* ax_ahead) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  for (size_t i = 0; dynamic.has_delta && i < rows.count; ++i) {
    const size_t b = rows.SequenceOf(i);
    SendAtRest(dynamic, DeltaStepOf(op, run, rows.s, b));
    dynamic.input_rows[b] = run.StateOf(dynamic.input_memory, b);
  }
  const auto input = [&] {
    return dynamic.has_delta ? StateRows(run, rows, dynamic.x_sent, dynamic.gathered_x)
                             : InputRows(op, run, rows);
  };
  const RowsAt x = ax_ahead == nullptr ? input() : RowsAt();
  MultiplyStep(op, run, ax_ahead == nullptr ? &x : nullptr, HiddenRows(layer, run, rows),
               rows.count);
  LayerCounters& counters = *dynamic.counters;
  counters.multiply_adds += rows.count * dynamic.plain_multiply_adds;
  if (dynamic.rules->banks) {
    counters.units += rows.count * layer.units;
    counters.units_run += rows.count * layer.units;
  }
  counters.rows += rows.count * dynamic.saturation.rows;
  counters.rows_run += rows.count * dynamic.saturation.rows;
  FinishStep(
      op, run, rows,
      [&](size_t i) {
        return ax_ahead == nullptr ? layer.ax.row(i) : (*ax_ahead)(rows.SequenceOf(i));
      },
      [&](size_t i) { return layer.ah.row(i); });
}

// A step by the rules, of sequences that do not rest. Returns what RunDelta does, or 0.
size_t RunByRules(const Operation& op, const RunContext& run, const StepRows& rows,
                  const AxAhead* ax_ahead) {
  const DynamicLayer& dynamic = *op.recurrent.dynamic;
  if (dynamic.has_delta) return RunDelta(op, run, rows, ax_ahead);
  if (dynamic.rules->banks) {
    RunBanks(op, run, rows, ax_ahead);
  } else {
    RunSaturated(op, run, rows, ax_ahead);
  }
  return 0;
}

// Moves those that rest to the front of the listed ones; how many they are.
size_t PutRestingFirst(const RecurrentLayer& layer, const RunContext& run, size_t count) {
  const DynamicLayer& dynamic = *layer.dynamic;
  const LayerRules& rules = *dynamic.rules;
  const bool follows_any =
      dynamic.has_delta || rules.banks || rules.idle > 0.0f || rules.predicted > 0.0f;
  if (!follows_any) return count;
  const auto rests = [&](uint32_t b) { return TakesRest(dynamic, run.StateOf(dynamic.pace, b)); };
  uint32_t* const first = dynamic.sequences;
  return static_cast<size_t>(std::partition(first, first + count, rests) - first);
}

// Input products of what will be sent of x in a chunk of steps from s on, of a layer with delta
// that skips none, so that it depends on no h.
void MultiplySent(const Operation& op, const RunContext& run, size_t s, InputProducts* inputs) {
  const DynamicLayer& dynamic = *op.recurrent.dynamic;
  const size_t width = dynamic.sent_ahead.features;
  const size_t end = std::min(run.max_length, s + inputs->chunk());
  for (size_t b = 0; b < run.size; ++b) {
    float* sent = dynamic.gathered_x.row(b);
    CopyFloats(run.StateOf(dynamic.x_sent, b), width, sent);
    for (size_t t = s; t < end && IsLive(run, t, b); ++t) {
      const size_t row = RowOf(op.recurrent, run, t, b);
      constexpr size_t kNoList = 0;
      dynamic.send({op.in.row(row), sent, width, dynamic.rules->delta_x, dynamic.bank, kNoList,
                    dynamic.columns, dynamic.changes});
      CopyFloats(sent, width, dynamic.sent_ahead.row(row - s * run.size));
    }
  }
  inputs->Multiply(dynamic.sent_ahead, s);
}

// With rules: the sequences of a step whose state changes, one step after the other.
void RunDynamic(const Operation& op, const RunContext& run) {
  const RecurrentLayer& layer = op.recurrent;
  const DynamicLayer& dynamic = *layer.dynamic;
  constexpr size_t kLeastJudged = 8;  // steps of a chunk; fewer say too little
  InputProducts inputs(op, run);
  bool is_ahead = false;
  size_t updates = 0, steps = 0, anew = 0;  // of the chunk
  const LayerCounters& counters = *dynamic.counters;
  uint64_t units = counters.units, units_run = counters.units_run;  // before it
  // Where nearly every step is an update, and most units run, input products of many steps at once
  // are cheaper, even those of a few that are skipped. So they are with delta where nearly every
  // one is made anew from all that is sent. Decided for each chunk by the one before; the numbers
  // are the same, to the bit.
  const auto end_chunk = [&] {
    if (dynamic.has_delta) {
      if (updates > 0) *dynamic.tries_ahead = anew * 4 > updates * 3;
    } else if (steps >= kLeastJudged) {
      const bool most_run = (counters.units_run - units_run) * 2 > counters.units - units;
      *dynamic.tries_ahead =
          (!dynamic.rules->skip || updates * 8 > steps * 7) && (!dynamic.rules->banks || most_run);
    }
    updates = steps = anew = 0;
    units = counters.units;
    units_run = counters.units_run;
  };
  for (size_t s = 0; s < run.max_length; ++s) {
    if (s % inputs.chunk() == 0) {
      end_chunk();
      if (dynamic.has_delta) KeepRows(op, run, s);
      const bool chooses = dynamic.has_delta || dynamic.rules->skip || dynamic.rules->banks;
      const bool may_be_ahead = !dynamic.has_delta || !dynamic.rules->skip;
      is_ahead = (*dynamic.tries_ahead || !chooses) && may_be_ahead && inputs.chunk() > 1;
      if (is_ahead && dynamic.has_delta) MultiplySent(op, run, s, &inputs);
      if (is_ahead && !dynamic.has_delta) inputs.Multiply(s);
    }
    StepRows rows{s};
    size_t live = 0;
    for (size_t b = 0; b < run.size; ++b) {
      if (!IsLive(run, s, b)) continue;
      ++live;
      if (BeginStep(op, run, s, b)) dynamic.sequences[rows.count++] = static_cast<uint32_t>(b);
    }
    updates += rows.count;
    steps += live;
    if (rows.count == 0) continue;
    const AxAhead row_ahead{inputs, s};
    const AxAhead* ax_ahead = is_ahead ? &row_ahead : nullptr;
    const size_t resting = PutRestingFirst(layer, run, rows.count);
    const bool is_mixed = resting > 0 && resting < rows.count;
    if (is_mixed || rows.count < run.size) rows.sequences = dynamic.sequences;
    if (resting > 0) RunAtRest(op, run, {s, resting, rows.sequences}, ax_ahead);
    if (resting < rows.count) {
      const uint32_t* others = rows.sequences == nullptr ? nullptr : rows.sequences + resting;
      anew += RunByRules(op, run, {s, rows.count - resting, others}, ax_ahead);
    }
    anew += resting;
    // Also while nothing is skipped, so that the state is right when that is allowed again.
    for (size_t i = 0; dynamic.weight_skip != nullptr && i < rows.count; ++i) {
      SetGain(layer, run, rows.SequenceOf(i));
    }
  }
  end_chunk();
  if (dynamic.has_delta) KeepRows(op, run, run.max_length);
}

// With thresholds of 0, where no product looks for what has not changed.
void RunExactDelta(const Operation& op, const RunContext& run) {
  const RecurrentLayer& layer = op.recurrent;
  // What the last step of each sequence multiplies. Of more than one step it is the output before.
  const auto send = [&](size_t b, size_t steps, const float* h) {
    DeltaStep last = DeltaStepOf(op, run, steps - 1, b);
    last.h = h;
    SendExactly(*layer.dynamic, last, steps);
  };
  const auto steps_of = [&](size_t b) { return static_cast<size_t>(run.lengths[b]); };
  for (size_t b = 0; b < run.size; ++b) {
    if (steps_of(b) == 1) send(b, 1, StateOf(layer, run, layer.h, b));
  }
  RunPlain(op, run);
  for (size_t b = 0; b < run.size; ++b) {
    const size_t steps = steps_of(b);
    if (steps < 2) continue;
    send(b, steps, op.out.row(RowOf(layer, run, steps - 2, b)) + layer.out_offset);
  }
}

}  // namespace

void RunRecurrent(const Operation& op, const RunContext& run) {
  const RecurrentLayer& layer = op.recurrent;
  ZeroPastLengths(op, run);
  StartFromValues(layer, run);
  if (layer.dynamic == nullptr) {
    RunPlain(op, run);
  } else if (const DynamicLayer& dynamic = *layer.dynamic;
             dynamic.has_delta && dynamic.weight_skip == nullptr && !LooksForChanges(dynamic)) {
    RunExactDelta(op, run);
  } else {
    RunDynamic(op, run);
  }
  if (layer.end_c.data == nullptr) return;
  for (size_t b = 0; b < run.size; ++b) {
    CopyFloats(StateOf(layer, run, layer.c, b), layer.units,
               layer.end_c.row(b) + layer.number * layer.units);
  }
}

}  // namespace espalier
