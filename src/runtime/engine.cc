#include "runtime/engine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/strings.h"
#include "runtime/denormals.h"

namespace espalier {
namespace {

// Of all streams and layers.
uint64_t SkippedSteps(const RunPlan& plan) {
  uint64_t steps = 0;
  for (const DynamicLayer& layer : plan.dynamic_layers) steps += layer.counters->skipped;
  return steps;
}

}  // namespace

Result<EngineLayout> LayEngine(const Program& program, const PlanOptions& options, Arena* arena) {
  EngineLayout layout;
  layout.kernels = options.kernels;
  ESPALIER_ASSIGN_OR_RETURN(layout.plan, MakePlan(program, options, arena));
  static_assert(alignof(EngineThreads) <= kAlignmentBytes);
  if (layout.plan.threads > 1) layout.threads = arena->Take<std::byte>(sizeof(EngineThreads));
  return layout;
}

SharingJudge& EngineThreads::JudgeOf(const RunContext& run) {
  const auto bits = [](size_t count) {
    return std::min(static_cast<size_t>(std::bit_width(count)), kSizes - 1);
  };
  return judges[bits(run.max_length)][bits(run.size)];
}

Engine::~Engine() {
  if (threads_ != nullptr) threads_->~EngineThreads();
}

Status Engine::Start(const EngineLayout& layout) {
  kernels = layout.kernels;
  plan = layout.plan;
  if (plan.threads == 1) return Ok();
  threads_ = new (layout.threads) EngineThreads;
  return threads_->team.Start(plan.threads);
}

void Engine::CopyInput(const float* features, const RunContext& run) const noexcept {
  const RowBuffer& input = plan.input;
  if (input.data == nullptr) return;  // ids are read where they are
  for (size_t i = 0; i < run.RowsOf(input); ++i) {
    std::memcpy(input.row(i), features + i * input.features, input.features * sizeof(float));
  }
}

void Engine::Run(RunContext* run) noexcept {
  // A guess that need not be good: 40 bytes of weights a nanosecond.
  constexpr size_t kBytesPerNs = 40;
  const FlushDenormals flush;
  const size_t rows = run->max_length * run->size;
  if (threads_ == nullptr || rows == 0) return RunOperations(*run);
  ThreadTeam& team = threads_->team;
  SharingJudge& judge = threads_->JudgeOf(*run);
  const bool shares = judge.Shares();
  run->team = shares ? &team : nullptr;
  const bool can_share = team.Begin(static_cast<int64_t>(plan.step_bytes * rows / kBytesPerNs));
  const uint64_t skipped = SkippedSteps(plan);
  RunOperations(*run);
  const int64_t ns = team.End();
  if (shares && !can_share) {
    judge.Missed();
  } else if (run->max_length > 1 || SkippedSteps(plan) == skipped) {
    judge.Took(ns, rows);  // a step that is skipped says nothing of the others
  }
}

void Engine::RunOperations(const RunContext& run) const noexcept {
  for (const Operation& op : plan.operations) op.run(op, run);
}

Status CheckOption(const char* name, int64_t value, int64_t most) {
  if (value >= 1 && value <= most) return Ok();
  return InvalidArgument(StrCat(name, ": 1 to ", most, " expected, ", value, " found"));
}

Status CheckMemory(std::span<std::byte> memory, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(memory.data()) % kAlignmentBytes != 0) {
    return InvalidArgument(StrCat("memory: a multiple of ", kAlignmentBytes, " expected, ",
                                  static_cast<const void*>(memory.data()), " found"));
  }
  if (memory.size() >= bytes) return Ok();
  return InvalidArgument(StrCat("memory: ", bytes, " bytes expected, ", memory.size(), " found"));
}

std::byte* AllocateMemory(size_t bytes) {
  return static_cast<std::byte*>(
      ::operator new(bytes, std::align_val_t(kAlignmentBytes), std::nothrow));
}

void FreeMemory(void* memory) { ::operator delete(memory, std::align_val_t(kAlignmentBytes)); }

}  // namespace espalier
