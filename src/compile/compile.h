// Compile: Graph -> artifact bytes. For every matrix it encodes each candidate format, verifies its
// kernel against the reference product, measures it on this machine and takes the fastest.
#ifndef ESPALIER_COMPILE_COMPILE_H_
#define ESPALIER_COMPILE_COMPILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/aligned_buffer.h"
#include "base/caches.h"
#include "base/log.h"
#include "base/status.h"
#include "compile/cost_table.h"
#include "formats/format.h"
#include "model/graph.h"

namespace espalier {

enum class Tuning {
  kMeasure,  // the fastest on this machine; the recorded times, so the file, differ from run to run
  // The fastest by CompileOptions::costs, which may be another CPU's. Nothing is timed, and the
  // same arguments give the same formats and recorded times anywhere. The whole file is the same
  // to the byte wherever the golden sample is: the same program with the same C library.
  kCosts,
  // The smallest encoding, nothing is timed: every Choice::ns and Candidate::ns is 0. What is the
  // same for the same arguments: as with kCosts, and where `target` is the same.
  kOff,
};

// Of CompileOptions::batched_rows: larger would only make compiling slower.
inline constexpr int64_t kMaxBatchedRows = 4096;

struct CompileOptions {
  // An instruction set of AvailableKernels(), "" for the best. With kCosts kernels are verified by
  // it, and the artifact names the costs' own.
  std::string target;
  // Every matrix is rounded to it first (RoundMatrices).
  WeightType weights = WeightType::kF32;
  // By MatrixPart::name, of type i8: how kernels round x (formats/row_scales.h), from Calibrate; 0,
  // or no entry: by the largest size of each x. Not used where a format of f32 is chosen.
  std::map<std::string, float> x_scales;
  // Empty for those of AllFormats() in f32 and in `weights`; dense in f32 is always one of them.
  std::vector<FormatSpec> candidates;
  // Formats that are given and not chosen, by MatrixPart::name or by the weight's name.
  std::map<std::string, FormatSpec> forced;
  Tuning tuning = Tuning::kMeasure;
  const CostTable* costs = nullptr;  // kCosts; must outlive Compile
  CacheState cache = CacheState::kWarm;
  int repetitions = 25;  // timed samples of each candidate, interleaved; the median counts
  // Rows of x in one product with a matrix that the session multiplies by all steps at once (input
  // matrices, Gemm over time). A recurrent matrix is always timed with 1.
  int64_t batched_rows = 16;
  std::function<double()> now_ns;  // empty for the steady clock
  uint64_t seed = 1;               // of the golden sample and of the x that kernels are timed with
  Metadata metadata;               // goes into the artifact beside "espalier", "target" and, with
                                   // kCosts, "costs": the name of its CPU
  LogSink log;  // debug: each candidate's time and bytes; info: each choice; warning:
                // an x scale that is not used
};

// Dense wins unless another format is faster by more than kTieShare of its time, so no chosen
// format is slower than dense. Embedding tables are looked up and not multiplied: they take the
// smallest encoding. Errors: kInvalidArgument for an invalid graph, option or forced format;
// kUnsupported for a graph with other than one input; kInternal if a kernel's product differs from
// the reference.
Result<AlignedBuffer<std::byte>> Compile(const Graph& graph, const CompileOptions& options);

// The network with every matrix rounded to `type`, those that predict rows to i8; vectors (biases)
// stay. It is what Compile with CompileOptions::weights compiles, to evaluate it elsewhere.
Graph RoundMatrices(const Graph& graph, WeightType type);

// The network with both biases in bias_ih where gates see only the sum of both products (and that
// of the biases is finite): bias_hh is 0 then, and neither stored nor read. Compile does so.
Graph MergeBiases(const Graph& graph);

// Two medians closer than this are a tie: run to run they differ by about 1 %.
inline constexpr double kTieShare = 0.02;

}  // namespace espalier

#endif  // ESPALIER_COMPILE_COMPILE_H_
