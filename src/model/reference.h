// The reference executor: plain scalar loops over the Graph, obviously right and slow. It is the
// oracle of every test and the fallback of every tool.
#ifndef ESPALIER_MODEL_REFERENCE_H_
#define ESPALIER_MODEL_REFERENCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph.h"

namespace espalier {

// What a graph with one input reads in one run: B sequences, padded to T steps, time-major.
struct Batch {
  int64_t steps = 0;             // T
  int64_t size = 0;              // B
  std::vector<float> features;   // [T, B, F] for an f32 input, else empty
  std::vector<int32_t> ids;      // [T, B] for an i32 input, else empty
  std::vector<int32_t> lengths;  // [B], each in [0, T]
};

// A value as an executor makes it: [T, B, F] or [B, F].
struct Value {
  ValueType type;
  int64_t steps = 0;  // T; 1 for vectors
  int64_t size = 0;   // B
  std::vector<float> values;

  const float* row(int64_t step, int64_t sequence) const {
    return values.data() + (step * size + sequence) * type.features;
  }
  float* row(int64_t step, int64_t sequence) {
    return values.data() + (step * size + sequence) * type.features;
  }
};

// State of B sequences, by StateSpec::name: [B, width] each.
using StateSet = std::map<std::string, std::vector<float>>;

// All states 0.
StateSet ZeroStates(const Graph& graph, int64_t batch_size);

// Checks a batch against the graph's input: sizes, lengths, ids in range.
// Errors: kInvalidArgument, naming the field and the value.
Status ValidateBatch(const Graph& graph, const Batch& batch);

// Sees, and may change, the vector [cols] that the rows of `weight` from `first_row` on are about
// to multiply: to look at its range, or to round it as a kernel does. Called for each step of each
// sequence.
using MatrixInputFn =
    std::function<void(const std::string& weight, int64_t first_row, std::span<double> x)>;

// Runs `graph` on `batch` from `*states`, and leaves the end states there. Returns every value by
// name (inputs excluded). Dropout does nothing. Sums are accumulated in double.
// Errors: kInvalidArgument for a wrong batch or a missing state; kUnsupported if the graph has
// other than one input.
Result<std::map<std::string, Value>> RunReference(const Graph& graph, const Batch& batch,
                                                  StateSet* states,
                                                  const MatrixInputFn& on_input = {});

}  // namespace espalier

#endif  // ESPALIER_MODEL_REFERENCE_H_
