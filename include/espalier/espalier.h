/* espalier.h: runs compiled recurrent networks (.esp files). C99.
 *
 *   espalier_error error;
 *   espalier_model* model = NULL;
 *   espalier_session* session = NULL;
 *   if (espalier_model_open("digits.esp", &model, &error) != ESPALIER_OK) puts(error.text);
 *   espalier_session_options options = {1, 28, NULL, 1};
 *   espalier_session_create(model, &options, &session, &error);
 *   espalier_batch batch = {28, 1, pixels, NULL, NULL};
 *   espalier_session_run(session, &batch, &error);
 *   const float* scores = espalier_session_output(session, 0, NULL);
 *
 * Every function that can fail returns a status and takes an `espalier_error* error_out`, the
 * caller's, which may be NULL; it is written only on failure. There is no global state. No C++
 * exception leaves the library. A model may be used by many threads, a
 * session or a pool by one at a time.
 *
 * Dimensions: T time steps, B batch, F features. Arrays are row-major and belong to the caller.
 */
#ifndef ESPALIER_ESPALIER_H_
#define ESPALIER_ESPALIER_H_

#include <stddef.h>
#include <stdint.h>

#define ESPALIER_VERSION "0.1.0"

#if defined(_WIN32)
#define ESPALIER_API
#else
#define ESPALIER_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a call. Numbers never change. */
typedef enum espalier_status {
  ESPALIER_OK = 0,
  ESPALIER_INVALID_ARGUMENT = 1, /* the caller's value is wrong */
  ESPALIER_BAD_FORMAT = 2,       /* bytes that are not what they claim to be */
  ESPALIER_UNSUPPORTED = 3,      /* valid, but not something this build can do */
  ESPALIER_OUT_OF_MEMORY = 4,
  ESPALIER_IO = 5,       /* the file system said no */
  ESPALIER_INTERNAL = 6, /* a bug, or a machine that computes wrong */
  ESPALIER_CANCELLED = 7 /* the toolkit only: no call of this header returns it */
} espalier_status;

/* One sentence that names the thing, the value found and what was expected; cut to fit. */
typedef struct espalier_error {
  char text[512];
} espalier_error;

typedef struct espalier_model espalier_model;     /* a compiled network; never changes */
typedef struct espalier_session espalier_session; /* a running state over a model */
typedef struct espalier_pool espalier_pool;       /* many streams that step together */

/* Whether a value has time: [T, B, F], or not: [B, F]. */
typedef enum espalier_layout { ESPALIER_SEQUENCE = 0, ESPALIER_VECTOR = 1 } espalier_layout;
/* ESPALIER_I32 values are ids in [0, features): [T, B] or [B]. */
typedef enum espalier_element { ESPALIER_F32 = 0, ESPALIER_I32 = 1 } espalier_element;

typedef struct espalier_value_info {
  const char* name; /* lives as long as the model */
  espalier_element element;
  espalier_layout layout;
  int64_t features; /* F */
} espalier_value_info;

typedef struct espalier_state_info {
  const char* name; /* lives as long as the session, e.g. "lstm0.h" */
  int64_t width;    /* floats per stream */
} espalier_state_info;

/* Returns the version of the library, e.g. "0.1.0"; static storage. */
ESPALIER_API const char* espalier_version(void);

/* Opens and checks a compiled file. The file is mapped: replace it by rename, do not write into it.
 * Ownership: *model_out is the caller's; give it to espalier_model_free. */
ESPALIER_API espalier_status espalier_model_open(const char* path, espalier_model** model_out,
                                                 espalier_error* error_out);
/* The same from memory. Ownership: the bytes are copied; *model_out is the caller's. */
ESPALIER_API espalier_status espalier_model_open_memory(const void* bytes, size_t size_bytes,
                                                        espalier_model** model_out,
                                                        espalier_error* error_out);
/* Runs the sample that the file carries and compares: does this machine compute what the compiling
 * one meant? `target` as in espalier_session_options. */
ESPALIER_API espalier_status espalier_model_check(const espalier_model* model, const char* target,
                                                  espalier_error* error_out);
/* The one input. Ownership: info_out is the caller's, the name in it the model's. */
ESPALIER_API espalier_status espalier_model_input(const espalier_model* model,
                                                  espalier_value_info* info_out,
                                                  espalier_error* error_out);
