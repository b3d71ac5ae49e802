// Thresholds of delta updates (model/graph.h, Delta) for a target: how large they may be until the
// metric of the validation split falls too far, or how large they must be until little enough is
// sent or multiplied. Nothing is trained. `espalier thresholds` and a recipe's stage of that name.
//
// x and h of each layer have a scale, how far they move in a step, fitted by what they cost; one
// factor of all scales gives all thresholds, and is found by bisection.
#ifndef ESPALIER_PIPELINE_THRESHOLDS_H_
#define ESPALIER_PIPELINE_THRESHOLDS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "compile/compile.h"
#include "model/graph.h"
#include "report/thresholds.h"
#include "tasks/dataset.h"

namespace espalier {

// What a user asks for: exactly one target.
struct ThresholdSpec {
  // At most so much of the metric is lost, as a share of what it is with thresholds of 0; of a
  // network that only skips, of what it is with nothing skipped.
  std::optional<double> loss;
  std::optional<double> sent;           // at most this share of the columns of x and h
  std::optional<double> rows;           // at most this share of the rows; idle and predicted only
  std::optional<double> multiply_adds;  // at most this share of those without rules
  // Patterns of recurrent nodes' names. Empty: those that have the method, or if there are none,
  // those that can have it and neither skip nor have banks.
  std::vector<std::string> layers;
  // "changes": root mean square of the changes from step to step; "fitted": from those on, each is
  // raised as long as the validation loss at equal work falls; "common": the same threshold
  // everywhere, as a control; "own": the thresholds that the layers have, e.g. trained ones, which
  // a factor of 1 leaves as they are.
  std::string scale = "fitted";
  // The dynamic method (prune/dynamic.h) whose numbers are looked for: delta; idle or predicted, of
  // which the epsilon is the same in all layers.
  std::string method = "delta";
  // predicted: the size of predictors that are not there yet; nullopt: 16.
  std::optional<int64_t> predictor;
};

// Errors: kInvalidArgument for none or several targets, a target out of its range, an unknown
// scale or method, or what is for another method.
Status ValidateThresholds(const ThresholdSpec& spec);

// The layers whose thresholds are looked for; none where only skipping is chosen or left. Errors:
// kInvalidArgument for a graph without a recurrent layer, or a pattern that matches none.
Result<std::set<std::string>> ThresholdLayers(const Graph& graph, const ThresholdSpec& spec);

// The graph with the method, thresholds or epsilons of 0, in the layers that the spec means; a bank
// or a predictor that is there stays. Errors: ValidateThresholds's; kInvalidArgument for a graph
// without a recurrent layer, or a pattern that matches none; what ValidateGraph says of a layer
// that cannot have the method.
Result<Graph> WithThresholdsOfZero(const Graph& graph, const ThresholdSpec& spec);

struct ThresholdOptions {
  ThresholdSpec spec;
  std::string target;  // instruction set, "" for the best
  Tuning tuning = Tuning::kMeasure;
  int64_t timed_steps = 4000;      // of each point; 0: nothing is timed
  const Dataset* train = nullptr;  // what predictors are fitted to; nullptr: the validation split
  // Told of each point that was measured; returns false to stop.
  std::function<bool(const ThresholdPoint& point)> progress;
  std::function<bool()> is_cancelled;  // asked while points are timed; empty: no
};

struct FoundThresholds {
  Graph graph;  // with the chosen thresholds
  ThresholdCurve curve;
};

// In a network that only skips there are no thresholds to find: the graph skips as before or, where
// that loses more than the target allows, not at all.
// Predictors that are not there yet are fitted first. Runs the compiled network, one thread, on
// the validation split, as often as there are points. Each point is verified against RunReference
// before it is timed, all in turn with the network without rules: single steps of a stream, or
// where the network cannot stream, sequences, of which a step's mean counts. Errors: as
// WithThresholdsOfZero; kInvalidArgument for a split without sequences, or a target that nothing
// meets, naming the nearest; Compile's; kCancelled.
Result<FoundThresholds> FindThresholds(const Graph& graph, const Dataset& valid,
                                       const ThresholdOptions& options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_THRESHOLDS_H_
