#include "pipeline/recipe.h"

#include "base/file.h"
#include "testing/testing.h"

namespace espalier {
namespace {

using ::espalier::testing::ExpectError;
using ::espalier::testing::TempDir;
using ::espalier::testing::ValueOrDie;

constexpr char kHead[] = R"(
name: small
task: mnist-rows
seed: 3
model:
  - lstm: {hidden: 8, direction: bidirectional, recurrent_dropout: 0.1}
  - last_step
  - dropout: 0.1
  - gemm: 10
stages:
)";

// A recipe whose stages are these.
std::string WithStages(const std::string& stages) { return kHead + stages; }

// A recipe whose train stage has these keys, or whose second stage is this one.
std::string WithTrain(const std::string& keys) {
  return WithStages("  - train: {name: dense, " + keys + "}\n");
}
std::string WithSecond(const std::string& stage) {
  return WithStages("  - train: {name: dense}\n  - " + stage + "\n");
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(Recipe, HoldsWhatTheFileSays) {
  const Recipe recipe = ValueOrDie(ParseRecipe(WithStages(R"(
  - train: {name: dense, epochs: 4, optimizer: sgd, learning_rate: {schedule: cosine, peak: 0.01}}
  - prune: {name: units, granularity: unit, sparsity: 0.5, epochs: 3,
            weights: "*.weight_hh", distillation: {stage: dense}, learning_rate: 0.003}
  - compact: {name: small}
  - compile: {name: pruned, formats: [dense, csr], measure: false}
  - evaluate
  - bench: {repetitions: 20}
)")));
  EXPECT_EQ(recipe.name, "small");
  EXPECT_EQ(recipe.task, "mnist-rows");
  EXPECT_EQ(recipe.seed, 3u);
  EXPECT_EQ(recipe.threads, 1);
  ASSERT_EQ(recipe.model.size(), 4u);
  EXPECT_EQ(recipe.model[0].size, 8);
  EXPECT_EQ(recipe.model[0].direction, Direction::kBidirectional);
  EXPECT_EQ(recipe.model[0].recurrent_dropout, 0.1);
  EXPECT_EQ(recipe.model[2].rate, 0.1);
  ASSERT_EQ(recipe.stages.size(), 6u);
  EXPECT_EQ(recipe.stages[0].train.optimizer.kind, OptimizerKind::kSgd);
  EXPECT_EQ(recipe.stages[0].train.learning_rate.schedule, LrSchedule::kCosine);
  const StageSpec& units = recipe.stages[1];
  EXPECT_EQ(units.train.learning_rate.peak, 0.003);
  EXPECT_EQ(units.prune.weights, std::vector<std::string>{"*.weight_hh"});
  EXPECT_EQ(units.teacher.stage, "dense");
  EXPECT_EQ(units.ramp.end_epoch, 2.0);  // two thirds of the epochs
  EXPECT_EQ(recipe.stages[3].compile.formats, (std::vector<std::string>{"dense", "csr"}));
  EXPECT_FALSE(recipe.stages[3].compile.measure);
  EXPECT_EQ(recipe.stages[4].name, "evaluate");
  EXPECT_EQ(recipe.stages[5].bench.repetitions, 20);
}

TEST(Recipe, ReadsTheKeysOfAConv1d) {
  const Recipe recipe = ValueOrDie(ParseRecipe(
      Replaced(WithStages("  - train\n"), "- dropout: 0.1",
               "- conv1d: {outputs: 6, kernel_size: 3, dilation: 2}\n  - conv1d: 5:2")));
  EXPECT_EQ(recipe.model[2].size, 6);
  EXPECT_EQ(recipe.model[2].kernel_size, 3);
  EXPECT_EQ(recipe.model[2].dilation, 2);
  EXPECT_EQ(recipe.model[3].size, 5);
  EXPECT_EQ(recipe.model[3].kernel_size, 2);
  EXPECT_EQ(ValueOrDie(ParseRecipe(RecipeJson(recipe))).model[2].dilation, 2);
}

TEST(Recipe, PrunesWithoutFineTuningUnlessEpochsAreGiven) {
  EXPECT_EQ(ValueOrDie(ParseRecipe(WithSecond("prune"))).stages[1].train.epochs, 0);
}

TEST(Recipe, ComesBackFromItsJson) {
  const Recipe recipe = ValueOrDie(ParseRecipe(WithSecond("prune: {epochs: 2, sparsity: 0.4}")));
  const std::string json = RecipeJson(recipe);
  EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);  // JSON is YAML
}

TEST(Recipe, HoldsNoFloorAgainstASparsityThatPlaysNoPart) {
  const std::string stage = "prune: {allocation: threshold, threshold: 0.1, floor: 0.95}";
  EXPECT_EQ(ValueOrDie(ParseRecipe(WithSecond(stage))).stages[1].prune.floor, 0.95);
}

TEST(Recipe, GivesTheRateOfDropoutAndTheDrawsBack) {
  const Recipe recipe = ValueOrDie(ParseRecipe(
      WithTrain("dropout: 0.25, noise_draws: 4, regularizers: [{name: dropout, strength: 0.5}]")));
  EXPECT_EQ(recipe.stages[0].train.dropout, 0.25);
  const Recipe again = ValueOrDie(ParseRecipe(RecipeJson(recipe)));
  EXPECT_EQ(again.stages[0].train.dropout, 0.25);
  EXPECT_EQ(again.stages[0].train.noise_draws, 4);
}

TEST(Recipe, ReadsThresholdsAndGivesThemBack) {
  const Recipe recipe = ValueOrDie(
      ParseRecipe(WithSecond("thresholds: {multiply_adds: 0.3, layers: 'lstm*', scale: common}")));
  const ThresholdSpec& spec = recipe.stages[1].thresholds;
  EXPECT_EQ(spec.multiply_adds, 0.3);
  EXPECT_FALSE(spec.loss.has_value());
  EXPECT_EQ(spec.layers, std::vector<std::string>{"lstm*"});
  EXPECT_EQ(spec.scale, "common");
  const std::string json = RecipeJson(recipe);
  EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);
}

TEST(Recipe, ReadsRegularizersAndThresholdsAndGivesThemBack) {
  const std::string stage =
      "prune: {epochs: 2, allocation: threshold, threshold: 0, granularity: unit, regularizers: "
      "[{name: hard_concrete, strength: 0.5, warmup_epochs: 0.5}, {name: sparse_vd, strength: 1, "
      "granularity: element, weights: ['*.weight_ih'], speed: 3}]}";
  const Recipe recipe = ValueOrDie(ParseRecipe(WithSecond(stage)));
  const StageSpec& prune = recipe.stages[1];
  EXPECT_EQ(prune.prune.threshold, 0.0);
  ASSERT_EQ(prune.regularizers.size(), 2u);
  EXPECT_EQ(prune.regularizers[0],
            (RegularizerSpec{.name = "hard_concrete", .strength = 0.5, .warmup_epochs = 0.5}));
  EXPECT_EQ(prune.regularizers[1].weights, std::vector<std::string>{"*.weight_ih"});
  const std::string json = RecipeJson(recipe);
  EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);
  const Recipe train = ValueOrDie(
      ParseRecipe(WithTrain("regularizers: [{name: dropout, strength: 0.3, granularity: unit}]")));
  EXPECT_EQ(train.stages[0].regularizers[0].granularity, "unit");
}

TEST(Recipe, ReadsWhatMakesUpForWeightsAndGivesItBack) {
  for (const auto& [text, expected] : {std::pair{"false", Reconstruction::kNone},
                                       {"true", Reconstruction::kWeights},
                                       {"bias", Reconstruction::kBias}}) {
    const Recipe recipe =
        ValueOrDie(ParseRecipe(WithSecond(std::string("prune: {reconstruct: ") + text + "}")));
    EXPECT_EQ(recipe.stages[1].reconstruct, expected);
    const std::string json = RecipeJson(recipe);
    EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);
  }
}

