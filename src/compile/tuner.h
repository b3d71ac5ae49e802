// The tuner: candidates of one matrix, verified, timed and ranked.
#ifndef ESPALIER_COMPILE_TUNER_H_
#define ESPALIER_COMPILE_TUNER_H_

#include <functional>
#include <string>
#include <vector>

#include "artifact/artifact.h"
#include "base/aligned_buffer.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/status.h"
#include "compile/compile.h"
#include "formats/format.h"
#include "kernels/kernels.h"

namespace espalier {

// What a session does with a matrix.
enum class MatrixUse {
  kLookup,   // takes rows of it (Embedding)
  kSingle,   // multiplies one x at a time
  kBatched,  // multiplies the x of all steps at once
};

// A part of a matrix, and the section of each of its rows (formats/sections.h), or none.
struct TunedPart {
  std::string name;
  MatrixView matrix;
  std::vector<int32_t> sections;
  // If a session leaves out single rows of it: a format whose row groups are single rows is taken
  // where it takes at most so many times as long as the fastest. 0: it leaves out none.
  double most_by_row = 0.0;
};

class Tuner {
 public:
  // `options` must outlive the tuner and must have been checked.
  Tuner(const CompileOptions& options, const KernelTable* kernels);

  // Errors: as Compile. Throws std::bad_alloc.
  Result<Choice> Choose(const TunedPart& part, MatrixUse use);
  // For a part by columns, timed as adding a random half of them, another one at each call, times
  // two: a list that is new costs more for each column than all of them in order. A session
  // compares that with the time of `plain`, what Choose found for the same matrix, so they are
  // timed in turn, and their ratio counts. Errors: as Compile.
  Result<Choice> ByColumn(const TunedPart& part, const Choice& plain, MatrixUse use);
  // The choice without a choice: `spec`, verified; `ns`: what it takes, if that is known. Errors:
  // as Compile.
  Result<Choice> Force(const TunedPart& part, const FormatSpec& spec, double ns = 0.0);

 private:
  struct Entry {
    FormatSpec spec;
    EncodedMatrix encoded;
    MatMulFn matmul = nullptr;
    double ns = 0.0;
    std::vector<double> samples;
  };

  // Encodes, finds the kernel and verifies it.
  Result<Entry> Prepare(const TunedPart& part, const FormatSpec& spec);
  Status Verify(const std::string& name, MatrixView matrix, const Entry& entry);
  void Measure(size_t count, std::vector<Entry>* entries);
  // Beside products of `count` rows of x with `plain`, which took `plain_ns` a row.
  void MeasureColumns(const Entry& plain, double plain_ns, size_t count, Entry* entry);
  // Gives each its time of `count` rows of x in the costs; those that these lack are refused. Dense
  // stays first: CheckCosts has seen it.
  void LookUp(int64_t count, std::vector<Entry>* entries, std::vector<Candidate>* refused);
  // ns of one call, over `calls` of them. `multiply` is what is timed.
  template <typename Multiply>
  double TimeOnce(const Multiply& multiply, int64_t calls);
  // Calls of a sample.
  template <typename Multiply>
  int64_t CallsOf(const Multiply& multiply);
  size_t RowsOf(MatrixUse use) const;
  Choice Rank(MatrixUse use, double most_by_row, std::vector<Entry> entries,
              std::vector<Candidate> refused) const;

  const CompileOptions& options_;
  const KernelTable* kernels_;
  std::vector<FormatSpec> candidates_;  // dense first
  bool tries_all_ = false;              // none were named
  std::function<double()> now_ns_;
  Rng rng_;
  CacheEvictor evictor_;
};

}  // namespace espalier

#endif  // ESPALIER_COMPILE_TUNER_H_
