// Recipe: a whole flow in one YAML file. docs/recipes.md lists every key; recipes/ has examples.
#ifndef ESPALIER_PIPELINE_RECIPE_H_
#define ESPALIER_PIPELINE_RECIPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "pipeline/layers.h"
#include "pipeline/thresholds.h"
#include "prune/dynamic.h"
#include "prune/plan.h"
#include "prune/regularizer.h"
#include "runtime/early_exit.h"
#include "train/trainer.h"

namespace espalier {

enum class StageKind : uint8_t {
  kTrain,
  kPrune,
  kCompact,
  kThresholds,
  kCompile,
  kEvaluate,
  kBench
};

const char* StageKindName(StageKind kind);  // "train", "prune", ...

// When a prune stage cuts, in epochs of its own fine-tuning.
struct RampSpec {
  std::string schedule = "cubic";  // a name of schedules.inc
  double begin_epoch = 0.0;
  double end_epoch = 0.0;  // the final sparsity is reached here; the rest is recovery under it
  int64_t every_steps = 50;
  double initial_sparsity = 0.0;
  MaskMode masks = MaskMode::kHard;
  RegrowSpec regrow;
  std::string rewind;  // an earlier stage whose weights the kept ones go back to; "" = none
};

// How far a prune stage goes: instead of one sparsity, several are tried from the stage's input on,
// in this order, until the validation metric is no longer near that of `against`, or until the
// network is small and fast enough. Together that is one budget over metric, bytes and time.
struct SearchSpec {
  std::vector<double> sparsities;  // rising, in [0, 1); empty = no search
  double within = 0.01;            // the largest share of the metric that may be lost
  // The largest shares of the compiled network's bytes, and of the time of its steps, that may be
  // left, in (0, 1]. Nothing: not asked for.
  std::optional<double> bytes = {};
  std::optional<double> time = {};
  std::string against = {};  // the earlier stage whose network all shares are of; "" = the input's

  bool HasCosts() const { return bytes.has_value() || time.has_value(); }
};

// Distillation from an earlier stage's network while fine-tuning.
struct TeacherSpec {
  std::string stage;  // "" = none
  double weight = 0.5;
  double temperature = 2.0;
  double hidden = 0.0;  // weight of the hidden states' mean squared difference
};

struct CompileSpec {
  std::string target;                         // instruction set, "" = this machine's best
  std::vector<std::string> formats;           // candidates by name, empty = all
  WeightType weight_type = WeightType::kF32;  // that every matrix is rounded to
  // Sequences of the training split by which the rounding of x is chosen (compile/calibrate.h); i8
  // only. 0: each x by its own largest size.
  int64_t calibrate = 0;
  bool measure = true;  // false: smallest encoding, reproducible to the byte
  // Cost file (pipeline/cost_file.h) to choose by instead of measuring; its path from the working
  // directory. "": none.
  std::string costs;
  int64_t repetitions = 25;
  // Rows of x in one product with an input matrix: 1 = tuned for single steps (streaming), more =
  // for chunks of that many steps.
  int64_t batched_rows = 16;
};

struct EvaluateSpec {
  std::optional<ExitRule> exit;  // the compiled network once more, with early exit
};

struct BenchSpec {
  int64_t repetitions = 200;
  bool onnxruntime = true;  // time ONNX Runtime too, where it is installed
};

// One stage. Only the members of its kind are used.
struct StageSpec {
  StageKind kind = StageKind::kTrain;
  std::string name;        // unique in the recipe; its output is <name>.onnx (compile: <name>.esp)
  TrainOptions train;      // train; prune: fine-tuning, epochs = 0 for none
  bool keep_zeros = true;  // train, not the first: what is 0 in a matrix stays 0
  std::vector<DynamicSpec> dynamic;                    // train: put into the network before
  std::vector<RegularizerSpec> regularizers;           // train, prune
  PruneSpec prune;                                     // prune
  SearchSpec search;                                   // prune; prune.sparsity is the least of it
  RampSpec ramp;                                       // prune
  CalibrationOptions calibration;                      // prune
  Reconstruction reconstruct = Reconstruction::kNone;  // prune
  TeacherSpec teacher;                                 // prune
  ThresholdSpec thresholds;                            // thresholds
  CompileSpec compile;                                 // compile
  EvaluateSpec evaluate;                               // evaluate
  BenchSpec bench;                                     // bench
};

struct Recipe {
  std::string name;
  std::string task;
  uint64_t seed = 1;
  int threads = 1;
  std::vector<LayerSpec> model;
  std::vector<StageSpec> stages;
};

// Does a prune stage look at calibration sequences?
bool ReadsCalibration(const StageSpec& stage);

// The first compile stage after stage `index`, nullptr if there is none: what it makes of a network
// is what a search's budget of bytes and time is of.
const StageSpec* CompileStageAfter(const Recipe& recipe, size_t index);

// Errors: kBadFormat for broken YAML; kInvalidArgument for an unknown key or name (with the
// nearest), a wrong type, a value out of range, or stages in an impossible order, naming the key's
// path; ReadCostTable's for a cost file.
Result<Recipe> ParseRecipe(const std::string& yaml);
Result<Recipe> ReadRecipe(const std::string& path);

// The resolved recipe, and one resolved stage, as JSON text: every key with the value that is used.
std::string RecipeJson(const Recipe& recipe);
std::string StageJson(const StageSpec& stage);

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RECIPE_H_
