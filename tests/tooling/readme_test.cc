// The two programs of README.md, built as they stand there, against the reference executor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "artifact/artifact.h"
#include "base/file.h"
#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

class Readme : public ::testing::Test {
 protected:
  // Writes a network like the README's and computes what its programs should print.
  void SetUp() override {
    Rng rng(7);
    GraphBuilder builder("digits", {"x", {Element::kF32, Layout::kSequence, 28}}, &rng);
    builder.Recurrent(CellKind::kLstmCell, 24).LastStep().Gemm(10);
    const Graph graph = ValueOrDie(builder.Finish());
    const AlignedBuffer<std::byte> bytes = ValueOrDie(WriteArtifact(graph, ArtifactContent()));
    ASSERT_OK(WriteFileAtomic(Esp(), bytes));
    cpp_scores_ = ScoresOf(graph, 0.5f);
    c_scores_ = ScoresOf(graph, 0.0f);
  }

  static std::vector<float> ScoresOf(const Graph& graph, float pixel) {
    const Batch batch = {28, 1, std::vector<float>(28 * 28, pixel), {}, {28}};
    StateSet states = ZeroStates(graph, 1);
    return ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]).values;
  }

  std::string Esp() const { return dir_.path("digits.esp"); }

  // What the program prints; fails if its exit code is not 0.
  std::string Run(const std::string& program) const {
    const std::string out = dir_.path("out");
    EXPECT_EQ(std::system((program + " " + Esp() + " > " + out).c_str()), 0);
    return ValueOrDie(ReadTextFile(out));
  }

  TempDir dir_;
  std::vector<float> cpp_scores_;
  std::vector<float> c_scores_;
};

TEST_F(Readme, CppProgramPrintsTheLargestScoresClass) {
  const auto best = std::max_element(cpp_scores_.begin(), cpp_scores_.end()) - cpp_scores_.begin();
  EXPECT_EQ(Run(ESPALIER_README_CPP), std::to_string(best) + "\n");
}

TEST_F(Readme, CProgramPrintsTheScoresOfTheWholeSequence) {
  std::istringstream text(Run(ESPALIER_README_C));
  const std::vector<float> printed{std::istream_iterator<float>(text), {}};
  ASSERT_EQ(printed.size(), c_scores_.size());
  EXPECT_LT(testing::MaxAbsDifference(printed, c_scores_), 1e-5);
}

}  // namespace
}  // namespace espalier
