// Schedule: the sparsity at each training step.
#ifndef ESPALIER_PRUNE_SCHEDULE_H_
#define ESPALIER_PRUNE_SCHEDULE_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace espalier {

// Steps are optimiser steps, counted from 0.
struct ScheduleSpec {
  std::string name = "one_shot";
  int64_t begin = 0;              // the first step at which masks are made
  int64_t end = 0;                // the step at which the final sparsity is reached; >= begin
  int64_t every = 1;              // steps between two masks; >= 1
  double initial_sparsity = 0.0;  // up to `begin`, in [0, final]
};

struct Schedule {
  const char* name;
  const char* formula;
  const char* source;
  // The sparsity at a step in [begin, end]. `progress` = (step - begin) / (end - begin), 1 if the
  // two are equal; `initial` and `final_sparsity` in [0, 1).
  double (*sparsity)(double progress, double initial, double final_sparsity);
};

namespace schedules {
#define ESPALIER_SCHEDULE(name) extern const Schedule name;
#include "prune/schedules/schedules.inc"
#undef ESPALIER_SCHEDULE
}  // namespace schedules

// In the order of schedules.inc.
std::span<const Schedule* const> AllSchedules();
// Errors: kInvalidArgument, naming the nearest.
Result<const Schedule*> FindSchedule(const std::string& name);

// Errors: kInvalidArgument, naming the field.
Status ValidateSchedule(const ScheduleSpec& spec, double final_sparsity);

// The sparsity wanted at `step`: initial before begin, final from end on, never falling.
// Precondition: ValidateSchedule passes.
double SparsityAt(const ScheduleSpec& spec, double final_sparsity, int64_t step);

// Are masks to be made at `step`, if they were made last at `last_step` (-1 = never)? True at
// begin, begin + every, ... and end; also at the first step after one of them that was missed.
bool IsDue(const ScheduleSpec& spec, int64_t last_step, int64_t step);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_SCHEDULE_H_