TEST(Recipe, ReadsTheAveragedOptimizer) {
  const Recipe recipe = ValueOrDie(ParseRecipe(WithTrain("optimizer: asgd, average_after: 2")));
  EXPECT_EQ(recipe.stages[0].train.optimizer.kind, OptimizerKind::kAsgd);
  const std::string json = RecipeJson(recipe);
  EXPECT_NE(json.find("\"average_after\": 2"), std::string::npos);
  EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);
}

TEST(Recipe, NamesItsFileInErrors) {
  const TempDir dir;
  ASSERT_OK(WriteTextFileAtomic(dir.path("r.yaml"), "task: [\n"));
  ExpectError(ReadRecipe(dir.path("r.yaml")).status(), Code::kBadFormat,
              {dir.path("r.yaml"), "line "});
}

TEST(Recipe, LimitsNamesToWhatAFileNameHolds) {
  const std::string name(65, 'a');
  ExpectError(ParseRecipe(WithSecond("prune: {name: " + name + "}")).status(),
              Code::kInvalidArgument, {"stages[1].prune.name", "1 to 64 letters"});
}

TEST(Recipe, ReadsItsCostsAtOnce) {
  ExpectError(ParseRecipe(WithSecond("compile: {costs: no/such.json}")).status(), Code::kIo,
              {"stages[1].compile.costs", "no/such.json"});
}

