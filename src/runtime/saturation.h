// Rows of gates that saturate (model/graph.h, IdleCandidates and PredictedRows) at run time.
#ifndef ESPALIER_RUNTIME_SATURATION_H_
#define ESPALIER_RUNTIME_SATURATION_H_

#include <cstddef>

#include "runtime/operation.h"

namespace espalier {

// One step of some sequences of a layer that leaves out rows: its products, and what stands in the
// place of those that are left out. Rows of one sequence are left out where no other of the step
// needs them, and its numbers do not depend on the others.
class SaturatedStep {
 public:
  // `x`: [count, I], `h`: [count, H] or [count, P], `ax[i]`, `ah.row(i)`: the products of sequence
  // i, [G*H].
  struct Rows {
    RowBuffer x, h;
    float* const* ax = nullptr;
    RowBuffer ah;
    size_t count = 0;
  };
  SaturatedStep(const DynamicLayer& layer, ThreadTeam* team, const Rows& rows)
      : saturation_(layer.saturation),
        rules_(*layer.rules),
        counters_(*layer.counters),
        team_(team),
        rows_(rows) {}

  // Makes the products: of h, and of x where `new_ax` has the rows that ax points to; nullptr: they
  // are there already. Without the candidates of a cell that resets before.
  void Multiply(const RowBuffer* new_ax);
  // These, of reset_h: [count, H], to `y`, which is that part of ah. After Multiply.
  void MultiplyCandidates(const RowBuffer& reset_h, const RowBuffer& y);

 private:
  bool leaves_idle() const { return saturation_.has_idle && rules_.idle > 0.0f; }
  bool predicts() const { return saturation_.predict.matmul != nullptr && rules_.predicted > 0.0f; }
  bool resets_before() const { return saturation_.candidate.plain.matmul != nullptr; }
  size_t first_candidate() const {
    return static_cast<size_t>(saturation_.gates->candidate) * saturation_.units;
  }
  // Beyond which p predicts a row of this gate.
  float LimitOf(size_t gate) const {
    const bool is_tanh = gate == static_cast<size_t>(saturation_.gates->candidate);
    return is_tanh ? saturation_.limits->tanh : saturation_.limits->sigmoid;
  }

  void SetLimits();
  void Predict();
  size_t MultiplyAll(const RowBuffer* new_ax);
  size_t MultiplyInParts(const RowBuffer* new_ax);
  size_t MultiplyDueRows(const RowProduct& product, const RowBuffer& x, const RowBuffer& y);
  void MarkUnpredicted();
  void MarkCandidates();
  // Returns how many rows were.
  size_t TakePredicted(size_t i);
  size_t LeaveOutIdle(size_t i);

  const SaturationLayer& saturation_;
  const LayerRules& rules_;
  LayerCounters& counters_;
  ThreadTeam* team_;
  const Rows rows_;
  bool in_parts_ = false;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SATURATION_H_
