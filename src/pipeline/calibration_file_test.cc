#include "pipeline/calibration_file.h"

#include "base/file.h"
#include "compile/compile.h"
#include "model/build.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

Graph Network(uint64_t seed) {
  Rng rng(seed);
  GraphBuilder builder("g", {"ids", {Element::kI32, Layout::kSequence, 7}}, &rng);
  builder.Embedding(6).Recurrent(CellKind::kGruResetBeforeCell, 5).LastStep().Gemm(3);
  return ValueOrDie(builder.Finish());
}

class CalibrationFile : public ::testing::Test {
 protected:
  // Writes what calibrating `graph` gave.
  void Write(const Graph& graph, const Calibration& calibration) {
    const std::string json = ValueOrDie(CalibrationJson(calibration, graph, "g.onnx"));
    ASSERT_OK(WriteTextFileAtomic(path_, json));
  }
  Calibration All() const {
    Calibration calibration;
    for (const MatrixPart& part : ValueOrDie(MatrixPartsOf(Network(1)))) {
      if (part.weight != "embedding0.weight") calibration[part.name].x_scale = 0.25f;
    }
    return calibration;
  }

  const TempDir dir_;
  const std::string path_ = dir_.path("x.json");
};

TEST_F(CalibrationFile, GivesTheScalesOfTheNetworkThatWasCalibrated) {
  Write(RoundMatrices(Network(1), WeightType::kI8), All());
  const auto x_scales = ValueOrDie(ReadXScales(path_, Network(1)));
  EXPECT_EQ(x_scales.size(), 4u);  // the GRU's recurrent matrix is two
  EXPECT_EQ(x_scales.at("gemm0.weight"), 0.25f);
}

TEST_F(CalibrationFile, IsNotOneOfAnotherNetworkWithTheSameNames) {
  Write(Network(2), All());
  ExpectError(ReadXScales(path_, Network(1)).status(), Code::kInvalidArgument,
              {"x.json", "matrices.gemm0.weight", "the network's own weights expected"});
  // One that does not say which weights it is of.
  ASSERT_OK(WriteTextFileAtomic(path_, R"({"matrices": {"gemm0.weight": {"x_scale": 1}}})"));
  ExpectError(ReadXScales(path_, Network(1)).status(), Code::kInvalidArgument, {"gemm0.weight"});
}

TEST_F(CalibrationFile, HasEveryMatrixThatMultiplies) {
  Calibration calibration = All();
  calibration.erase("gemm0.weight");
  Write(Network(1), calibration);
  ExpectError(ReadXScales(path_, Network(1)).status(), Code::kInvalidArgument,
              {"x.json", "gemm0.weight expected, none found"});
}

}  // namespace
}  // namespace espalier