struct BadRecipe {
  const char* name;
  std::string yaml;
  std::vector<std::string> parts;  // of the message: path, expected, found
};

class RefusedRecipe : public ::testing::TestWithParam<BadRecipe> {};

TEST_P(RefusedRecipe, NamesThePathTheValueAndWhatWasExpected) {
  ExpectError(ParseRecipe(GetParam().yaml).status(), Code::kInvalidArgument, GetParam().parts);
}

const BadRecipe kBadHeads[] = {
    {"List", "- a\n", {"a mapping expected", "a list found"}},
    {"Empty", "# no keys\n", {"is empty; the keys task, model and stages expected"}},
    {"NoStages", Replaced(kHead, "stages:", "stages: {}"), {"stages: a list", "a mapping found"}},
    {"EmptyModel",
     "task: mnist-rows\nmodel: []\nstages: [train]\n",
     {"model: at least 1 entry expected"}},
    {"EmptyStages",
     "task: mnist-rows\nmodel: [last_step]\nstages: []\n",
     {"stages: at least 1 entry expected"}},
    {"NoTask", "model: [last_step]\nstages: [train]\n", {"task: a name expected, nothing found"}},
    {"UnknownTask",
     Replaced(WithStages("  - train\n"), "mnist-rows", "mnist-row"),
     {"task 'mnist-row'", "did you mean 'mnist-rows'"}},
    {"UnknownKey", "tsk: a\n", {"tsk (line 1)", "did you mean 'task'"}},
    {"NegativeSeed", Replaced(WithStages("  - train\n"), "seed: 3", "seed: -3"), {"seed", "'-3'"}},
    {"NoThreads",
     "threads: 0\n" + WithStages("  - train\n"),
     {"threads: 1 to 64 expected, 0 found"}},
    {"TooManyThreads",
     "threads: 65\n" + WithStages("  - train\n"),
     {"threads: 1 to 64 expected, 65 found"}},
    {"UnknownLayer", Replaced(WithStages("  - train\n"), "gemm", "gem"), {"'gem'", "'gemm'"}},
    {"Direction",
     Replaced(WithStages("  - train\n"), "bidirectional", "both"),
     {"model[0].lstm.direction", "forward, reverse or bidirectional", "'both'"}},
    {"NoHidden",
     Replaced(WithStages("  - train\n"), "hidden: 8", "hidden: 0"),
     {"model[0].lstm", "1 to 1000000", "0 found"}},
    {"RecurrentDropout",
     Replaced(WithStages("  - train\n"), "recurrent_dropout: 0.1", "recurrent_dropout: 1"),
     {"model[0].lstm.recurrent_dropout", "[0, 1)", "1 found"}},
    {"KeysOfGemm",
     Replaced(WithStages("  - train\n"), "gemm: 10", "gemm: {size: 10}"),
     {"model[3].gemm: 'gemm: SIZE' expected, a mapping found"}},
    {"SizeOfConv1d",
     Replaced(WithStages("  - train\n"), "gemm: 10", "conv1d: 10"),
     {"model[3]", "'conv1d:10'", "conv1d:SIZE:STEPS"}},
    {"NoKernelOfConv1d",
     Replaced(WithStages("  - train\n"), "gemm: 10", "conv1d: {outputs: 10}"),
     {"model[3].conv1d.kernel_size: 1 to 65536 expected, 0 found"}},
    {"KeysOfRelu",
     Replaced(WithStages("  - train\n"), "- last_step", "- relu: {rate: 1}"),
     {"model[1].relu: 'relu' expected, a mapping found"}},
    {"KeysOfUnknownLayer",
     Replaced(WithStages("  - train\n"), "- last_step", "- lstn: {hidden: 8}"),
     {"model[1].lstn", "did you mean 'lstm'"}},
    {"SizeText",
     Replaced(WithStages("  - train\n"), "gemm: 10", "gemm: ten"),
     {"model[3]", "'gemm:ten'", "gemm:SIZE expected"}},
    {"LayerList",
     Replaced(WithStages("  - train\n"), "- last_step", "- [last_step]"),
     {"model[1]", "one layer", "a list found"}},
};

