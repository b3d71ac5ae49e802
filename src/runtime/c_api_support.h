// What the files of the C ABI share: the model, and how a Status becomes an espalier_status.
#ifndef ESPALIER_RUNTIME_C_API_SUPPORT_H_
#define ESPALIER_RUNTIME_C_API_SUPPORT_H_

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

#include "artifact/artifact.h"
#include "base/status.h"
#include "base/strings.h"
#include "espalier/espalier.h"
#include "runtime/dynamic.h"
#include "runtime/program.h"

struct espalier_model {
  espalier::Artifact artifact;
  espalier::Program program;
};

namespace espalier {

inline espalier_status Report(Code code, const char* text, espalier_error* error_out) {
  if (code != Code::kOk && error_out != nullptr) {
    const size_t length = std::min(std::strlen(text), sizeof(error_out->text) - 1);
    std::memcpy(error_out->text, text, length);
    error_out->text[length] = '\0';
  }
  return static_cast<espalier_status>(code);
}

// Runs `call`, a function that returns a Status, and turns whatever comes of it into a status.
template <typename Call>
espalier_status Guard(espalier_error* error_out, const Call& call) noexcept {
  try {
    const Status status = call();
    return Report(status.code(), status.message().c_str(), error_out);
  } catch (const std::bad_alloc&) {
    return Report(Code::kOutOfMemory, "memory is exhausted", error_out);
  } catch (const std::exception& exception) {
    return Report(Code::kInternal, exception.what(), error_out);
  } catch (...) {
    return Report(Code::kInternal, "unknown exception", error_out);
  }
}

inline Status WantPointer(const void* pointer, const char* name) {
  if (pointer != nullptr) return Ok();
  return InvalidArgument(StrCat(name, ": a pointer expected, NULL found"));
}

inline Status WantIndex(const char* name, size_t index, size_t count) {
  if (index < count) return Ok();
  return InvalidArgument(StrCat(name, ": less than ", count, " expected, ", index, " found"));
}

inline espalier_layer_activity ActivityForC(const LayerActivity& found) {
  const LayerCounters& counters = found.counters;
  const auto count = [](uint64_t value) { return static_cast<int64_t>(value); };
  return {found.layer.data(),
          found.reverse ? 1 : 0,
          {found.rules.delta_x, found.rules.delta_h, found.rules.skip ? 1 : 0,
           found.rules.banks ? 1 : 0, found.rules.idle, found.rules.predicted},
          count(counters.steps),
          count(counters.skipped),
          count(counters.units),
          count(counters.units_run),
          count(counters.rows),
          count(counters.rows_run),
          count(counters.x_columns),
          count(counters.x_sent),
          count(counters.h_columns),
          count(counters.h_sent),
          count(counters.multiply_adds),
          count(counters.multiply_adds_without),
          count(counters.multiply_adds_skipped),
          count(counters.rows_idle)};
}

inline LayerRules RulesFromC(const espalier_layer_rules& rules) {
  return {rules.delta_x,    rules.delta_h, rules.skip != 0,
          rules.banks != 0, rules.idle,    rules.predicted};
}

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_C_API_SUPPORT_H_