ESPALIER_API size_t espalier_model_output_count(const espalier_model* model);
ESPALIER_API espalier_status espalier_model_output(const espalier_model* model, size_t index,
                                                   espalier_value_info* info_out,
                                                   espalier_error* error_out);
/* Returns the text kept under `key` ("task", "source", "espalier", ...), or NULL; lives as long as
 * the model. */
ESPALIER_API const char* espalier_model_metadata(const espalier_model* model, const char* key);
/* Frees a model, whose sessions and pools must be gone. NULL is allowed. */
ESPALIER_API void espalier_model_free(espalier_model* model);

typedef struct espalier_session_options {
  int64_t max_batch;  /* largest B, at least 1; also the number of streams whose state is kept */
  int64_t max_steps;  /* largest T of one run, at least 1 */
  const char* target; /* an instruction set, e.g. "AVX2"; NULL or "" for the best */
  /* At most 64; 0 is 1. With more than 1 the session has threads of its own, which share the rows
   * of large matrices with the caller where it measures, while it runs, that this is faster;
   * results are the same to the bit, but for the bits of a NaN. */
  int64_t threads;
} espalier_session_options;

/* T steps of B sequences. */
typedef struct espalier_batch {
  int64_t steps;          /* T, at most max_steps */
  int64_t size;           /* B, at most max_batch */
  const float* features;  /* [T, B, F] for an f32 input, else NULL */
  const int32_t* ids;     /* [T, B] for an i32 input, else NULL */
  const int32_t* lengths; /* [B], each in [0, T]; NULL if all are T */
} espalier_batch;

/* Allocates all that running needs; all states are 0. `options` may be NULL: {1, 1, NULL, 1}.
 * Ownership: *session_out is the caller's; give it to espalier_session_free before the model goes.
 */
ESPALIER_API espalier_status espalier_session_create(const espalier_model* model,
                                                     const espalier_session_options* options,
                                                     espalier_session** session_out,
                                                     espalier_error* error_out);
/* Returns in *bytes_out how much memory a session takes: all of its own but the stacks of threads;
 * weights are the model's, and sessions of one file share them, also across processes. */
ESPALIER_API espalier_status espalier_session_size(const espalier_model* model,
                                                   const espalier_session_options* options,
                                                   size_t* bytes_out, espalier_error* error_out);
/* The same as espalier_session_create over the caller's memory: at least espalier_session_size
 * bytes, of any content, from a multiple of 64. With 1 thread nothing is allocated, now or later.
 * Ownership: `memory` stays the caller's, who must call espalier_session_free before it goes. */
ESPALIER_API espalier_status espalier_session_init_at(const espalier_model* model,
                                                      const espalier_session_options* options,
                                                      void* memory, size_t memory_bytes,
                                                      espalier_session** session_out,
                                                      espalier_error* error_out);
/* Returns how many threads a run uses at most: as asked, or 1 where no layer is large enough. */
ESPALIER_API size_t espalier_session_threads(const espalier_session* session);
/* Runs from the states of streams [0, B) and leaves the end states there: whole sequences, chunks
 * and single steps give the same numbers. A reverse direction needs the whole sequence in one run.
 * NaN and infinity spread as IEEE 754 says, within their own stream; but a matrix with 8-bit
 * weights rounds what it multiplies, and an infinity there makes all that comes of it NaN. Does not
 * allocate, lock or call the system, except to make an error's text, and with threads to wake one
 * that sleeps: once in a run that is long enough or follows another at once; and to sleep until the
 * others have done their share, if that takes long. A worker that finds nothing to do spins for at
 * most 50 us, then sleeps. Ownership: nothing of `batch` is kept. */
ESPALIER_API espalier_status espalier_session_run(espalier_session* session,
                                                  const espalier_batch* batch,
                                                  espalier_error* error_out);
/* Returns the values of output `index` of the last run, [T, B, F] or [B, F], and their count in
 * *count_out (may be NULL); NULL before the first run or if there is no such output.
 * Ownership: the session's; valid until its next run. */
ESPALIER_API const float* espalier_session_output(const espalier_session* session, size_t index,
                                                  size_t* count_out);
/* Sets all states of all streams to 0: a new sequence begins. */
ESPALIER_API void espalier_session_reset(espalier_session* session);
/* The same of one stream in [0, max_batch). */
ESPALIER_API espalier_status espalier_session_reset_stream(espalier_session* session,
                                                           int64_t stream,
                                                           espalier_error* error_out);