const BadRecipe kBadTrains[] = {
    {"Text", WithTrain("epochs: four"), {"stages[0].train.epochs", "a whole number", "'four'"}},
    {"UnknownKey", WithTrain("clip_nrm: 1"), {"stages[0].train.clip_nrm", "'clip_norm'"}},
    {"TwiceKey", WithTrain("epochs: 1, epochs: 2"), {"stages[0].train.epochs", "twice"}},
    {"NegativeEpochs", WithTrain("epochs: -1"), {"stages[0].train", "epochs", "-1 found"}},
    {"NoEpochsButAKey",
     WithTrain("epochs: 0, clip_norm: 1"),
     {"stages[0].train.clip_norm", "epochs = 0", "'1' found"}},
    {"NoEpochsButARegularizer",
     WithTrain("epochs: 0, regularizers: [{name: group_lasso, strength: 0.1}]"),
     {"stages[0].train.regularizers", "epochs = 0"}},
    {"NoEpochsButAGateToLearn",
     WithTrain("epochs: 0, dynamic: [{name: delta, x: 0.1}, {name: skip}]"),
     {"stages[0].train.dynamic[1]", "learns nothing, since epochs = 0", "'skip' found"}},
    {"NoBatch", WithTrain("batch_size: 0"), {"stages[0].train", "batch_size", "0 found"}},
    {"Regularizer",
     WithTrain("regularizers: [{name: hardconcrete, strength: 1}]"),
     {"stages[0].train.regularizers[0]", "'hardconcrete'", "hard_concrete"}},
    {"RegularizerStrength",
     WithTrain("regularizers: [{name: dropout, strength: 2}]"),
     {"stages[0].train.regularizers[0]", "strength: a rate in (0, 1) expected, 2 found"}},
    {"RegularizerKey",
     WithTrain("regularizers: [{name: dropout, rate: 0.2}]"),
     {"stages[0].train.regularizers[0]", "rate"}},
    {"RegularizerPatience",
     WithTrain("patience: 2, regularizers: [{name: dropout, strength: 0.2}]"),
     {"stages[0].train.patience", "0, since", "2 found"}},
    {"RegularizerSpeed",
     WithTrain("regularizers: [{name: dropout, strength: 0.2, speed: 3}]"),
     {"stages[0].train.regularizers[0]", "speed: 0, since it learns nothing", "3 found"}},
    {"RegularizerShare",
     WithTrain("regularizers: [{name: dropout, strength: 0.2, share: 0.3}]"),
     {"stages[0].train.regularizers[0]", "share: nothing", "0.3 found"}},
    {"ThresholdAndSparsity",
     WithSecond("prune: {allocation: threshold, threshold: 0, sparsity: 0.5}"),
     {"stages[1].prune.sparsity", "nothing, since threshold says what goes", "0.5"}},
    {"HiddenInfinite",
     WithSecond("prune: {epochs: 2, distillation: {stage: train, hidden: .inf}}"),
     {"stages[1].prune.distillation.hidden", "inf found"}},
    {"RegularizerWithoutEpochs",
     WithSecond("prune: {regularizers: [{name: dropout, strength: 0.2}]}"),
     {"stages[1].prune.regularizers", "a stage that fine-tunes expected"}},
    {"RegularizerWithoutSteps",
     WithSecond("prune: {epochs: 2, schedule: {end_epoch: 0}, regularizers: [{name: dropout, "
                "strength: 0.2}]}"),
     {"stages[1].prune.schedule.end_epoch", "regularizers act until then"}},
    {"Optimizer", WithTrain("optimizer: adm"), {"stages[0].train.optimizer", "'adam'"}},
    {"Rate", WithTrain("learning_rate: 0"), {"stages[0].train", "learning_rate.peak", "0 found"}},
    {"RateText", WithTrain("learning_rate: x"), {"stages[0].train.learning_rate", "'x' found"}},
    {"RateNan", WithTrain("learning_rate: .nan"), {"learning_rate.peak", "nan found"}},
    {"RateSchedule",
     WithTrain("learning_rate: {schedule: cosin}"),
     {"stages[0].train.learning_rate.schedule", "'cosine'"}},
    {"KeyOfAnotherOptimizer",
     WithTrain("momentum: 0.5"),
     {"stages[0].train.momentum", "nothing, since optimizer = adam, expected", "'0.5' found"}},
    {"KeyOfAnotherSchedule",
     WithTrain("learning_rate: {schedule: cosine, factor: 0.5}"),
     {"learning_rate.factor", "nothing, since schedule = cosine, expected", "'0.5' found"}},
    {"Zeros", WithTrain("keep_zeros: false"), {"stages[0].train.keep_zeros", "first stage"}},
    {"Warmup",
     WithTrain("learning_rate: {schedule: one_cycle, warmup: 1}"),
     {"stages[0].train", "learning_rate.warmup", "[0, 1)", "1 found"}},
    {"Name",
     WithTrain("epochs: 1").replace(WithTrain("epochs: 1").find("dense"), 5, "a/b"),
     {"stages[0].train.name", "letters, digits", "'a/b'"}},
};

