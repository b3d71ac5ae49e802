// Evaluation of compiled networks, and how they compare with the network they were made from.
#ifndef ESPALIER_PIPELINE_EVALUATE_H_
#define ESPALIER_PIPELINE_EVALUATE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/status.h"
#include "model/graph.h"
#include "pipeline/rule_changes.h"
#include "runtime/session.h"
#include "tasks/dataset.h"
#include "tasks/evaluation.h"

namespace espalier {

// The dynamic pruning of an evaluation.
struct DynamicUse {
  RuleChanges changes;
  std::vector<LayerActivity> activity;  // out: what each did; names are the artifact's

  // Of data sets with a label a sequence: each ends where the network is sure, alone in its batch,
  std::optional<ExitRule> exit;
  // or all after this share of their steps, in (0, 1], rounded up: what an exit is to be held
  // against.
  double after = 1.0;
  // Or each without a random share of its steps, in [0, 1): what skipping is to be held against.
  double drop = 0.0;
  uint64_t drop_seed = 1;
  std::vector<int64_t> steps;  // out, with one of these: that were run, [N]
};

// How long the sequences of an evaluation were.
struct StepsRun {
  double share = 1.0;  // of all steps
  int64_t p50 = 0;     // of a sequence, nearest rank
  int64_t p95 = 0;
  int64_t cut = 0;  // sequences that did not run to their end; none where steps are dropped
};
// Precondition: use.steps is [N], N > 0.
StepsRun StepsRunOf(const Dataset& dataset, const DynamicUse& use);
// e.g. "43.1 % of the steps; a sequence 40 (p50), 98 (p95); 512 of 600 ended before their last".
std::string StepsRunText(const Dataset& dataset, const StepsRun& run);

// Runs every sequence through a Session in batches; of `session_options`, B and T are set here. No
// logits are kept. Errors: what Session says, of rules and exits too; kInvalidArgument for an early
// end of a data set with a label at each step, both kinds of it or a share out of range, and if the
// artifact does not read the data set's input or its first output is not the data set's.
Result<Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                    const SessionOptions& session_options,
                                    DynamicUse* dynamic = nullptr);

// `count` steps of the data set from its step `first` on, as one sequence, which may be a part of
// one or several in a row. The data set must outlive it.
BatchView StepsOf(const Dataset& dataset, int64_t first, int64_t count);
// Sequence i.
BatchView SequenceOf(const Dataset& dataset, int64_t i);

// Runs `calls` one after the other from zero states, each of one sequence, and compares the last
// row of the first output with the reference's, with the rules in every step: by root mean square
// they are at most 1e-4 of it apart, or kDynamicRmsTolerance if the graph, which is the session's,
// is dynamic. Errors: kInternal for more; what Session and RunReference say.
Status CheckAgainstReference(const Graph& graph, std::span<const BatchView> calls,
                             Session* session);

// Two networks that compute the same function differ only by rounding. So only where the two best
// logits are this close may the classes that they predict differ; and the outputs of a regression
// differ by at most so many standard deviations of all its outputs.
inline constexpr double kTieMargin = 1e-4;
inline constexpr double kOutputTolerance = 1e-4;
// But where a threshold of dynamic pruning decides, rounding may decide otherwise: at most this
// share of all differs beyond that.
inline constexpr double kMostByThresholds = 0.01;

// Of classes, one prediction a label is compared; of a regression, every number of every output, in
// standard deviations of all outputs of `a`.
struct Agreement {
  bool is_regression = false;
  int64_t count = 0;        // what is compared
  double share = 0.0;       // of those: the same class, or within kOutputTolerance
  int64_t differences = 0;  // those that are not
  // Of those: the two best logits of `a` are more than kTieMargin apart. All, in a regression.
  int64_t unexplained = 0;
  // The largest gap between the two best logits of `a`, over the differences; or between an output
  // of `a` and that of `b`, over all.
  double largest_gap = 0.0;
  double mean_gap = 0.0;  // of a regression, over all outputs
};

// Precondition: both are of the same data set.
Agreement Compare(const Evaluation& a, const Evaluation& b);

// e.g. "99.98 % of the predictions agree; of 2 that differ, 0 are not ties within 0.0001"; "100.00
// % of the outputs agree within 0.0001 of their standard deviation; they are up to 3e-06 of it
// apart, 2e-07 in the mean".
std::string AgreementText(const Agreement& agreement);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_EVALUATE_H_
