#include "pipeline/bench.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "model/reference.h"

namespace espalier {
namespace {

// A sample times as many calls as fill this long, so that the clock's grain does not show.
constexpr double kSampleNs = 200e3;
constexpr int64_t kSequenceCount = 32;  // different inputs, so that branch predictors learn none
// f32 sums over at most some hundred terms, through a few dozen recurrent steps.
constexpr double kTolerance = 2e-4;

struct Inputs {
  std::vector<float> values;  // [N, T, F]
  size_t count = 0;           // N
  size_t steps = 0;           // T
  size_t width = 0;           // F

  std::span<const float> sequence(size_t i) const {
    return std::span(values).subspan((i % count) * steps * width, steps * width);
  }
  std::span<const float> step(size_t i) const {
    return std::span(values).subspan((i % (count * steps)) * width, width);
  }
};

Result<Inputs> MakeInputs(const Graph& graph, const BenchOptions& options) {
  const ValueType& type = graph.inputs[0].type;
  if (type.element != Element::kF32) {
    return Unsupported("bench: an f32 input expected, " + TypeString(type) + " found");
  }
  Inputs inputs;
  inputs.steps = static_cast<size_t>(options.steps);
  inputs.width = static_cast<size_t>(type.features);
  inputs.values = options.sequences;
  if (inputs.values.empty()) {
    Rng rng(options.seed);
    inputs.values.resize(static_cast<size_t>(kSequenceCount) * inputs.steps * inputs.width);
    for (float& x : inputs.values) x = static_cast<float>(rng.Normal());
  }
  inputs.count = inputs.values.size() / (inputs.steps * inputs.width);
  if (inputs.count == 0) return InvalidArgument("bench: at least one sequence expected, 0 found");
  return inputs;
}

Status CheckOutput(const BenchSystem& system, const std::vector<float>& expected,
                   std::span<const float> found, const char* how) {
  double scale = 1.0;
  for (const float value : expected) scale = std::max(scale, std::abs(static_cast<double>(value)));
  for (size_t i = 0; i < expected.size(); ++i) {
    if (i < found.size() && std::abs(expected[i] - found[i]) <= kTolerance * scale) continue;
    return Internal(StrCat("bench: ", system.name, ", ", how, ": output element ", i, ": ",
                           expected[i], " expected as in the reference, ",
                           i < found.size() ? StrCat(found[i]) : "nothing", " found"));
  }
  return Ok();
}

// Runs sequence 0 as a whole and step by step, and compares with the reference executor.
Status Verify(const BenchSystem& system, const Inputs& inputs) {
  const std::span<const float> x = inputs.sequence(0);
  Batch batch;
  batch.steps = static_cast<int64_t>(inputs.steps);
  batch.size = 1;
  batch.features.assign(x.begin(), x.end());
  batch.lengths = {static_cast<int32_t>(inputs.steps)};
  StateSet states = ZeroStates(*system.graph, 1);
  ESPALIER_ASSIGN_OR_RETURN(const auto values, RunReference(*system.graph, batch, &states));
  const Value& value = values.at(system.graph->outputs[0]);
  const auto width = static_cast<std::ptrdiff_t>(value.type.features);
  const std::vector<float> expected(value.values.end() - width, value.values.end());
  ESPALIER_RETURN_IF_ERROR(system.run_sequence(x));
  ESPALIER_RETURN_IF_ERROR(CheckOutput(system, expected, system.output(), "whole sequence"));
  if (!system.run_step) return Ok();
  for (size_t t = 0; t < inputs.steps; ++t)
    ESPALIER_RETURN_IF_ERROR(system.run_step(inputs.step(t)));
  return CheckOutput(system, expected, system.output(), "step by step");
}

TimingRecord Quartiles(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    return samples[static_cast<size_t>(share * static_cast<double>(samples.size() - 1) + 0.5)];
  };
  return {at(0.5), at(0.25), at(0.75)};
}

// One thing to time: a system's sequence or step.
struct Timed {
  std::function<Status(size_t)> call;  // i-th input
  int64_t calls = 1;                   // in one sample
  size_t next = 0;
  std::vector<double> us;
};

// `samples` at the least, and the mean of `calls` calls in each.
Status Sample(Timed* timed) {
  Stopwatch watch;
  for (int64_t i = 0; i < timed->calls; ++i) ESPALIER_RETURN_IF_ERROR(timed->call(timed->next++));
  timed->us.push_back(watch.ElapsedNs() / 1e3 / static_cast<double>(timed->calls));
  return Ok();
}

Status TimeInterleaved(std::vector<Timed>* all, int64_t repetitions) {
  for (Timed& timed : *all) {  // warm up, and find how many calls fill a sample
    for (int i = 0; i < 3; ++i) ESPALIER_RETURN_IF_ERROR(Sample(&timed));
    const double ns = *std::min_element(timed.us.begin(), timed.us.end()) * 1e3;
    timed.calls =
        std::clamp<int64_t>(static_cast<int64_t>(kSampleNs / std::max(ns, 1.0)), 1, 100000);
    ESPALIER_RETURN_IF_ERROR(Sample(&timed));
    timed.us.clear();
  }
  for (int64_t r = 0; r < repetitions; ++r) {
    for (Timed& timed : *all) ESPALIER_RETURN_IF_ERROR(Sample(&timed));
  }
  return Ok();
}

}  // namespace

Result<BenchRecord> RunBench(std::vector<BenchSystem>* systems, const BenchOptions& options) {
  if (systems->empty() || options.steps < 1 || options.repetitions < 1) {
    return InvalidArgument(StrCat("bench: at least 1 system, step and repetition expected, ",
                                  systems->size(), ", ", options.steps, " and ",
                                  options.repetitions, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const Inputs inputs, MakeInputs(*systems->front().graph, options));
  std::vector<Timed> sequences;
  std::vector<Timed> steps;
  std::vector<size_t> streaming;  // the systems of `steps`
  for (size_t i = 0; i < systems->size(); ++i) {
    BenchSystem& system = (*systems)[i];
    ESPALIER_RETURN_IF_ERROR(Verify(system, inputs));
    sequences.push_back(
        {[&](size_t n) { return system.run_sequence(inputs.sequence(n)); }, 1, 0, {}});
    if (!system.run_step) continue;
    steps.push_back({[&](size_t n) { return system.run_step(inputs.step(n)); }, 1, 0, {}});
    streaming.push_back(i);
  }
  ESPALIER_RETURN_IF_ERROR(TimeInterleaved(&sequences, options.repetitions));
  ESPALIER_RETURN_IF_ERROR(TimeInterleaved(&steps, options.repetitions));
  BenchRecord record;
  record.sequence_steps = options.steps;
  record.repetitions = options.repetitions;
  record.threads = options.threads;
  for (size_t i = 0; i < systems->size(); ++i) {
    record.systems.push_back({(*systems)[i].name, Quartiles(sequences[i].us), std::nullopt});
  }
  for (size_t i = 0; i < streaming.size(); ++i) {
    record.systems[streaming[i]].us_per_step = Quartiles(steps[i].us);
  }
  return record;
}

}  // namespace espalier
