// RunPlan: the operations of a program in order, over buffers in one arena.
#ifndef ESPALIER_RUNTIME_PLAN_H_
#define ESPALIER_RUNTIME_PLAN_H_

#include <cstddef>
#include <span>

#include "base/status.h"
#include "kernels/kernels.h"
#include "runtime/arena.h"
#include "runtime/operation.h"
#include "runtime/program.h"

namespace espalier {

struct PlanOptions {
  size_t max_batch = 1;          // B of one run
  size_t max_steps = 1;          // T of one run
  size_t max_streams = 1;        // rows of state
  bool streams_in_order = true;  // whether every run has RunContext::streams == nullptr
  size_t threads = 1;
  const KernelTable* kernels = nullptr;
};

// All memory is the arena's; what the artifact holds is used where it is.
struct RunPlan {
  RowBuffer input;  // empty if the input is i32
  std::span<const RowBuffer> outputs;
  std::span<const Operation> operations;
  std::span<const RowBuffer> states;  // of Program::states
  std::span<const DynamicLayer> dynamic_layers;
  bool* rests = nullptr;  // of all of these
  StepForecast* forecast = nullptr;
  size_t step_bytes = 0;  // of the matrices that a step of one sequence multiplies
  size_t threads = 1;     // as asked, or 1 if no product or step is large enough to be shared
};

// What is kept of the streams [first, first + count) beside their states is of no meaning any more.
void ForgetStreams(const RunPlan& plan, size_t first, size_t count);

// See Session::Activity, SkipsAhead, ResetCounters, SetRests and SetRules.
LayerActivity ActivityOf(const DynamicLayer& layer);
int64_t SkipsAhead(const DynamicLayer& layer, size_t stream);
void ResetCounters(const RunPlan& plan);
void SetRests(const RunPlan& plan, bool rests);
Status SetLayerRules(const RunPlan& plan, std::string_view layer, const LayerRules& rules);

// Over an arena that counts, the spans are empty and the rest is right. Allocates nothing but an
// error's message. Errors: kUnsupported for a matrix that the kernels do not cover; kOutOfMemory
// for more than Arena::kMostBytes.
Result<RunPlan> MakePlan(const Program& program, const PlanOptions& options, Arena* arena);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_PLAN_H_
