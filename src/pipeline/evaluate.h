// Evaluation of compiled networks, and how they compare with the network they were made from.
#ifndef ESPALIER_PIPELINE_EVALUATE_H_
#define ESPALIER_PIPELINE_EVALUATE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/status.h"
#include "runtime/session.h"
#include "tasks/dataset.h"
#include "train/trainer.h"

namespace espalier {

// The dynamic pruning of an evaluation.
struct DynamicUse {
  std::optional<float> delta_x, delta_h;  // thresholds of all its layers, in the place of their own
  bool no_skip = false;                   // every step is an update
  std::map<std::string, LayerRules> rules;  // by layer, in the place of its own, before the above
  std::vector<LayerActivity> activity;      // out: what each did; names are the artifact's

  bool changes_rules() const { return delta_x || delta_h || no_skip || !rules.empty(); }
};

// Runs every sequence through a Session in batches; of `session_options`, B and T are set here. No
// logits are kept. Errors: what Session says, of rules too; kInvalidArgument if the artifact does
// not read the data set's input or its first output is not the data set's.
Result<Evaluation> EvaluateArtifact(const Artifact& artifact, const Dataset& dataset,
                                    const SessionOptions& session_options,
                                    DynamicUse* dynamic = nullptr);

struct Agreement {
  double share = 0.0;        // of labels for which both predict the same class
  int64_t differences = 0;   // labels for which they do not
  int64_t unexplained = 0;   // of those: the two best logits of `a` are more than kTieMargin apart
  double largest_gap = 0.0;  // between the two best logits of `a`, over the differences
};

// Two networks that compute the same function differ only by rounding, so only where the two best
// logits are this close may their predictions differ.
inline constexpr double kTieMargin = 1e-4;

// Precondition: both are of the same data set.
Agreement Compare(const Evaluation& a, const Evaluation& b);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_EVALUATE_H_
