#include "pipeline/thresholds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "artifact/artifact.h"
#include "base/strings.h"
#include "cells/saturation.h"
#include "model/without_rules.h"
#include "pipeline/evaluate.h"
#include "pipeline/stages.h"
#include "pipeline/threshold_scales.h"
#include "pipeline/threshold_times.h"
#include "prune/dynamic.h"
#include "prune/patterns.h"
#include "runtime/session.h"

namespace espalier {
namespace {

constexpr char kDelta[] = "delta";
constexpr char kIdle[] = "idle";
constexpr char kPredicted[] = "predicted";
constexpr char kFitted[] = "fitted";
constexpr char kChanges[] = "changes";
constexpr char kCommon[] = "common";
constexpr char kOwn[] = "own";

// The factors that are tried until the target is passed; then as many halvings of the last gap,
// which find it to 2^(1/64), 1 %.
constexpr double kLeastFactor = 1.0 / 16.0;
constexpr double kMostFactor = 1024.0;
constexpr int kHalvings = 6;

// By how much the scale of one x or h is raised at once while scales are fitted, first and last.
// Smaller: a better fit, for more runs over the split.
constexpr double kFirstRaise = 2.0;
constexpr double kLastRaise = 1.4;
constexpr int kFitHalvings = 3;
constexpr double kLeastGain = 0.001;  // of the loss

double ShareOf(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

bool IsRecurrent(const Node& node) { return node.op == Op::kRecurrent; }

bool HasMethod(const Node& node, const ThresholdSpec& spec) {
  return spec.method == kIdle        ? node.idle.has_value()
         : spec.method == kPredicted ? node.predicted.has_value()
                                     : node.delta.has_value();
}

// Whether a layer is one of those that are meant where none has the method and none is named.
bool CanHave(const Node& node, const ThresholdSpec& spec) {
  const bool is_delta = spec.method == kDelta;
  const bool has_other = is_delta ? node.idle.has_value() || node.predicted.has_value()
                                  : node.delta.has_value() || StartsFromValues(node) ||
                                        SaturationOf(node.cell) == nullptr;
  return !node.skip && !node.banks.has_value() && !has_other;
}

// The epsilon at a factor: in proportion to it where it is small, and 0.5 at the largest.
double EpsilonAt(double factor) {
  // Factors begin at 1/16 and double: with this the first epsilons, where one step's error is next
  // to nothing, are half of a thousandth, and 6 of the 15 lie above 0.1, where most is left out.
  constexpr double kHalfAt = 64.0;
  return 0.5 * factor / (factor + kHalfAt) * (1.0 + kHalfAt / kMostFactor);
}

std::vector<std::string> NamesOf(const Scales& scales) {
  std::vector<std::string> names;
  for (const auto& [name, scale] : scales) names.push_back(name);
  return names;
}

Result<Artifact> CompileInMemory(const Graph& graph, const ThresholdOptions& options) {
  CompileOptions compile;
  compile.target = options.target;
  compile.tuning = options.tuning;
  compile.batched_rows = 1;  // single steps are what is timed
  ESPALIER_ASSIGN_OR_RETURN(auto bytes, Compile(graph, compile));
  return Artifact::FromBytes(std::move(bytes));
}

Graph WithoutSkipping(Graph graph) {
  for (Node& node : graph.nodes) {
    if (!IsRecurrent(node)) continue;
    for (const RecurrentDirection& direction : DirectionsOf(node)) {
      graph.weights.erase(direction.weight_skip);
      graph.weights.erase(direction.bias_skip);
    }
    node.skip = false;
  }
  return graph;
}

// Measures points and finds the one that the target asks for.
class Search {
 public:
  Search(const Graph& graph, const Artifact& artifact, const Dataset& valid,
         const ThresholdOptions& options, Scales scales)
      : graph_(graph),
        artifact_(artifact),
        valid_(valid),
        options_(options),
        scales_(std::move(scales)) {}

  Status Run();
  // Raises the scale of one x or h after the other as long as that makes the loss less where as
  // much work is done as at the chosen point. Returns whether a scale has changed: what was
  // measured is then forgotten, and Run must follow. Precondition: Run.
  Result<bool> FitScales();

  std::vector<ThresholdPoint>& points() { return points_; }
  size_t chosen() const { return chosen_; }
  double Most() const;  // what the target allows

  // The rules of every layer at a point.
  std::map<std::string, LayerRules> RulesAt(const ThresholdPoint& point) const;
  Graph GraphAt(const ThresholdPoint& point) const;

 private:
  Result<size_t> Measure(double factor, bool skips);
  struct Level {
    double factor = 0.0;
    double loss = 0.0;
  };
  // The factor in [factor / raise, factor] at which so much work is done, and the loss there, both
  // between the nearest two that were measured.
  Result<Level> LevelAt(double work, double factor, double raise);
  // What is to be little at equal loss.
  double WorkOf(const ThresholdPoint& point) const {
    return options_.spec.sent ? point.sent : options_.spec.rows ? point.rows : point.multiply_adds;
  }
  // Of the method, if it has one.
  float EpsilonOf(const LayerRules& rules) const {
    return options_.spec.method == kIdle        ? rules.idle
           : options_.spec.method == kPredicted ? rules.predicted
                                                : 0.0f;
  }
  // What the target limits.
  double CostOf(const ThresholdPoint& point) const;
  bool Meets(size_t index) const { return CostOf(points_[index]) <= Most(); }
  Status CannotMeet() const;

  const Graph& graph_;
  const Artifact& artifact_;
  const Dataset& valid_;
  const ThresholdOptions& options_;
  Scales scales_;
  std::vector<ThresholdPoint> points_;
  size_t exact_ = 0;  // index of the point that a loss is held against
  size_t chosen_ = 0;
};

std::map<std::string, LayerRules> Search::RulesAt(const ThresholdPoint& point) const {
  std::map<std::string, LayerRules> rules;
  for (const Node& node : graph_.nodes) {
    if (!IsRecurrent(node)) continue;
    if (!IsDynamic(node)) continue;
    LayerRules& layer = rules[node.name];
    layer.skip = node.skip && point.skips;
    layer.banks = node.banks.has_value();
    if (node.delta.has_value()) {
      layer.delta_x = static_cast<float>(node.delta->x);
      layer.delta_h = static_cast<float>(node.delta->h);
    }
    if (node.idle.has_value()) layer.idle = static_cast<float>(node.idle->epsilon);
    if (node.predicted.has_value()) layer.predicted = static_cast<float>(node.predicted->epsilon);
    const auto scale = scales_.find(node.name);
    if (scale == scales_.end()) continue;
    if (options_.spec.method == kIdle) {
      layer.idle = static_cast<float>(EpsilonAt(point.factor));
    } else if (options_.spec.method == kPredicted) {
      layer.predicted = static_cast<float>(EpsilonAt(point.factor));
    } else {
      layer.delta_x = static_cast<float>(point.factor * scale->second.x);
      layer.delta_h = static_cast<float>(point.factor * scale->second.h);
    }
  }
  return rules;
}

Graph Search::GraphAt(const ThresholdPoint& point) const {
  Graph graph = point.skips ? graph_ : WithoutSkipping(graph_);
  const auto rules = RulesAt(point);
  for (Node& node : graph.nodes) {
    if (!scales_.contains(node.name)) continue;
    const LayerRules& layer = rules.at(node.name);
    if (options_.spec.method == kIdle) {
      node.idle->epsilon = static_cast<double>(layer.idle);
    } else if (options_.spec.method == kPredicted) {
      node.predicted->epsilon = static_cast<double>(layer.predicted);
    } else {
      node.delta->x = static_cast<double>(layer.delta_x);
      node.delta->h = static_cast<double>(layer.delta_h);
    }
  }
  return graph;
}

Result<size_t> Search::Measure(double factor, bool skips) {
  ThresholdPoint point;
  point.factor = factor;
  point.skips = skips;
  DynamicUse use;
  use.changes.rules = RulesAt(point);
  SessionOptions session;
  session.target = options_.target;
  ESPALIER_ASSIGN_OR_RETURN(const Evaluation found,
                            EvaluateArtifact(artifact_, valid_, session, &use));
  point.metric = found.metric;
  point.loss = found.loss;
  LayerCounters all;
  std::map<std::string, LayerCounters> layers;
  const auto add = [](const LayerCounters& from, LayerCounters* to) {
    to->steps += from.steps;
    to->skipped += from.skipped;
    to->units += from.units;
    to->units_run += from.units_run;
    to->rows += from.rows;
    to->rows_run += from.rows_run;
    to->rows_idle += from.rows_idle;
    to->x_columns += from.x_columns;
    to->x_sent += from.x_sent;
    to->h_columns += from.h_columns;
    to->h_sent += from.h_sent;
    to->multiply_adds += from.multiply_adds;
    to->multiply_adds_without += from.multiply_adds_without;
    to->multiply_adds_skipped += from.multiply_adds_skipped;
  };
  for (const LayerActivity& activity : use.activity) {
    add(activity.counters, &all);
    add(activity.counters, &layers[std::string(activity.layer)]);
  }
  point.sent = ShareOf(all.x_sent + all.h_sent, all.x_columns + all.h_columns);
  if (all.rows > 0) point.rows = ShareOf(all.rows_run, all.rows);
  point.multiply_adds = ShareOf(all.multiply_adds, all.multiply_adds_without);
  for (const auto& [name, rules] : use.changes.rules) {
    const LayerCounters& counters = layers[name];
    point.layers.push_back(
        {name, static_cast<double>(rules.delta_x), static_cast<double>(rules.delta_h),
         ShareOf(counters.x_sent, counters.x_columns), ShareOf(counters.h_sent, counters.h_columns),
         ShareOf(counters.skipped, counters.steps), static_cast<double>(EpsilonOf(rules)),
         ShareOf(counters.rows_run, counters.rows)});
  }
  points_.push_back(std::move(point));
  if (options_.progress && !options_.progress(points_.back())) {
    return Cancelled("stopped before the thresholds were found");
  }
  return points_.size() - 1;
}

double Search::CostOf(const ThresholdPoint& point) const {
  if (options_.spec.sent) return point.sent;
  if (options_.spec.rows) return point.rows;
  if (options_.spec.multiply_adds) return point.multiply_adds;
  const double exact = points_[exact_].metric;
  const double lost =
      valid_.metric.better == Metric::Better::kLarger ? exact - point.metric : point.metric - exact;
  if (std::isnan(lost)) return std::numeric_limits<double>::infinity();
  return lost <= 0.0 ? 0.0 : lost / std::abs(exact);
}

double Search::Most() const {
  const ThresholdSpec& spec = options_.spec;
  return spec.sent            ? *spec.sent
         : spec.rows          ? *spec.rows
         : spec.multiply_adds ? *spec.multiply_adds
                              : *spec.loss;
}

Status Search::CannotMeet() const {
  double nearest = std::numeric_limits<double>::infinity();
  for (const ThresholdPoint& point : points_) {
    if (point.skips) nearest = std::min(nearest, CostOf(point));
  }
  return InvalidArgument(StrCat(options_.spec.sent   ? "sent"
                                : options_.spec.rows ? "rows"
                                                     : "multiply_adds",
                                ": a share that can be met expected, at least ", nearest, ", ",
                                Most(), " found"));
}

// Small thresholds meet a loss and large ones a share; the point that just does is looked for.
Status Search::Run() {
  const bool skips = std::any_of(graph_.nodes.begin(), graph_.nodes.end(),
                                 [](const Node& node) { return node.skip; });
  if (skips) ESPALIER_RETURN_IF_ERROR(Measure(0.0, false).status());
  ESPALIER_ASSIGN_OR_RETURN(exact_, Measure(0.0, true));
  const bool limits_loss = options_.spec.loss.has_value();
  // Where there are no thresholds to look for, the loss is that of skipping.
  if (skips && scales_.empty() && limits_loss) exact_ = 0;
  chosen_ = exact_;
  if (limits_loss && std::isnan(points_[exact_].metric)) {
    return InvalidArgument("loss: a finite metric without thresholds expected, nan found");
  }
  if (!limits_loss && Meets(exact_)) return Ok();
  size_t below = exact_;  // the largest factor before the target is passed
  size_t above = exact_;  // the smallest one behind it; below: there is none
  for (double factor = kLeastFactor; above == exact_ && !scales_.empty(); factor *= 2.0) {
    if (factor > kMostFactor) break;
    ESPALIER_ASSIGN_OR_RETURN(const size_t index, Measure(factor, true));
    (Meets(index) == limits_loss ? below : above) = index;
    const bool is_delta = options_.spec.method == kDelta;
    if (is_delta && points_[index].sent == 0.0) break;  // larger ones change nothing
  }
  for (int i = 0; i < kHalvings && above != exact_; ++i) {
    const double factor =
        std::sqrt(std::max(points_[below].factor, kLeastFactor / 16.0) * points_[above].factor);
    ESPALIER_ASSIGN_OR_RETURN(const size_t index, Measure(factor, true));
    (Meets(index) == limits_loss ? below : above) = index;
  }
  if (!limits_loss && above == exact_) return CannotMeet();
  if (!limits_loss) chosen_ = above;
  // Not always the largest factor: small thresholds can add more columns than a whole product
  // costs, and rows that are left out may save nothing.
  for (size_t i = 0; limits_loss && i < points_.size(); ++i) {
    const auto work = [](const ThresholdPoint& point) {
      return std::pair(point.multiply_adds, point.factor);
    };
    const bool is_less = work(points_[i]) < work(points_[chosen_]);
    if (points_[i].skips && is_less && Meets(i)) chosen_ = i;
  }
  return Ok();
}

Result<Search::Level> Search::LevelAt(double work, double factor, double raise) {
  double low = factor / raise, high = factor;
  ESPALIER_ASSIGN_OR_RETURN(size_t more, Measure(low, true));
  ESPALIER_ASSIGN_OR_RETURN(size_t less, Measure(high, true));
  for (int i = 0; i < kFitHalvings; ++i) {
    const double middle = std::sqrt(low * high);
    ESPALIER_ASSIGN_OR_RETURN(const size_t index, Measure(middle, true));
    const bool is_more = WorkOf(points_[index]) > work;
    (is_more ? more : less) = index;
    (is_more ? low : high) = middle;
  }
  const ThresholdPoint& a = points_[more];
  const ThresholdPoint& b = points_[less];
  const double gap = WorkOf(a) - WorkOf(b);
  const double part = gap > 0.0 ? std::clamp((WorkOf(a) - work) / gap, 0.0, 1.0) : 0.0;
  return Level{low * std::pow(high / low, part), a.loss + part * (b.loss - a.loss)};
}

// All scales are changed so that the factor of that work stays the same.
Result<bool> Search::FitScales() {
  const ThresholdPoint start = points_[chosen_];
  const auto count = static_cast<std::ptrdiff_t>(points_.size());
  const double work = WorkOf(start);
  double best = start.loss;
  bool has_changed = false;
  for (double raise = kFirstRaise; start.factor > 0.0 && raise > kLastRaise;) {
    bool is_better = false;
    for (const std::string& layer : NamesOf(scales_)) {
      for (double Scale::*const field : {&Scale::x, &Scale::h}) {
        const Scales before = scales_;
        scales_[layer].*field *= raise;
        ESPALIER_ASSIGN_OR_RETURN(const Level level, LevelAt(work, start.factor, raise));
        if (!(level.loss < best * (1.0 - kLeastGain))) {
          scales_ = before;
          continue;
        }
        best = level.loss;
        is_better = has_changed = true;
        for (auto& [name, scale] : scales_) {
          scale.x *= level.factor / start.factor;
          scale.h *= level.factor / start.factor;
        }
      }
    }
    if (!is_better) raise = std::sqrt(raise);
  }
  // Points of other scales are no part of the curve.
  points_.erase(points_.begin() + (has_changed ? 0 : count), points_.end());
  return has_changed;
}

// Fills the times of the curve.
Status TimePoints(const Search& search, const Graph& graph, const Artifact& artifact,
                  const Dataset& valid, const ThresholdOptions& options, ThresholdCurve* curve) {
  const Graph plain = WithoutRules(graph);
  ESPALIER_ASSIGN_OR_RETURN(const Artifact plain_artifact, CompileInMemory(plain, options));
  std::vector<TimedNetwork> networks;
  for (const ThresholdPoint& point : curve->points) {
    networks.push_back({&artifact, search.RulesAt(point), search.GraphAt(point)});
  }
  networks.push_back({&plain_artifact, {}, plain});
  ESPALIER_ASSIGN_OR_RETURN(const std::vector<StepTimes> times,
                            TimeSteps(networks, valid, options));
  for (size_t i = 0; i < curve->points.size(); ++i) curve->points[i].us_per_step = times[i];
  curve->us_per_step_without = times.back();
  return Ok();
}

}  // namespace

Status ValidateThresholds(const ThresholdSpec& spec) {
  const std::pair<const char*, const std::optional<double>&> targets[] = {
      {"loss", spec.loss},
      {"sent", spec.sent},
      {"rows", spec.rows},
      {"multiply_adds", spec.multiply_adds}};
  std::vector<std::string> given;
  for (const auto& [name, value] : targets) {
    if (!value) continue;
    given.emplace_back(name);
    if (!(*value >= 0.0 && *value <= 1.0)) {
      return InvalidArgument(StrCat(name, ": a share in [0, 1] expected, ", *value, " found"));
    }
  }
  if (given.size() != 1) {
    return InvalidArgument(StrCat("one target of loss, sent, rows and multiply_adds expected, ",
                                  given.empty() ? "none" : StrJoin(given, ", "), " found"));
  }
  const std::vector<std::string> methods = {kDelta, kIdle, kPredicted};
  if (std::find(methods.begin(), methods.end(), spec.method) == methods.end()) {
    return InvalidArgument("method: delta, idle or predicted expected, '" + spec.method +
                           "' found" + DidYouMean(spec.method, methods));
  }
  const bool is_delta = spec.method == kDelta;
  if (spec.sent && !is_delta) {
    return InvalidArgument("sent: method delta expected, " + spec.method + " found");
  }
  if (spec.rows && is_delta) {
    return InvalidArgument("rows: method idle or predicted expected, delta found");
  }
  if (spec.predictor && spec.method != kPredicted) {
    return InvalidArgument("predictor: method predicted expected, " + spec.method + " found");
  }
  if (spec.scale != kFitted && !is_delta) {
    return InvalidArgument("scale: method delta expected, " + spec.method + " found");
  }
  const std::vector<std::string> scales = {kFitted, kChanges, kCommon, kOwn};
  if (std::find(scales.begin(), scales.end(), spec.scale) != scales.end()) return Ok();
  return InvalidArgument("scale: fitted, changes, common or own expected, '" + spec.scale +
                         "' found" + DidYouMean(spec.scale, scales));
}

Result<std::set<std::string>> ThresholdLayers(const Graph& graph, const ThresholdSpec& spec) {
  std::vector<std::string> all, with_method, updating;
  for (const Node& node : graph.nodes) {
    if (!IsRecurrent(node)) continue;
    all.push_back(node.name);
    if (HasMethod(node, spec)) with_method.push_back(node.name);
    if (CanHave(node, spec)) updating.push_back(node.name);
  }
  if (all.empty()) {
    return InvalidArgument("a network with a recurrent layer expected, none found");
  }
  if (!spec.layers.empty()) {
    return ChooseByPattern(spec.layers, all, "layers");
  }
  const std::vector<std::string>& chosen = with_method.empty() ? updating : with_method;
  return std::set<std::string>(chosen.begin(), chosen.end());
}

Result<Graph> WithThresholdsOfZero(const Graph& graph, const ThresholdSpec& spec) {
  ESPALIER_RETURN_IF_ERROR(ValidateThresholds(spec));
  ESPALIER_ASSIGN_OR_RETURN(const std::set<std::string> layers, ThresholdLayers(graph, spec));
  const bool skips = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                 [](const Node& node) { return node.skip; });
  // Of a network that only skips it is skipping that a loss leaves in, or not.
  if (layers.empty() && !(skips && spec.method == kDelta && !spec.sent)) {
    return InvalidArgument(
        StrCat("a recurrent layer that has, or can have, ", spec.method, " expected, none found",
               skips ? "; layers that skip get it where `layers` names them" : ""));
  }
  if (spec.scale == kOwn) ESPALIER_RETURN_IF_ERROR(OwnScales(graph, layers).status());
  std::vector<DynamicSpec> rules;
  for (const Node& node : graph.nodes) {
    if (!layers.contains(node.name)) continue;
    DynamicSpec rule{.name = spec.method, .layers = {node.name}};
    if (spec.method == kDelta) rule.bank = node.delta ? node.delta->bank : 1;
    if (spec.method == kPredicted) {
      rule.predictor = spec.predictor.value_or(node.predicted ? node.predicted->size : 16);
    }
    rules.push_back(std::move(rule));
  }
  return WithDynamic(graph, rules);
}

Result<FoundThresholds> FindThresholds(const Graph& given, const Dataset& valid,
                                       const ThresholdOptions& options) {
  const ThresholdSpec& spec = options.spec;
  ESPALIER_ASSIGN_OR_RETURN(Graph graph, WithThresholdsOfZero(given, spec));
  ESPALIER_RETURN_IF_ERROR(
      FitNewPredictors(given, options.train == nullptr ? valid : *options.train, &graph));
  ESPALIER_ASSIGN_OR_RETURN(const std::set<std::string> layers, ThresholdLayers(given, spec));
  if (valid.label_count() == 0) {
    return InvalidArgument("a validation split with sequences expected, none found");
  }
  ESPALIER_ASSIGN_OR_RETURN(const Artifact artifact, CompileInMemory(graph, options));
  Scales scales;
  for (const std::string& layer : layers) scales[layer] = Scale();
  const bool has_scales = spec.method == kDelta;
  if (has_scales && spec.scale == kOwn) {
    ESPALIER_ASSIGN_OR_RETURN(scales, OwnScales(given, layers));
  } else if (has_scales && spec.scale != kCommon) {
    ESPALIER_ASSIGN_OR_RETURN(scales, ScalesOfChanges(graph, layers, valid));
  }
  Search search(graph, artifact, valid, options, std::move(scales));
  ESPALIER_RETURN_IF_ERROR(search.Run());
  if (has_scales && spec.scale == kFitted) {
    ESPALIER_ASSIGN_OR_RETURN(const bool has_changed, search.FitScales());
    if (has_changed) ESPALIER_RETURN_IF_ERROR(search.Run());
  }
  FoundThresholds found;
  found.graph = search.GraphAt(search.points()[search.chosen()]);
  ThresholdCurve& curve = found.curve;
  curve.target = spec.loss ? "loss" : spec.sent ? "sent" : spec.rows ? "rows" : "multiply_adds";
  curve.most = spec.loss ? *spec.loss : search.Most();
  curve.of_rows = spec.method != kDelta;
  curve.metric = valid.metric.name;
  const ThresholdPoint chosen = search.points()[search.chosen()];
  curve.points = std::move(search.points());
  std::stable_sort(curve.points.begin(), curve.points.end(), [](const auto& a, const auto& b) {
    return std::pair(a.factor, a.skips) < std::pair(b.factor, b.skips);
  });
  for (size_t i = 0; i < curve.points.size(); ++i) {
    const ThresholdPoint& point = curve.points[i];
    if (point.factor == chosen.factor && point.skips == chosen.skips) curve.chosen = i;
  }
  if (options.timed_steps > 0) {
    ESPALIER_RETURN_IF_ERROR(TimePoints(search, graph, artifact, valid, options, &curve));
  }
  return found;
}

}  // namespace espalier
