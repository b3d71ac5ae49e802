// What a user may set of dynamic pruning while a compiled network runs: `espalier eval` and `run`.
#ifndef ESPALIER_PIPELINE_RULE_CHANGES_H_
#define ESPALIER_PIPELINE_RULE_CHANGES_H_

#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "model/graph.h"
#include "runtime/session.h"

namespace espalier {

// In the place of what layers were compiled with. Messages name the flag of what they refuse.
struct RuleChanges {
  std::optional<float> delta_x, delta_h;    // thresholds, in all layers that have delta
  bool no_skip = false;                     // every step is an update
  bool no_banks = false;                    // all units run
  std::optional<float> idle, predicted;     // epsilons, in layers that have these rules
  std::map<std::string, LayerRules> rules;  // by layer, of no flag; what is above goes before

  bool any() const {
    return delta_x || delta_h || no_skip || no_banks || idle || predicted || !rules.empty();
  }
};

// Sets the rules of the session's layers, each in those that can follow it. Precondition: the graph
// is the session's artifact's. Errors: kInvalidArgument for a change that no layer can follow, or a
// threshold or an epsilon out of range; Session::SetRules's for what is out of range in `rules`,
// and those of layers before it are set then.
Status ChangeRules(const Graph& graph, const RuleChanges& changes, Session* session);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RULE_CHANGES_H_