ESPALIER_API size_t espalier_session_state_count(const espalier_session* session);
ESPALIER_API espalier_status espalier_session_state(const espalier_session* session, size_t index,
                                                    espalier_state_info* info_out,
                                                    espalier_error* error_out);
/* Copy one piece of state of the first `count` / width streams out or in.
 * Ownership: `values` is the caller's. */
ESPALIER_API espalier_status espalier_session_state_get(const espalier_session* session,
                                                        const char* name, float* values,
                                                        size_t count, espalier_error* error_out);
ESPALIER_API espalier_status espalier_session_state_set(espalier_session* session, const char* name,
                                                        const float* values, size_t count,
                                                        espalier_error* error_out);

/* Dynamic pruning of a layer: thresholds below which changes of its input x and of its state h are
 * not multiplied, finite and >= 0; whether it may skip steps, and whether a step may leave out
 * banks of units (0 or 1); how near to an end a gate is whose candidates, or whose predicted rows,
 * are left out, in [0, 0.5]. All 0: the plain layer.
 */
typedef struct espalier_layer_rules {
  float delta_x;
  float delta_h;
  int32_t skip;
  int32_t banks;
  float idle;
  float predicted;
} espalier_layer_rules;

/* What one direction of a layer did since the session was made or its counters were set to 0. */
typedef struct espalier_layer_activity {
  const char* layer; /* lives as long as the model, e.g. "gru0" */
  int32_t reverse;   /* 1: of the reverse direction */
  espalier_layer_rules rules;
  int64_t steps;   /* of all streams */
  int64_t skipped; /* of these, those that left the state as it was */
  /* Units in the other steps of a layer with banks, and how many of them were in a bank that ran.
   */
  int64_t units;
  int64_t units_run;
  /* Rows of gates in the other steps of a layer that leaves out idle or predicted ones, and how
   * many of them were not left out. */
  int64_t rows;
  int64_t rows_run;
  /* Columns of the input matrix in the other steps, and how many were sent: where many are, all are
   * multiplied. */
  int64_t x_columns;
  int64_t x_sent;
  int64_t h_columns; /* of the recurrent matrix */
  int64_t h_sent;
  int64_t multiply_adds;         /* done in both matrices, to choose banks and to predict rows */
  int64_t multiply_adds_without; /* as many steps of the plain layer */
  int64_t multiply_adds_skipped; /* of these in skipped steps; other rules avoided the rest */
  int64_t rows_idle; /* of the rows that were left out, those that are idle; others are predicted */
} espalier_layer_activity;

/* Returns the number of directions of layers that have dynamic pruning. */
ESPALIER_API size_t espalier_session_dynamic_count(const espalier_session* session);
ESPALIER_API espalier_status espalier_session_activity(const espalier_session* session,
                                                       size_t index,
                                                       espalier_layer_activity* activity_out,
                                                       espalier_error* error_out);
/* Says in *steps_out how many of the next steps such a layer will skip in this stream, 0 to
 * max_batch - 1, whatever their input is: up to 65,535; 0 if the next step is an update, or the
 * layer does not skip or is reverse. Where all layers that read the input skip, what makes the
 * input can rest for so many steps, which are then run with any values. */
ESPALIER_API espalier_status espalier_session_skips_ahead(const espalier_session* session,
                                                          size_t index, size_t stream,
                                                          int64_t* steps_out,
                                                          espalier_error* error_out);
/* Sets all counters to 0. */
ESPALIER_API void espalier_session_reset_counters(espalier_session* session);
/* Where a step gains nothing by the rules of a layer (not by skipping), they rest for the next ones
 * of the stream: 1, and then 4 and 8 if the step after them gains nothing either (banks: after 8
 * such steps, and at most 3; idle and predicted rows: 4, 16 and 64). At rest a step is plain (with
 * delta it reads all of h, and x by its threshold), takes as long as without rules, and is counted
 * as that. 0: rules are followed in every step. 1 when a session or a pool is made. */
ESPALIER_API void espalier_session_set_rests(espalier_session* session, int32_t rests);
/* Changes the rules of a layer, both directions of it, from the next step on: a knob between
 * quality and speed. ESPALIER_UNSUPPORTED if the network was compiled without what they need. */
ESPALIER_API espalier_status espalier_session_set_rules(espalier_session* session,
                                                        const char* layer,
                                                        const espalier_layer_rules* rules,
                                                        espalier_error* error_out);