const BadRecipe kBadPrunes[] = {
    {"SearchOfOne",
     WithSecond("prune: {search: {sparsities: [0.5]}}"),
     {"stages[1].prune.search.sparsities", "at least 2 shares"}},
    {"SearchThatFalls",
     WithSecond("prune: {search: {sparsities: [0.5, 0.4]}}"),
     {"stages[1].prune.search.sparsities", "that rise", "0.4 found"}},
    {"SearchBesideASparsity",
     WithSecond("prune: {sparsity: 0.5, search: {sparsities: [0.5, 0.6]}}"),
     {"stages[1].prune.sparsity", "nothing, since search says", "'0.5' found"}},
    {"SearchWithin",
     WithSecond("prune: {search: {sparsities: [0.5, 0.6], within: 2}}"),
     {"stages[1].prune.search.within", "[0, 1]", "2 found"}},
    {"SearchUnderThresholds",
     WithSecond("prune: {allocation: threshold, search: {sparsities: [0.5, 0.6]}}"),
     {"stages[1].prune.search", "allocation threshold"}},
    {"SearchBelowWhereTheRampStarts",
     WithSecond("prune: {epochs: 2, search: {sparsities: [0.5, 0.6]}, schedule: "
                "{initial_sparsity: 0.55}}"),
     {"stages[1].prune.schedule.initial_sparsity", "0 to 0.5", "0.55 found"}},
    {"Sparsity",
     WithSecond("prune: {sparsity: 1}"),
     {"stages[1].prune.sparsity", "[0, 1)", "1 found"}},
    {"Criterion",
     WithSecond("prune: {criterion: magnitud}"),
     {"stages[1].prune.criterion", "'magnitude'"}},
    {"Granularity",
     WithSecond("prune: {granularity: units}"),
     {"stages[1].prune.granularity", "'unit'"}},
    {"Allocation",
     WithSecond("prune: {allocation: globl}"),
     {"stages[1].prune.allocation", "'global'"}},
    {"Per", WithSecond("prune: {per: gates}"), {"stages[1].prune.per", "'gate'"}},
    {"SparsityOfAPattern",
     WithSecond("prune: {sparsity: {'*': high}}"),
     {"stages[1].prune.sparsity.*", "a number expected", "'high' found"}},
    {"SparsityOfAGate",
     WithSecond("prune: {sparsity: {lstm0.weight_hh: {i: [1]}}}"),
     {"stages[1].prune.sparsity.lstm0.weight_hh.i", "a list found"}},
    {"EmptySparsity",
     WithSecond("prune: {sparsity: {}}"),
     {"stages[1].prune.sparsity", "one for each pattern"}},
    {"FallingSensitivity",
     WithSecond("prune: {allocation: sensitivity, sensitivity: {a: [[0, 1], [0.5, 1], [0.4, 1]]}}"),
     {"stages[1].prune.sensitivity.a", "rise", "0.4 found"}},
    {"SensitivityOfAnother",
     WithSecond("prune: {sensitivity: scan.json}"),
     {"stages[1].prune.sensitivity", "uniform found"}},
    {"Floor", WithSecond("prune: {floor: 2}"), {"stages[1].prune.floor", "[0, 1]", "2 found"}},
    {"Regrowth",
     WithSecond("prune: {regrowth: true}"),
     {"stages[1].prune.regrowth", "unknown key"}},
    {"Masks",
     WithSecond("prune: {epochs: 2, schedule: {masks: sift}}"),
     {"stages[1].prune.schedule.masks", "hard or soft expected", "'sift'"}},
    {"Regrow",
     WithSecond("prune: {epochs: 2, schedule: {regrow: {criterion: rigl}}}"),
     {"stages[1].prune.schedule.regrow.criterion", "'rigl'"}},
    {"RegrowFraction",
     WithSecond("prune: {epochs: 2, schedule: {regrow: {criterion: random, fraction: 1}}}"),
     {"stages[1].prune.schedule.regrow.fraction", "(0, 1)", "1 found"}},
    {"RegrowSoft",
     WithSecond("prune: {epochs: 2, schedule: {masks: soft, regrow: {criterion: random}}}"),
     {"stages[1].prune.schedule.masks", "hard", "soft found"}},
    {"ReconstructSoft",
     WithSecond("prune: {epochs: 2, reconstruct: true, schedule: {masks: soft}}"),
     {"stages[1].prune.reconstruct", "masks are soft", "true found"}},
    {"ReconstructBiasSoft",
     WithSecond("prune: {epochs: 2, reconstruct: bias, schedule: {masks: soft}}"),
     {"stages[1].prune.reconstruct", "masks are soft", "bias found"}},
    {"ReconstructWhat",
     WithSecond("prune: {reconstruct: biases}"),
     {"stages[1].prune.reconstruct", "true, false or bias", "'biases' found"}},
    {"ReconstructAndRewind",
     WithSecond("prune: {epochs: 2, reconstruct: true, schedule: {rewind: dense}}"),
     {"stages[1].prune.reconstruct", "rewind would undo it", "true found"}},
    {"MovementWithoutEpochs",
     WithSecond("prune: {criterion: movement}"),
     {"stages[1].prune.criterion", "epochs = 0", "movement found"}},
    {"Calibration",
     WithSecond("prune: {calibration: {sequences: 0}}"),
     {"stages[1].prune.calibration.sequences", "at least 1", "0 found"}},
    {"CalibrationOfNothing",
     WithSecond("prune: {epochs: 2, calibration: {sequences: 9}}"),
     {"stages[1].prune.calibration", "neither a criterion nor reconstruct", "magnitude found"}},
    {"HugeBatch",
     WithTrain("batch_size: 9223372036854775807"),
     {"stages[0].train", "batch_size", "1 to 16777216", "9223372036854775807 found"}},
    {"HugeEpochs", WithTrain("epochs: 1000001"), {"stages[0].train", "epochs", "1000001 found"}},
    {"MoreDrawsThanSequences",
     WithTrain("batch_size: 8, noise_draws: 9"),
     {"stages[0].train", "noise_draws", "1 to 8", "9 found"}},
    {"SparsityOfNoGate",
     WithSecond("prune: {sparsity: {lstm0.weight_hh: {}}}"),
     {"stages[1].prune.sparsity.lstm0.weight_hh", "one for each gate", "nothing found"}},
    {"LossesOfNoPairs",
     WithSecond("prune: {allocation: sensitivity, sensitivity: {a: [[0, x]]}}"),
     {"stages[1].prune.sensitivity.a", "two [sparsity, loss]"}},
    {"LossesOfOnePoint",
     WithSecond("prune: {allocation: sensitivity, sensitivity: {a: [[0, 1]]}}"),
     {"stages[1].prune.sensitivity.a", "two [sparsity, loss]"}},
    {"LossesThatAreNone",
     WithSecond("prune: {allocation: sensitivity, sensitivity: {a: [[0, 1], [0.5, .nan]]}}"),
     {"stages[1].prune.sensitivity.a", "finite losses", "nan found"}},
    {"TrainingKeysWithoutEpochs",
     WithSecond("prune: {sparsity: 0.5, dropout: 0.3}"),
     {"stages[1].prune.dropout", "epochs = 0", "0.3"}},
    {"HotTeacher",
     WithSecond("prune: {epochs: 1, distillation: {stage: dense, temperature: .inf}}"),
     {"stages[1].prune.distillation.temperature", "(0, 1000]", "inf found"}},
    {"ReconstructionOfRows",
     WithSecond("prune: {granularity: embedding_row, reconstruct: true}"),
     {"stages[1].prune.reconstruct", "looked up", "true found"}},
    {"Dropout", WithTrain("dropout: x"), {"stages[0].train.dropout", "a rate", "'x' found"}},
    {"DropoutRate", WithTrain("dropout: -0.1"), {"stages[0].train", "dropout", "-0.1 found"}},
    {"NoiseDraws", WithTrain("noise_draws: 0"), {"stages[0].train", "noise_draws", "0 found"}},
    {"Multiple",
     WithSecond("prune: {multiple: 0}"),
     {"stages[1].prune.multiple", "at least 1", "0 found"}},
    {"MultipleWithoutUnits",
     WithSecond("prune: {multiple: 8}"),
     {"stages[1].prune.multiple", "granularity is not unit", "8 found"}},
    {"FloorBesideAShare",
     WithSecond("prune: {sparsity: 0.9, floor: 0.05}"),
     {"stages[1].prune.floor", "uniform", "0.05 found"}},
    {"RewindBesideRegrow",
     WithSecond("prune: {epochs: 1, schedule: {regrow: {criterion: gradient}, rewind: dense}}"),
     {"stages[1].prune.schedule.rewind", "regrow", "'dense' found"}},
    {"ScheduleWithoutEpochs",
     WithSecond("prune: {schedule: {name: cubic}}"),
     {"stages[1].prune.schedule", "nothing, since epochs = 0"}},
    {"Epochs",
     WithSecond("prune: {epochs: -1}"),
     {"stages[1].prune.epochs", "at least 0", "-1 found"}},
    {"Options",
     WithSecond("prune: {epochs: 0, clip_norm: -1}"),
     {"stages[1].prune", "clip_norm", "'-1' found"}},
    {"Schedule",
     WithSecond("prune: {epochs: 2, schedule: {name: cubi}}"),
     {"stages[1].prune.schedule.name", "'cubic'"}},
    {"ScheduleEnd",
     WithSecond("prune: {epochs: 2, schedule: {end_epoch: 3}}"),
     {"stages[1].prune.schedule", "epochs = 2", "3 found"}},
    {"ScheduleNan",
     WithSecond("prune: {epochs: 2, schedule: {begin_epoch: .nan}}"),
     {"stages[1].prune.schedule", "nan"}},
    {"EverySteps",
     WithSecond("prune: {epochs: 2, schedule: {every_steps: 0}}"),
     {"stages[1].prune.schedule.every_steps", "at least 1", "0 found"}},
    {"InitialSparsity",
     WithSecond("prune: {epochs: 2, sparsity: 0.5, schedule: {initial_sparsity: 0.6}}"),
     {"stages[1].prune.schedule.initial_sparsity", "0 to 0.5", "0.6 found"}},
    {"Teacher",
     WithSecond("prune: {epochs: 2, distillation: {stage: dens}}"),
     {"stages[1].prune.distillation.stage", "'dens'", "'dense'"}},
    {"NoTeacher",
     WithSecond("prune: {epochs: 2, distillation: {weight: 0.5}}"),
     {"stages[1].prune.distillation.stage", "an earlier stage", "nothing found"}},
    {"TeacherOfNoTraining",
     WithSecond("prune: {distillation: {stage: dense}}"),
     {"stages[1].prune.distillation", "fine-tunes", "epochs = 0"}},
    {"TeacherWeight",
     WithSecond("prune: {epochs: 1, distillation: {stage: dense, weight: 2}}"),
     {"stages[1].prune.distillation.weight", "[0, 1]", "2 found"}},
    {"Temperature",
     WithSecond("prune: {epochs: 1, distillation: {stage: dense, temperature: 0}}"),
     {"stages[1].prune.distillation.temperature", "(0, 1000]", "0 found"}},
};

