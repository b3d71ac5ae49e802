// Schedule: what is asked for at each training step: a sparsity, or a share of thresholds (under
// allocation `threshold`).
#ifndef ESPALIER_PRUNE_SCHEDULE_H_
#define ESPALIER_PRUNE_SCHEDULE_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace espalier {

// Whether what was dropped can come back when masks are made again.
enum class MaskMode : uint8_t {
  kHard = 0,  // no: it is 0 from then on
  kSoft = 1,  // yes: masked weights are trained along, out of force, until the last masks are made
              // (Zhu and Gupta 2017, arXiv:1710.01878; straight-through)
};

const char* MaskModeName(MaskMode mode);  // "hard", "soft"
Result<MaskMode> ParseMaskMode(const std::string& name);

// Dynamic sparse training: whenever masks are made again, each weight also loses a share of what it
// keeps, worst first, and gets as much of the rest back, best first by another criterion (random:
// SET, Mocanu et al. 2018, arXiv:1707.04780; gradient: RigL, Evci et al. 2020, arXiv:1911.11134;
// momentum: SNFS, Dettmers and Zettlemoyer 2019, arXiv:1907.04840). What comes back starts at 0.
// The share falls: fraction / 2 (1 + cos(pi progress)), progress in [0, 1] from begin to end, as
// RigL's. (Selfish-RNN, Liu et al. 2021, arXiv:2101.09048, ends at 0.005 and not at 0.)
struct RegrowSpec {
  std::string criterion;  // "": none
  double fraction = 0.3;  // in (0, 1)
};

// Steps are optimiser steps, counted from 0.
struct ScheduleSpec {
  std::string name = "one_shot";
  int64_t begin = 0;              // the first step at which masks are made
  int64_t end = 0;                // the step at which the final sparsity is reached; >= begin
  int64_t every = 1;              // steps between two masks; >= 1
  double initial_sparsity = 0.0;  // up to `begin`, in [0, final]
  MaskMode masks = MaskMode::kHard;
  RegrowSpec regrow{};  // hard masks only
};

struct Schedule {
  const char* name;
  const char* formula;
  const char* source;
  // The sparsity at a step in [begin, end], or the share of the thresholds, of which `initial` is 0
  // and `final_value` 1. `progress` = (step - begin) / (end - begin), 1 if the two are equal; a
  // sparsity is in [0, 1).
  double (*value)(double progress, double initial, double final_value);
  bool ramps_thresholds;  // false: its formula is one of densities, and makes no sense of them
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
// The share of the thresholds in force at `step`: 0 before begin, 1 from end on.
double ThresholdShareAt(const ScheduleSpec& spec, int64_t step);

// The share of what is kept that RegrowSpec exchanges at `step`, 0 without one or from end on.
double RegrowShareAt(const ScheduleSpec& spec, int64_t step);

// Are masks to be made at `step`, if they were made last at `last_step` (-1 = never)? True at
// begin, begin + every, ... and end; also at the first step after one of them that was missed.
bool IsDue(const ScheduleSpec& spec, int64_t last_step, int64_t step);

}  // namespace espalier

#endif  // ESPALIER_PRUNE_SCHEDULE_H_
