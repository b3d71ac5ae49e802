#include "runtime/delta.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/budget.h"
#include "runtime/rest.h"

namespace espalier {
namespace {

// One of the two products of a step.
struct Sending {
  const DeltaProduct& product;
  const float* values;
  float threshold;      // in force
  float own_threshold;  // as compiled or set
  float base;           // BudgetOptions::base_x or base_h
  float* sent;
  float* memory;
  uint64_t* columns;  // counters
  uint64_t* columns_sent;
};

Sending InputOf(const DynamicLayer& layer, const DeltaStep& step) {
  return {layer.input,
          step.x,
          layer.rules->delta_x,
          layer.own->delta_x,
          layer.forecast->base_x,
          step.x_sent,
          step.input_memory,
          &layer.counters->x_columns,
          &layer.counters->x_sent};
}

Sending RecurrentOf(const DynamicLayer& layer, const DeltaStep& step) {
  return {layer.recurrent,        step.h,      layer.rules->delta_h,  layer.own->delta_h,
          layer.forecast->base_h, step.h_sent, step.recurrent_memory, &layer.counters->h_columns,
          &layer.counters->h_sent};
}

// Returns how many columns were sent, and lists them if they are no more than `most`.
size_t Send(const DynamicLayer& layer, const Sending& of, size_t most) {
  const auto size = static_cast<size_t>(of.product.plain.weight.cols);
  const size_t count = layer.send(
      {of.values, of.sent, size, of.threshold, layer.bank, most, layer.columns, layer.changes});
  *of.columns += size;
  *of.columns_sent += count;
  return count;
}

// As Send. With a budget by the threshold in force, or the lowest of those above it that keeps the
// step in it.
size_t SendInBudget(const DynamicLayer& layer, Sending of, size_t most) {
  StepForecast& forecast = *layer.forecast;
  const DeltaProduct& product = of.product;
  if (!forecast.is_on || !(product.column_ns > 0.0)) return Send(layer, of, most);
  const size_t bytes = static_cast<size_t>(product.plain.weight.cols) * sizeof(float);
  std::memcpy(layer.sent_before, of.sent, bytes);
  const uint64_t before = *of.columns, sent_before = *of.columns_sent;
  float factor = forecast.factor;
  for (;;) {
    const size_t count = Send(layer, of, most);
    const double ns = std::min(product.plain_ns, static_cast<double>(count) * product.column_ns);
    const double over_mean = ns - *product.mean_ns;
    factor = std::min(forecast.most, factor * kRaiseThresholds);
    const float raised = RaisedThreshold(of.own_threshold, of.base, factor);
    const bool is_too_long = over_mean > forecast.spare_ns && forecast.may_raise;
    forecast.is_at_most |= is_too_long && !(raised > of.threshold);
    if (!is_too_long || !(raised > of.threshold)) {
      forecast.spare_ns -= over_mean;
      AddToMean(ns, product.mean_ns);
      forecast.has_judged = true;
      return count;
    }
    std::memcpy(of.sent, layer.sent_before, bytes);
    *of.columns = before;
    *of.columns_sent = sent_before;
    of.threshold = raised;
    forecast.has_raised = true;
  }
}

struct Multiplied {
  bool anew = false;
  bool too_many = false;  // columns, for their changes to be added
};

Multiplied Multiply(const DynamicLayer& layer, const Sending& of, bool is_fresh, const float* ahead,
                    const float** row) {
  const DeltaProduct& product = of.product;
  if (!is_fresh) {
    layer.forecast->is_typical = false;
    layer.forecast->spare_ns -= std::max(0.0, product.plain_ns - *product.mean_ns);
  }
  const size_t count =
      is_fresh ? SendInBudget(layer, of, product.most_columns) : Send(layer, of, 0);
  const bool too_many = count > product.most_columns;
  // What is added and taken off again leaves its rounding: a spike is multiplied anew, when it
  // comes and when it goes. False for NaN.
  constexpr float kLargestChange = 256.0f;
  const auto is_small = [](float change) { return std::abs(change) < kLargestChange; };
  if (is_fresh && !too_many && std::all_of(layer.changes, layer.changes + count, is_small)) {
    KeepRow(product, of.memory, row);
    const size_t done =
        product.add(product.columns, {layer.columns, layer.changes, count, of.memory});
    layer.counters->multiply_adds += done;
    return {false, false};
  }
  *row = ahead;
  if (ahead == nullptr) {
    const auto size = static_cast<size_t>(product.plain.weight.cols);
    const MatMulArgs args{of.sent, size, product.plain.bias, of.memory, 0, 1};
    product.plain.matmul(product.plain.weight, args);
    *row = of.memory;
  }
  layer.counters->multiply_adds += product.plain_multiply_adds;
  return {true, too_many};
}

// Columns of which a product by columns takes as long as a plain one: by what was measured when it
// was compiled, or by how many weights are stored.
size_t MostColumns(const ArtifactMatrix& plain, const ArtifactMatrix& columns) {
  double share = static_cast<double>(WorkBefore(plain.view, RowGroups(plain.view))) /
                 static_cast<double>(std::max<uint64_t>(1, WorkBefore(columns.view, 1)));
  if (plain.choice.ns > 0.0 && columns.choice.ns > 0.0) {
    // Less what looking for changes and listing them takes, whatever they are. And a copy that is
    // measured by itself has the caches for itself, which the rest of a network takes (LSTM-256,
    // dense, Zen 3: where half of the columns took as long as all, adding that half made a step 1.3
    // times as long). Of one as large as the L2 cache or more the whole matrix is out of it, too,
    // when it is multiplied anew after changes were added.
    constexpr double kLookNs = 60.0;
    constexpr size_t kCachedBytes = size_t{256} << 10, kLargeBytes = size_t{1} << 20;
    const size_t bytes = columns.view.bytes.size();
    share = std::max(0.0, plain.choice.ns - kLookNs) / columns.choice.ns;
    share *= bytes <= kCachedBytes ? 0.9 : bytes < kLargeBytes ? 0.7 : 0.5;
  }
  return static_cast<size_t>(std::min(1.0, share) * static_cast<double>(plain.view.cols));
}

}  // namespace

void SetCosts(const ArtifactMatrix& plain, const ArtifactMatrix& columns, DeltaProduct* product) {
  product->most_columns = MostColumns(plain, columns);
  product->plain_ns = plain.choice.ns;
  product->column_ns = columns.choice.ns / static_cast<double>(columns.view.cols);
}

bool LooksForChanges(const DynamicLayer& layer) {
  const auto looks = [](const DeltaProduct& product, float threshold) {
    const auto cols = static_cast<size_t>(product.plain.weight.cols);
    return threshold > 0.0f || product.most_columns >= cols;
  };
  return looks(layer.input, layer.rules->delta_x) || looks(layer.recurrent, layer.rules->delta_h);
}

void SendExactly(const DynamicLayer& layer, const DeltaStep& last, size_t steps) {
  LayerCounters& counters = *layer.counters;
  const auto x_size = static_cast<size_t>(layer.input.plain.weight.cols);
  const auto h_size = static_cast<size_t>(layer.recurrent.plain.weight.cols);
  std::memcpy(last.x_sent, last.x, x_size * sizeof(float));
  std::memcpy(last.h_sent, last.h, h_size * sizeof(float));
  counters.x_columns += steps * x_size;
  counters.x_sent += steps * x_size;
  counters.h_columns += steps * h_size;
  counters.h_sent += steps * h_size;
  counters.steps += steps;
  counters.multiply_adds += steps * layer.plain_multiply_adds;
  counters.multiply_adds_without += steps * layer.plain_multiply_adds;
  last.pace[kAge] = 0.0f;
}

void SendAtRest(const DynamicLayer& layer, const DeltaStep& step) {
  constexpr size_t kNoList = 0;
  Send(layer, InputOf(layer, step), kNoList);
  const Sending recurrent = RecurrentOf(layer, step);
  const auto size = static_cast<size_t>(recurrent.product.plain.weight.cols);
  *recurrent.columns += size;
  *recurrent.columns_sent += size;
  step.pace[kAge] = 0.0f;
  layer.forecast->is_typical = false;
  // What the step after the rest begins with.
  if (!(step.pace[kRestLeft] >= 1.0f)) {
    std::memcpy(recurrent.sent, recurrent.values, size * sizeof(float));
  }
}

BroughtUp MultiplyChanges(const DynamicLayer& layer, const DeltaStep& step, const float* ahead,
                          const float** input_row) {
  float& age = step.pace[kAge];
  const bool is_fresh = age > 0.0f && age < kDeltaRefreshSteps;
  const bool begins = age == 0.0f && step.pace[kLastRest] == 0.0f;
  age = is_fresh ? age + 1.0f : 1.0f;
  const Multiplied input = Multiply(layer, InputOf(layer, step), is_fresh, ahead, input_row);
  const float* row = step.recurrent_memory;
  const Multiplied recurrent = Multiply(layer, RecurrentOf(layer, step), is_fresh, nullptr, &row);
  return {input.anew, !input.too_many || !recurrent.too_many || begins};
}

void KeepRow(const DeltaProduct& product, float* memory, const float** row) {
  if (*row == memory) return;
  std::memcpy(memory, *row, static_cast<size_t>(product.plain.weight.rows) * sizeof(float));
  *row = memory;
}

}  // namespace espalier
