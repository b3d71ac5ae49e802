#include "prune/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/strings.h"
#include "prune/criterion.h"
#include "prune/find.h"

namespace espalier {
namespace {

const Schedule& ScheduleOf(const ScheduleSpec& spec) {
  const auto schedule = FindSchedule(spec.name);
  ESPALIER_ASSERT(schedule.ok());
  return **schedule;
}

// How many of begin, begin + every, ..., end were reached by `step`.
int64_t Reached(const ScheduleSpec& spec, int64_t step) {
  if (step < spec.begin) return 0;
  if (step >= spec.end) return std::numeric_limits<int64_t>::max();
  return 1 + (step - spec.begin) / spec.every;
}

}  // namespace

std::span<const Schedule* const> AllSchedules() {
  static constexpr const Schedule* kAll[] = {
#define ESPALIER_SCHEDULE(name) &schedules::name,
#include "prune/schedules/schedules.inc"
#undef ESPALIER_SCHEDULE
  };
  return kAll;
}

Result<const Schedule*> FindSchedule(const std::string& name) {
  return FindByName("schedule", name, AllSchedules());
}

Status ValidateSchedule(const ScheduleSpec& spec, double final_sparsity) {
  ESPALIER_RETURN_IF_ERROR(FindSchedule(spec.name).status());
  if (spec.begin < 0 || spec.end < spec.begin) {
    return InvalidArgument(StrCat("schedule: 0 <= begin <= end expected, begin = ", spec.begin,
                                  " and end = ", spec.end, " found"));
  }
  if (spec.every < 1) {
    return InvalidArgument(
        StrCat("schedule.every: at least 1 step expected, ", spec.every, " found"));
  }
  if (!(spec.initial_sparsity >= 0.0 && spec.initial_sparsity <= final_sparsity)) {
    return InvalidArgument(StrCat("schedule.initial_sparsity: 0 to ", final_sparsity,
                                  " (the final sparsity) expected, ", spec.initial_sparsity,
                                  " found"));
  }
  const double first = ScheduleOf(spec).value(0.0, spec.initial_sparsity, final_sparsity);
  if (spec.initial_sparsity != 0.0 && std::abs(first - spec.initial_sparsity) > 1e-9) {
    return InvalidArgument(StrCat("schedule.initial_sparsity: 0 expected, since ", spec.name,
                                  " begins with ", first, ", ", spec.initial_sparsity, " found"));
  }
  const RegrowSpec& regrow = spec.regrow;
  if (regrow.criterion.empty()) return Ok();
  ESPALIER_RETURN_IF_ERROR(
      FindCriterion(regrow.criterion).status().WithContext("schedule.regrow.criterion"));
  if (!(regrow.fraction > 0.0 && regrow.fraction < 1.0)) {
    return InvalidArgument(StrCat("schedule.regrow.fraction: a share in (0, 1) expected, ",
                                  regrow.fraction, " found"));
  }
  if (spec.masks != MaskMode::kHard) {
    return InvalidArgument(
        "schedule.regrow: hard masks expected, soft found, where all that was dropped can come "
        "back anyway");
  }
  return Ok();
}

const char* MaskModeName(MaskMode mode) { return mode == MaskMode::kHard ? "hard" : "soft"; }

Result<MaskMode> ParseMaskMode(const std::string& name) {
  if (name == "hard") return MaskMode::kHard;
  if (name == "soft") return MaskMode::kSoft;
  return InvalidArgument("masks: hard or soft expected, '" + name + "' found");
}

double RegrowShareAt(const ScheduleSpec& spec, int64_t step) {
  if (spec.regrow.criterion.empty() || step >= spec.end) return 0.0;
  const double progress = static_cast<double>(std::max<int64_t>(step - spec.begin, 0)) /
                          static_cast<double>(spec.end - spec.begin);
  return 0.5 * spec.regrow.fraction * (1.0 + std::cos(progress * 3.141592653589793));
}

double SparsityAt(const ScheduleSpec& spec, double final_sparsity, int64_t step) {
  if (step < spec.begin) return spec.initial_sparsity;
  if (step >= spec.end) return final_sparsity;
  const double progress =
      static_cast<double>(step - spec.begin) / static_cast<double>(spec.end - spec.begin);
  return ScheduleOf(spec).value(progress, spec.initial_sparsity, final_sparsity);
}

double ThresholdShareAt(const ScheduleSpec& spec, int64_t step) {
  return SparsityAt(spec, 1.0, step);
}

bool IsDue(const ScheduleSpec& spec, int64_t last_step, int64_t step) {
  return Reached(spec, step) > Reached(spec, last_step);
}

}  // namespace espalier
