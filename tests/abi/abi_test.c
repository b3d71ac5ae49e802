/* The C ABI in C99: abi_c_test MODEL.esp */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "espalier/espalier.h"

static int failures = 0;

static void expect(int condition, const char* what) {
  if (condition) return;
  printf("FAILED: %s\n", what);
  ++failures;
}

static espalier_model* open_model(const char* path) {
  espalier_error error;
  espalier_model* model = NULL;
  if (espalier_model_open(path, &model, &error) != ESPALIER_OK) {
    printf("FAILED: %s\n", error.text);
    exit(1);
  }
  return model;
}

static void describes_itself(const espalier_model* model) {
  espalier_value_info info;
  expect(espalier_model_input(model, &info, NULL) == ESPALIER_OK, "input");
  expect(strcmp(info.name, "x") == 0 && info.features == 6, "input's name and features");
  expect(info.element == ESPALIER_F32 && info.layout == ESPALIER_SEQUENCE, "input's type");
  expect(espalier_model_output_count(model) == 1, "output count");
  expect(espalier_model_output(model, 0, &info, NULL) == ESPALIER_OK, "output");
  expect(info.features == 3 && info.layout == ESPALIER_VECTOR, "output's type");
  expect(strcmp(espalier_model_metadata(model, "task"), "test") == 0, "metadata");
  expect(espalier_model_metadata(model, "nothing") == NULL, "missing metadata is NULL");
  expect(strcmp(espalier_version(), ESPALIER_VERSION) == 0, "version");
  expect(espalier_model_check(model, NULL, NULL) == ESPALIER_OK, "golden sample");
}

/* The same numbers whole and step by step. */
static void runs(const espalier_model* model) {
  float x[4 * 6], whole[3], h[5], c[5];
  size_t count = 0;
  size_t i = 0;
  espalier_session* session = NULL;
  espalier_session_options options = {2, 4, NULL, 1};
  espalier_batch batch = {4, 1, NULL, NULL, NULL};
  for (i = 0; i < 24; ++i) x[i] = (float)(i % 7) - 3.0f;
  batch.features = x;
  expect(espalier_session_create(model, &options, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_output(session, 0, &count) == NULL && count == 0, "no output yet");
  expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "run");
  memcpy(whole, espalier_session_output(session, 0, &count), sizeof(whole));
  expect(count == 3, "count of outputs");
  expect(espalier_session_state_get(session, "lstm0.h", h, 5, NULL) == ESPALIER_OK, "get h");

  espalier_session_reset(session);
  batch.steps = 1;
  for (i = 0; i < 4; ++i) {
    batch.features = x + 6 * i;
    expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "step");
  }
  expect(memcmp(whole, espalier_session_output(session, 0, NULL), sizeof(whole)) == 0,
         "steps give what the whole gives");
  expect(espalier_session_state_get(session, "lstm0.h", c, 5, NULL) == ESPALIER_OK, "get h");
  expect(memcmp(h, c, sizeof(h)) == 0, "and the same state");

  expect(espalier_session_reset_stream(session, 0, NULL) == ESPALIER_OK, "reset a stream");
  expect(espalier_session_state_get(session, "lstm0.h", c, 5, NULL) == ESPALIER_OK, "get h");
  expect(c[0] == 0.0f && c[4] == 0.0f, "a stream that was reset is 0");
  expect(espalier_session_state_set(session, "lstm0.h", h, 5, NULL) == ESPALIER_OK, "set h");
  expect(espalier_session_state_count(session) == 3, "state count: h, c, last");
  espalier_session_free(session);
}

