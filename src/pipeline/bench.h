// Benchmark of whole networks: whole sequences and streaming steps, systems interleaved (A B A B)
// in one process, every system verified on every sequence against the reference before it is timed.
#ifndef ESPALIER_PIPELINE_BENCH_H_
#define ESPALIER_PIPELINE_BENCH_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/caches.h"
#include "base/status.h"
#include "model/graph.h"
#include "peers/onnxruntime.h"
#include "report/run_record.h"
#include "runtime/session.h"

namespace espalier {

// rms_tolerance of systems with 8-bit weights and activations, and of bf16 ones. In LSTMs of 8 to
// 1024 units over 1 and 200 steps ONNX Runtime's was at most 0.024, and oneDNN's, with one scale
// for x and h, 0.135; two swapped gates gave 0.35 (f and g) to 1.5, an input matrix of half its
// size 0.4.
inline constexpr double kInt8RmsTolerance = 0.2;
// Of networks with dynamic pruning: rounding may send or skip otherwise where a threshold decides.
inline constexpr double kDynamicRmsTolerance = 0.05;
inline constexpr double kBf16RmsTolerance = 0.05;

// What is run at once: T steps of B streams.
struct BenchShape {
  int64_t steps = 28;
  int64_t batch = 1;
};

// Numbers that a step of a stream reads: the features, or 1 id, which is a float here too (ids are
// below 2^24, so it is exact).
int64_t StepWidth(const ValueType& input);

// One system that runs one network. Functions keep their own buffers; x is [T, B, W] or [B, W] with
// W = StepWidth of its input.
struct BenchSystem {
  std::string name;
  // Runs whole sequences from zero states; the first output's last values, [B, O], are in `output`
  // after it.
  std::function<Status(std::span<const float> x)> run_sequence;
  // One step of the streams; empty if the network cannot stream.
  std::function<Status(std::span<const float> x)> run_step;
  // The streams' states to 0; there if run_step is.
  std::function<void()> reset_stream;
  std::function<std::span<const float>()> output;
  // Whether rules of dynamic pruning may rest (runtime/rest.h), which the reference's do not; empty
  // if there are none.
  std::function<void(bool rests)> set_rests;
  // What RunReference says of its own network: it is verified against this one.
  const Graph* graph = nullptr;
  // 0: every output within 1e-5, as f32 can be. For systems with fewer bits: the largest ratio of
  // rms(output - reference) and rms(reference).
  double rms_tolerance = 0.0;
  size_t threads = 1;  // that it may use
};

// What is timed; everything that a system can do is verified in any case.
enum class BenchWhat : uint8_t { kBoth, kSequences, kSteps };

struct BenchOptions {
  BenchShape shape;
  BenchWhat what = BenchWhat::kBoth;
  int64_t repetitions = 200;  // timed samples of each system; each fills about 200 us with calls
  int threads = 1;            // for the record; the systems have their own
  uint64_t seed = 1;
  CacheState cache = CacheState::kWarm;  // cold: each sample is one call
  // Sequences to run, [N, T, B, W]; empty: `sequence_count` of standard normal numbers, or of any
  // ids. All systems see the same.
  std::vector<float> sequences;
  int64_t sequence_count = 32;      // different inputs, so that branch predictors learn none
  bool times_single_steps = false;  // beside the means of samples
  // true: RunBench stops before the next sample.
  const std::atomic<bool>* cancel = nullptr;
};

// A Session of `artifact`, which must outlive the system; `graph` is its network, for verification.
// Of `session`, B and T are those of `shape`.
Result<BenchSystem> EspalierSystem(const std::string& name, const Artifact& artifact,
                                   const Graph& graph, const BenchShape& shape,
                                   const SessionOptions& session);

struct OnnxSystemOptions {
  int threads = 1;
  bool quantized = false;  // 8-bit weights (exchange/onnx_quantized.h); LSTMs only
};

// ONNX Runtime on `graph` exported in its leanest form (no lengths; states only for streaming).
Result<BenchSystem> OnnxRuntimeSystem(const std::string& name, const OnnxRuntime& runtime,
                                      const Graph& graph, const BenchShape& shape,
                                      const OnnxSystemOptions& options);

struct SystemTiming {
  double error = 0.0;                           // largest |output - reference's|
  std::optional<TimingRecord> us_per_sequence;  // if timed; of all B together
  std::optional<TimingRecord> us_per_step;      // if timed and it can stream
  std::optional<StepTimes> step_times;          // of single steps, if also asked for
};

// One entry a system. Errors: kUnsupported for a network whose input is not f32; kInternal naming
// the system whose numbers are wrong (nothing is timed then); kCancelled.
Result<std::vector<SystemTiming>> TimeSystems(const std::vector<BenchSystem>& systems,
                                              const BenchOptions& options);

// TimeSystems of both, as the run record has it.
Result<BenchRecord> RunBench(const std::vector<BenchSystem>& systems, const BenchOptions& options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_BENCH_H_
