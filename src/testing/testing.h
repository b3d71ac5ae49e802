// Helpers for tests: random graphs and batches, temporary folders, comparisons of values.
#ifndef ESPALIER_TESTING_TESTING_H_
#define ESPALIER_TESTING_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "model/graph.h"
#include "model/random_batch.h"
#include "model/reference.h"

namespace espalier::testing {

// EXPECT_OK / ASSERT_OK on a Status or Result: prints the message on failure.
inline const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}
#define EXPECT_OK(expr)                                             \
  do {                                                              \
    const auto& espalier_test_ = (expr);                            \
    EXPECT_TRUE(::espalier::testing::StatusOf(espalier_test_).ok()) \
        << ::espalier::testing::StatusOf(espalier_test_).message(); \
  } while (false)
#define ASSERT_OK(expr)                                             \
  do {                                                              \
    const auto& espalier_test_ = (expr);                            \
    ASSERT_TRUE(::espalier::testing::StatusOf(espalier_test_).ok()) \
        << ::espalier::testing::StatusOf(espalier_test_).message(); \
  } while (false)

// Fails unless `status` has this code and its message contains every one of `parts`.
void ExpectError(const Status& status, Code code, const std::vector<std::string>& parts);

// The result's value; ends the test program with the message if there is none.
template <typename T>
T ValueOrDie(Result<T> result) {
  if (!result.ok()) {
    ADD_FAILURE() << result.status().message();
    std::abort();
  }
  return *std::move(result);
}

// Tests ask for everything in this namespace.
using ::espalier::RandomBatch;
using ::espalier::RandomStates;

// The steps [first, first + count) of a batch, with lengths clipped to them.
Batch Chunk(const Graph& graph, const Batch& batch, int64_t first, int64_t count);

// Sets about `sparsity` of each prunable weight to 0, at random.
void ZeroRandomWeights(double sparsity, Rng* rng, Graph* graph);

// Rounds every matrix of the graph so that every type of weights but f28 holds it: each row to
// whole numbers of 7 bits, the largest 127, over a power of 2. Rows of zeros stay. Of every 16
// columns each row keeps the first weight, so that `nm` can store them.
void RoundForEveryFormat(Graph* graph);

// Largest |a - b|; fails if sizes differ or a value is not finite.
double MaxAbsDifference(const std::vector<float>& a, const std::vector<float>& b);

// A folder that is removed with everything in it when the object dies.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace espalier::testing

#endif  // ESPALIER_TESTING_TESTING_H_
