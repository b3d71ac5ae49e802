#include "runtime/session.h"
#include "runtime/session_test_support.h"

namespace espalier {
namespace {

using namespace ::espalier::testing;

class SessionErrors : public ::testing::Test {
 protected:
  const Graph graph_ = TwoLayers(CellKind::kLstmCell, Direction::kForward, 0.0);
  const Artifact artifact_ = ArtifactOf(graph_, FormatSpec());
  Session session_ = SessionOf(artifact_, 2, 3);
  const std::vector<float> x_ = std::vector<float>(100 * 13, 0.0f);

  std::span<const float> Rows(size_t rows) const { return {x_.data(), rows * 13}; }
};

TEST_F(SessionErrors, NamesABatchThatIsTooLarge) {
  ExpectError(session_.Run({1, 3, Rows(3), {}, {}}), Code::kInvalidArgument,
              {"B of 1 to max_batch = 2", "3 found"});
}

TEST_F(SessionErrors, NamesTooManySteps) {
  ExpectError(session_.Run({4, 1, Rows(4), {}, {}}), Code::kInvalidArgument,
              {"T of 0 to max_steps = 3", "4 found"});
}

TEST_F(SessionErrors, NamesAnInputOfTheWrongSize) {
  ExpectError(session_.Run({3, 2, Rows(5), {}, {}}), Code::kInvalidArgument,
              {"input 'x'", "78 elements", "65 found"});
}

TEST_F(SessionErrors, NamesALengthOutOfRange) {
  const std::vector<int32_t> lengths = {1, 4};
  ExpectError(session_.Run({3, 2, Rows(6), {}, lengths}), Code::kInvalidArgument,
              {"lengths[1]", "4 found"});
}

TEST_F(SessionErrors, NamesACountOfLengthsThatIsWrong) {
  const std::vector<int32_t> lengths = {1};
  ExpectError(session_.Run({3, 2, Rows(6), {}, lengths}), Code::kInvalidArgument,
              {"lengths: 2 expected, 1 found"});
}

TEST_F(SessionErrors, NamesAnIdOutOfRange) {
  const Graph graph = EveryOperator();
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  Session session = SessionOf(artifact, 2, 1);
  const std::vector<int32_t> ids = {3, 23};
  ExpectError(session.Step(std::span<const int32_t>(ids)), Code::kInvalidArgument,
              {"input 'ids'", "23 found at element 1"});
}

TEST_F(SessionErrors, NamesAnUnknownState) {
  std::vector<float> values(19);
  ExpectError(session_.GetState("lstm0.g", values), Code::kInvalidArgument,
              {"lstm0.g", "did you mean 'lstm0.h'?"});
}

TEST_F(SessionErrors, NamesAStateOfTheWrongSize) {
  ExpectError(session_.SetState("lstm0.h", std::vector<float>(20)), Code::kInvalidArgument,
              {"lstm0.h", "19 values", "20 found"});
}

TEST_F(SessionErrors, NamesAStreamThatIsNotThere) {
  ExpectError(session_.ResetStream(2), Code::kInvalidArgument, {"0 to 1", "2 found"});
}

TEST_F(SessionErrors, NamesAnUnknownTarget) {
  SessionOptions options;
  options.target = "AVX9";
  ExpectError(Session::Create(artifact_, options).status(), Code::kInvalidArgument, {"AVX9"});
}

TEST_F(SessionErrors, RefusesNoBatch) {
  SessionOptions options;
  options.max_batch = 0;
  ExpectError(Session::Create(artifact_, options).status(), Code::kInvalidArgument,
              {"max_batch", "0 found"});
}

TEST_F(SessionErrors, RefusesTwoInputs) {
  Graph graph = graph_;
  graph.inputs.push_back({"y", {Element::kF32, Layout::kVector, 3}});
  const Artifact artifact = ArtifactOf(graph, FormatSpec());
  ExpectError(Session::Create(artifact, {}).status(), Code::kUnsupported, {"1 input", "2 found"});
}

}  // namespace
}  // namespace espalier