const BadRecipe kBadCompiles[] = {
    {"Format",
     WithSecond("compile: {formats: [dense, cs]}"),
     {"stages[1].compile.formats", "'cs'", "'csr'"}},
    {"Target", WithSecond("compile: {target: AVX9}"), {"stages[1].compile.target", "'AVX9'"}},
    {"Repetitions",
     WithSecond("compile: {repetitions: 0}"),
     {"stages[1].compile.repetitions", "1 to 1000000", "0 found"}},
    {"Rows",
     WithSecond("compile: {batched_rows: 0}"),
     {"stages[1].compile.batched_rows", "1 to 4096", "0 found"}},
    {"Calibrate",
     WithSecond("compile: {weight_type: i8, calibrate: 1000001}"),
     {"stages[1].compile.calibrate", "0 to 1000000", "1000001 found"}},
    {"CostsAndNothingMeasured",
     WithSecond("compile: {costs: costs.json, measure: false}"),
     {"stages[1].compile.costs", "nothing, since measure is false", "costs.json found"}},
    {"Measure",
     WithSecond("compile: {measure: maybe}"),
     {"stages[1].compile.measure", "true or false", "'maybe'"}},
    {"ExitConfidence",
     WithStages("  - train\n  - compile\n  - evaluate: {exit: {confidence: 1.5}}\n"),
     {"stages[2].evaluate", "exit: confidence in (0, 1]", "1.5 found"}},
    {"ExitKey",
     WithStages("  - train\n  - compile\n  - evaluate: {exit: {holds: 2}}\n"),
     {"stages[2].evaluate.exit", "holds", "did you mean 'hold'"}},
    {"RandomPrefix",
     WithSecond("train: {name: again, random_prefix: 1.5}"),
     {"stages[1].train", "random_prefix", "1.5 found"}},
    {"Bench",
     WithStages("  - train\n  - compile\n  - evaluate\n  - bench: {repetitions: 0}\n"),
     {"stages[3].bench.repetitions", "1 to 1000000", "0 found"}},
};

