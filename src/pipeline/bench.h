// Benchmark of whole networks: batch 1, whole sequences and streaming steps, systems interleaved
// (A B A B) in one process, every system verified on every sequence against the reference before it
// is timed.
#ifndef ESPALIER_PIPELINE_BENCH_H_
#define ESPALIER_PIPELINE_BENCH_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/status.h"
#include "model/graph.h"
#include "peers/onnxruntime.h"
#include "report/run_record.h"

namespace espalier {

// One system that runs one network. Functions keep their own buffers; x is [T, F] or [F].
struct BenchSystem {
  std::string name;
  // Runs a whole sequence from zero states; the first output's last value is in `output` after it.
  std::function<Status(std::span<const float> x)> run_sequence;
  // One step of a stream; empty if the network cannot stream.
  std::function<Status(std::span<const float> x)> run_step;
  // The stream's states to 0; there if run_step is.
  std::function<void()> reset_stream;
  std::function<std::span<const float>()> output;
  // What RunReference says of its own network: it is verified against this one.
  const Graph* graph = nullptr;
};

struct BenchOptions {
  int64_t steps = 28;         // T of a sequence
  int64_t repetitions = 200;  // timed samples of each system; each fills about 200 us with calls
  int threads = 1;            // for the record; the systems have their own
  uint64_t seed = 1;
  // Sequences to run, [N, T, F]; empty: standard normal numbers. All systems see the same.
  std::vector<float> sequences;
  // true: RunBench stops before the next sample.
  const std::atomic<bool>* cancel = nullptr;
};

// A Session of `artifact`, which must outlive the system; `graph` is its network, for verification.
Result<BenchSystem> EspalierSystem(const std::string& name, const Artifact& artifact,
                                   const Graph& graph, int64_t steps, const std::string& target);

// ONNX Runtime on `graph` exported in its leanest form (no lengths; states only for streaming).
Result<BenchSystem> OnnxRuntimeSystem(const std::string& name, const OnnxRuntime& runtime,
                                      const Graph& graph, int64_t steps, int threads);

// Errors: kUnsupported for a network whose input is not f32; kInternal naming the system whose
// numbers are wrong (nothing is timed then); kCancelled.
Result<BenchRecord> RunBench(std::vector<BenchSystem>* systems, const BenchOptions& options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_BENCH_H_
