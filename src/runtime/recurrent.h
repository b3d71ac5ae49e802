// The operation of a Recurrent node: plain, or with the rules of dynamic pruning (model/graph.h,
// Delta and Node::skip).
#ifndef ESPALIER_RUNTIME_RECURRENT_H_
#define ESPALIER_RUNTIME_RECURRENT_H_

#include "runtime/operation.h"

namespace espalier {

void RunRecurrent(const Operation& op, const RunContext& run);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_RECURRENT_H_
