// The ONNX Runtime that the tests of this folder share.
#ifndef ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_
#define ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_

#include <cstdlib>
#include <cstring>
#include <optional>

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

}  // namespace espalier::testing

#endif  // ESPALIER_TESTS_ONNX_ONNXRUNTIME_TEST_H_
