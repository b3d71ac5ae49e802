// The C ABI over Artifact and Session: no exception and no C++ type crosses it.
#include <cstring>
#include <new>
#include <string>

#include "base/strings.h"
#include "espalier/espalier.h"
#include "runtime/c_api_support.h"
#include "runtime/engine.h"
#include "runtime/golden.h"
#include "runtime/session.h"

struct espalier_session {
  espalier::Session session;
  size_t output_count;
  espalier::ValueType input;
  bool owns_memory;  // which begins with this struct
};

namespace {

using espalier::Code;
using espalier::Guard;
using espalier::kAlignmentBytes;
using espalier::Result;
using espalier::Status;
using espalier::StrCat;
using espalier::WantIndex;
using espalier::WantPointer;

static_assert(static_cast<int>(Code::kInvalidArgument) == ESPALIER_INVALID_ARGUMENT);
static_assert(static_cast<int>(Code::kBadFormat) == ESPALIER_BAD_FORMAT);
static_assert(static_cast<int>(Code::kUnsupported) == ESPALIER_UNSUPPORTED);
static_assert(static_cast<int>(Code::kOutOfMemory) == ESPALIER_OUT_OF_MEMORY);
static_assert(static_cast<int>(Code::kIo) == ESPALIER_IO);
static_assert(static_cast<int>(Code::kInternal) == ESPALIER_INTERNAL);
static_assert(static_cast<int>(Code::kCancelled) == ESPALIER_CANCELLED);
static_assert(static_cast<int>(espalier::Element::kI32) == ESPALIER_I32);
static_assert(static_cast<int>(espalier::Layout::kVector) == ESPALIER_VECTOR);
static_assert(static_cast<int>(espalier::Scores::kProbabilities) == ESPALIER_PROBABILITIES);

Status KeepModel(Result<espalier::Artifact> artifact, espalier_model** model_out) {
  if (!artifact.ok()) return artifact.status();
  ESPALIER_ASSIGN_OR_RETURN(espalier::Program program, espalier::Program::Of(*artifact));
  *model_out = new espalier_model{*std::move(artifact), std::move(program)};
  return espalier::Ok();
}

void Describe(const espalier::Artifact& artifact, const std::string& name,
              espalier_value_info* info_out) {
  const auto& [key, type] = *artifact.types().find(name);
  *info_out = {key.c_str(), static_cast<espalier_element>(type.element),
               static_cast<espalier_layout>(type.layout), type.features};
}

espalier::SessionOptions OptionsOf(const espalier_session_options* options) {
  espalier::SessionOptions out;
  if (options == nullptr) return out;
  out.max_batch = options->max_batch;
  out.max_steps = options->max_steps;
  if (options->threads != 0) out.threads = options->threads;
  if (options->target != nullptr) out.target = options->target;
  return out;
}

constexpr size_t kSessionBytes = espalier::RoundUp(sizeof(espalier_session), kAlignmentBytes);

Result<size_t> SizeOfSession(const espalier_model& model, const espalier::SessionOptions& options) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, espalier::Session::SizeOf(model.program, options));
  return kSessionBytes + bytes;
}

Status InitSession(const espalier_model& model, const espalier::SessionOptions& options,
                   std::span<std::byte> memory, espalier_session** session_out) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOfSession(model, options));
  ESPALIER_RETURN_IF_ERROR(espalier::CheckMemory(memory, bytes));
  ESPALIER_ASSIGN_OR_RETURN(
      espalier::Session session,
      espalier::Session::InitAt(model.program, options, memory.subspan(kSessionBytes)));
  *session_out = new (memory.data()) espalier_session{
      std::move(session), model.program.outputs.size(), model.program.input->type, false};
  return espalier::Ok();
}

Status MakeSession(const espalier_model& model, const espalier::SessionOptions& options,
                   espalier_session** session_out) {
  ESPALIER_ASSIGN_OR_RETURN(const size_t bytes, SizeOfSession(model, options));
  std::byte* memory = espalier::AllocateMemory(bytes);
  if (memory == nullptr) {
    return espalier::OutOfMemory(StrCat("session: no memory for ", bytes, " bytes"));
  }
  const Status status = InitSession(model, options, {memory, bytes}, session_out);
  if (status.ok()) {
    (*session_out)->owns_memory = true;
  } else {
    espalier::FreeMemory(memory);
  }
  return status;
}

// The session checks sizes; with a negative or huge T or B there is no array to speak of.
size_t ElementCount(const espalier_batch& batch, int64_t width) {
  constexpr int64_t kLimit = int64_t{1} << 31;  // as Session's: max_batch * max_steps
  if (batch.steps < 0 || batch.size < 0 || batch.steps > kLimit || batch.size > kLimit) return 0;
  if (batch.steps > 0 && batch.size > kLimit / batch.steps) return 0;
  return static_cast<size_t>(batch.steps * batch.size * width);
}

