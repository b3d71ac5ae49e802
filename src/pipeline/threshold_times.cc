#include "pipeline/threshold_times.h"

#include <algorithm>
#include <utility>

#include "artifact/artifact.h"
#include "base/stopwatch.h"
#include "pipeline/evaluate.h"
#include "runtime/denormals.h"
#include "runtime/session.h"

namespace espalier {
namespace {

// The validation split as one stream, in calls of one step, or of a sequence's mean length where
// the network cannot stream.
struct Stream {
  const Dataset& data;
  int64_t steps_per_call = 1;
  int64_t calls = 0;

  BatchView CallAt(int64_t call) const {
    return StepsOf(data, call * steps_per_call, steps_per_call);
  }
};

// One session that is timed.
struct Timed {
  Session session;
  std::vector<double> us;  // of each call, for a step
};

// By the stream's first steps. Where a change is next to a threshold, rounding may send it in one
// and not in the other, and recurrent networks can make much of that: so by the steps after these,
// from zero states, if the first are not as in the reference.
Status Verify(const Graph& graph, const Stream& stream, Session* session) {
  constexpr int64_t kVerifiedSteps = 200;
  constexpr int64_t kStretches = 3;
  std::vector<BatchView> calls(static_cast<size_t>(
      std::clamp<int64_t>(kVerifiedSteps / stream.steps_per_call, 1, stream.calls)));
  Status status;
  for (int64_t stretch = 0; stretch < kStretches; ++stretch) {
    const int64_t first = stretch * static_cast<int64_t>(calls.size());
    for (size_t i = 0; i < calls.size(); ++i) {
      calls[i] = stream.CallAt((first + static_cast<int64_t>(i)) % stream.calls);
    }
    status = CheckAgainstReference(graph, calls, session);
    if (status.ok()) break;
  }
  return status;
}

// All in turn: some steps of each after some that are not timed, which bring its weights back to
// the caches.
Status TimeInTurn(const Stream& stream, const ThresholdOptions& options, std::vector<Timed>* all) {
  constexpr int64_t kWarmCalls = 8;
  constexpr int64_t kTimedCalls = 64;
  const FlushDenormals flush;
  for (Timed& timed : *all) timed.session.Reset();
  int64_t first = 0;
  for (int64_t done = 0; done < options.timed_steps; done += kTimedCalls * stream.steps_per_call) {
    if (options.is_cancelled && options.is_cancelled()) {
      return Cancelled("stopped before the points were timed");
    }
    for (Timed& timed : *all) {
      for (int64_t i = 0; i < kWarmCalls + kTimedCalls; ++i) {
        const BatchView view = stream.CallAt((first + i) % stream.calls);
        const Stopwatch watch;
        ESPALIER_RETURN_IF_ERROR(timed.session.Run(view));
        const double us = watch.ElapsedNs() / 1e3 / static_cast<double>(stream.steps_per_call);
        if (i >= kWarmCalls) timed.us.push_back(us);
      }
    }
    first += kWarmCalls + kTimedCalls;
  }
  return Ok();
}

}  // namespace

Result<std::vector<StepTimes>> TimeSteps(const std::vector<TimedNetwork>& networks,
                                         const Dataset& valid, const ThresholdOptions& options) {
  const int64_t mean = std::max<int64_t>(1, valid.offsets.back() / valid.size());
  Stream stream{valid, IsStreamable(networks.front().graph) ? 1 : mean, 0};
  stream.calls = valid.offsets.back() / stream.steps_per_call;
  SessionOptions session;
  session.target = options.target;
  session.max_steps = stream.steps_per_call;
  std::vector<Timed> all;
  for (const TimedNetwork& network : networks) {
    ESPALIER_ASSIGN_OR_RETURN(Session made, Session::Create(*network.artifact, session));
    Timed& timed = all.emplace_back(Timed{std::move(made), {}});
    for (const auto& [layer, rules] : network.rules) {
      ESPALIER_RETURN_IF_ERROR(timed.session.SetRules(layer, rules));
    }
    ESPALIER_RETURN_IF_ERROR(Verify(network.graph, stream, &timed.session));
  }
  ESPALIER_RETURN_IF_ERROR(TimeInTurn(stream, options, &all));
  std::vector<StepTimes> times;
  for (Timed& timed : all) times.push_back(StepTimesOf(std::move(timed.us)));
  return times;
}

}  // namespace espalier
