// Two small networks and what tests of plans ask of masks.
#ifndef ESPALIER_PRUNE_PLAN_TEST_SUPPORT_H_
#define ESPALIER_PRUNE_PLAN_TEST_SUPPORT_H_

#include <list>

#include "model/build.h"
#include "prune/plan.h"
#include "testing/testing.h"

namespace espalier::testing {

// lstm0 (28 -> 24), gru0 (20), gemm0 (10).
inline Graph Digits() {
  Rng rng(5);
  GraphBuilder builder("digits", {"x", {Element::kF32, Layout::kSequence, 28}}, &rng);
  builder.Recurrent(CellKind::kLstmCell, 24).Dropout(0.2).Recurrent(CellKind::kGruCell, 20);
  return ValueOrDie(builder.LastStep().Gemm(10).Finish());
}

// embedding0 (50 words, 16 features), lstm0 (12, both directions), gemm0 (4).
inline Graph Words() {
  Rng rng(5);
  GraphBuilder builder("words", {"x", {Element::kI32, Layout::kSequence, 50}}, &rng);
  builder.Embedding(16).Dropout(0.2).Recurrent(CellKind::kLstmCell, 12,
                                               {Direction::kBidirectional, 0.0});
  return ValueOrDie(builder.MeanOverTime().Gemm(4).Finish());
}

inline MaskSet Masks(const Graph& graph, const PruneSpec& spec, const MaskSet& previous = {}) {
  const Plan plan = ValueOrDie(MakePlan(graph, spec));
  return ValueOrDie(MakeMasks(plan, spec.sparsity, StatisticsOf(graph.weights), previous));
}

inline size_t KeptIn(const MaskSet& masks) {
  size_t kept = 0;
  for (const auto& [name, mask] : masks) kept += mask.KeptCount();
  return kept;
}

inline size_t DroppedIn(const MaskSet& masks) {
  size_t dropped = 0;
  for (const auto& [name, mask] : masks) dropped += mask.keep.size() - mask.KeptCount();
  return dropped;
}

// Every field that any criterion of the plan may need: drawn by the weight's name, positive where
// it is a power.
class EveryStatistic {
 public:
  EveryStatistic(const Graph& graph, const Plan& plan) : set_(StatisticsOf(graph.weights)) {
    Rng rng(21);
    const bool is_unit = plan.granularity.kind->extent == Extent::kUnits;
    std::vector<float>& of_groups = values_.emplace_back(
        is_unit ? plan.coupling.groups.size() : static_cast<size_t>(plan.groups));
    for (float& value : of_groups) value = rng.Uniform(0.0f, 1.0f);
    set_.squared_group_gradient = of_groups;
    for (auto& [name, found] : set_) {
      for (const StatisticsField& field : StatisticsFields()) {
        if (field.flag == kNeedsWeight) continue;
        const bool is_power = field.flag == kNeedsSquaredGradient ||
                              field.flag == kNeedsInputPower || field.flag == kNeedsInverseMoment;
        std::vector<float>& values = values_.emplace_back(found.weight.size());
        for (float& value : values) value = rng.Uniform(is_power ? 0.0f : -1.0f, 1.0f);
        found.*field.field = values;
      }
    }
  }
  const StatisticsSet& set() const { return set_; }

 private:
  std::list<std::vector<float>> values_;
  StatisticsSet set_;
};

}  // namespace espalier::testing

#endif  // ESPALIER_PRUNE_PLAN_TEST_SUPPORT_H_