/* In this program's own memory: the same numbers as in the library's. */
static void runs_in_given_memory(const espalier_model* model) {
  static char memory[1 << 16];
  char* aligned = memory + (64 - (uintptr_t)memory % 64) % 64;
  const size_t room = sizeof(memory) - (size_t)(aligned - memory);
  float x[6] = {1.0f, -2.0f, 0.5f, 0.0f, 3.0f, -1.0f};
  espalier_error error;
  espalier_session* own = NULL;
  espalier_session* session = NULL;
  espalier_session_options options = {1, 1, NULL, 1};
  espalier_batch batch = {1, 1, NULL, NULL, NULL};
  size_t bytes = 0;
  batch.features = x;
  expect(espalier_session_size(model, &options, &bytes, NULL) == ESPALIER_OK, "size");
  expect(bytes > 0 && bytes <= room, "a small session is small");
  expect(espalier_session_init_at(model, &options, aligned, bytes - 1, &session, &error) ==
             ESPALIER_INVALID_ARGUMENT,
         "too little memory");
  expect(strstr(error.text, "memory") != NULL && session == NULL, "names the memory");
  expect(espalier_session_init_at(model, &options, aligned + 8, room - 8, &session, &error) ==
             ESPALIER_INVALID_ARGUMENT,
         "memory that is not aligned");
  expect(espalier_session_init_at(model, &options, aligned, bytes, &session, &error) == ESPALIER_OK,
         "init at");
  expect((char*)session >= aligned && (char*)session < aligned + bytes, "it is in that memory");
  expect(espalier_session_create(model, NULL, &own, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "run");
  expect(espalier_session_run(own, &batch, NULL) == ESPALIER_OK, "run");
  expect(memcmp(espalier_session_output(own, 0, NULL), espalier_session_output(session, 0, NULL),
                3 * sizeof(float)) == 0,
         "the same numbers");
  expect(espalier_session_threads(session) == 1, "one thread");
  espalier_session_free(own);
  espalier_session_free(session);
  options.threads = 65;
  expect(espalier_session_size(model, &options, &bytes, &error) == ESPALIER_INVALID_ARGUMENT,
         "too many threads");
  options.threads = 0;
  expect(espalier_session_size(model, &options, &bytes, NULL) == ESPALIER_OK, "0 threads is 1");
}

/* Two streams of a pool: one steps twice, the other once between, and each is what a session gives.
 */
static void runs_a_pool(const espalier_model* model) {
  float x[12], alone[3], h[5];
  espalier_error error;
  int32_t streams[2] = {-1, -1};
  size_t i = 0;
  size_t count = 0;
  size_t bytes = 0;
  espalier_pool* pool = NULL;
  espalier_session* session = NULL;
  espalier_pool_options options = {2, NULL, 1};
  espalier_pool_batch batch = {1, NULL, NULL, NULL};
  espalier_batch step = {1, 1, NULL, NULL, NULL};
  for (i = 0; i < 12; ++i) x[i] = (float)(i % 5) - 2.0f;
  batch.features = step.features = x;
  expect(espalier_pool_size(model, &options, &bytes, NULL) == ESPALIER_OK && bytes > 0, "size");
  expect(espalier_pool_create(model, &options, &pool, NULL) == ESPALIER_OK, "create a pool");
  expect(espalier_pool_output(pool, 0, &count) == NULL && count == 0, "no output yet");
  expect(espalier_pool_add(pool, &streams[0], NULL) == ESPALIER_OK, "add");
  expect(espalier_pool_add(pool, &streams[1], NULL) == ESPALIER_OK, "add");
  expect(espalier_pool_add(pool, &streams[1], &error) == ESPALIER_INVALID_ARGUMENT, "a full pool");
  expect(strstr(error.text, "max_streams") != NULL, "names the limit");
  batch.streams = streams + 1;
  expect(espalier_pool_step(pool, &batch, NULL) == ESPALIER_OK, "one stream steps");
  batch.streams = streams;
  batch.count = 2;
  expect(espalier_pool_step(pool, &batch, NULL) == ESPALIER_OK, "both step");
  expect(espalier_session_create(model, NULL, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_run(session, &step, NULL) == ESPALIER_OK, "run");
  memcpy(alone, espalier_session_output(session, 0, NULL), sizeof(alone));
  expect(memcmp(alone, espalier_pool_output(pool, 0, &count), sizeof(alone)) == 0 && count == 6,
         "the first stream has made one step");
  step.features = x + 6;
  expect(espalier_session_run(session, &step, NULL) == ESPALIER_OK, "run");
  expect(memcmp(espalier_session_output(session, 0, NULL), espalier_pool_output(pool, 0, NULL) + 3,
                sizeof(alone)) == 0,
         "the second stream has made two");
  expect(espalier_pool_state_get(pool, streams[1], "lstm0.h", h, 5, NULL) == ESPALIER_OK, "get h");
  expect(espalier_pool_state_set(pool, streams[0], "lstm0.h", h, 5, NULL) == ESPALIER_OK, "set h");
  expect(espalier_pool_reset_stream(pool, streams[0], NULL) == ESPALIER_OK, "reset");
  expect(espalier_pool_remove(pool, streams[0], NULL) == ESPALIER_OK, "remove");
  expect(espalier_pool_step(pool, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "a removed stream");
  batch.count = -1;
  expect(espalier_pool_step(pool, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "N = -1");
  batch.count = 1;
  batch.streams = NULL;
  expect(espalier_pool_step(pool, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "no streams");
  espalier_session_free(session);
  espalier_pool_free(pool);
  espalier_pool_free(NULL);
}

static void names_errors(const espalier_model* model) {
  espalier_error error;
  espalier_model* none = NULL;
  espalier_session* session = NULL;
  espalier_batch batch = {1, 1, NULL, NULL, NULL};
  espalier_session_options options = {1, 1, "AVX9", 1};
  float values[2] = {0.0f, 0.0f};
  espalier_state_info state;

  expect(espalier_model_open("/nowhere/x.esp", &none, &error) == ESPALIER_IO, "missing file");
  expect(strstr(error.text, "/nowhere/x.esp") != NULL && none == NULL, "names the file");
  expect(espalier_model_open(NULL, &none, &error) == ESPALIER_INVALID_ARGUMENT, "NULL path");
  expect(espalier_model_open_memory("not one", 7, &none, &error) == ESPALIER_BAD_FORMAT, "bytes");
  expect(strstr(error.text, "header") != NULL, "names the field");
  expect(espalier_session_create(model, &options, &session, &error) == ESPALIER_INVALID_ARGUMENT,
         "unknown target");
  expect(strstr(error.text, "AVX9") != NULL && session == NULL, "names the target");
  options.target = NULL;
  options.max_batch = INT64_MAX;
  expect(espalier_session_create(model, &options, &session, NULL) == ESPALIER_INVALID_ARGUMENT,
         "absurd batch");

  expect(espalier_session_create(model, NULL, &session, &error) == ESPALIER_OK, "defaults");
  expect(espalier_session_run(session, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "no input");
  expect(strstr(error.text, "'x'") != NULL, "names the input");
  batch.features = values;
  batch.steps = INT64_MAX;
  expect(espalier_session_run(session, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "absurd T");
  batch.steps = 1;
  batch.size = -1;
  expect(espalier_session_run(session, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "B = -1");
  expect(espalier_session_run(NULL, &batch, &error) == ESPALIER_INVALID_ARGUMENT, "no session");
  expect(espalier_session_state_set(session, "lstm0.h", values, 2, &error) ==
             ESPALIER_INVALID_ARGUMENT,
         "state of the wrong size");
  expect(espalier_session_state(session, 3, &state, &error) == ESPALIER_INVALID_ARGUMENT,
         "state that is not there");
  expect(espalier_session_reset_stream(session, 1, &error) == ESPALIER_INVALID_ARGUMENT,
         "stream that is not there");
  expect(espalier_session_output(session, 7, NULL) == NULL, "output that is not there");
  espalier_session_free(session);
  espalier_session_free(NULL);
  espalier_model_free(NULL);
}

/* Bytes need no alignment: they are copied. */
static void opens_memory(const char* path) {
  static char bytes[1 << 20];
  espalier_error error;
  espalier_model* model = NULL;
  FILE* file = fopen(path, "rb");
  size_t size = 0;
  if (file != NULL) size = fread(bytes + 1, 1, sizeof(bytes) - 1, file);
  if (file != NULL) fclose(file);
  expect(espalier_model_open_memory(bytes + 1, size, &model, &error) == ESPALIER_OK, "memory");
  espalier_model_free(model);
  bytes[1 + size / 2] ^= 1;
  expect(espalier_model_open_memory(bytes + 1, size, &model, &error) == ESPALIER_BAD_FORMAT,
         "damaged memory");
  expect(strstr(error.text, "header.crc") != NULL, "names the checksum");
}

/* Counters are of both streams, and rules for both. */
static void prunes_a_pool_over_time(const espalier_model* model) {
  const float x[2 * 6] = {1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1};
  int32_t streams[2] = {0, 0};
  espalier_layer_activity activity;
  espalier_layer_rules rules = {0.0f, 0.0f, 0, 0, 0.0f, 0.0f};
  espalier_error error;
  espalier_pool* pool = NULL;
  espalier_pool_options options = {2, NULL, 1};
  espalier_pool_batch batch = {2, NULL, NULL, NULL};
  expect(espalier_pool_create(model, &options, &pool, NULL) == ESPALIER_OK, "create a pool");
  expect(espalier_pool_dynamic_count(pool) == 1 && espalier_pool_dynamic_count(NULL) == 0, "one");
  expect(espalier_pool_add(pool, &streams[0], NULL) == ESPALIER_OK, "add");
  expect(espalier_pool_add(pool, &streams[1], NULL) == ESPALIER_OK, "add");
  batch.streams = streams;
  batch.features = x;
  expect(espalier_pool_step(pool, &batch, NULL) == ESPALIER_OK, "step");
  expect(espalier_pool_activity(pool, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(strcmp(activity.layer, "lstm0") == 0 && activity.steps == 2, "steps of both");
  expect(activity.x_columns == 12 && activity.x_sent == 0, "nothing reaches the threshold");
  espalier_pool_set_rests(pool, 0);
  espalier_pool_set_rests(NULL, 0);
  expect(espalier_pool_set_rules(pool, "lstm0", &rules, NULL) == ESPALIER_OK, "set rules");
  espalier_pool_reset_counters(pool);
  espalier_pool_reset_counters(NULL);
  expect(espalier_pool_step(pool, &batch, NULL) == ESPALIER_OK, "step");
  expect(espalier_pool_activity(pool, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(activity.steps == 2 && activity.x_sent == 12 && activity.rules.delta_x == 0.0f, "all");
  rules.delta_x = -1.0f;
  expect(espalier_pool_set_rules(pool, "lstm0", &rules, &error) == ESPALIER_INVALID_ARGUMENT,
         "a threshold below 0");
  expect(strstr(error.text, "delta_x") != NULL && strstr(error.text, "-1") != NULL, error.text);
  expect(espalier_pool_activity(pool, 1, &activity, NULL) == ESPALIER_INVALID_ARGUMENT, "index");
  expect(espalier_pool_activity(NULL, 0, &activity, NULL) == ESPALIER_INVALID_ARGUMENT, "no pool");
  espalier_pool_free(pool);
}

/* A network whose thresholds nothing reaches multiplies its first step alone, until they are 0. */
static void prunes_over_time(const char* path) {
  float x[4 * 6];
  size_t i = 0;
  espalier_layer_activity activity;
  espalier_layer_rules rules = {0.0f, 0.0f, 0, 0, 0.0f, 0.0f};
  espalier_error error;
  espalier_model* model = open_model(path);
  espalier_session* session = NULL;
  espalier_session_options options = {1, 4, NULL, 1};
  espalier_batch batch = {4, 1, NULL, NULL, NULL};
  int64_t ahead = -1;
  for (i = 0; i < 24; ++i) x[i] = (float)(i % 7) - 3.0f;
  batch.features = x;
  expect(espalier_session_create(model, &options, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_dynamic_count(session) == 1, "one dynamic layer");
  expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "run");
  expect(espalier_session_activity(session, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(strcmp(activity.layer, "lstm0") == 0 && activity.reverse == 0, "layer");
  expect(activity.rules.delta_x == 100.0f && activity.rules.skip == 0, "rules");
  expect(activity.steps == 4 && activity.skipped == 0, "steps");
  expect(activity.x_columns == 24 && activity.x_sent == 0, "columns of x");
  expect(activity.h_columns == 20 && activity.h_sent == 0, "columns of h");
  expect(activity.multiply_adds * 4 == activity.multiply_adds_without, "multiply-adds");
  expect(espalier_session_skips_ahead(session, 0, 0, &ahead, NULL) == ESPALIER_OK && ahead == 0,
         "skips none");
  expect(espalier_session_skips_ahead(session, 0, 1, &ahead, &error) == ESPALIER_INVALID_ARGUMENT &&
             strstr(error.text, "stream: less than 1 expected, 1 found") != NULL,
         "a stream too many");
  expect(espalier_session_skips_ahead(session, 1, 0, &ahead, NULL) == ESPALIER_INVALID_ARGUMENT,
         "a layer too many");
  expect(espalier_session_set_rules(session, "lstm0", &rules, NULL) == ESPALIER_OK, "set rules");
  espalier_session_reset_counters(session);
  espalier_session_set_rests(session, 0);
  espalier_session_set_rests(NULL, 0);
  expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "run");
  expect(espalier_session_activity(session, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(activity.x_sent == 24 && activity.h_sent == 20, "all is sent");
  rules.delta_h = -1.0f;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_INVALID_ARGUMENT,
         "a threshold below 0");
  expect(strstr(error.text, "delta_h") != NULL && strstr(error.text, "-1") != NULL, error.text);
  rules.delta_h = 0.0f;
  rules.skip = 1;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_UNSUPPORTED,
         "no weights for skipping");
  rules.skip = 0;
  rules.banks = 1;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_UNSUPPORTED,
         "no weights for banks");
  expect(activity.rules.banks == 0 && activity.units == 0 && activity.units_run == 0, "banks");
  rules.banks = 0;
  rules.idle = 0.125f;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_UNSUPPORTED,
         "no idle candidates");
  expect(strstr(error.text, "idle") != NULL, error.text);
  rules.idle = 0.75f;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_INVALID_ARGUMENT,
         "an epsilon above 0.5");
  expect(strstr(error.text, "idle") != NULL && strstr(error.text, "0.75") != NULL, error.text);
  rules.idle = 0.0f;
  rules.predicted = 0.125f;
  expect(espalier_session_set_rules(session, "lstm0", &rules, &error) == ESPALIER_UNSUPPORTED,
         "no predictor");
  rules.predicted = 0.0f;
  expect(activity.rules.idle == 0.0f && activity.rules.predicted == 0.0f, "no rules for rows");
  expect(activity.rows == 0 && activity.rows_run == 0 && activity.rows_idle == 0, "no rows");
  expect(espalier_session_set_rules(session, "gru0", &rules, &error) == ESPALIER_INVALID_ARGUMENT,
         "no such layer");
  expect(espalier_session_activity(session, 1, &activity, NULL) == ESPALIER_INVALID_ARGUMENT,
         "no such index");
  espalier_session_free(session);
  prunes_a_pool_over_time(model);
  espalier_model_free(model);
}

/* What run_until stops at is where the outputs of single steps are sure. */
static void stops_when_sure(const espalier_model* model) {
  float x[8 * 6];
  size_t i = 0;
  size_t count = 0;
  int32_t is_settled = 0;
  espalier_error error;
  espalier_session* session = NULL;
  espalier_batch batch = {8, 1, NULL, NULL, NULL};
  espalier_exit_rule rule = {0.3f, 3, 1};
  espalier_exit_result result;
  espalier_exit_watch watch = {{0.3f, 3, 1}, ESPALIER_LOGITS, 0, 0, 0, 0.0f};
  for (i = 0; i < 48; ++i) x[i] = (float)(i % 7) - 3.0f;
  batch.features = x;
  expect(espalier_session_create(model, NULL, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_run_until(session, &batch, &rule, &result, NULL) == ESPALIER_OK,
         "run until");
  expect(result.is_settled == 1 && result.steps == result.looks && result.steps >= 3, "steps");
  espalier_session_reset(session);
  batch.steps = 1;
  for (i = 0; i < 8 && !is_settled; ++i) {
    batch.features = x + 6 * i;
    expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "step");
    expect(espalier_exit_update(&watch, espalier_session_output(session, 0, &count), 3, &is_settled,
                                NULL) == ESPALIER_OK,
           "update");
  }
  expect(watch.looks == result.looks && watch.best == result.best, "the watch sees the same");
  expect(watch.probability == result.probability && watch.held == 3, "probability");
  rule.confidence = 1.5f;
  expect(espalier_session_run_until(session, &batch, &rule, &result, &error) ==
             ESPALIER_INVALID_ARGUMENT,
         "a confidence above 1");
  expect(strstr(error.text, "confidence") != NULL && strstr(error.text, "1.5") != NULL, error.text);
  expect(espalier_session_run_until(session, &batch, NULL, &result, &error) ==
             ESPALIER_INVALID_ARGUMENT,
         "no rule");
  expect(espalier_exit_update(&watch, x, 0, &is_settled, &error) == ESPALIER_INVALID_ARGUMENT,
         "no class");
  espalier_session_free(session);
}

static void keeps_a_budget(const espalier_model* plain, const char* dynamic_path) {
  float x[6] = {1.0f, -2.0f, 0.5f, 0.0f, 3.0f, -1.0f};
  int i = 0;
  int64_t least = 0;
  espalier_error error;
  espalier_budget budget = {1, 0.0f, 0.05f, 0.05f};
  espalier_budget_report report;
  espalier_layer_activity activity;
  espalier_layer_rules rules = {0.5f, 0.0f, 0, 0, 0.0f, 0.0f};
  espalier_batch batch = {1, 1, NULL, NULL, NULL};
  espalier_model* model = open_model(dynamic_path);
  espalier_session* session = NULL;
  batch.features = x;
  expect(espalier_model_least_step(model, NULL, &least, NULL) == ESPALIER_OK && least > 0, "least");
  expect(espalier_session_create(model, NULL, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_set_rules(session, "lstm0", &rules, NULL) == ESPALIER_OK, "set rules");
  expect(espalier_session_set_budget(session, &budget, NULL) == ESPALIER_OK, "a nanosecond");
  for (i = 0; i < 20; ++i) {
    expect(espalier_session_run(session, &batch, NULL) == ESPALIER_OK, "run");
  }
  expect(espalier_session_budget(session, &report, NULL) == ESPALIER_OK, "report");
  expect(report.step_ns == 1 && report.factor == 8.0f, "all is raised");
  expect(report.steps == 20 && report.late == 20 && report.raised == 19, "and late");
  expect(report.late_at_most == 10 && report.slowest_ns > 1, "with the highest thresholds too");
  expect(espalier_session_activity(session, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(activity.rules.delta_x == 4.0f, "0.5 by 8");
  expect(espalier_session_set_budget(session, NULL, NULL) == ESPALIER_OK, "no budget");
  expect(espalier_session_activity(session, 0, &activity, NULL) == ESPALIER_OK, "activity");
  expect(activity.rules.delta_x == 0.5f && activity.rules.delta_h == 0.0f, "the rules as set");
  budget.most = 0.5f;
  expect(espalier_session_set_budget(session, &budget, &error) == ESPALIER_INVALID_ARGUMENT,
         "a factor below 1");
  expect(strstr(error.text, "most") != NULL && strstr(error.text, "0.5") != NULL, error.text);
  espalier_session_free(session);
  espalier_model_free(model);

  budget.most = 2.0f;
  expect(espalier_session_create(plain, NULL, &session, NULL) == ESPALIER_OK, "create");
  expect(espalier_session_set_budget(session, &budget, &error) == ESPALIER_UNSUPPORTED,
         "a network without delta");
  espalier_session_free(session);
}

int main(int argc, char** argv) {
  espalier_model* model = NULL;
  if (argc != 3) return 2;
  model = open_model(argv[1]);
  describes_itself(model);
  runs(model);
  runs_in_given_memory(model);
  runs_a_pool(model);
  names_errors(model);
  stops_when_sure(model);
  keeps_a_budget(model, argv[2]);
  espalier_model_free(model);
  opens_memory(argv[1]);
  prunes_over_time(argv[2]);
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