espalier::BatchView ViewOf(const espalier_batch& batch, const espalier_session& session) {
  const bool is_ids = session.input.element == espalier::Element::kI32;
  espalier::BatchView view;
  view.steps = batch.steps;
  view.size = batch.size;
  if (is_ids && batch.ids != nullptr) view.ids = {batch.ids, ElementCount(batch, 1)};
  if (!is_ids && batch.features != nullptr) {
    view.features = {batch.features, ElementCount(batch, session.input.features)};
  }
  if (batch.lengths != nullptr && batch.size > 0) {
    view.lengths = {batch.lengths, static_cast<size_t>(batch.size)};
  }
  return view;
}

espalier::ExitRule RuleOf(const espalier_exit_rule& rule) {
  return {rule.confidence, rule.hold, rule.every};
}

}  // namespace

const char* espalier_version(void) { return ESPALIER_VERSION; }

espalier_status espalier_model_open(const char* path, espalier_model** model_out,
                                    espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(path, "path"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(model_out, "model_out"));
    return KeepModel(espalier::Artifact::Open(path), model_out);
  });
}

espalier_status espalier_model_open_memory(const void* bytes, size_t size_bytes,
                                           espalier_model** model_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(bytes, "bytes"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(model_out, "model_out"));
    espalier::AlignedBuffer<std::byte> copy(size_bytes);
    if (size_bytes > 0) std::memcpy(copy.data(), bytes, size_bytes);
    return KeepModel(espalier::Artifact::FromBytes(std::move(copy)), model_out);
  });
}

espalier_status espalier_model_check(const espalier_model* model, const char* target,
                                     espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    return espalier::CheckGolden(model->artifact, target == nullptr ? "" : target);
  });
}

espalier_status espalier_model_input(const espalier_model* model, espalier_value_info* info_out,
                                     espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(info_out, "info_out"));
    Describe(model->artifact, model->artifact.graph().inputs[0].name, info_out);
    return espalier::Ok();
  });
}

size_t espalier_model_output_count(const espalier_model* model) {
  return model == nullptr ? 0 : model->artifact.graph().outputs.size();
}

espalier_status espalier_model_output(const espalier_model* model, size_t index,
                                      espalier_value_info* info_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(info_out, "info_out"));
    ESPALIER_RETURN_IF_ERROR(WantIndex("index", index, espalier_model_output_count(model)));
    Describe(model->artifact, model->artifact.graph().outputs[index], info_out);
    return espalier::Ok();
  });
}

const char* espalier_model_metadata(const espalier_model* model, const char* key) {
  if (model == nullptr || key == nullptr) return nullptr;
  for (const auto& [name, value] : model->artifact.metadata()) {
    if (name == key) return value.c_str();
  }
  return nullptr;
}

void espalier_model_free(espalier_model* model) { delete model; }

espalier_status espalier_session_create(const espalier_model* model,
                                        const espalier_session_options* options,
                                        espalier_session** session_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(session_out, "session_out"));
    return MakeSession(*model, OptionsOf(options), session_out);
  });
}

espalier_status espalier_session_size(const espalier_model* model,
                                      const espalier_session_options* options, size_t* bytes_out,
                                      espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(bytes_out, "bytes_out"));
    ESPALIER_ASSIGN_OR_RETURN(*bytes_out, SizeOfSession(*model, OptionsOf(options)));
    return espalier::Ok();
  });
}

espalier_status espalier_session_init_at(const espalier_model* model,
                                         const espalier_session_options* options, void* memory,
                                         size_t memory_bytes, espalier_session** session_out,
                                         espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(memory, "memory"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(session_out, "session_out"));
    return InitSession(*model, OptionsOf(options), {static_cast<std::byte*>(memory), memory_bytes},
                       session_out);
  });
}

size_t espalier_session_threads(const espalier_session* session) {
  return session == nullptr ? 0 : session->session.threads();
}

espalier_status espalier_session_run(espalier_session* session, const espalier_batch* batch,
                                     espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(batch, "batch"));
    return session->session.Run(ViewOf(*batch, *session));
  });
}

const float* espalier_session_output(const espalier_session* session, size_t index,
                                     size_t* count_out) {
  std::span<const float> values;
  if (session != nullptr && index < session->output_count) values = session->session.Output(index);
  if (count_out != nullptr) *count_out = values.size();
  return values.empty() ? nullptr : values.data();
}

void espalier_session_reset(espalier_session* session) {
  if (session != nullptr) session->session.Reset();
}

espalier_status espalier_session_reset_stream(espalier_session* session, int64_t stream,
                                              espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    return session->session.ResetStream(stream);
  });
}

size_t espalier_session_state_count(const espalier_session* session) {
  return session == nullptr ? 0 : session->session.states().size();
}

espalier_status espalier_session_state(const espalier_session* session, size_t index,
                                       espalier_state_info* info_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(info_out, "info_out"));
    ESPALIER_RETURN_IF_ERROR(WantIndex("index", index, espalier_session_state_count(session)));
    const espalier::StateSpec& spec = session->session.states()[index];
    *info_out = {spec.name.c_str(), spec.width};
    return espalier::Ok();
  });
}

espalier_status espalier_session_state_get(const espalier_session* session, const char* name,
                                           float* values, size_t count, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(name, "name"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(values, "values"));
    return session->session.GetState(name, {values, count});
  });
}

