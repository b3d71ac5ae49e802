#include "pipeline/bench.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/rng.h"
#include "base/stopwatch.h"
#include "base/strings.h"
#include "model/reference.h"
#include "runtime/denormals.h"

namespace espalier {
namespace {

// A sample times as many calls as fill this long, so that the clock's grain does not show.
constexpr double kSampleNs = 200e3;
// Of the largest output, and of 1 if that is larger: what ONNX files promise too. A product over
// the 257 terms of an LSTM-128's gate is exact to 257 x 2^-24 = 1.5e-5 of the sum of their sizes in
// the worst order, and gates squash what comes of it; ours and ONNX Runtime's were found within
// 1e-6.
constexpr double kTolerance = 1e-5;

struct Inputs {
  std::vector<float> values;  // [N, T, B, W]
  size_t count = 0;           // N
  size_t steps = 0;           // T
  size_t width = 0;           // B * W

  std::span<const float> sequence(size_t i) const {
    return std::span(values).subspan((i % count) * steps * width, steps * width);
  }
  std::span<const float> step(size_t i) const {
    return std::span(values).subspan((i % (count * steps)) * width, width);
  }
};

Result<Inputs> MakeInputs(const Graph& graph, const BenchOptions& options) {
  const ValueType& type = graph.inputs[0].type;
  Inputs inputs;
  inputs.steps = static_cast<size_t>(options.shape.steps);
  inputs.width = static_cast<size_t>(options.shape.batch * StepWidth(type));
  inputs.values = options.sequences;
  if (inputs.values.empty()) {
    Rng rng(options.seed);
    inputs.values.resize(static_cast<size_t>(options.sequence_count) * inputs.steps * inputs.width);
    const bool is_ids = type.element == Element::kI32;
    for (float& x : inputs.values) {
      x = static_cast<float>(
          is_ids ? static_cast<double>(rng.Below(static_cast<uint64_t>(type.features)))
                 : rng.Normal());
    }
  }
  inputs.count = inputs.values.size() / (inputs.steps * inputs.width);
  if (inputs.count == 0) return InvalidArgument("bench: at least one sequence expected, 0 found");
  return inputs;
}

// What the reference leaves, from zero states, as last values of the first output, [B, O].
Result<std::vector<float>> ExpectedOf(const Graph& graph, std::span<const float> x,
                                      const BenchShape& shape) {
  Batch batch;
  batch.steps = shape.steps;
  batch.size = shape.batch;
  if (graph.inputs[0].type.element == Element::kI32) {
    for (const float id : x) batch.ids.push_back(static_cast<int32_t>(id));
  } else {
    batch.features.assign(x.begin(), x.end());
  }
  batch.lengths.assign(static_cast<size_t>(shape.batch), static_cast<int32_t>(shape.steps));
  StateSet states = ZeroStates(graph, shape.batch);
  ESPALIER_ASSIGN_OR_RETURN(const auto values, RunReference(graph, batch, &states));
  const Value& value = values.at(graph.outputs[0]);
  const auto count = static_cast<std::ptrdiff_t>(shape.batch * value.type.features);
  return std::vector<float>(value.values.end() - count, value.values.end());
}

double RmsOf(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

// Raises `error` to the largest difference. NaN equals nothing.
Status CheckOutput(const std::string& where, const std::vector<float>& expected,
                   const BenchSystem& system, double* error) {
  const std::span<const float> found = system.output();
  if (found.size() != expected.size()) {
    return Internal(
        StrCat(where, ": an output of ", expected.size(), " expected, ", found.size(), " found"));
  }
  const std::vector<double> wanted(expected.begin(), expected.end());
  std::vector<double> gaps(wanted.size());
  double scale = 1.0;
  for (size_t i = 0; i < gaps.size(); ++i) {
    gaps[i] = std::abs(wanted[i] - static_cast<double>(found[i]));
    *error = std::max(*error, gaps[i]);
    scale = std::max(scale, std::abs(wanted[i]));
  }
  if (system.rms_tolerance > 0.0) {
    const double ratio = RmsOf(gaps) / RmsOf(wanted);
    if (ratio <= system.rms_tolerance) return Ok();
    return Internal(StrCat(where, ": an rms error of at most ", system.rms_tolerance,
                           " of the reference's rms expected, ", ratio, " found"));
  }
  for (size_t i = 0; i < gaps.size(); ++i) {
    if (gaps[i] <= kTolerance * scale) continue;
    return Internal(StrCat(where, ": output element ", i, ": ", expected[i],
                           " expected as in the reference, ", found[i], " found"));
  }
  return Ok();
}

// Runs every sequence as a whole, and step by step from zero states, and compares the output at
// each one's end with the reference executor's. (Not as one stream: over hundreds of steps a
// recurrent network can make more of a rounding than kTolerance.) Rules do not rest meanwhile.
// Returns the largest difference.
Result<double> Verify(const BenchSystem& system, const Inputs& inputs,
                      const std::vector<std::vector<float>>& all_expected) {
  double error = 0.0;
  if (system.set_rests) system.set_rests(false);
  for (size_t i = 0; i < inputs.count; ++i) {
    const std::span<const float> x = inputs.sequence(i);
    const std::vector<float>& expected = all_expected[i];
    ESPALIER_RETURN_IF_ERROR(system.run_sequence(x));
    const std::string where = StrCat("bench: ", system.name, ", sequence ", i);
    ESPALIER_RETURN_IF_ERROR(CheckOutput(where + " as a whole", expected, system, &error));
    if (!system.run_step) continue;
    system.reset_stream();
    for (size_t t = 0; t < inputs.steps; ++t) {
      ESPALIER_RETURN_IF_ERROR(system.run_step(inputs.step(i * inputs.steps + t)));
    }
    ESPALIER_RETURN_IF_ERROR(CheckOutput(where + " step by step", expected, system, &error));
  }
  if (system.set_rests) system.set_rests(true);
  return error;
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

// One sample: the mean of `calls` calls, after some that are not timed. They bring the weights back
// to the caches, which the systems before it took: it is timed as it runs when it runs all the
// time. (After one such call slot_8x8 took 275 us a step at H = 1024, after four 100 to 170: Zen's
// last level is filled by what the second evicts.)
constexpr int kWarmCalls = 4;
Status WarmUp(Timed* timed) {
  constexpr double kLongestNs = 50e6;  // libtorch takes 0.5 s for 200 steps of 1024 units
  const Stopwatch watch;
  for (int i = 0; i < kWarmCalls && watch.ElapsedNs() < kLongestNs; ++i) {
    ESPALIER_RETURN_IF_ERROR(timed->call(timed->next++));
  }
  return Ok();
}

Status Sample(Timed* timed) {
  const Stopwatch watch;
  for (int64_t i = 0; i < timed->calls; ++i) ESPALIER_RETURN_IF_ERROR(timed->call(timed->next++));
  timed->us.push_back(watch.ElapsedNs() / 1e3 / static_cast<double>(timed->calls));
  return Ok();
}

Status TimeInterleaved(const BenchOptions& options, std::vector<Timed>* all) {
  const bool is_cold = options.cache == CacheState::kCold;
  CacheEvictor evictor;
  const auto sample = [&](Timed* timed) -> Status {
    if (is_cold) {
      evictor.Evict();
    } else {
      ESPALIER_RETURN_IF_ERROR(WarmUp(timed));
    }
    return Sample(timed);
  };
  for (Timed& timed : *all) {  // find how many calls fill a sample
    for (int i = 0; i < 3; ++i) ESPALIER_RETURN_IF_ERROR(sample(&timed));
    const double ns = *std::min_element(timed.us.begin(), timed.us.end()) * 1e3;
    if (!is_cold) {
      timed.calls =
          std::clamp<int64_t>(static_cast<int64_t>(kSampleNs / std::max(ns, 1.0)), 1, 100000);
    }
    ESPALIER_RETURN_IF_ERROR(sample(&timed));
    timed.us.clear();
  }
  for (int64_t r = 0; r < options.repetitions; ++r) {
    if (options.cancel != nullptr && options.cancel->load()) return Cancelled("bench: interrupted");
    for (Timed& timed : *all) ESPALIER_RETURN_IF_ERROR(sample(&timed));
  }
  return Ok();
}

// Single calls of all in turn: 8 rounds of up to 500 of each, in up to 20 ms. The clock itself
// takes 0.02 to 0.05 us.
Status TimeSingleCalls(const BenchOptions& options, std::vector<Timed>* all) {
  constexpr int kRounds = 8;
  constexpr int64_t kMostCalls = 500;
  constexpr int64_t kFewestCalls = 25;
  constexpr double kRoundNs = 20e6;
  const bool is_cold = options.cache == CacheState::kCold;
  CacheEvictor evictor;
  for (Timed& timed : *all) timed.us.clear();
  for (int round = 0; round < kRounds; ++round) {
    if (options.cancel != nullptr && options.cancel->load()) return Cancelled("bench: interrupted");
    for (Timed& timed : *all) {
      if (!is_cold) ESPALIER_RETURN_IF_ERROR(WarmUp(&timed));
      const Stopwatch whole;
      for (int64_t i = 0; i < kMostCalls; ++i) {
        if (i >= kFewestCalls && whole.ElapsedNs() > kRoundNs) break;
        if (is_cold) evictor.Evict();
        const Stopwatch watch;
        ESPALIER_RETURN_IF_ERROR(timed.call(timed.next++));
        timed.us.push_back(watch.ElapsedNs() / 1e3);
      }
    }
  }
  return Ok();
}

}  // namespace

int64_t StepWidth(const ValueType& input) {
  return input.element == Element::kI32 ? 1 : input.features;
}

Result<std::vector<SystemTiming>> TimeSystems(const std::vector<BenchSystem>& systems,
                                              const BenchOptions& options) {
  const FlushDenormals flush;  // in all systems alike, as a Session does
  const BenchShape& shape = options.shape;
  if (systems.empty() || shape.steps < 1 || shape.batch < 1 || options.repetitions < 1) {
    return InvalidArgument(
        StrCat("bench: at least 1 system, step, stream and repetition expected, ", systems.size(),
               ", ", shape.steps, ", ", shape.batch, " and ", options.repetitions, " found"));
  }
  ESPALIER_ASSIGN_OR_RETURN(const Inputs inputs, MakeInputs(*systems.front().graph, options));
  std::vector<SystemTiming> timings(systems.size());
  std::map<const Graph*, std::vector<std::vector<float>>> expected;  // of each sequence
  std::vector<Timed> sequences;
  std::vector<Timed> steps;
  std::vector<size_t> streaming;  // the systems of `steps`
  for (size_t i = 0; i < systems.size(); ++i) {
    const BenchSystem& system = systems[i];
    std::vector<std::vector<float>>& of_graph = expected[system.graph];
    for (size_t n = of_graph.size(); n < inputs.count; ++n) {
      ESPALIER_ASSIGN_OR_RETURN(auto values, ExpectedOf(*system.graph, inputs.sequence(n), shape));
      of_graph.push_back(std::move(values));
    }
    ESPALIER_ASSIGN_OR_RETURN(timings[i].error, Verify(system, inputs, of_graph));
    if (options.what != BenchWhat::kSteps) {
      sequences.push_back(
          {[&](size_t n) { return system.run_sequence(inputs.sequence(n)); }, 1, 0, {}});
    }
    if (options.what != BenchWhat::kSequences && system.run_step) {
      steps.push_back({[&](size_t n) { return system.run_step(inputs.step(n)); }, 1, 0, {}});
      streaming.push_back(i);
    }
  }
  ESPALIER_RETURN_IF_ERROR(TimeInterleaved(options, &sequences));
  ESPALIER_RETURN_IF_ERROR(TimeInterleaved(options, &steps));
  for (size_t i = 0; i < sequences.size(); ++i) {
    timings[i].us_per_sequence = Quartiles(std::move(sequences[i].us));
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    timings[streaming[i]].us_per_step = Quartiles(steps[i].us);
  }
  if (!options.times_single_steps) return timings;
  ESPALIER_RETURN_IF_ERROR(TimeSingleCalls(options, &steps));
  for (size_t i = 0; i < steps.size(); ++i) {
    timings[streaming[i]].step_times = StepTimesOf(std::move(steps[i].us));
  }
  return timings;
}

Result<BenchRecord> RunBench(const std::vector<BenchSystem>& systems, const BenchOptions& options) {
  BenchOptions both = options;
  both.what = BenchWhat::kBoth;
  both.times_single_steps = true;
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<SystemTiming> timings, TimeSystems(systems, both));
  BenchRecord record;
  record.sequence_steps = options.shape.steps;
  record.repetitions = options.repetitions;
  record.threads = options.threads;
  for (size_t i = 0; i < systems.size(); ++i) {
    record.systems.push_back({systems[i].name, *timings[i].us_per_sequence, timings[i].us_per_step,
                              timings[i].step_times});
  }
  return record;
}

}  // namespace espalier
