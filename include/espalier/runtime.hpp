// runtime.hpp: C++17 over espalier.h, header only. Owning handles; an error is an exception of type
// espalier::runtime::Error, thrown on your side of the library, so its ABI stays C.
//
//   namespace er = espalier::runtime;
//   er::Model model = er::Model::Open("digits.esp");
//   er::Session session(model, {1, 28, nullptr, 1});
//   session.Run({28, 1, pixels.data(), nullptr, nullptr});
//   er::Values scores = session.Output(0);
//
// What each call does, its units and lifetimes: espalier.h, function of the same name.
#ifndef ESPALIER_RUNTIME_HPP_
#define ESPALIER_RUNTIME_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "espalier/espalier.h"

namespace espalier {
namespace runtime {

using Batch = espalier_batch;
using SessionOptions = espalier_session_options;
using PoolOptions = espalier_pool_options;
using PoolBatch = espalier_pool_batch;
using ValueInfo = espalier_value_info;
using StateInfo = espalier_state_info;
using LayerRules = espalier_layer_rules;
using LayerActivity = espalier_layer_activity;
using Budget = espalier_budget;
using BudgetReport = espalier_budget_report;
using ExitRule = espalier_exit_rule;
using ExitResult = espalier_exit_result;

class Error : public std::runtime_error {
 public:
  Error(espalier_status code, const char* text) : std::runtime_error(text), code_(code) {}
  espalier_status code() const { return code_; }

 private:
  espalier_status code_;
};

// A view of floats that the session or pool owns.
struct Values {
  const float* data;
  size_t count;

  const float* begin() const { return data; }
  const float* end() const { return data + count; }
  float operator[](size_t index) const { return data[index]; }
};

// Calls a function of espalier.h whose last argument is the error, and throws if it fails.
template <typename Function, typename... Args>
void Call(Function function, Args... args) {
  espalier_error error;
  const espalier_status status = function(args..., &error);
  if (status != ESPALIER_OK) throw Error(status, error.text);
}

class Model {
 public:
  static Model Open(const std::string& path) {
    espalier_model* model = nullptr;
    Call(espalier_model_open, path.c_str(), &model);
    return Model(model);
  }
  static Model OpenMemory(const void* bytes, size_t size_bytes) {
    espalier_model* model = nullptr;
    Call(espalier_model_open_memory, bytes, size_bytes, &model);
    return Model(model);
  }

  void Check(const char* target = nullptr) const { Call(espalier_model_check, get(), target); }
  ValueInfo Input() const {
    ValueInfo info;
    Call(espalier_model_input, get(), &info);
    return info;
  }
  size_t OutputCount() const { return espalier_model_output_count(get()); }
  ValueInfo Output(size_t index) const {
    ValueInfo info;
    Call(espalier_model_output, get(), index, &info);
    return info;
  }
  // nullptr if there is no such key.
  const char* Metadata(const std::string& key) const {
    return espalier_model_metadata(get(), key.c_str());
  }
  // Nanoseconds; no budget below can be kept.
  int64_t LeastStep(SessionOptions options = {1, 1, nullptr, 1}) const {
    int64_t step_ns = 0;
    Call(espalier_model_least_step, get(), &options, &step_ns);
    return step_ns;
  }
  const espalier_model* get() const { return model_.get(); }

 private:
  struct Free {
    void operator()(espalier_model* model) const { espalier_model_free(model); }
  };
  explicit Model(espalier_model* model) : model_(model) {}

  std::unique_ptr<espalier_model, Free> model_;
};

// Watches the output of one stream of a session or a pool; one that begins anew takes a new watch.
class ExitWatch {
 public:
  explicit ExitWatch(const ExitRule& rule, espalier_scores scores = ESPALIER_LOGITS)
      : watch_{rule, scores, 0, 0, 0, 0.0f} {}

  // Whether the network is sure of its answer.
  bool Update(const Values& output) {
    int32_t is_settled = 0;
    Call(espalier_exit_update, &watch_, output.data, output.count, &is_settled);
    return is_settled != 0;
  }
  const espalier_exit_watch& State() const { return watch_; }

 private:
  espalier_exit_watch watch_;
};

// The model must outlive the session.
class Session {
 public:
  explicit Session(const Model& model, SessionOptions options = {1, 1, nullptr, 1}) {
    espalier_session* session = nullptr;
    Call(espalier_session_create, model.get(), &options, &session);
    session_.reset(session);
  }

  // What a session takes, stacks of threads aside.
  static size_t SizeOf(const Model& model, SessionOptions options) {
    size_t bytes = 0;
    Call(espalier_session_size, model.get(), &options, &bytes);
    return bytes;
  }
  // Over memory that must outlive the session: SizeOf bytes from a multiple of 64.
  static Session InitAt(const Model& model, SessionOptions options, void* memory,
                        size_t memory_bytes) {
    espalier_session* session = nullptr;
    Call(espalier_session_init_at, model.get(), &options, memory, memory_bytes, &session);
    return Session(session);
  }

