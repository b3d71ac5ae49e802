// The operation of a Recurrent node: plain, or with the rules of dynamic pruning (model/graph.h,
// Delta and Node::skip).
#ifndef ESPALIER_RUNTIME_RECURRENT_H_
#define ESPALIER_RUNTIME_RECURRENT_H_

#include "runtime/operation.h"

namespace espalier {

// Steps after which W sent is multiplied anew: f32 rounds at each change, and an error of u a step
// stays below 1e-4 of what is summed.
inline constexpr float kDeltaRefreshSteps = 1000.0f;

void RunRecurrent(const Operation& op, const RunContext& run);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_RECURRENT_H_
