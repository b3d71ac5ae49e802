#include "runtime/saturation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/due_groups.h"

namespace espalier {

double LeastLeftOut(const ProgramLayer& layer) {
  // Where less is left out, finding the rows takes as long. Groups of several rows that are left
  // out here and there make many calls of those between (GRU-256 in slots, 90 % gone, Zen 3: with
  // 30 % saved a step took 1.2 times as long as in one call).
  constexpr double kByRow = 0.1, kByGroup = 0.4;
  // Dense GRU-256 and one with 90 % gone, Xeon of the fifth generation: marking rows and putting in
  // what stands for them, and how many times as long rows here and there take as all in order.
  constexpr double kRowNs = 0.8, kScattered = 1.25;
  const EncodedView& recurrent = layer.recurrent.matrix->view;
  const bool is_by_row = RowGroups(recurrent) == static_cast<size_t>(recurrent.rows);
  const double least = is_by_row ? kByRow : kByGroup;
  const auto ns = [](const ProgramProduct& product) {
    return product.matrix == nullptr ? 0.0 : product.matrix->choice.ns;
  };
  const double all = ns(layer.input) + ns(layer.recurrent) + ns(layer.candidate);
  if (!(all > 0.0)) return least;
  const bool has_plain = layer.recurrent_plain.matrix != nullptr;
  const double plain = has_plain ? all - ns(layer.recurrent) + ns(layer.recurrent_plain) : all;
  const int64_t looked_at =
      layer.has_predicted ? layer.input.matrix->view.rows : static_cast<int64_t>(layer.units);
  const double looking = kRowNs * static_cast<double>(looked_at) + ns(layer.predict_input) +
                         ns(layer.predict_recurrent) + ns(layer.predict);
  const double most_run = (plain - looking) / (is_by_row ? kScattered * all : all);
  return std::max(least, 1.0 - most_run);
}

SaturatedStep::SaturatedStep(const DynamicLayer& layer, ThreadTeam* team, const Rows& rows)
    : saturation_(layer.saturation),
      rules_(*layer.rules),
      counters_(*layer.counters),
      team_(team),
      rows_(rows),
      units_(layer.saturation.units),
      sum_gates_(static_cast<size_t>(layer.saturation.gates->sum_gates)),
      guard_(static_cast<size_t>(layer.saturation.gates->guard)),
      candidate_(static_cast<size_t>(layer.saturation.gates->candidate)) {}

void SaturatedStep::SetLimits() {
  SaturationLimits& limits = *saturation_.limits;
  if (limits.idle_epsilon != rules_.idle) {
    limits.idle_epsilon = rules_.idle;
    limits.idle = SaturationLimit(rules_.idle, false);
  }
  if (limits.predicted_epsilon != rules_.predicted) {
    limits.predicted_epsilon = rules_.predicted;
    limits.sigmoid = SaturationLimit(rules_.predicted, false);
    limits.tanh = SaturationLimit(rules_.predicted, true);
  }
}

void SaturatedStep::Predict() {
  constexpr ThreadTeam* kAlone = nullptr;
  const size_t count = rows_.count;
  saturation_.predict_x.Run(kAlone, rows_.x, saturation_.through_x, count);
  saturation_.predict_h.Run(kAlone, rows_.h, saturation_.through, count);
  for (size_t i = 0; i < count; ++i) {
    const float* from_x = saturation_.through_x.row(i);
    float* through = saturation_.through.row(i);
    for (size_t r = 0; r < saturation_.through.features; ++r) through[r] += from_x[r];
  }
  saturation_.predict.Run(kAlone, saturation_.through, saturation_.predicted, count);
  counters_.multiply_adds += count * saturation_.predictor_multiply_adds;
}

size_t SaturatedStep::MultiplyDueRows(const RowProduct& product, size_t first, RowsAt x, RowsAt y) {
  uint8_t* groups = saturation_.due_groups;
  uint8_t* done = product.done;
  std::fill_n(groups, product.groups, uint8_t{0});
  const size_t gates = static_cast<size_t>(product.plain.weight.rows) / units_;
  for (size_t g = 0; g < gates; ++g) {
    if (due_[first + g] == Due::kNone) continue;
    const GroupRange range = product.gate_groups[g];
    if (due_[first + g] == Due::kAll) {
      std::fill(groups + range.first, groups + range.end, uint8_t{1});
      continue;
    }
    const uint8_t* due = saturation_.due_rows + (first + g) * units_;
    if (product.group_of_row == nullptr) {
      std::copy_n(due, units_, groups + range.first);
      continue;
    }
    const uint32_t* group_of_row = product.group_of_row + g * units_;
    for (size_t k = 0; k < units_; ++k) groups[group_of_row[k]] |= due[k];
  }
  for (size_t group = 0; leaves_idle() && group < product.groups; ++group) {  // in two passes
    groups[group] = static_cast<uint8_t>(groups[group] & ~done[group]);
    done[group] |= groups[group];
  }
  return MultiplyDue(product.plain, product.groups, team_, x, y, rows_.count,
                     static_cast<const uint8_t*>(groups));
}

void SaturatedStep::MarkPredicted(size_t gate) {
  uint8_t* due = saturation_.due_rows + gate * units_;
  std::fill_n(due, units_, uint8_t{0});
  size_t left_out = 0;
  for (size_t i = 0; i < rows_.count; ++i) left_out += TakePredicted(i, gate, due);
  due_[gate] = DueOf(left_out);
}

// The guards are known.
void SaturatedStep::MarkIdle() {
  uint8_t* let_in = saturation_.due_groups;  // by unit: not needed until a product is made
  uint8_t* due = saturation_.due_rows + candidate_ * units_;
  const bool is_all = due_[candidate_] == Due::kAll;
  if (is_all) let_in = due;
  std::fill_n(let_in, units_, uint8_t{0});
  size_t left_out = 0;
  for (size_t i = 0; i < rows_.count; ++i) left_out += LeaveOutIdle(i, let_in);
  const Due idle = DueOf(left_out);
  if (is_all || idle == Due::kNone || due_[candidate_] == Due::kNone) {
    due_[candidate_] = std::min(due_[candidate_], idle);
    return;
  }
  // A row that one sequence has predicted and another idle is multiplied, though neither needs it.
  for (size_t k = 0; k < units_; ++k) due[k] &= let_in[k];
}

size_t SaturatedStep::MultiplyInParts(const RowBuffer* new_ax) {
  constexpr size_t kFirst = 0;
  const RowProduct& input = saturation_.input;
  const RowProduct& recurrent = saturation_.recurrent;
  std::fill_n(input.done, input.groups, uint8_t{0});
  std::fill_n(recurrent.done, recurrent.groups, uint8_t{0});
  size_t work = 0;
  const auto multiply_due = [&] {
    if (new_ax != nullptr) work += MultiplyDueRows(input, kFirst, rows_.x, *new_ax);
    work += MultiplyDueRows(recurrent, kFirst, rows_.h, rows_.ah);
  };
  for (size_t g = 0; predicts() && g < sum_gates_; ++g) MarkPredicted(g);
  if (!leaves_idle()) {
    multiply_due();
    return work;
  }
  const Due candidates = std::exchange(due_[candidate_], Due::kNone);
  multiply_due();
  if (predicts(guard_)) {
    for (size_t i = 0; i < rows_.count; ++i) TakePredicted(i, guard_);
  }
  std::fill_n(due_, kMostGates, Due::kNone);
  due_[candidate_] = candidates;
  MarkIdle();
  multiply_due();
  return work;
}

size_t SaturatedStep::TakePredicted(size_t i, size_t gate, uint8_t* due) {
  StandInArgs args;
  args.a = PredictedOf(i, gate);
  args.limit = LimitOf(gate);
  args.ax = rows_.ax[i] + gate * units_;
  args.ah = rows_.ah.row(i) + gate * units_;
  args.size = units_;
  args.due = due;
  return saturation_.stand_in(args);
}

size_t SaturatedStep::LeaveOutIdle(size_t i, uint8_t* due) {
  float* ax = rows_.ax[i];
  float* ah = rows_.ah.row(i);
  return saturation_.stand_in({ax + guard_ * units_, ah + guard_ * units_,
                               saturation_.gates->shut_sign, saturation_.limits->idle,
                               ax + candidate_ * units_, ah + candidate_ * units_, units_, due});
}

size_t SaturatedStep::StandIn(size_t i) {
  size_t count = 0;
  for (size_t g = 0; predicts() && g < sum_gates_; ++g) {
    const size_t predicted = TakePredicted(i, g);
    if (predicted == units_) whole_gates_ += units_;
    count += predicted;
  }
  if (!leaves_idle()) return count;
  if (predicts(candidate_)) {  // some are idle and predicted
    const float limit = LimitOf(candidate_);
    const float* p = PredictedOf(i, candidate_);
    for (size_t k = 0; k < units_; ++k) count -= std::abs(p[k]) > limit && IsIdle(i, k) ? 1 : 0;
  }
  const size_t idle = LeaveOutIdle(i);
  if (idle == units_) whole_gates_ += units_;
  counters_.rows_idle += idle;
  return count + idle;
}

void SaturatedStep::Multiply(const RowBuffer* new_ax) {
  const size_t count = rows_.count;
  counters_.rows += count * saturation_.rows;
  counters_.rows_run += count * saturation_.rows;
  if (new_ax == nullptr) counters_.multiply_adds += count * saturation_.input.multiply_adds;
  SetLimits();
  if (predicts()) Predict();
  counters_.multiply_adds += MultiplyInParts(new_ax);
}

bool SaturatedStep::StandInOf(size_t i) {
  // Row groups of several rows are spared for sure where a whole gate is.
  whole_gates_ = 0;
  const size_t left_out = StandIn(i);
  counters_.rows_run -= left_out;
  const bool is_by_row = saturation_.recurrent.group_of_row == nullptr;
  const auto spared = static_cast<double>(is_by_row ? left_out : whole_gates_);
  return spared >= saturation_.least_left_out * static_cast<double>(saturation_.rows);
}

void SaturatedStep::MultiplyCandidates(RowsAt reset_h, RowsAt y) {
  const RowProduct& candidate = saturation_.candidate;
  if (due_[candidate_] == Due::kAll) {
    candidate.plain.Run(team_, reset_h, y, rows_.count);
    counters_.multiply_adds += rows_.count * candidate.multiply_adds;
  } else {
    std::fill_n(candidate.done, candidate.groups, uint8_t{0});
    counters_.multiply_adds += MultiplyDueRows(candidate, candidate_, reset_h, y);
  }
  for (size_t i = 0; leaves_idle() && i < rows_.count; ++i) LeaveOutIdle(i);
}

}  // namespace espalier
