#include "pipeline/activity.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string>

#include "model/graph.h"
#include "pipeline/evaluate.h"

namespace espalier {
namespace {

// Watches what one state holds from step to step.
class SentWatch {
 public:
  // `name`: "" watches nothing.
  SentWatch(std::string name, int64_t width, int64_t steps)
      : name_(std::move(name)),
        before_(static_cast<size_t>(width)),
        now_(before_.size()),
        sent_(static_cast<size_t>(width * steps)),
        steps_(static_cast<size_t>(steps)) {}

  Status Look(const Session& session, int64_t step) {
    if (name_.empty()) return Ok();
    ESPALIER_RETURN_IF_ERROR(session.GetState(name_, now_));
    for (size_t i = 0; i < now_.size(); ++i) {
      sent_[i * steps_ + static_cast<size_t>(step)] = now_[i] != before_[i];
    }
    before_.swap(now_);
    return Ok();
  }
  std::vector<uint8_t> Packed() const { return PackMask(sent_); }

 private:
  std::string name_;
  std::vector<float> before_, now_;  // zero states first
  std::vector<uint8_t> sent_;        // [width, steps]
  size_t steps_ = 0;
};

struct LayerWatch {
  SentWatch x, h;
  std::vector<uint8_t> updates;
  std::vector<double> rows_run;
  LayerCounters before;
};

int64_t WidthOf(const Session& session, const std::string& state) {
  for (const StateSpec& spec : session.states()) {
    if (spec.name == state) return spec.width;
  }
  return 0;
}

// Index of the middle one by length; the first of those that are equal.
int64_t MedianSequence(const Dataset& dataset) {
  std::vector<int64_t> order(static_cast<size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return dataset.length(a) < dataset.length(b); });
  const int64_t length = dataset.length(order[order.size() / 2]);
  return *std::find_if(order.begin(), order.end(),
                       [&](int64_t i) { return dataset.length(i) == length; });
}

}  // namespace

ActivityRecord RecordOf(const LayerActivity& activity) {
  const LayerCounters& counters = activity.counters;
  ActivityRecord record;
  record.layer = activity.layer;
  record.reverse = activity.reverse;
  record.delta_x = static_cast<double>(activity.rules.delta_x);
  record.delta_h = static_cast<double>(activity.rules.delta_h);
  record.skip = activity.rules.skip;
  record.banks = activity.rules.banks;
  record.steps = static_cast<int64_t>(counters.steps);
  record.skipped = static_cast<int64_t>(counters.skipped);
  record.units = static_cast<int64_t>(counters.units);
  record.idle = static_cast<double>(activity.rules.idle);
  record.predicted = static_cast<double>(activity.rules.predicted);
  record.rows = static_cast<int64_t>(counters.rows);
  record.rows_run = static_cast<int64_t>(counters.rows_run);
  record.rows_idle = static_cast<int64_t>(counters.rows_idle);
  record.units_run = static_cast<int64_t>(counters.units_run);
  record.x_columns = static_cast<int64_t>(counters.x_columns);
  record.x_sent = static_cast<int64_t>(counters.x_sent);
  record.h_columns = static_cast<int64_t>(counters.h_columns);
  record.h_sent = static_cast<int64_t>(counters.h_sent);
  record.multiply_adds = static_cast<int64_t>(counters.multiply_adds);
  record.multiply_adds_without = static_cast<int64_t>(counters.multiply_adds_without);
  record.multiply_adds_skipped = static_cast<int64_t>(counters.multiply_adds_skipped);
  return record;
}

Status AddActivityMaps(const Artifact& artifact, const Dataset& dataset,
                       const SessionOptions& session_options,
                       std::vector<ActivityRecord>* records) {
  if (records->empty() || dataset.size() == 0 || !IsStreamable(artifact.graph())) return Ok();
  SessionOptions options = session_options;
  options.max_batch = 1;
  options.max_steps = 1;
  ESPALIER_ASSIGN_OR_RETURN(Session session, Session::Create(artifact, options));
  session.SetRests(false);
  const int64_t sequence = MedianSequence(dataset);
  const int64_t first = dataset.offsets[static_cast<size_t>(sequence)];
  const int64_t steps = std::min(dataset.length(sequence), kMostMapSteps);
  std::vector<LayerWatch> watches;
  for (ActivityRecord& record : *records) {
    ActivityMap& map = record.map.emplace();
    const RecurrentDirection direction = DirectionsOf(*FindNode(artifact.graph(), record.layer))[0];
    map.sequence = sequence;
    map.steps = steps;
    map.inputs = WidthOf(session, direction.x_sent);
    const std::string& units = record.banks ? direction.h : direction.h_sent;
    map.units = WidthOf(session, units);
    watches.push_back({SentWatch(direction.x_sent, map.inputs, steps),
                       SentWatch(units, map.units, steps),
                       {},
                       {},
                       {}});
  }
  for (int64_t t = 0; t < steps; ++t) {
    ESPALIER_RETURN_IF_ERROR(session.Run(StepsOf(dataset, first + t, 1)));
    for (size_t i = 0; i < watches.size(); ++i) {
      LayerWatch& watch = watches[i];
      const LayerCounters counters = session.Activity(i).counters;
      watch.updates.push_back(counters.skipped == watch.before.skipped);
      if (counters.rows > 0) {
        watch.rows_run.resize(static_cast<size_t>(t));  // of skipped steps 0
        watch.rows_run.push_back(
            static_cast<double>(counters.rows_run - watch.before.rows_run) /
            static_cast<double>(std::max<uint64_t>(1, counters.rows - watch.before.rows)));
      }
      watch.before = counters;
      ESPALIER_RETURN_IF_ERROR(watch.x.Look(session, t));
      ESPALIER_RETURN_IF_ERROR(watch.h.Look(session, t));
    }
  }
  for (size_t i = 0; i < watches.size(); ++i) {
    ActivityMap& map = *(*records)[i].map;
    map.updates = PackMask(watches[i].updates);
    map.x_sent = watches[i].x.Packed();
    map.h_sent = watches[i].h.Packed();
    map.rows_run = watches[i].rows_run;
  }
  return Ok();
}

}  // namespace espalier