/* A time budget for the steps of the one stream of a session with max_batch = 1. */
typedef struct espalier_budget {
  int64_t step_ns; /* that a step may take, at least 1 */
  float most;      /* largest factor by which thresholds are raised, in (1, 1000]; 0 is 8 */
  float base_x;    /* of thresholds of 0: what a factor of 2 makes of them; 0 is 0.05 */
  float base_h;
} espalier_budget;

/* Since the budget was set or counters were set to 0. */
typedef struct espalier_budget_report {
  int64_t step_ns; /* 0: no budget */
  float factor;    /* now; 1: the rules as compiled or set */
  int64_t steps;
  int64_t raised;       /* of these, with thresholds above the rules */
  int64_t late;         /* that took longer than step_ns */
  int64_t late_at_most; /* of these, with the largest factor: nothing was left to raise */
  int64_t slowest_ns;
  int64_t foreseen; /* of those raised: for a step that would have been late by its columns */
} espalier_budget_report;

/* Holds the time of each run, by step, against a budget: thresholds of layers with delta are raised
 * when a step took more than 0.9 of it, and come down slowly, in the end to what was compiled or
 * set, while steps take less than 0.6; a single step that would be late by the columns it sends
 * raises them for itself, where the network was timed when it was compiled. Rules that are read
 * meanwhile are the raised ones: set them again only without a budget. It keeps no promise: a step
 * that is late is late, and a budget below what espalier_model_least_step measures will always be:
 * nothing is measured here. Reads the steady clock twice a run, which is no system call where the C
 * library has it mapped. NULL: no budget, and the rules as compiled or set. ESPALIER_UNSUPPORTED if
 * no layer has delta. */
ESPALIER_API espalier_status espalier_session_set_budget(espalier_session* session,
                                                         const espalier_budget* budget,
                                                         espalier_error* error_out);
ESPALIER_API espalier_status espalier_session_budget(const espalier_session* session,
                                                     espalier_budget_report* report_out,
                                                     espalier_error* error_out);
/* Measures the least that a step of one stream takes here: no budget below it can be kept. Makes a
 * session of its own; `options` as in espalier_session_create, sizes aside. */
ESPALIER_API espalier_status espalier_model_least_step(const espalier_model* model,
                                                       const espalier_session_options* options,
                                                       int64_t* step_ns_out,
                                                       espalier_error* error_out);

/* When an answer is sure: the same class has a probability of at least `confidence` at `hold` looks
 * in a row. */
typedef struct espalier_exit_rule {
  float confidence; /* in (0, 1] */
  int64_t hold;     /* at least 1 */
  int64_t every;    /* espalier_session_run_until: steps between two looks, 1 to max_steps */
} espalier_exit_rule;

typedef struct espalier_exit_result {
  int64_t steps; /* that were computed */
  int64_t looks;
  int32_t best;       /* class of the last look; -1 if there was none */
  float probability;  /* of `best` */
  int32_t is_settled; /* 0: the sequence ended before the network was sure */
} espalier_exit_result;

/* Runs one sequence until the network is sure, or to its end: looks at output 0 after each
 * rule->every steps, as if the sequence ended there (of an output with time at its last step). T
 * may be larger than max_steps. Does not reset the states; else as espalier_session_run.
 * ESPALIER_UNSUPPORTED for a network that cannot answer before the end (a reverse direction, or a
 * decoder), or whose output 0 is not at least 2 logits or probabilities. */
ESPALIER_API espalier_status espalier_session_run_until(espalier_session* session,
                                                        const espalier_batch* batch,
                                                        const espalier_exit_rule* rule,
                                                        espalier_exit_result* result_out,
                                                        espalier_error* error_out);

/* What an output holds. */
typedef enum espalier_scores { ESPALIER_LOGITS = 0, ESPALIER_PROBABILITIES = 1 } espalier_scores;

/* The same for a stream without an end, of a session or a pool: begin with the rule, `scores` and
 * zeros, and show it each output that is to count. */
typedef struct espalier_exit_watch {
  espalier_exit_rule rule;
  espalier_scores scores;
  int64_t looks;     /* so far */
  int64_t held;      /* the last so many of them were sure of `best` */
  int32_t best;      /* class of the last look */
  float probability; /* of `best` */
} espalier_exit_watch;

/* Looks at the scores of one stream, `count` classes, and says in *is_settled_out whether it is
 * sure. Neither allocates nor calls the system. Ownership: `watch` is the caller's. */
