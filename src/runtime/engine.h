// Engine: a plan, its threads and the memory that they are in: what a Session and a StreamPool
// share.
#ifndef ESPALIER_RUNTIME_ENGINE_H_
#define ESPALIER_RUNTIME_ENGINE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"
#include "runtime/arena.h"
#include "runtime/plan.h"
#include "runtime/sharing_judge.h"
#include "runtime/thread_team.h"

namespace espalier {

// The threads of an engine, and what they are worth.
struct EngineThreads {
  static constexpr size_t kSizes = 8;
  ThreadTeam team;
  // Of runs of about as many steps and sequences: [bits of T, bits of B].
  SharingJudge judges[kSizes][kSizes];

  SharingJudge& JudgeOf(const RunContext& run);
};

// What an engine takes of an arena.
struct EngineLayout {
  const KernelTable* kernels = nullptr;
  RunPlan plan;
  std::byte* threads = nullptr;  // room for EngineThreads, if plan.threads > 1
};

// Errors: as MakePlan.
Result<EngineLayout> LayEngine(const Program& program, const PlanOptions& options, Arena* arena);

class Engine {
 public:
  Engine() = default;
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Over a layout of an arena that does not count, once. Errors: kOutOfMemory if a thread cannot be
  // started.
  Status Start(const EngineLayout& layout);

  // Copies rows of features, without gaps, to the plan's input; nothing if that is i32.
  void CopyInput(const float* features, const RunContext& run) const noexcept;
  // Runs all operations; sets run->team where threads make such runs faster. Denormal numbers count
  // as 0 meanwhile.
  void Run(RunContext* run) noexcept;

  const KernelTable* kernels = nullptr;
  RunPlan plan;

 private:
  void RunOperations(const RunContext& run) const noexcept;

  EngineThreads* threads_ = nullptr;
};

// Errors: kInvalidArgument, "<name>: 1 to <most> expected, <value> found".
Status CheckOption(const char* name, int64_t value, int64_t most);
// Errors: kInvalidArgument if `memory` does not begin on a multiple of kAlignmentBytes or is
// smaller than `bytes`.
Status CheckMemory(std::span<std::byte> memory, size_t bytes);

// Aligned to kAlignmentBytes; nullptr if there is not so much.
std::byte* AllocateMemory(size_t bytes);
void FreeMemory(void* memory);

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_ENGINE_H_
