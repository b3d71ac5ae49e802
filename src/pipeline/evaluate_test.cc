#include "pipeline/evaluate.h"

#include <gmock/gmock.h>

#include <limits>

#include "compile/compile.h"
#include "pipeline/layers.h"
#include "tasks/task.h"
#include "testing/testing.h"
#include "train/trainer.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::ValueOrDie;

// Two sequences, three classes.
Evaluation Logits(std::vector<float> logits, std::vector<int32_t> predictions) {
  Evaluation evaluation;
  for (size_t i = 0; i < logits.size(); i += 3) evaluation.margins.push_back(Margin(&logits[i], 3));
  evaluation.predictions = std::move(predictions);
  return evaluation;
}

TEST(Compare, AgreesWhereBothPredictTheSame) {
  const Evaluation a = Logits({3, 1, 2, 0, 5, 1}, {0, 1});
  const Agreement agreement = Compare(a, a);
  EXPECT_EQ(agreement.share, 1.0);
  EXPECT_EQ(agreement.differences, 0);
}

TEST(Compare, ExplainsADifferenceBetweenLogitsThatTie) {
  const Evaluation a = Logits({3, 3.00005f, -2, 0, 5, 1}, {1, 1});
  const Evaluation b = Logits({3, 3, -2, 0, 5, 1}, {0, 1});
  const Agreement agreement = Compare(a, b);
  EXPECT_EQ(agreement.share, 0.5);
  EXPECT_EQ(agreement.differences, 1);
  EXPECT_EQ(agreement.unexplained, 0);
  EXPECT_NEAR(agreement.largest_gap, 5e-5, 1e-6);
}

TEST(Compare, DoesNotExplainADifferenceBetweenLogitsThatDoNotTie) {
  const Evaluation a = Logits({3, 2.999f, -2, 0, 5, 1}, {0, 1});
  const Evaluation b = Logits({2.999f, 3, -2, 0, 5, 1}, {1, 1});
  EXPECT_EQ(Compare(a, b).unexplained, 1);
}

TEST(Compare, DoesNotExplainANan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Evaluation a = Logits({nan, 1, 2, 0, 5, 1}, {-1, 1});
  const Evaluation b = Logits({3, 1, 2, 0, 5, 1}, {0, 1});
  EXPECT_EQ(Compare(a, b).unexplained, 1);
}

// Outputs of mean 0 and standard deviation 2.
Evaluation Outputs(float shift) {
  Evaluation evaluation;
  evaluation.outputs = {-2, 2 + shift, -2, 2};
  return evaluation;
}

TEST(Compare, MeasuresOutputsOfARegressionInTheirSpread) {
  const Agreement agreement = Compare(Outputs(0.0f), Outputs(0.001f));
  EXPECT_TRUE(agreement.is_regression);
  EXPECT_EQ(agreement.count, 4);
  EXPECT_EQ(agreement.share, 0.75);
  EXPECT_EQ(agreement.differences, 1);
  EXPECT_EQ(agreement.unexplained, 1);
  EXPECT_NEAR(agreement.largest_gap, 5e-4, 1e-6);
  EXPECT_NEAR(agreement.mean_gap, 1.25e-4, 1e-6);
}

TEST(Compare, AgreesWhereOutputsDifferByRounding) {
  const Agreement agreement = Compare(Outputs(0.0f), Outputs(0.0001f));
  EXPECT_EQ(agreement.share, 1.0);
  EXPECT_GT(agreement.largest_gap, 0.0);
}

TEST(Compare, MeasuresConstantOutputsByTheirSize) {
  Evaluation a;
  a.outputs = {2.0f, 2.0f, 2.0f};
  Evaluation b = a;
  b.outputs[1] = 2.0000005f;
  EXPECT_EQ(Compare(a, b).differences, 0);
  b.outputs[1] = 2.00001f;
  EXPECT_EQ(Compare(a, b).differences, 1);
}

TEST(Compare, CountsAnOutputThatIsNanAsDifferent) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Compare(Outputs(0.0f), Outputs(nan)).differences, 1);
}

TEST(AgreementText, SaysWhatWasCompared) {
  EXPECT_THAT(AgreementText(Compare(Outputs(0.0f), Outputs(0.001f))),
              ::testing::HasSubstr("75.00 % of the outputs agree within 0.0001"));
  const Evaluation a = Logits({3, 1, 2}, {0});
  EXPECT_EQ(AgreementText(Compare(a, a)),
            "100.00 % of the predictions agree; of 0 that differ, 0 are not ties within 0.0001");
}

class EvaluateArtifactTest : public ::testing::Test {
 protected:
  EvaluateArtifactTest() {
    graph_ = ValueOrDie(BuildNetwork("small", {Element::kF32, Layout::kSequence, 5},
                                     ValueOrDie(ParseLayers("lstm:6 last_step gemm:3")), &rng_));
    dataset_.input = graph_.inputs[0].type;
    dataset_.classes = 3;
    dataset_.offsets = {0};
    for (int32_t i = 0; i < 50; ++i) {  // more than one batch, of unequal lengths
      dataset_.offsets.push_back(dataset_.offsets.back() + 1 + i % 7);
      dataset_.labels.push_back(i % 3);
    }
    dataset_.features.resize(static_cast<size_t>(dataset_.offsets.back()) * 5);
    for (float& x : dataset_.features) x = static_cast<float>(rng_.Normal());
  }

