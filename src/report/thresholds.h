// ThresholdCurve: what the thresholds of delta updates (model/graph.h, Delta) cost and what they
// save, measured point by point. `espalier thresholds` and the stage of that name make it
// (pipeline/thresholds.h); it is part of the run record.
#ifndef ESPALIER_REPORT_THRESHOLDS_H_
#define ESPALIER_REPORT_THRESHOLDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/step_times.h"

namespace espalier {

// One layer at one point; both directions together. Shares are in [0, 1].
struct LayerPoint {
  std::string layer;
  double x = 0.0, h = 0.0;            // thresholds
  double x_sent = 0.0, h_sent = 0.0;  // share of the columns that were sent
  double skipped = 0.0;               // share of the steps
  // Of the rule that is searched where that is idle or predicted: its epsilon, and the share of the
  // rows that were not left out.
  double epsilon = 0.0, rows_run = 0.0;
};

struct ThresholdPoint {
  double factor = 0.0;  // thresholds over the layers' scales
  bool skips = true;    // false: steps that the network would skip were run
  std::vector<LayerPoint> layers;
  double metric = 0.0;
  double loss = 0.0;
  double sent = 0.0;           // share of the columns of x and h of all layers
  double multiply_adds = 0.0;  // done, of those without rules; padding may bring it above 1
  std::optional<StepTimes> us_per_step;
  double rows = 1.0;  // share of the rows of all layers that were not left out
};

struct ThresholdCurve {
  std::string target;                  // "loss", "sent", "rows" or "multiply_adds"
  double most = 0.0;                   // what the target allows
  std::string metric;                  // its name
  std::vector<ThresholdPoint> points;  // factors rise; one that does not skip comes first
  size_t chosen = 0;                   // index of the point that the network has
  // The same network without rules, timed in turn with every point.
  std::optional<StepTimes> us_per_step_without;
  // Whether epsilons of rows that are left out are looked for, and not thresholds of delta.
  bool of_rows = false;
};

// One JSON object, as docs/run-record.md, "thresholds"; ends with a newline.
std::string ThresholdsJson(const ThresholdCurve& curve);

// "Thresholds were chosen on the validation split to lose at most 1.0 % of the accuracy: factor
// ...", and NotFasterText.
std::string TargetText(const ThresholdCurve& curve);

// Whether a step at the chosen point takes less time, in the mean, than without rules; nullopt if
// nothing was timed.
std::optional<bool> IsFaster(const ThresholdCurve& curve);

// "The chosen point takes 8.8 us a step and is not faster than the network without rules ...: leave
// the rules out."; "" where it is faster, was not timed, or leaves skipping out already.
std::string NotFasterText(const ThresholdCurve& curve);

// "factor 0.5: accuracy 92.00 %, 20.1 % sent, 11.0 % of the multiply-adds"
std::string PointText(const std::string& metric, bool of_rows, const ThresholdPoint& point);

// A line for each point, the chosen one marked, and under it what each layer does there.
std::string ThresholdsTable(const ThresholdCurve& curve);

}  // namespace espalier

#endif  // ESPALIER_REPORT_THRESHOLDS_H_
