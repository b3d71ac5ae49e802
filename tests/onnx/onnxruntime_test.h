// What the tests of this folder share: an ONNX Runtime, and random networks.
#ifndef ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_
#define ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_

#include <cstdlib>
#include <cstring>
#include <optional>

#include "model/build.h"
#include "peers/onnxruntime.h"
#include "testing/testing.h"

namespace espalier::testing {

// A test that needs ONNX Runtime. Looks in ESPALIER_NODE_DIR if that is set, else in the checkout.
class OnnxRuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* directory = std::getenv("ESPALIER_NODE_DIR");
    const auto path = FindOnnxRuntime(directory != nullptr ? directory : ESPALIER_SOURCE_DIR);
    if (!path.ok()) {
      const char* required = std::getenv("ESPALIER_REQUIRE_ONNXRUNTIME");
      if (required != nullptr && std::strcmp(required, "1") == 0) {
        FAIL() << path.status().message();
      }
      GTEST_SKIP() << "NOT TESTED AGAINST ONNX RUNTIME: " << path.status().message();
    }
    runtime_.emplace(ValueOrDie(OnnxRuntime::Open(*path)));
  }

  const OnnxRuntime& runtime() const { return *runtime_; }

 private:
  std::optional<OnnxRuntime> runtime_;
};

// A random network: layers of random cells and directions, then both ways to lose time.
inline Graph RandomNetwork(const GraphInput& input, uint64_t seed) {
  Rng rng(seed);
  GraphBuilder builder("random", input, &rng);
  if (input.type.element == Element::kI32) builder.Embedding(6);
  const uint64_t layers = 1 + rng.Below(3);
  for (uint64_t layer = 0; layer < layers; ++layer) {
    const auto cell = static_cast<CellKind>(rng.Below(kCellCount));
    const auto direction = static_cast<Direction>(rng.Below(3));
    builder.Recurrent(cell, 1 + static_cast<int64_t>(rng.Below(9)), {direction, 0.0});
    switch (rng.Below(6)) {
      case 0: builder.Dropout(0.2); break;
      case 1: builder.Gemm(4).Activation(Op::kSigmoid); break;
      case 2: builder.Activation(Op::kTanh).Add(builder.value()); break;
      case 3: builder.Concat(builder.value()); break;
      case 4: builder.Conv1d(5, {2, 2}); break;
      default: break;
    }
  }
  const std::string top = builder.value();
  builder.Gemm(3).Activation(Op::kSoftmax);
  const std::string by_step = builder.value();
  builder.From(top).LastStep();
  const std::string last = builder.value();
  builder.From(top).MeanOverTime().Concat(last).Gemm(4).Activation(Op::kRelu);
  builder.Gemm(3).Activation(Op::kSoftmax);
  Graph graph = ValueOrDie(builder.Finish());
  graph.outputs = {by_step, last, graph.outputs[0]};
  return graph;
}

}  // namespace espalier::testing

#endif  // ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_
