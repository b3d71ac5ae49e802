// SessionPlan: the operations of a graph in order, over buffers that it owns.
#ifndef ESPALIER_RUNTIME_PLAN_H_
#define ESPALIER_RUNTIME_PLAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/aligned_buffer.h"
#include "base/log.h"
#include "base/status.h"
#include "kernels/kernels.h"
#include "model/graph.h"
#include "runtime/operation.h"

namespace espalier {

struct PlanOptions {
  size_t max_batch = 1;
  size_t max_steps = 1;
  const KernelTable* kernels = nullptr;
  LogSink log;
};

struct SessionPlan {
  GraphInput input_spec;
  RowBuffer input;  // empty if the input is i32
  std::vector<RowBuffer> outputs;
  std::vector<Operation> operations;
  std::vector<StateSpec> state_specs;
  std::vector<RowBuffer> states;  // of state_specs

  std::vector<AlignedBuffer<float>> arena;  // values, states, scratch, biases, embedding tables
};

// `artifact` must outlive the plan. Errors: kUnsupported, as Session::Create says. Throws
// std::bad_alloc.
Result<SessionPlan> MakePlan(const Artifact& artifact, const PlanOptions& options);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_PLAN_H_
