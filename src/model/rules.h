// What the rules of dynamic pruning ask of a node.
#ifndef ESPALIER_MODEL_RULES_H_
#define ESPALIER_MODEL_RULES_H_

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// Delta, Node::skip, UnitBanks, IdleCandidates and PredictedRows of a Recurrent node whose sizes
// have been checked. Errors: kInvalidArgument for a number out of range; kUnsupported for a layer
// that cannot have them.
Status CheckRules(const Node& node);

}  // namespace espalier

#endif  // ESPALIER_MODEL_RULES_H_