const BadRecipe kBadOrders[] = {
    {"NoTrain", WithStages("  - prune\n"), {"stages[0].prune", "the first stage must be train"}},
    {"TrainAfterCompile",
     WithStages("  - train\n  - compile\n  - train: {name: more}\n"),
     {"stages[2].train", "before the compile stage"}},
    {"RewindToNothing",
     WithSecond("prune: {epochs: 2, schedule: {rewind: erly}}"),
     {"stages[1].prune.schedule.rewind", "'erly'"}},
    {"UnknownStage", WithSecond("compct"), {"stages[1]", "'compct'", "'compact'"}},
    {"TwoKeys", WithStages("  - {train: {}, prune: {}}\n"), {"stages[0]", "one stage"}},
    {"SameName", WithSecond("prune: {name: dense}"), {"stages[1].prune.name", "'dense'", "twice"}},
    {"PruneAfterCompile",
     WithStages("  - train\n  - compile\n  - prune\n"),
     {"stages[2].prune", "before the compile stage"}},
    {"TwoCompiles",
     WithStages("  - train\n  - compile\n  - compile: {name: more}\n"),
     {"stages[2].compile", "only one"}},
    {"PruneAfterThresholds",
     WithStages("  - train\n  - thresholds: {loss: 0.01}\n  - prune\n"),
     {"stages[2].prune", "before the thresholds stage"}},
    {"ThresholdsAfterCompile",
     WithStages("  - train\n  - compile\n  - thresholds: {loss: 0.01}\n"),
     {"stages[2].thresholds", "before the compile stage"}},
    {"TwoThresholds",
     WithStages("  - train\n  - thresholds: {loss: 0.01}\n  - thresholds: {name: b, loss: 0.01}\n"),
     {"stages[2].thresholds", "only one"}},
    {"ThresholdsWithoutTarget",
     WithSecond("thresholds"),
     {"stages[1].thresholds", "one target", "none found"}},
    {"TwoTargets",
     WithSecond("thresholds: {loss: 0.01, sent: 0.2}"),
     {"stages[1].thresholds", "one target", "loss, sent found"}},
    {"NegativeTarget",
     WithSecond("thresholds: {sent: -0.2}"),
     {"stages[1].thresholds", "sent: a share in [0, 1] expected", "-0.2"}},
    {"NanTarget",
     WithSecond("thresholds: {loss: .nan}"),
     {"stages[1].thresholds", "loss: a share in [0, 1] expected", "nan"}},
    {"UnknownScale",
     WithSecond("thresholds: {loss: 0.1, scale: comon}"),
     {"stages[1].thresholds", "'comon'", "'common'"}},
    {"EvaluateWithoutCompile",
     WithSecond("evaluate"),
     {"stages[1].evaluate", "after a compile stage"}},
    {"BenchWithoutEvaluate",
     WithStages("  - train\n  - compile\n  - bench\n"),
     {"stages[2].bench", "after an evaluate stage"}},
};

