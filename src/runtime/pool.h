// StreamPool: many independent streams of one network that step together. Each stream has a state
// of its own, begins when it is added and ends when it is removed; a step takes any of them.
// Weights are read once for a group of streams instead of once for each.
//
// As a Session, a StreamPool has one piece of memory whose size can be asked for before, and
// belongs to one thread at a time; pools and sessions of one artifact are independent.
#ifndef ESPALIER_RUNTIME_POOL_H_
#define ESPALIER_RUNTIME_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "artifact/artifact.h"
#include "base/log.h"
#include "base/status.h"
#include "runtime/dynamic.h"
#include "runtime/program.h"

namespace espalier {

struct PoolOptions {
  int64_t max_streams = 1;  // that exist at the same time; at most 2^24
  int64_t threads = 1;      // as SessionOptions::threads
  std::string target;       // as SessionOptions::target
  LogSink log;              // as SessionOptions::log
};

// One step of `streams`, each at most once, in any order.
struct PoolStep {
  std::span<const int32_t> streams;  // [N]
  std::span<const float> features;   // [N, F] for an f32 input
  std::span<const int32_t> ids;      // [N] for an i32 input
};

class StreamPool {
 public:
  // `artifact` must outlive the pool. Errors: as Session::Create; also kUnsupported for a network
  // with a reverse direction, which cannot step.
  static Result<StreamPool> Create(const Artifact& artifact, const PoolOptions& options);
  // As Session's.
  static Result<size_t> SizeOf(const Program& program, const PoolOptions& options);
  static Result<StreamPool> InitAt(const Program& program, const PoolOptions& options,
                                   std::span<std::byte> memory);

  StreamPool(StreamPool&&) noexcept;
  StreamPool& operator=(StreamPool&&) noexcept;
  ~StreamPool();

  // A new stream, its state 0: a number in [0, max_streams) that no other stream has, and that may
  // come again after Remove. Errors: kInvalidArgument if there are max_streams already.
  Result<int32_t> Add() noexcept;
  // Ends a stream. Errors: kInvalidArgument for one that is not there, as in the functions below.
  Status Remove(int32_t stream) noexcept;
  // State to 0: the stream begins a new sequence.
  Status ResetStream(int32_t stream) noexcept;
  // How many there are.
  size_t stream_count() const;

  // The result of a stream does not depend, to the bit, on which others step with it, and is that
  // of a session. Does not allocate (but an error's message), lock or call the system (but as
  // Session::Run). Errors (nothing was computed): kInvalidArgument, naming the field and the value.
  Status Step(const PoolStep& step) noexcept;
  // Values of Graph::outputs[index] of the last Step, [N, F] in the order of its streams; valid
  // until the next; empty before the first. Precondition: index is below the count of outputs.
  std::span<const float> Output(size_t index) const noexcept;

  // Copies one piece of a stream's state, by StateSpec::name: [width]. Errors: kInvalidArgument for
  // an unknown name or another size.
  Status GetState(int32_t stream, std::string_view name, std::span<float> values) const;
  Status SetState(int32_t stream, std::string_view name, std::span<const float> values);
  std::span<const StateSpec> states() const;

  // As Session's, over all streams. Rules are those of all streams, from the next Step on.
  size_t dynamic_layers() const noexcept;
  LayerActivity Activity(size_t index) const noexcept;
  void ResetCounters() noexcept;
  void SetRests(bool rests) noexcept;
  bool rests() const noexcept;
  Status SetRules(std::string_view layer, const LayerRules& rules);

  const char* target() const;
  size_t threads() const;
  size_t memory_bytes() const;

 private:
  struct Impl;
  struct Destroy {
    void operator()(Impl* impl) const;
  };
  explicit StreamPool(Impl* impl) : impl_(impl) {}

  std::unique_ptr<Impl, Destroy> impl_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_POOL_H_
