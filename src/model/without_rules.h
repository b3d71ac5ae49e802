// A network without the rules of dynamic pruning (model/graph.h, Delta and Node::skip): what other
// tools run, and a yardstick.
#ifndef ESPALIER_MODEL_WITHOUT_RULES_H_
#define ESPALIER_MODEL_WITHOUT_RULES_H_

#include "model/graph.h"

namespace espalier {

Graph WithoutRules(const Graph& graph);

}  // namespace espalier

#endif  // ESPALIER_MODEL_WITHOUT_RULES_H_
