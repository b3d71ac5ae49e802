// Rows of gates that saturate (model/graph.h, IdleCandidates and PredictedRows) at run time.
#ifndef ESPALIER_RUNTIME_SATURATION_H_
#define ESPALIER_RUNTIME_SATURATION_H_

#include <cstddef>

#include "runtime/operation.h"
#include "runtime/program.h"

namespace espalier {

// Of all rows of a step, the share that has to be left out for looking for them to pay: by what was
// measured when the layer was compiled, or else a tenth of single rows and two fifths of groups.
double LeastLeftOut(const ProgramLayer& layer);

// One step of some sequences of a layer that leaves out rows: its products, and what stands in the
// place of those that are left out. Rows of one sequence are left out where no other of the step
// needs them, and its numbers do not depend on the others.
class SaturatedStep {
 public:
  // `x`: [count, I], `h`: [count, H] or [count, P], `ax[i]`, `ah.row(i)`: the products of sequence
  // i, [G*H].
  struct Rows {
    RowsAt x, h;
    float* const* ax = nullptr;
    RowsAt ah;
    size_t count = 0;
  };
  SaturatedStep(const DynamicLayer& layer, ThreadTeam* team, const Rows& rows);

  // Makes the products: of h, and of x where `new_ax` has the rows that ax points to; nullptr: they
  // are there already. Without the candidates of a cell that resets before.
  void Multiply(const RowBuffer* new_ax);
  // Of each sequence, after Multiply: puts in place what stands for its rows that are left out.
  // Whether these are enough for looking for them to pay.
  bool StandInOf(size_t i);
  // These, of reset_h: [count, H], to `y`, which is that part of ah. After Multiply.
  void MultiplyCandidates(RowsAt reset_h, RowsAt y);

 private:
  // Which rows of a gate are to be multiplied: those of due_rows where it is kSome.
  enum class Due : uint8_t { kNone, kSome, kAll };
  static constexpr size_t kMostGates = 4;

  bool leaves_idle() const { return saturation_.has_idle && rules_.idle > 0.0f; }
  bool predicts() const { return saturation_.predict.matmul != nullptr && rules_.predicted > 0.0f; }
  bool predicts(size_t gate) const { return predicts() && gate < sum_gates_; }
  // Beyond which p predicts a row of this gate.
  float LimitOf(size_t gate) const {
    return gate == candidate_ ? saturation_.limits->tanh : saturation_.limits->sigmoid;
  }
  const float* PredictedOf(size_t i, size_t gate) const {
    return saturation_.predicted.row(i) + gate * units_;
  }
  bool IsIdle(size_t i, size_t unit) const {
    const size_t guard = guard_ * units_ + unit;
    return (rows_.ax[i][guard] + rows_.ah.row(i)[guard]) * saturation_.gates->shut_sign >
           saturation_.limits->idle;
  }
  // Of so many rows of all sequences left out.
  Due DueOf(size_t left_out) const {
    return left_out == 0 ? Due::kAll : left_out == rows_.count * units_ ? Due::kNone : Due::kSome;
  }

  void SetLimits();
  void Predict();
  size_t MultiplyInParts(const RowBuffer* new_ax);
  // The rows that are due_ of a product that begins with gate `first`.
  size_t MultiplyDueRows(const RowProduct& product, size_t first, RowsAt x, RowsAt y);
  // Set due_ and due_rows.
  void MarkPredicted(size_t gate);
  void MarkIdle();
  // Put in place what stands for rows of sequence i, and set due[k] of the others, if they are to;
  // how many there are.
  size_t TakePredicted(size_t i, size_t gate, uint8_t* due = nullptr);
  size_t LeaveOutIdle(size_t i, uint8_t* due = nullptr);
  size_t StandIn(size_t i);

  const SaturationLayer& saturation_;
  const LayerRules& rules_;
  LayerCounters& counters_;
  ThreadTeam* team_;
  const Rows rows_;
  const size_t units_, sum_gates_, guard_, candidate_;
  size_t whole_gates_ = 0;  // rows of gates of which StandIn has left out all
  Due due_[kMostGates] = {Due::kAll, Due::kAll, Due::kAll, Due::kAll};
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SATURATION_H_
