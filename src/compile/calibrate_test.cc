#include "compile/calibrate.h"

#include <gtest/gtest.h>

#include "artifact/artifact.h"
#include "base/rng.h"
#include "model/build.h"
#include "model/random_batch.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using testing::ExpectError;
using testing::ValueOrDie;

Graph TestGraph() {
  Rng rng(5);
  GraphBuilder builder("g", {"x", {Element::kF32, Layout::kSequence, 40}}, &rng);
  builder.Recurrent(CellKind::kGruResetBeforeCell, 12).LastStep().Gemm(3);
  return ValueOrDie(builder.Finish());
}

TEST(Calibrate, CoversEveryMatrixThatMultiplies) {
  const Graph graph = TestGraph();
  Rng rng(1);
  const Calibration calibration =
      ValueOrDie(Calibrate(graph, {RandomBatch(graph, 6, 3, 6, &rng)}, 1));
  for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(graph))) {
    ASSERT_EQ(calibration.count(part.name), 1u) << part.name;
    const XCalibration& found = calibration.at(part.name);
    EXPECT_EQ(found.rows, part.weight == "gemm0.weight" ? 3 : 18) << part.name;
    EXPECT_GT(found.each_error, 0.0);
    EXPECT_LT(found.each_error, 0.02);
    EXPECT_EQ(found.x_scale > 0.0f, found.fixed_error < found.each_error);
  }
}

// One number of each x is far larger than all others, and no weight looks at it: clipping it rounds
// what counts more finely.
TEST(Calibrate, TakesAFixedScaleWhereOutliersDoNotCount) {
  Graph graph = TestGraph();
  Tensor& w = graph.weights.at("gru_reset_before0.weight_ih");
  for (int64_t row = 0; row < w.dim(0); ++row) w.values[static_cast<size_t>(row * 40)] = 0.0f;
  Rng rng(2);
  Batch batch = RandomBatch(graph, 8, 8, 8, &rng);
  for (size_t i = 0; i < batch.features.size(); i += 40 * 7) batch.features[i / 40 * 40] = 1000.0f;
  const Calibration calibration = ValueOrDie(Calibrate(graph, {batch}, 1));
  const XCalibration& found = calibration.at("gru_reset_before0.weight_ih");
  EXPECT_LT(found.fixed_error, found.each_error / 2);
  EXPECT_EQ(found.x_scale, found.fixed_scale);
  EXPECT_LT(found.fixed_percentile, 100.0);
}

TEST(Calibrate, GivesTheSameForTheSameSeed) {
  const Graph graph = TestGraph();
  Rng rng(3);
  const std::vector<Batch> batches = {RandomBatch(graph, 30, 5, 30, &rng)};
  const auto errors = [&](uint64_t seed) {
    return ValueOrDie(Calibrate(graph, batches, seed)).at("gru_reset_before0.weight_ih").each_error;
  };
  EXPECT_EQ(errors(1), errors(1));
  EXPECT_NE(errors(1), errors(2));
}

TEST(Calibrate, NeedsSequences) {
  ExpectError(Calibrate(TestGraph(), {}, 1).status(), Code::kInvalidArgument, {"at least 1 batch"});
  const Graph graph = TestGraph();
  Rng rng(4);
  Batch batch = RandomBatch(graph, 3, 1, 3, &rng);
  batch.lengths = {0};
  ExpectError(Calibrate(graph, {batch}, 1).status(), Code::kInvalidArgument,
              {"gru_reset_before0.weight_"});
}

}  // namespace
}  // namespace espalier
