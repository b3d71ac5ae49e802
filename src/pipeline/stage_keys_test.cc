#include "pipeline/stage_keys.h"

#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ValueOrDie;

constexpr char kRecipe[] = R"(
name: one
task: mnist-rows
model: [{lstm: 4}, last_step, {gemm: 10}]
stages:
  - train: {epochs: 2}
  - prune: {sparsity: 0.5}
  - compile
  - evaluate
  - bench
)";

const RunFacts kFacts = {"data", "a CPU", "AVX2", "ort.so", ""};

// The first stage whose key differs; 5 if none does. All after it must differ too.
size_t FirstChanged(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  size_t first = 0;
  while (first < a.size() && a[first] == b[first]) ++first;
  for (size_t i = first; i < a.size(); ++i) EXPECT_NE(a[i], b[i]) << "stage " << i;
  return first;
}

class StageKeysTest : public ::testing::Test {
 protected:
  size_t Changed() const {
    return FirstChanged(StageKeys(before_, kFacts), StageKeys(recipe_, facts_));
  }

  const Recipe before_ = ValueOrDie(ParseRecipe(kRecipe));
  Recipe recipe_ = before_;
  RunFacts facts_ = kFacts;
};

TEST_F(StageKeysTest, AreTheSameForTheSameRun) { EXPECT_EQ(Changed(), 5u); }

TEST_F(StageKeysTest, DoNotDependOnTheRecipesName) {
  recipe_.name = "two";
  EXPECT_EQ(Changed(), 5u);
}

TEST_F(StageKeysTest, DependOnTheSeed) {
  recipe_.seed = 2;
  EXPECT_EQ(Changed(), 0u);
}

TEST_F(StageKeysTest, DependOnTheThreads) {
  recipe_.threads = 2;
  EXPECT_EQ(Changed(), 0u);
}

TEST_F(StageKeysTest, DependOnTheModel) {
  recipe_.model[0].size = 5;
  EXPECT_EQ(Changed(), 0u);
}

TEST_F(StageKeysTest, DependOnWhereTheDataIs) {
  facts_.data = "elsewhere";
  EXPECT_EQ(Changed(), 0u);
}

TEST_F(StageKeysTest, DependOnAStagesParametersFromThatStageOn) {
  recipe_.stages[1].prune.sparsity = 0.6;
  EXPECT_EQ(Changed(), 1u);
}

TEST_F(StageKeysTest, DependOnTheCpuFromTheCompileStageOn) {
  facts_.cpu = "another CPU";
  EXPECT_EQ(Changed(), 2u);
}

TEST_F(StageKeysTest, DependOnTheCpuFromTheThresholdsStageOn) {
  StageSpec thresholds;
  thresholds.kind = StageKind::kThresholds;
  thresholds.thresholds.loss = 0.01;
  Recipe recipe = recipe_;
  recipe.stages.insert(recipe.stages.begin() + 1, thresholds);
  facts_.cpu = "another CPU";
  EXPECT_EQ(FirstChanged(StageKeys(recipe, kFacts), StageKeys(recipe, facts_)), 1u);
  Recipe other = recipe;
  other.stages[1].thresholds.loss = 0.02;
  EXPECT_EQ(FirstChanged(StageKeys(recipe, kFacts), StageKeys(other, kFacts)), 1u);
}

// Which sparsity a budget keeps follows from what the compiled network costs here.
TEST_F(StageKeysTest, DependOnTheCpuAndTheCompileStageFromASearchWithABudgetOn) {
  Recipe recipe = recipe_;
  recipe.stages[1].search = {{0.5, 0.75}, 0.01};
  facts_.cpu = "another CPU";
  EXPECT_EQ(FirstChanged(StageKeys(recipe, kFacts), StageKeys(recipe, facts_)), 2u);
  recipe.stages[1].search.time = 0.5;
  EXPECT_EQ(FirstChanged(StageKeys(recipe, kFacts), StageKeys(recipe, facts_)), 1u);
  Recipe other = recipe;
  other.stages[2].compile.batched_rows = 1;
  EXPECT_EQ(FirstChanged(StageKeys(recipe, kFacts), StageKeys(other, kFacts)), 1u);
}

TEST_F(StageKeysTest, DependOnTheInstructionSetFromTheCompileStageOn) {
  facts_.target = "AVX3";
  EXPECT_EQ(Changed(), 2u);
}

TEST_F(StageKeysTest, DependOnWhatCostFilesHoldFromTheCompileStageOn) {
  facts_.costs = "0a1b2c3d";
  EXPECT_EQ(Changed(), 2u);
}

TEST_F(StageKeysTest, DependOnOnnxRuntimeInTheBenchStageOnly) {
  facts_.onnxruntime = "";
  EXPECT_EQ(Changed(), 4u);
}

}  // namespace
}  // namespace espalier
