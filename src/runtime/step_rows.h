// One step of a recurrent layer: which sequences take it together, and where what they need is.
#ifndef ESPALIER_RUNTIME_STEP_ROWS_H_
#define ESPALIER_RUNTIME_STEP_ROWS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/operation.h"

namespace espalier {

inline void CopyFloats(const float* from, size_t count, float* to) {
  std::memcpy(to, from, count * sizeof(float));
}

// Sequences that take step s together: the first `count`, or those that are listed.
struct StepRows {
  size_t s = 0;
  size_t count = 0;
  const uint32_t* sequences = nullptr;

  size_t SequenceOf(size_t i) const { return sequences == nullptr ? i : sequences[i]; }
};

// Units [first, end) of row i of a step.
struct Units {
  size_t i, first, end;
};

// Calls visit(units) for all `hidden` units of `count` rows, cut among the team's threads if
// there are enough of them: by row, or by cache lines of one.
template <typename Visit>
void EachUnit(const RunContext& run, size_t count, size_t hidden, const Visit& visit) {
  constexpr size_t kLine = 16;
  constexpr size_t kLeastShared = 2048;  // 3 to 5 us of an LSTM's or a GRU's gates
  const auto rows = [&](size_t begin, size_t end_row, size_t first, size_t end) {
    for (size_t i = begin; i < end_row; ++i) visit(Units{i, first, end});
  };
  if (run.team == nullptr || count * hidden < kLeastShared) {
    rows(0, count, 0, hidden);
    return;
  }
  const size_t chunks = run.team->size();
  if (count >= chunks) {
    run.team->For(1,
                  [&](size_t i) { rows(i * count / chunks, (i + 1) * count / chunks, 0, hidden); });
    return;
  }
  const size_t lines = (hidden + kLine - 1) / kLine;
  run.team->For(1, [&](size_t i) {
    const size_t first = i * lines / chunks * kLine;
    rows(0, count, first, std::min(hidden, (i + 1) * lines / chunks * kLine));
  });
}

// Where sequence b has this state of the layer.
inline float* StateOf(const RecurrentLayer& layer, const RunContext& run, const RowBuffer& state,
                      size_t b) {
  return layer.starts_from_values ? state.row(b) : run.StateOf(state, b);
}

// The row of step s of sequence b in the values: that far from the end if the layer is reverse.
inline size_t RowOf(const RecurrentLayer& layer, const RunContext& run, size_t s, size_t b) {
  const size_t t = layer.reverse ? static_cast<size_t>(run.lengths[b]) - 1 - s : s;
  return t * run.size + b;
}

inline bool IsLive(const RunContext& run, size_t s, size_t b) {
  return static_cast<size_t>(run.lengths[b]) > s;
}

// The rows of this state, one after the other: where they are, or in `gathered`.
inline RowsAt StateRows(const RunContext& run, const StepRows& rows, const RowBuffer& state,
                        RowsAt gathered) {
  const bool in_order = run.streams == nullptr && rows.sequences == nullptr;
  if (in_order || rows.count == 1) {
    return {run.StateOf(state, rows.SequenceOf(0)), state.stride};
  }
  for (size_t i = 0; i < rows.count; ++i) {
    CopyFloats(run.StateOf(state, rows.SequenceOf(i)), state.features, gathered.row(i));
  }
  return gathered;
}

inline RowsAt HiddenRows(const RecurrentLayer& layer, const RunContext& run, const StepRows& rows) {
  if (!layer.starts_from_values) return StateRows(run, rows, layer.h, layer.gathered);
  return {layer.h.row(rows.SequenceOf(0)), layer.h.stride};
}

// For the units of sequence b: ax, ah and h are those of all units.
inline GateStepArgs GateArgs(const RecurrentLayer& layer, const RunContext& run, size_t b,
                             const Units& units, const float* ax, const float* ah, float* h) {
  const size_t k = units.first;
  float* c = layer.c.data == nullptr ? nullptr : StateOf(layer, run, layer.c, b) + k;
  const float* peephole = layer.peephole == nullptr ? nullptr : layer.peephole + k;
  return {ax + k, ah + k, layer.units, h + k, c, units.end - k, peephole, layer.units};
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_STEP_ROWS_H_
