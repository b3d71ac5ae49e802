// Session: one running state over an artifact. Everything is allocated and every kernel resolved
// when it is created, in one piece of memory whose size can be asked for before; after that Run,
// Step and Reset neither allocate nor lock, nor call the system unless they have threads to wake.
//
// Weights, biases and embedding tables are used where the artifact has them; only a table in a
// format whose rows cannot be read one by one (slot, blocked) is decoded into the session.
//
// A network that exists only in memory takes the same way: Compile (compile/compile.h) gives the
// bytes, Artifact::FromBytes the artifact.
#ifndef ESPALIER_RUNTIME_SESSION_H_
#define ESPALIER_RUNTIME_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/log.h"
#include "base/status.h"
#include "model/graph.h"
#include "model/reference.h"
#include "runtime/budget.h"
#include "runtime/dynamic.h"
#include "runtime/early_exit.h"
#include "runtime/program.h"

namespace espalier {

struct SessionOptions {
  int64_t max_batch = 1;  // largest B; also the number of streams whose state is kept
  int64_t max_steps = 1;  // largest T of one Run; memory grows with max_batch * max_steps
  // 1 to 64. More than 1: rows of large matrices are shared among so many threads, of which the
  // caller is one, where that is faster (sharing_judge.h); the others belong to the session and
  // sleep while it does not run. Results are the same to the bit, but for the bits of a NaN. A
  // session whose layers are too small has 1.
  int64_t threads = 1;
  std::string target;  // an instruction set of AvailableKernels(), "" for the best
  LogSink log;         // debug: which kernel serves which matrix; used by Create only
};

// A batch that somebody else owns; see Batch. Without `lengths` all are T.
struct BatchView {
  int64_t steps = 0;                 // T
  int64_t size = 0;                  // B
  std::span<const float> features;   // [T, B, F] for an f32 input ([B, F] if it has no time)
  std::span<const int32_t> ids;      // [T, B] for an i32 input ([B])
  std::span<const int32_t> lengths;  // [B], each in [0, T], or empty
};

inline BatchView ViewOf(const Batch& batch) {
  return {batch.steps, batch.size, batch.features, batch.ids, batch.lengths};
}

// Semantics are those of model/graph.h and of RunReference, up to float rounding. On one target,
// the same steps give the same bits whole, in chunks and one by one, alone and in a batch. A
// reverse direction starts from its state in every Run, so it needs the whole sequence in one.
//
// One session belongs to one thread at a time; sessions of one artifact are independent.
// While a Run computes, denormal numbers count as 0 (the caller's mode is restored).
class Session {
 public:
  // `artifact` must outlive the session. All states start at 0.
  // Errors: kInvalidArgument for an option (e.g. an unknown target, naming the known ones);
  // kUnsupported for a graph with other than one input, an i32 output, or a matrix for which the
  // target has no kernel; kOutOfMemory.
  // Takes one allocation that stays, and those of Program::Of while it works; with threads, also
  // what the system takes for a thread.
  static Result<Session> Create(const Artifact& artifact, const SessionOptions& options);

  // The bytes that a session takes. Errors: as Create.
  static Result<size_t> SizeOf(const Program& program, const SessionOptions& options);
  // The same over the caller's memory, which must outlive the session: SizeOf bytes from a multiple
  // of kAlignmentBytes. Allocates nothing but what the system takes for a thread. The artifact must
  // outlive the session, the program need not.
  // Errors: as Create, and kInvalidArgument for memory that is too small or not aligned.
  static Result<Session> InitAt(const Program& program, const SessionOptions& options,
                                std::span<std::byte> memory);

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Runs T steps of B sequences from the states of streams [0, B) and leaves the end states there.
  // Errors (nothing was computed): kInvalidArgument, naming the field and the value. The message of
  // an error is the one thing that allocates.
  Status Run(const BatchView& batch) noexcept;
  // Run with T = 1 and B = features.size() / F, or ids.size().
  Status Step(std::span<const float> features) noexcept;
  Status Step(std::span<const int32_t> ids) noexcept;