  size_t Threads() const { return espalier_session_threads(session_.get()); }
  void Run(const Batch& batch) { Call(espalier_session_run, session_.get(), &batch); }
  Values Output(size_t index) const {
    Values values{nullptr, 0};
    values.data = espalier_session_output(session_.get(), index, &values.count);
    return values;
  }
  void Reset() { espalier_session_reset(session_.get()); }
  void ResetStream(int64_t stream) { Call(espalier_session_reset_stream, session_.get(), stream); }

  size_t StateCount() const { return espalier_session_state_count(session_.get()); }
  StateInfo State(size_t index) const {
    StateInfo info;
    Call(espalier_session_state, session_.get(), index, &info);
    return info;
  }
  void GetState(const std::string& name, std::vector<float>* values) const {
    Call(espalier_session_state_get, session_.get(), name.c_str(), values->data(), values->size());
  }
  void SetState(const std::string& name, const std::vector<float>& values) {
    Call(espalier_session_state_set, session_.get(), name.c_str(), values.data(), values.size());
  }

  size_t DynamicCount() const { return espalier_session_dynamic_count(session_.get()); }
  LayerActivity Activity(size_t index) const {
    LayerActivity activity;
    Call(espalier_session_activity, session_.get(), index, &activity);
    return activity;
  }
  int64_t SkipsAhead(size_t index, size_t stream = 0) const {
    int64_t steps = 0;
    Call(espalier_session_skips_ahead, session_.get(), index, stream, &steps);
    return steps;
  }
  void ResetCounters() { espalier_session_reset_counters(session_.get()); }
  void SetRests(bool rests) { espalier_session_set_rests(session_.get(), rests ? 1 : 0); }
  void SetRules(const std::string& layer, const LayerRules& rules) {
    Call(espalier_session_set_rules, session_.get(), layer.c_str(), &rules);
  }
  void SetBudget(const Budget& budget) {
    Call(espalier_session_set_budget, session_.get(), &budget);
  }
  void ClearBudget() {
    Call(espalier_session_set_budget, session_.get(), static_cast<const Budget*>(nullptr));
  }
  BudgetReport GetBudget() const {
    BudgetReport report;
    Call(espalier_session_budget, session_.get(), &report);
    return report;
  }

  ExitResult RunUntil(const Batch& batch, const ExitRule& rule) {
    ExitResult result;
    Call(espalier_session_run_until, session_.get(), &batch, &rule, &result);
    return result;
  }

 private:
  struct Free {
    void operator()(espalier_session* session) const { espalier_session_free(session); }
  };
  explicit Session(espalier_session* session) : session_(session) {}

  std::unique_ptr<espalier_session, Free> session_;
};

// The model must outlive the pool.
class Pool {
 public:
  Pool(const Model& model, PoolOptions options) {
    espalier_pool* pool = nullptr;
    Call(espalier_pool_create, model.get(), &options, &pool);
    pool_.reset(pool);
  }
  static size_t SizeOf(const Model& model, PoolOptions options) {
    size_t bytes = 0;
    Call(espalier_pool_size, model.get(), &options, &bytes);
    return bytes;
  }

  int32_t Add() {
    int32_t stream = 0;
    Call(espalier_pool_add, pool_.get(), &stream);
    return stream;
  }
  void Remove(int32_t stream) { Call(espalier_pool_remove, pool_.get(), stream); }
  void ResetStream(int32_t stream) { Call(espalier_pool_reset_stream, pool_.get(), stream); }

  void Step(const PoolBatch& batch) { Call(espalier_pool_step, pool_.get(), &batch); }
  Values Output(size_t index) const {
    Values values{nullptr, 0};
    values.data = espalier_pool_output(pool_.get(), index, &values.count);
    return values;
  }

  void GetState(int32_t stream, const std::string& name, std::vector<float>* values) const {
    Call(espalier_pool_state_get, pool_.get(), stream, name.c_str(), values->data(),
         values->size());
  }
  void SetState(int32_t stream, const std::string& name, const std::vector<float>& values) {
    Call(espalier_pool_state_set, pool_.get(), stream, name.c_str(), values.data(), values.size());
  }

  size_t DynamicCount() const { return espalier_pool_dynamic_count(pool_.get()); }
  LayerActivity Activity(size_t index) const {
    LayerActivity activity;
    Call(espalier_pool_activity, pool_.get(), index, &activity);
    return activity;
  }
  void ResetCounters() { espalier_pool_reset_counters(pool_.get()); }
  void SetRests(bool rests) { espalier_pool_set_rests(pool_.get(), rests ? 1 : 0); }
  void SetRules(const std::string& layer, const LayerRules& rules) {
    Call(espalier_pool_set_rules, pool_.get(), layer.c_str(), &rules);
  }

 private:
  struct Free {
    void operator()(espalier_pool* pool) const { espalier_pool_free(pool); }
  };
  std::unique_ptr<espalier_pool, Free> pool_;
};

}  // namespace runtime
}  // namespace espalier

#endif  // ESPALIER_RUNTIME_HPP_
