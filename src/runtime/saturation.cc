#include "runtime/saturation.h"

#include <algorithm>
#include <cmath>

#include "runtime/due_groups.h"

namespace espalier {

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

size_t SaturatedStep::MultiplyDueRows(const RowProduct& product, const RowBuffer& x,
                                      const RowBuffer& y) {
  const auto rows = static_cast<size_t>(product.plain.weight.rows);
  const uint8_t* due = saturation_.due_rows;
  if (product.group_of_row != nullptr) {
    std::fill_n(saturation_.due_groups, product.groups, uint8_t{0});
    for (size_t row = 0; row < rows; ++row) {
      if (due[row] != 0) saturation_.due_groups[product.group_of_row[row]] = 1;
    }
    due = saturation_.due_groups;
  }
  uint8_t* done = product.done;
  const size_t work =
      MultiplyDue(product.plain, product.groups, team_, x, y, rows_.count,
                  [due, done](size_t group) { return due[group] != 0 && done[group] == 0; });
  for (size_t group = 0; group < product.groups; ++group) done[group] |= due[group];
  return work;
}

// Due are the rows that are not predicted for all sequences.
void SaturatedStep::MarkUnpredicted() {
  uint8_t* due = saturation_.due_rows;
  std::fill_n(due, saturation_.rows, uint8_t{1});
  if (!predicts()) return;
  const size_t units = saturation_.units;
  for (size_t g = 0; g < static_cast<size_t>(saturation_.gates->sum_gates); ++g) {
    const float limit = LimitOf(g);
    std::fill_n(due + g * units, units, uint8_t{0});
    for (size_t i = 0; i < rows_.count; ++i) {
      const float* p = saturation_.predicted.row(i) + g * units;
      for (size_t k = 0; k < units; ++k) {
        due[g * units + k] |= static_cast<uint8_t>(!(std::abs(p[k]) > limit));
      }
    }
  }
}

// Due are the candidates that a sequence lets in. The guards have been multiplied.
void SaturatedStep::MarkCandidates() {
  const Saturation& gates = *saturation_.gates;
  const size_t units = saturation_.units;
  const size_t guard = static_cast<size_t>(gates.guard) * units;
  const bool is_predictable = predicts() && gates.candidate < gates.sum_gates;
  const float limit = saturation_.limits->idle;
  uint8_t* due = saturation_.due_rows;
  std::fill_n(due, saturation_.rows, uint8_t{0});
  due += first_candidate();
  for (size_t i = 0; i < rows_.count; ++i) {
    const float* ax = rows_.ax[i] + guard;
    const float* ah = rows_.ah.row(i) + guard;
    for (size_t k = 0; k < units; ++k) {
      due[k] |= static_cast<uint8_t>(!((ax[k] + ah[k]) * gates.shut_sign > limit));
    }
  }
  if (!is_predictable) return;
  const float predicted_limit = LimitOf(static_cast<size_t>(gates.candidate));
  for (size_t k = 0; k < units; ++k) {
    bool is_due = false;
    for (size_t i = 0; i < rows_.count; ++i) {
      const float p = saturation_.predicted.row(i)[first_candidate() + k];
      const float sum = rows_.ax[i][guard + k] + rows_.ah.row(i)[guard + k];
      is_due |= !(std::abs(p) > predicted_limit) && !(sum * gates.shut_sign > limit);
    }
    due[k] = static_cast<uint8_t>(is_due);
  }
}

size_t SaturatedStep::MultiplyAll(const RowBuffer* new_ax) {
  size_t work = saturation_.recurrent.multiply_adds;
  if (new_ax != nullptr) {
    saturation_.input.plain.Run(team_, rows_.x, *new_ax, rows_.count);
    work += saturation_.input.multiply_adds;
  }
  saturation_.recurrent.plain.Run(team_, rows_.h, rows_.ah, rows_.count);
  return rows_.count * work;
}

size_t SaturatedStep::MultiplyInParts(const RowBuffer* new_ax) {
  const RowProduct& input = saturation_.input;
  const RowProduct& recurrent = saturation_.recurrent;
  in_parts_ = true;
  MarkUnpredicted();
  if (leaves_idle()) {
    std::fill_n(saturation_.due_rows + first_candidate(), saturation_.units, uint8_t{0});
  }
  size_t work = 0;
  const auto multiply_due = [&] {
    if (new_ax != nullptr) work += MultiplyDueRows(input, rows_.x, *new_ax);
    work += MultiplyDueRows(recurrent, rows_.h, rows_.ah);
  };
  std::fill_n(input.done, input.groups, uint8_t{0});
  std::fill_n(recurrent.done, recurrent.groups, uint8_t{0});
  multiply_due();
  if (!leaves_idle()) return work;
  for (size_t i = 0; predicts() && i < rows_.count; ++i) TakePredicted(i);
  MarkCandidates();
  multiply_due();
  return work;
}

size_t SaturatedStep::TakePredicted(size_t i) {
  size_t count = 0;
  const size_t units = saturation_.units;
  for (size_t g = 0; g < static_cast<size_t>(saturation_.gates->sum_gates); ++g) {
    const size_t first = g * units;
    StandInArgs args;
    args.a = saturation_.predicted.row(i) + first;
    args.limit = LimitOf(g);
    args.ax = rows_.ax[i] + first;
    args.ah = rows_.ah.row(i) + first;
    args.size = units;
    count += saturation_.stand_in(args);
  }
  return count;
}

size_t SaturatedStep::LeaveOutIdle(size_t i) {
  const size_t guard = static_cast<size_t>(saturation_.gates->guard) * saturation_.units;
  float* ax = rows_.ax[i];
  float* ah = rows_.ah.row(i);
  return saturation_.stand_in({ax + guard, ah + guard, saturation_.gates->shut_sign,
                               saturation_.limits->idle, ax + first_candidate(),
                               ah + first_candidate(), saturation_.units});
}

void SaturatedStep::Multiply(const RowBuffer* new_ax) {
  // Where less than this is saved, finding the rows takes as long; it is tried again later.
  constexpr size_t kLeastSaved = 10;  // of so many parts one
  constexpr size_t kPlainSteps = 64;
  const size_t count = rows_.count;
  const size_t all = count * (saturation_.recurrent.multiply_adds +
                              (new_ax == nullptr ? 0 : saturation_.input.multiply_adds));
  counters_.rows += count * saturation_.rows;
  counters_.rows_run += count * saturation_.rows;
  if (new_ax == nullptr) counters_.multiply_adds += count * saturation_.input.multiply_adds;
  if (!leaves_idle() && !predicts()) {
    counters_.multiply_adds += MultiplyAll(new_ax);
    return;
  }
  SetLimits();
  if (predicts()) Predict();
  size_t work = 0;
  if (*saturation_.plain_steps > 0) {
    --*saturation_.plain_steps;
    work = MultiplyAll(new_ax);
  } else {
    work = MultiplyInParts(new_ax);
    if (work * kLeastSaved > all * (kLeastSaved - 1)) *saturation_.plain_steps = kPlainSteps;
  }
  counters_.multiply_adds += work;
  for (size_t i = 0; i < count; ++i) {
    if (predicts()) counters_.rows_run -= TakePredicted(i);
    if (leaves_idle()) counters_.rows_run -= LeaveOutIdle(i);
  }
}

void SaturatedStep::MultiplyCandidates(const RowBuffer& reset_h, const RowBuffer& y) {
  const RowProduct& candidate = saturation_.candidate;
  const size_t count = rows_.count;
  if (!in_parts_ || !leaves_idle()) {
    candidate.plain.Run(team_, reset_h, y, count);
    counters_.multiply_adds += count * candidate.multiply_adds;
  } else {
    std::fill_n(candidate.done, candidate.groups, uint8_t{0});
    // The rows of this product begin with the first candidate.
    std::copy_n(saturation_.due_rows + first_candidate(), saturation_.units, saturation_.due_rows);
    counters_.multiply_adds += MultiplyDueRows(candidate, reset_h, y);
  }
  for (size_t i = 0; leaves_idle() && i < count; ++i) LeaveOutIdle(i);
}

}  // namespace espalier