ESPALIER_API espalier_status espalier_exit_update(espalier_exit_watch* watch, const float* output,
                                                  size_t count, int32_t* is_settled_out,
                                                  espalier_error* error_out);
/* Ends a session and its threads, and frees what espalier_session_create allocated. NULL is
 * allowed.
 */
ESPALIER_API void espalier_session_free(espalier_session* session);

typedef struct espalier_pool_options {
  int64_t max_streams; /* that exist at the same time, at least 1 */
  const char* target;  /* as in espalier_session_options */
  int64_t threads;     /* as in espalier_session_options */
} espalier_pool_options;

/* One step of `count` streams, each at most once, in any order. */
typedef struct espalier_pool_batch {
  int64_t count;          /* N */
  const int32_t* streams; /* [N] */
  const float* features;  /* [N, F] for an f32 input, else NULL */
  const int32_t* ids;     /* [N] for an i32 input, else NULL */
} espalier_pool_batch;

/* A pool of streams of a network without reverse directions. `options` may be NULL: {1, NULL, 1}.
 * Ownership: *pool_out is the caller's; give it to espalier_pool_free before the model goes. */
ESPALIER_API espalier_status espalier_pool_create(const espalier_model* model,
                                                  const espalier_pool_options* options,
                                                  espalier_pool** pool_out,
                                                  espalier_error* error_out);
/* How much memory espalier_pool_create will take, stacks of threads aside. */
ESPALIER_API espalier_status espalier_pool_size(const espalier_model* model,
                                                const espalier_pool_options* options,
                                                size_t* bytes_out, espalier_error* error_out);
/* Begins a stream, its state 0. *stream_out, in [0, max_streams), is its number until it is
 * removed.
 */
ESPALIER_API espalier_status espalier_pool_add(espalier_pool* pool, int32_t* stream_out,
                                               espalier_error* error_out);
/* Ends a stream. */
ESPALIER_API espalier_status espalier_pool_remove(espalier_pool* pool, int32_t stream,
                                                  espalier_error* error_out);
/* Sets a stream's states to 0. */
ESPALIER_API espalier_status espalier_pool_reset_stream(espalier_pool* pool, int32_t stream,
                                                        espalier_error* error_out);
/* Steps the streams of `batch` together: the same numbers as a session for each, in less time. Does
 * not allocate, lock or call the system, except as espalier_session_run. On an error nothing was
 * computed. Ownership: nothing of `batch` is kept. */
ESPALIER_API espalier_status espalier_pool_step(espalier_pool* pool,
                                                const espalier_pool_batch* batch,
                                                espalier_error* error_out);
/* Returns the values of output `index` of the last step, [N, F] in the order of its streams, and
 * their count in *count_out (may be NULL); NULL if there are none.
 * Ownership: the pool's; valid until its next step. */
ESPALIER_API const float* espalier_pool_output(const espalier_pool* pool, size_t index,
                                               size_t* count_out);
/* Copy one piece of a stream's state, named as a session's, out or in.
 * Ownership: `values` is the caller's. */
ESPALIER_API espalier_status espalier_pool_state_get(const espalier_pool* pool, int32_t stream,
                                                     const char* name, float* values, size_t count,
                                                     espalier_error* error_out);
ESPALIER_API espalier_status espalier_pool_state_set(espalier_pool* pool, int32_t stream,
                                                     const char* name, const float* values,
                                                     size_t count, espalier_error* error_out);
/* As those of a session, over all streams; the rules are those of all streams, from the next step
 * on. Ownership of activity_out->layer: the model's. */
ESPALIER_API size_t espalier_pool_dynamic_count(const espalier_pool* pool);
ESPALIER_API espalier_status espalier_pool_activity(const espalier_pool* pool, size_t index,
                                                    espalier_layer_activity* activity_out,
                                                    espalier_error* error_out);
ESPALIER_API void espalier_pool_reset_counters(espalier_pool* pool);
ESPALIER_API void espalier_pool_set_rests(espalier_pool* pool, int32_t rests);
ESPALIER_API espalier_status espalier_pool_set_rules(espalier_pool* pool, const char* layer,
                                                     const espalier_layer_rules* rules,
                                                     espalier_error* error_out);
/* Frees a pool and ends its threads. NULL is allowed. */
ESPALIER_API void espalier_pool_free(espalier_pool* pool);

#ifdef __cplusplus
}
#endif

#endif /* ESPALIER_ESPALIER_H_ */
