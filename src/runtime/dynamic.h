// Dynamic pruning at run time: what may be set, and what was saved. See model/graph.h, Delta,
// Node::skip, UnitBanks, IdleCandidates and PredictedRows.
#ifndef ESPALIER_RUNTIME_DYNAMIC_H_
#define ESPALIER_RUNTIME_DYNAMIC_H_

#include <cstdint>
#include <string_view>

namespace espalier {

// What may be set while a session lives: the rules of one direction of a Recurrent node.
struct LayerRules {
  float delta_x = 0.0f;  // thresholds
  float delta_h = 0.0f;
  bool skip = false;   // false: every step is an update
  bool banks = false;  // false: all units run
  float idle = 0.0f;   // epsilons, in [0, 0.5]; 0: no row is left out
  float predicted = 0.0f;
};

// Of one direction of a Recurrent node with dynamic pruning, over all streams, since the session
// was made or its counters were reset.
struct LayerCounters {
  uint64_t steps = 0;    // of all sequences
  uint64_t skipped = 0;  // of these, those that were no update
  uint64_t units = 0;    // units of layers with banks in updates, and how many of them ran
  uint64_t units_run = 0;
  uint64_t rows = 0;  // gates of all units in updates of layers with idle or predicted rows, and
  uint64_t rows_run = 0;   // how many of them were multiplied and not left out,
  uint64_t rows_idle = 0;  // and how many were left out since they are idle; others are predicted
  uint64_t x_columns = 0;  // columns of weight_ih in updates, and how many of them were sent
  uint64_t x_sent = 0;
  uint64_t h_columns = 0;  // of weight_hh
  uint64_t h_sent = 0;
  uint64_t multiply_adds =
      0;  // done in both products, to choose banks and to predict, with padding
  uint64_t multiply_adds_without = 0;  // of as many steps without rules,
  uint64_t multiply_adds_skipped = 0;  // of these in skipped steps; other rules avoided the rest
};

inline constexpr int64_t kMostSkipsAhead = 65535;  // that Session::SkipsAhead says

// One direction of a Recurrent node with dynamic pruning.
struct LayerActivity {
  std::string_view layer;  // the node's name
  bool reverse = false;
  bool has_delta = false;  // thresholds may be set
  bool has_idle = false;   // epsilons may be set
  bool has_predicted = false;
  LayerRules rules;  // in force; with a budget (budget.h) thresholds may be above those set
  LayerCounters counters;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_DYNAMIC_H_