  void UseTargets() {
    dataset_.classes = 0;
    dataset_.labels.clear();
    dataset_.metric = kMeanSquaredError;
    dataset_.target_size = 3;
    dataset_.targets.resize(150);
    for (float& target : dataset_.targets) target = static_cast<float>(rng_.Normal());
  }

  void UseText(const std::string& layers) {
    graph_ = ValueOrDie(BuildNetwork("text", {Element::kI32, Layout::kSequence, 9},
                                     ValueOrDie(ParseLayers(layers)), &rng_));
    dataset_.input = graph_.inputs[0].type;
    dataset_.labelled = Layout::kSequence;
    dataset_.metric = kPerplexity;
    dataset_.classes = 9;
    dataset_.features.clear();
    dataset_.labels.clear();
    for (int64_t step = 0; step < dataset_.offsets.back(); ++step) {
      dataset_.ids.push_back(static_cast<int32_t>(rng_.Below(9)));
      dataset_.labels.push_back(static_cast<int32_t>(rng_.Below(9)));
    }
  }

  void ExpectSame() {
    const Evaluation expected = ValueOrDie(Evaluate(graph_, dataset_, EvaluateOptions()));
    const Evaluation found = ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}));
    ASSERT_EQ(expected.margins.size(), dataset_.labels.size());
    if (graph_.nodes.back().op != Op::kSoftmax) {
      EXPECT_LE(testing::MaxAbsDifference(expected.margins, found.margins), 1e-5);
    }
    EXPECT_EQ(Compare(expected, found).unexplained, 0);
    EXPECT_NEAR(expected.loss, found.loss, 1e-5);
    EXPECT_NEAR(expected.metric, found.metric, 1e-4);
    EXPECT_EQ(expected.confusion, found.confusion);
  }

  Artifact Compiled() const {
    CompileOptions options;
    options.tuning = Tuning::kOff;
    return ValueOrDie(Artifact::FromBytes(ValueOrDie(Compile(graph_, options))));
  }

  Rng rng_{7};
  Graph graph_;
  Dataset dataset_;
};

TEST_F(EvaluateArtifactTest, PredictsWhatLibtorchPredicts) { ExpectSame(); }

// Each sequence as the data set that has nothing of it but the steps that were run.
Dataset Cut(const Dataset& dataset, const std::vector<int64_t>& steps) {
  Dataset cut = dataset;
  cut.features.clear();
  cut.offsets = {0};
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto first = dataset.features.begin() + dataset.offsets[i] * 5;
    cut.features.insert(cut.features.end(), first, first + steps[i] * 5);
    cut.offsets.push_back(cut.offsets.back() + steps[i]);
  }
  return cut;
}

TEST_F(EvaluateArtifactTest, EndsSequencesWhereTheNetworkIsSure) {
  DynamicUse use;
  use.exit = ExitRule{0.34f, 2, 2};
  const Evaluation exit = ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}, &use));
  ASSERT_EQ(use.steps.size(), 50u);
  const StepsRun run = StepsRunOf(dataset_, use);
  EXPECT_GT(run.cut, 0);
  EXPECT_LT(run.cut, 50);
  const Evaluation expected =
      ValueOrDie(EvaluateArtifact(Compiled(), Cut(dataset_, use.steps), {}));
  EXPECT_EQ(exit.predictions, expected.predictions);
  EXPECT_NEAR(exit.loss, expected.loss, 1e-6);
}

TEST_F(EvaluateArtifactTest, EndsAllSequencesAfterAShareOfTheirSteps) {
  DynamicUse use;
  use.after = 0.5;
  const Evaluation half = ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}, &use));
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(use.steps[i], (dataset_.length(static_cast<int64_t>(i)) + 1) / 2);
  }
  const Evaluation expected =
      ValueOrDie(EvaluateArtifact(Compiled(), Cut(dataset_, use.steps), {}));
  EXPECT_EQ(half.predictions, expected.predictions);
}

// Of constant features any steps will do, so that the result is that of as many first ones.
TEST_F(EvaluateArtifactTest, DropsAShareOfTheSteps) {
  for (size_t i = 0; i < 50; ++i) {
    const auto first = dataset_.features.begin() + dataset_.offsets[i] * 5;
    for (int64_t k = 5; k < dataset_.length(static_cast<int64_t>(i)) * 5; ++k) {
      first[k] = first[k % 5];
    }
  }
  DynamicUse use;
  use.drop = 0.5;
  const Evaluation dropped = ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}, &use));
  EXPECT_NEAR(StepsRunOf(dataset_, use).share, 0.5, 0.2);
  const Evaluation expected =
      ValueOrDie(EvaluateArtifact(Compiled(), Cut(dataset_, use.steps), {}));
  EXPECT_EQ(dropped.predictions, expected.predictions);
  EXPECT_NEAR(dropped.loss, expected.loss, 1e-6);
  const std::vector<int64_t> steps = std::move(use.steps);
  ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}, &use));
  EXPECT_EQ(use.steps, steps);
  use.drop_seed = 2;
  ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}, &use));
  EXPECT_NE(use.steps, steps);
}

