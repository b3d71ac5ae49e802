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
    const Batch batch = {28, 1, std::vector<float>(28 * 28, 0.5f), {}, {28}};
    StateSet states = ZeroStates(graph, 1);
    scores_ = ValueOrDie(RunReference(graph, batch, &states)).at(graph.outputs[0]).values;
  }

  std::string Esp() const { return dir_.path("digits.esp"); }

  // What the program prints; fails if its exit code is not 0.
  std::string Run(const std::string& program) const {
    const std::string out = dir_.path("out");
    EXPECT_EQ(std::system((program + " " + Esp() + " > " + out).c_str()), 0);
    return ValueOrDie(ReadTextFile(out));
  }

  TempDir dir_;
  std::vector<float> scores_;
};

TEST_F(Readme, CppProgramPrintsTheLargestScoresClass) {
  const auto best = std::max_element(scores_.begin(), scores_.end()) - scores_.begin();
  EXPECT_EQ(Run(ESPALIER_README_CPP), std::to_string(best) + "\n");
}

TEST_F(Readme, CProgramPrintsTheScoresOfTheWholeSequence) {
  std::istringstream text(Run(ESPALIER_README_C));
  const std::vector<float> printed{std::istream_iterator<float>(text), {}};
  ASSERT_EQ(printed.size(), scores_.size());
  EXPECT_LT(testing::MaxAbsDifference(printed, scores_), 1e-5);
}

}  // namespace
}  // namespace espalier