std::string NameOf(const ::testing::TestParamInfo<BadRecipe>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Head, RefusedRecipe, ::testing::ValuesIn(kBadHeads), NameOf);
INSTANTIATE_TEST_SUITE_P(Train, RefusedRecipe, ::testing::ValuesIn(kBadTrains), NameOf);
INSTANTIATE_TEST_SUITE_P(Prune, RefusedRecipe, ::testing::ValuesIn(kBadPrunes), NameOf);
INSTANTIATE_TEST_SUITE_P(Compile, RefusedRecipe, ::testing::ValuesIn(kBadCompiles), NameOf);
INSTANTIATE_TEST_SUITE_P(Order, RefusedRecipe, ::testing::ValuesIn(kBadOrders), NameOf);

TEST(Recipe, NamesASensitivityThatIsNotThere) {
  ExpectError(
      ParseRecipe(WithSecond("prune: {allocation: sensitivity, sensitivity: /none.json}")).status(),
      Code::kIo, {"stages[1].prune.sensitivity", "/none.json"});
}

TEST(Recipe, ReadsASparsityForEachTensorAndGate) {
  const Recipe recipe = ValueOrDie(ParseRecipe(WithSecond(
      "prune: {sparsity: {'*.weight_ih': 0.8, lstm0.weight_hh: {i: 0.9, f: 0.5}}, per: gate}")));
  const std::vector<SparsityOfPattern> expected = {
      {"*.weight_ih", 0.8}, {"lstm0.weight_hh[i]", 0.9}, {"lstm0.weight_hh[f]", 0.5}};
  EXPECT_EQ(recipe.stages[1].prune.sparsities, expected);
  EXPECT_EQ(recipe.stages[1].prune.per, "gate");
  EXPECT_NE(StageJson(recipe.stages[1]).find("\"lstm0.weight_hh[f]\":0.5"), std::string::npos);
}

TEST(Recipe, ListsAndLossesComeBackFromItsJson) {
  for (const char* stage : {"prune: {sparsity: {'*.weight_ih': 0.8, 'lstm0.weight_hh[f]': 0.5}}",
                            "prune: {search: {sparsities: [0.5, 0.75], bytes: 0.25, time: 0.5}}",
                            "prune: {allocation: sensitivity, sensitivity: {lstm0.weight_hh: [[0, "
                            "1], [0.5, 1.25]]}}"}) {
    const std::string json = RecipeJson(ValueOrDie(ParseRecipe(WithSecond(stage))));
    EXPECT_EQ(RecipeJson(ValueOrDie(ParseRecipe(json))), json);
  }
}

}  // namespace
}  // namespace espalier
