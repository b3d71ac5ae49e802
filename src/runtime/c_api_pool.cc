// The C ABI over StreamPool.
#include <limits>
#include <span>
#include <utility>

#include "espalier/espalier.h"
#include "runtime/c_api_support.h"
#include "runtime/pool.h"

struct espalier_pool {
  espalier::StreamPool pool;
  size_t output_count;
  espalier::ValueType input;
};

namespace {

using espalier::Guard;
using espalier::InvalidArgument;
using espalier::Ok;
using espalier::PoolOptions;
using espalier::Status;
using espalier::StrCat;
using espalier::WantPointer;

PoolOptions OptionsOf(const espalier_pool_options* options) {
  PoolOptions out;
  if (options == nullptr) return out;
  out.max_streams = options->max_streams;
  if (options->threads != 0) out.threads = options->threads;
  if (options->target != nullptr) out.target = options->target;
  return out;
}

Status StepPool(const espalier_pool_batch& batch, espalier_pool* pool) {
  // More streams than there can be: no array to speak of.
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (batch.count < 0 || batch.count > kMost) {
    return InvalidArgument(
        StrCat("count: 0 to ", kMost, " streams expected, ", batch.count, " found"));
  }
  if (batch.count > 0) ESPALIER_RETURN_IF_ERROR(WantPointer(batch.streams, "streams"));
  const auto count = static_cast<size_t>(batch.count);
  espalier::PoolStep step;
  step.streams = {batch.streams, count};
  if (pool->input.element == espalier::Element::kI32) {
    if (batch.ids != nullptr) step.ids = {batch.ids, count};
  } else if (batch.features != nullptr) {
    step.features = {batch.features, count * static_cast<size_t>(pool->input.features)};
  }
  return pool->pool.Step(step);
}

}  // namespace

espalier_status espalier_pool_create(const espalier_model* model,
                                     const espalier_pool_options* options, espalier_pool** pool_out,
                                     espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool_out, "pool_out"));
    ESPALIER_ASSIGN_OR_RETURN(espalier::StreamPool pool,
                              espalier::StreamPool::Create(model->artifact, OptionsOf(options)));
    *pool_out = new espalier_pool{std::move(pool), model->program.outputs.size(),
                                  model->program.input->type};
    return Ok();
  });
}

espalier_status espalier_pool_size(const espalier_model* model,
                                   const espalier_pool_options* options, size_t* bytes_out,
                                   espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(model, "model"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(bytes_out, "bytes_out"));
    ESPALIER_ASSIGN_OR_RETURN(const size_t bytes,
                              espalier::StreamPool::SizeOf(model->program, OptionsOf(options)));
    *bytes_out = bytes + sizeof(espalier_pool);
    return Ok();
  });
}

espalier_status espalier_pool_add(espalier_pool* pool, int32_t* stream_out,
                                  espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(stream_out, "stream_out"));
    ESPALIER_ASSIGN_OR_RETURN(*stream_out, pool->pool.Add());
    return Ok();
  });
}

espalier_status espalier_pool_remove(espalier_pool* pool, int32_t stream,
                                     espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    return pool->pool.Remove(stream);
  });
}

espalier_status espalier_pool_reset_stream(espalier_pool* pool, int32_t stream,
                                           espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    return pool->pool.ResetStream(stream);
  });
}

espalier_status espalier_pool_step(espalier_pool* pool, const espalier_pool_batch* batch,
                                   espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(batch, "batch"));
    return StepPool(*batch, pool);
  });
}

const float* espalier_pool_output(const espalier_pool* pool, size_t index, size_t* count_out) {
  std::span<const float> values;
  if (pool != nullptr && index < pool->output_count) values = pool->pool.Output(index);
  if (count_out != nullptr) *count_out = values.size();
  return values.empty() ? nullptr : values.data();
}

espalier_status espalier_pool_state_get(const espalier_pool* pool, int32_t stream, const char* name,
                                        float* values, size_t count, espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(name, "name"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(values, "values"));
    return pool->pool.GetState(stream, name, {values, count});
  });
}

espalier_status espalier_pool_state_set(espalier_pool* pool, int32_t stream, const char* name,
                                        const float* values, size_t count,
                                        espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(name, "name"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(values, "values"));
    return pool->pool.SetState(stream, name, {values, count});
  });
}

size_t espalier_pool_dynamic_count(const espalier_pool* pool) {
  return pool == nullptr ? 0 : pool->pool.dynamic_layers();
}

espalier_status espalier_pool_activity(const espalier_pool* pool, size_t index,
                                       espalier_layer_activity* activity_out,
                                       espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(activity_out, "activity_out"));
    ESPALIER_RETURN_IF_ERROR(
        espalier::WantIndex("index", index, espalier_pool_dynamic_count(pool)));
    *activity_out = espalier::ActivityForC(pool->pool.Activity(index));
    return Ok();
  });
}

void espalier_pool_reset_counters(espalier_pool* pool) {
  if (pool != nullptr) pool->pool.ResetCounters();
}

void espalier_pool_set_rests(espalier_pool* pool, int32_t rests) {
  if (pool != nullptr) pool->pool.SetRests(rests != 0);
}

espalier_status espalier_pool_set_rules(espalier_pool* pool, const char* layer,
                                        const espalier_layer_rules* rules,
                                        espalier_error* error_out) {
  return Guard(error_out, [&] {
    ESPALIER_RETURN_IF_ERROR(WantPointer(pool, "pool"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(layer, "layer"));
    ESPALIER_RETURN_IF_ERROR(WantPointer(rules, "rules"));
    return pool->pool.SetRules(layer, espalier::RulesFromC(*rules));
  });
}

void espalier_pool_free(espalier_pool* pool) { delete pool; }
