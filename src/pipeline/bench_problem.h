// BenchProblem: sizes, densities and formats to time one recurrent layer over, from a YAML file.
// bench/problems/ has those that docs/measured quotes.
//
//   name: lstm-streaming
//   cell: lstm                       a name of cells.inc
//   hidden: [128, 256, 1024]         H; the input has as many features
//   input: 40                        I, if it is another number
//   density: [0.05, 0.1]             share of both matrices that stays
//   steps: [1]                       T: 1 streams, more runs whole sequences
//   batch: [1]                       B
//   threads: [1]                     of our own sessions and of the peers
//   formats: [slot_8x8, csr]         beside dense; pruned in each one's own pieces
//   peers: [onnxruntime_f32]         names of peers.inc, [] = none; all without the key
//   cache: warm                      or cold: other work between steps (or sequences)
//   repetitions: 25
//   seed: 1
//
// A peer that is not there, or cannot run the layer on this machine, is left out with a note.
#ifndef ESPALIER_PIPELINE_BENCH_PROBLEM_H_
#define ESPALIER_PIPELINE_BENCH_PROBLEM_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/caches.h"
#include "base/status.h"
#include "cells/cells.h"
#include "formats/format.h"
#include "pipeline/peers/peer.h"
#include "report/bench_row.h"

namespace espalier {

struct BenchProblem {
  std::string name;
  CellKind cell = CellKind::kLstmCell;
  std::vector<int64_t> hidden;
  std::optional<int64_t> input;  // H if there is none
  std::vector<double> density = {0.1};
  std::vector<int64_t> steps = {1};
  std::vector<int64_t> batch = {1};
  std::vector<int64_t> threads = {1};
  std::vector<FormatSpec> formats;
  std::vector<const Peer*> peers;
  CacheState cache = CacheState::kWarm;
  int64_t repetitions = 25;
  uint64_t seed = 1;
};

// Errors: as ReadRecipe's.
Result<BenchProblem> ParseBenchProblem(const std::string& yaml);
Result<BenchProblem> ReadBenchProblem(const std::string& path);

struct BenchProblemOptions {
  std::string target;       // instruction set, "" = the best
  std::string onnxruntime;  // path of the library, "" = it is not there
  const std::atomic<bool>* cancel = nullptr;
  std::function<void(const BenchRow&)> on_row;           // as soon as it is known
  std::function<void(const std::string& note)> on_note;  // what is not timed, and why; once each
};

// The cases in turn; in each, all systems are verified, then timed interleaved. The layer's weights
// are drawn, and pruned by magnitude without training: times do not depend on what was learned.
// A format that cannot hold the layer at that density, and a peer that cannot run it, is left out.
// Errors: those of Compile and TimeSystems, naming the case.
Result<std::vector<BenchRow>> RunBenchProblem(const BenchProblem& problem,
                                              const BenchProblemOptions& options);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_BENCH_PROBLEM_H_