espalier_status espalier_session_state_set(espalier_session* session, const char* name,
                                           const float* values, size_t count,
                                           espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(name, "name"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(values, "values"));
    return session->session.SetState(name, {values, count});
  });
}

size_t espalier_session_dynamic_count(const espalier_session* session) {
  return session == nullptr ? 0 : session->session.dynamic_layers();
}

espalier_status espalier_session_activity(const espalier_session* session, size_t index,
                                          espalier_layer_activity* activity_out,
                                          espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(activity_out, "activity_out"));
    ESPALIER_RETURN_IF_ERROR(WantIndex("index", index, espalier_session_dynamic_count(session)));
    *activity_out = espalier::ActivityForC(session->session.Activity(index));
    return espalier::Ok();
  });
}

espalier_status espalier_session_skips_ahead(const espalier_session* session, size_t index,
                                             size_t stream, int64_t* steps_out,
                                             espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(steps_out, "steps_out"));
    ESPALIER_RETURN_IF_ERROR(WantIndex("index", index, espalier_session_dynamic_count(session)));
    ESPALIER_RETURN_IF_ERROR(WantIndex("stream", stream, session->session.streams()));
    *steps_out = session->session.SkipsAhead(index, stream);
    return espalier::Ok();
  });
}

void espalier_session_reset_counters(espalier_session* session) {
  if (session != nullptr) session->session.ResetCounters();
}

void espalier_session_set_rests(espalier_session* session, int32_t rests) {
  if (session != nullptr) session->session.SetRests(rests != 0);
}

espalier_status espalier_session_set_rules(espalier_session* session, const char* layer,
                                           const espalier_layer_rules* rules,
                                           espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(layer, "layer"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(rules, "rules"));
    return session->session.SetRules(layer, espalier::RulesFromC(*rules));
  });
}

espalier_status espalier_session_set_budget(espalier_session* session,
                                            const espalier_budget* budget,
                                            espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    if (budget == nullptr) {
      session->session.ClearBudget();
      return espalier::Ok();
    }
    espalier::BudgetOptions options;
    options.step_ns = budget->step_ns;
    if (budget->most != 0.0f) options.most = budget->most;
    if (budget->base_x != 0.0f) options.base_x = budget->base_x;
    if (budget->base_h != 0.0f) options.base_h = budget->base_h;
    return session->session.SetBudget(options);
  });
}

espalier_status espalier_session_budget(const espalier_session* session,
                                        espalier_budget_report* report_out,
                                        espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(report_out, "report_out"));
    const espalier::BudgetReport& report = session->session.Budget();
    *report_out = {report.step_ns, report.factor,       report.steps,      report.raised,
                   report.late,    report.late_at_most, report.slowest_ns, report.foreseen};
    return espalier::Ok();
  });
}

espalier_status espalier_model_least_step(const espalier_model* model,
                                          const espalier_session_options* options,
                                          int64_t* step_ns_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(step_ns_out, "step_ns_out"));
    ESPALIER_ASSIGN_OR_RETURN(*step_ns_out,
                              espalier::LeastStepNs(model->artifact, OptionsOf(options)));
    return espalier::Ok();
  });
}

espalier_status espalier_session_run_until(espalier_session* session, const espalier_batch* batch,
                                           const espalier_exit_rule* rule,
                                           espalier_exit_result* result_out,
                                           espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(session, "session"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(batch, "batch"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(rule, "rule"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(result_out, "result_out"));
    espalier::ExitResult result;
    ESPALIER_RETURN_IF_ERROR(
        session->session.RunUntil(ViewOf(*batch, *session), RuleOf(*rule), &result));
    *result_out = {result.steps, result.looks, result.best, result.probability,
                   result.is_settled ? 1 : 0};
    return espalier::Ok();
  });
}

espalier_status espalier_exit_update(espalier_exit_watch* watch, const float* output, size_t count,
                                     int32_t* is_settled_out, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(watch, "watch"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(output, "output"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(is_settled_out, "is_settled_out"));
    espalier::ExitRule rule = RuleOf(watch->rule);
    rule.every = 1;  // plays no part
    ESPALIER_RETURN_IF_ERROR(espalier::ValidateExitRule(rule));
    if (watch->scores != ESPALIER_LOGITS && watch->scores != ESPALIER_PROBABILITIES) {
      return espalier::InvalidArgument(
          StrCat("watch: scores of 0 or 1 expected, ", static_cast<int>(watch->scores), " found"));
    }
    if (count < 1) return espalier::InvalidArgument("count: at least 1 class expected, 0 found");
    espalier::ExitWatch own{rule,         static_cast<espalier::Scores>(watch->scores),
                            watch->looks, watch->held,
                            watch->best,  watch->probability};
    *is_settled_out = own.Update({output, count}) ? 1 : 0;
    watch->looks = own.looks;
    watch->held = own.held;
    watch->best = own.best;
    watch->probability = own.probability;
    return espalier::Ok();
  });
}

void espalier_session_free(espalier_session* session) {
  if (session == nullptr) return;
  const bool owns_memory = session->owns_memory;
  session->~espalier_session();
  if (owns_memory) espalier::FreeMemory(session);
}