  // Runs the one sequence of `batch` until the network is sure of its answer, or to its end: looks
  // at the first output after each `rule.every` steps, as if the sequence ended there (of an output
  // with time at its last step). Only these steps are computed, and for each look the head once;
  // the end state is that of the last of them, and Output what was last looked at. T may be larger
  // than max_steps, `every` may not. Begins to count anew, and does not reset the states. Errors
  // (nothing was computed): as Run; kInvalidArgument for a rule out of range, B other than 1, or
  // lengths; kUnsupported for a network that cannot answer before the end (a reverse direction, or
  // a decoder), or whose first output is not at least 2 logits or probabilities.
  Status RunUntil(const BatchView& batch, const ExitRule& rule, ExitResult* result) noexcept;
  // A watch for a stream whose end is not known: to be shown, after steps of one stream, the last
  // row of the first output. Errors: as RunUntil for the rule and the network.
  Result<ExitWatch> WatchFor(const ExitRule& rule) const;

  // Values of Graph::outputs[index] of the last Run, [T, B, F] or [B, F]; valid until the next Run;
  // empty before the first. Precondition: index is below the count of outputs.
  std::span<const float> Output(size_t index) const noexcept;

  // States to 0: of all streams, or of one. Errors: kInvalidArgument for a stream that is not
  // there.
  void Reset() noexcept;
  Status ResetStream(int64_t stream) noexcept;

  // Copies one piece of state, by StateSpec::name, of the first values.size() / width streams.
  // Errors: kInvalidArgument for an unknown name, or a size that is not 1 to max_batch streams.
  Status GetState(std::string_view name, std::span<float> values) const;
  Status SetState(std::string_view name, std::span<const float> values);
  std::span<const StateSpec> states() const;
  size_t streams() const noexcept;  // max_batch

  // The directions of layers that have dynamic pruning, in the order of the graph, with what they
  // did since the session was made or the counters were set to 0. Precondition: index is below
  // their number.
  size_t dynamic_layers() const noexcept;
  LayerActivity Activity(size_t index) const noexcept;
  // How many of the next steps such a layer will skip in this stream, whatever their input: that is
  // known since its last update. Up to kMostSkipsAhead; 0: the next step is an update, or it does
  // not skip, or is reverse. Where all layers that read the input skip, what makes the input can
  // rest for so many steps, which are then run with any values. Precondition: index is below
  // dynamic_layers(), stream below max_batch.
  int64_t SkipsAhead(size_t index, size_t stream = 0) const noexcept;
  void ResetCounters() noexcept;
  // Where a step gains nothing by the rules of a layer (delta, banks, idle or predicted rows), that
  // layer's rules rest for the next ones of the stream: 1, and then 4 and 8 if the step after them
  // gains nothing either (banks: after 8 such steps, and at most 3; idle and predicted rows: 4, 16
  // and 64). At rest a step is plain (with delta it reads all of h, and x by its threshold: of
  // x, products may have been made ahead), takes as long as without rules, and is counted as that.
  // False: rules are followed in every step, as by the reference executor. True when a session is
  // made.
  void SetRests(bool rests) noexcept;
  bool rests() const noexcept;
  // Changes the rules of a layer, both directions of it: thresholds of 0 and no skipping are the
  // plain layer. Errors: kInvalidArgument for an unknown layer or a threshold that is not finite
  // and >= 0; kUnsupported if the layer was compiled without what the rules need.
  Status SetRules(std::string_view layer, const LayerRules& rules);

  // From now on the time of each Run, by step, is held against a budget, and thresholds are raised
  // above those of SetRules where it is exceeded (budget.h). Acts between Runs: a Run of many steps
  // is one look at the clock. It keeps no promise: the step that is late is late. Errors:
  // kInvalidArgument for an option out of range or max_batch other than 1; kUnsupported if no layer
  // has delta: skipping makes steps fewer, not shorter.
  Status SetBudget(const BudgetOptions& options);
  // No budget; all rules are as compiled, or as SetRules said.
  void ClearBudget() noexcept;
  const BudgetReport& Budget() const noexcept;

  // The target whose kernels it uses; static storage.
  const char* target() const;
  // How many threads a Run uses at most: options.threads, or 1.
  size_t threads() const;
  // SizeOf what it was made from.
  size_t memory_bytes() const;

 private:
  struct Impl;
  struct Destroy {
    void operator()(Impl* impl) const;
  };
  explicit Session(Impl* impl) : impl_(impl) {}

  std::unique_ptr<Impl, Destroy> impl_;
};

}  // namespace espalier

#endif  // ESPALIER_RUNTIME_SESSION_H_