TEST_F(EvaluateArtifactTest, RefusesEarlyEndsThatCannotBe) {
  DynamicUse use;
  const auto error = [&] { return EvaluateArtifact(Compiled(), dataset_, {}, &use).status(); };
  use.after = 0.0;
  ExpectError(error(), Code::kInvalidArgument, {"exit after", "(0, 1]", "0 found"});
  use.after = 0.5;
  use.exit = ExitRule();
  ExpectError(error(), Code::kInvalidArgument, {"early exit", "more found"});
  use.after = 1.0;
  use.exit.reset();
  use.drop = 1.0;
  ExpectError(error(), Code::kInvalidArgument, {"drop", "[0, 1)", "1 found"});
  use.drop = 0.0;
  use.exit = ExitRule();
  UseText("embedding:6 lstm:6 tied_gemm");
  ExpectError(error(), Code::kInvalidArgument, {"early exit", "a label a sequence expected"});
}

TEST(StepsRun, CountsWhatWasRun) {
  Dataset dataset;
  dataset.offsets = {0, 10, 20, 30, 40};
  DynamicUse use;
  use.steps = {10, 1, 5, 4};
  const StepsRun run = StepsRunOf(dataset, use);
  EXPECT_DOUBLE_EQ(run.share, 0.5);
  EXPECT_EQ(run.p50, 4);
  EXPECT_EQ(run.p95, 10);
  EXPECT_EQ(run.cut, 3);
  EXPECT_EQ(StepsRunText(dataset, run),
            "50 % of the steps; a sequence 4 (p50), 10 (p95); 3 of 4 ended before their last");
  use.drop = 0.5;  // steps in the midst of sequences, which all run to their end
  EXPECT_EQ(StepsRunOf(dataset, use).cut, 0);
}

// Ids in, a label a step out, the table of the Embedding also as the last layer's matrix.
TEST_F(EvaluateArtifactTest, PredictsEachStepAsLibtorchDoes) {
  UseText("embedding:6 lstm:6 tied_gemm");
  ExpectSame();
}

TEST_F(EvaluateArtifactTest, TakesTheLossOfASoftmaxAsThatOfItsLogits) {
  UseText("embedding:6 lstm:6 tied_gemm softmax");
  ExpectSame();
}

TEST_F(EvaluateArtifactTest, MakesTheOutputsOfLibtorchInARegression) {
  UseTargets();
  const Evaluation expected = ValueOrDie(Evaluate(graph_, dataset_, EvaluateOptions()));
  const Evaluation found = ValueOrDie(EvaluateArtifact(Compiled(), dataset_, {}));
  const Agreement agreement = Compare(expected, found);
  EXPECT_EQ(agreement.count, 150);
  EXPECT_EQ(agreement.differences, 0) << AgreementText(agreement);
  EXPECT_NEAR(expected.metric, found.metric, 1e-6);
  EXPECT_NEAR(expected.mean_absolute_error, found.mean_absolute_error, 1e-6);
}

TEST_F(EvaluateArtifactTest, RefusesASoftmaxForARegression) {
  graph_ =
      ValueOrDie(BuildNetwork("small", graph_.inputs[0].type,
                              ValueOrDie(ParseLayers("lstm:6 last_step gemm:3 softmax")), &rng_));
  UseTargets();
  ExpectError(EvaluateArtifact(Compiled(), dataset_, {}).status(), Code::kInvalidArgument,
              {"no softmax expected for a regression"});
}

TEST_F(EvaluateArtifactTest, RefusesADataSetWithoutALabelAtEachStep) {
  UseText("embedding:6 lstm:6 tied_gemm");
  dataset_.labelled = Layout::kVector;
  dataset_.labels.resize(50);
  ExpectError(EvaluateArtifact(Compiled(), dataset_, {}).status(), Code::kInvalidArgument,
              {"output", "f32 [B, 9] expected", "f32 [T, B, 9] found"});
}

TEST_F(EvaluateArtifactTest, RefusesADataSetOfOtherFeatures) {
  dataset_.input.features = 4;
  ExpectError(EvaluateArtifact(Compiled(), dataset_, {}).status(), Code::kInvalidArgument,
              {"input", "4", "5"});
}

TEST_F(EvaluateArtifactTest, RefusesADataSetOfOtherClasses) {
  dataset_.classes = 4;
  ExpectError(EvaluateArtifact(Compiled(), dataset_, {}).status(), Code::kInvalidArgument,
              {"output", "4", "3"});
}

}  // namespace
}  // namespace espalier
