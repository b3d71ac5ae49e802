#include "pipeline/plan_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "report/text.h"

namespace espalier {
namespace {

using Json = nlohmann::ordered_json;

// What a training does beside its loss, by the keys of docs/recipes.md; nothing of what is off.
std::string ExtrasText(const TrainOptions& train) {
  if (train.epochs == 0) return "";
  const TrainOptions none;
  std::string text;
  const auto add = [&](const char* key, double value, double off, const char* what) {
    if (value != off) text += StrCat("; ", key, " ", value, what);
  };
  add("update_penalty", train.update_penalty, none.update_penalty,
      " on the share of updates and of banks that run");
  add("delta_penalty", train.delta_penalty, none.delta_penalty, " on the changes of h");
  add("send_penalty", train.send_penalty, none.send_penalty,
      " on the share of x and h that is sent, by which thresholds are learned");
  add("random_prefix", train.random_prefix, none.random_prefix,
      ", the share of the sequences that are cut to their first steps");
  add("clip_norm", train.clip_norm, none.clip_norm, "");
  add("weight_decay", train.optimizer.weight_decay, none.optimizer.weight_decay, "");
  add("label_smoothing", train.label_smoothing, none.label_smoothing, "");
  if (train.dropout) text += StrCat("; dropout ", *train.dropout, " in the place of the model's");
  if (train.noise_draws != none.noise_draws) text += StrCat("; noise_draws ", train.noise_draws);
  return text;
}

std::string TrainingText(const TrainOptions& train) {
  if (train.epochs == 0) return "no training";
  std::string text = StrCat(train.epochs, train.epochs == 1 ? " epoch" : " epochs", " (batches of ",
                            train.batch_size, ", ", OptimizerName(train.optimizer.kind), ", ",
                            LrScheduleName(train.learning_rate.schedule), " learning rate up to ",
                            train.learning_rate.peak);
  if (train.weight_type != WeightType::kF32) {
    text += StrCat(", for ", WeightTypeName(train.weight_type), " weights");
  }
  if (train.patience > 0)
    text += StrCat(", or the best after ", train.patience, " without a better");
  return text + ")";
}

std::string EpochText(double epoch) {
  const double parts = std::pow(10.0, DecimalsToShow(epoch, 2));
  return StrCat(std::round(parts * epoch) / parts);
}

std::string RegularizersText(const StageSpec& stage) {
  const RegularizerSpec none;
  std::string text;
  for (const RegularizerSpec& spec : stage.regularizers) {
    text += StrCat("; ", spec.name, " of strength ", spec.strength);
    if (!spec.granularity.empty()) text += " over " + spec.granularity;
    if (!spec.weights.empty()) text += " of " + StrJoin(spec.weights, " ");
    if (spec.share != none.share) text += ", share " + FormatPercent(spec.share, 0);
    if (spec.speed != none.speed) text += StrCat(", speed ", spec.speed);
    if (spec.warmup_epochs > 0.0) {
      text += StrCat(", from 0 over ", EpochText(spec.warmup_epochs), " epochs");
    }
  }
  return text;
}

// The method with what it reads, by the keys of a recipe.
std::string DynamicText(const DynamicSpec& spec) {
  const std::pair<const char*, double> kFields[] = {
      {"x", spec.x},
      {"h", spec.h},
      {"bank", static_cast<double>(spec.bank)},
      {"size", static_cast<double>(spec.banks.size)},
      {"top", static_cast<double>(spec.banks.top)},
      {"epsilon", spec.epsilon},
      {"predictor", static_cast<double>(spec.predictor)}};
  const Result<const DynamicMethod*> method = FindDynamicMethod(spec.name);
  std::string read;
  for (const auto& [name, value] : kFields) {
    const bool is_read =
        method.ok() && std::count((*method)->reads.begin(), (*method)->reads.end(), name) > 0;
    if (is_read) read += StrCat(read.empty() ? "" : ", ", name, " ", value);
  }
  return StrCat(spec.name, " in ", StrJoin(spec.layers, " "), read.empty() ? "" : " (", read,
                read.empty() ? "" : ")");
}

std::string TrainText(const StageSpec& stage) {
  std::string text = TrainingText(stage.train);
  for (const DynamicSpec& spec : stage.dynamic) text += "; " + DynamicText(spec);
  text += ExtrasText(stage.train) + RegularizersText(stage);
  if (!stage.keep_zeros) text += "; what was 0 trains, too";
  return text;
}

std::string ScheduleText(const StageSpec& stage) {
  const RampSpec& ramp = stage.ramp;
  if (stage.train.epochs == 0) return "at once";
  std::string text = ramp.schedule;
  if (ramp.begin_epoch == ramp.end_epoch || ramp.schedule == "one_shot") {
    text += StrCat(" at epoch ", EpochText(ramp.begin_epoch));
  } else {
    text += StrCat(" from epoch ", EpochText(ramp.begin_epoch), " to ", EpochText(ramp.end_epoch),
                   ", every ", ramp.every_steps, " steps");
  }
  if (ramp.initial_sparsity > 0.0) {
    text += StrCat(", from ", FormatPercent(ramp.initial_sparsity, 2));
  }
  if (ramp.masks == MaskMode::kSoft) text += ", soft masks";
  if (!ramp.regrow.criterion.empty()) {
    text += StrCat(", regrowing ", FormatPercent(ramp.regrow.fraction, 0), " by ",
                   ramp.regrow.criterion);
  }
  if (!ramp.rewind.empty()) text += ", rewinding to " + ramp.rewind;
  return text;
}

std::string SearchText(const SearchSpec& search) {
  std::string costs = CostsText(search.bytes, search.time);
  if (!costs.empty()) costs = ", none above the first that leaves at most " + costs;
  if (!search.against.empty()) costs += ", against " + search.against;
  std::string text = "the highest of ";
  for (size_t i = 0; i < search.sparsities.size(); ++i) {
    text += StrCat(i == 0 ? "" : ", ", FormatPercent(search.sparsities[i], 2));
  }
  return StrCat(text, " that loses at most ", FormatPercent(search.within, 2),
                " of the validation metric", costs);
}

std::string PruneText(const StageSpec& stage, const PlannedStage& planned) {
  std::string text =
      StrCat(planned.granularity, " by ", stage.prune.criterion, ", ", planned.allocation, " per ",
             planned.per, ", ",
             !stage.search.sparsities.empty() ? SearchText(stage.search)
             : planned.sparsity < 0.0         ? "as much as the trained weights say"
                                              : StrCat(planned.is_least ? "at least " : "",
                                               FormatPercent(planned.sparsity, 2), " in all"));
  if (planned.is_least && planned.sparsity >= 0.0) {
    text += ", of which stages before may have cut all";
  }
  if (stage.prune.threshold) text += StrCat(": what scores below ", *stage.prune.threshold);
  if (stage.prune.multiple > 1) text += StrCat(", units in multiples of ", stage.prune.multiple);
  text += StrCat("; ", ScheduleText(stage), "; ", TrainingText(stage.train));
  if (stage.reconstruct == Reconstruction::kWeights) {
    text += "; what is left makes up for what went";
  } else if (stage.reconstruct == Reconstruction::kBias) {
    text += "; biases make up for what went";
  }
  if (ReadsCalibration(stage)) {
    text += StrCat("; looks at ", stage.calibration.sequences, " training sequences");
  }
  if (const TeacherSpec& teacher = stage.teacher; !teacher.stage.empty()) {
    text += StrCat("; distilled from ", teacher.stage, ", weight ", teacher.weight);
    if (teacher.hidden > 0.0) text += StrCat(", of hidden states ", teacher.hidden);
  }
  return text + ExtrasText(stage.train) + RegularizersText(stage);
}

// What thresholds of delta are in proportion to.
const char* ScaleText(const std::string& scale) {
  return scale == "own"       ? "in proportion to those that layers have"
         : scale == "common"  ? "the same everywhere"
         : scale == "changes" ? "in proportion to the changes of x and h"
                              : "in proportion to the changes of x and h, fitted to the loss";
}

std::string ThresholdsText(const ThresholdSpec& spec, const std::vector<std::string>& layers) {
  const std::string target =
      spec.loss
          ? StrCat("that lose at most ", FormatPercent(*spec.loss, 2), " of the validation metric")
      : spec.sent ? StrCat("that send at most ", FormatPercent(*spec.sent, 2), " of the columns")
      : spec.rows ? StrCat("that run at most ", FormatPercent(*spec.rows, 2), " of the rows")
                  : StrCat("that do at most ", FormatPercent(spec.multiply_adds.value_or(0.0), 2),
                           " of the multiply-adds");
  if (layers.empty()) {  // of a network that only skips
    return StrCat("no thresholds to find: skipping stays",
                  spec.loss ? StrCat(" if it loses at most ", FormatPercent(*spec.loss, 2),
                                     " of the validation metric")
                            : "");
  }
  const bool is_delta = spec.method == "delta";
  std::string text =
      StrCat(is_delta ? "thresholds" : "epsilons", " of ", spec.method, " in ",
             StrJoin(layers, " "), ", ", is_delta ? ScaleText(spec.scale) : "the same everywhere");
  if (spec.predictor) text += StrCat(", predictors of ", *spec.predictor);
  return StrCat(text, "; ", spec.loss ? "those of the least work " : "the smallest ", target);
}

std::string CompileText(const CompileSpec& spec) {
  return StrCat(WeightTypeName(spec.weight_type), ", ",
                spec.formats.empty() ? "all formats" : StrJoin(spec.formats, " "), ", ",
                !spec.measure        ? "the smallest"
                : spec.costs.empty() ? "the fastest by measured times"
                                     : "the fastest by the costs of " + spec.costs,
                spec.target.empty() ? "" : " for " + spec.target,
                !spec.measure            ? ""
                : spec.batched_rows == 1 ? ", in single steps"
                                         : StrCat(", in chunks of ", spec.batched_rows, " steps"),
                spec.calibrate > 0
                    ? StrCat("; x is rounded as ", spec.calibrate, " training sequences say")
                    : "");
}

std::string EvaluateText(const EvaluateSpec& spec) {
  if (!spec.exit) return "the test split";
  return StrCat("the test split, also with early exit at a confidence of ",
                FormatPercent(double{spec.exit->confidence}, 1), " at ", spec.exit->hold,
                spec.exit->hold == 1 ? " look" : " looks in a row", ", one every ",
                spec.exit->every, spec.exit->every == 1 ? " step" : " steps");
}

std::string BenchText(const BenchSpec& spec) {
  return StrCat(spec.repetitions, " repetitions",
                spec.onnxruntime ? ", ONNX Runtime, too, if it is there" : "");
}

std::string StageText(const StageSpec& stage, const PlannedStage& planned) {
  switch (stage.kind) {
    case StageKind::kTrain: return TrainText(stage);
    case StageKind::kPrune: return PruneText(stage, planned);
    case StageKind::kCompact: return "hidden units that influence nothing go";
    case StageKind::kThresholds: return ThresholdsText(stage.thresholds, planned.layers);
    case StageKind::kCompile: return CompileText(stage.compile);
    case StageKind::kEvaluate: return EvaluateText(stage.evaluate);
    case StageKind::kBench: return BenchText(stage.bench);
  }
  return "";
}

std::string PoolText(const PlannedPool& pool) {
  std::string share = FormatPercent(pool.sparsity, 2);
  if (pool.sparsity < 0.0) return "by the trained weights";
  if (!pool.is_least) return share;
  return pool.sparsity == 0.0 ? "not cut; how much stages before it took, the trained weights say"
                              : "at least " + share;
}

const char* CertaintyName(Certainty certainty) {
  switch (certainty) {
    case Certainty::kExact: return "exact";
    case Certainty::kAbout: return "about";
    case Certainty::kAtMost: return "at most";
  }
  return "";
}

bool HasCounts(const PlannedStage& stage) { return stage.nonzeros >= 0; }

}  // namespace

std::string PlanText(const Recipe& recipe, const std::vector<PlannedStage>& planned) {
  std::string text;
  for (size_t i = 0; i < planned.size(); ++i) {
    const PlannedStage& stage = planned[i];
    text += StrCat(i == 0 ? "" : "\n", "  ", stage.name, " (", StageKindName(stage.kind),
                   "): ", StageText(recipe.stages[i], stage));
    for (const PlannedPool& pool : stage.pools) {
      text += StrCat("\n    ", pool.name, " ", pool.is_largest ? "at most " : "", pool.rows, "x",
                     pool.cols, ": ", PoolText(pool));
    }
    if (!HasCounts(stage)) continue;
    const std::string how =
        stage.certainty == Certainty::kExact ? "" : StrCat(CertaintyName(stage.certainty), " ");
    text += StrCat("\n    ", i == 0 ? "has " : "leaves ", how, stage.nonzeros,
                   " parameters that are not 0, ", how, stage.multiply_adds,
                   " multiply-adds a step, ", how, stage.bytes, " bytes");
  }
  return text +
         "\n  Bytes are those of the smallest encoding of each matrix; a compile stage that "
         "chooses by "
         "times may take a larger one.";
}

std::string PlanJson(const Recipe& recipe, const std::vector<PlannedStage>& planned) {
  Json list = Json::array();
  for (size_t i = 0; i < planned.size(); ++i) {
    const PlannedStage& stage = planned[i];
    Json json = {{"stage", stage.name},
                 {"kind", StageKindName(stage.kind)},
                 {"parameters", Json::parse(StageJson(recipe.stages[i]))}};
    if (stage.kind == StageKind::kPrune) {
      json["granularity"] = stage.granularity;
      json["allocation"] = stage.allocation;
      json["per"] = stage.per;
      const bool is_known = stage.sparsity >= 0.0 && !stage.is_least;
      json["sparsity"] = is_known ? Json(stage.sparsity) : Json();
      Json pools = Json::object(), least = Json::object();
      for (const PlannedPool& pool : stage.pools) {
        const bool is_pool_known = pool.sparsity >= 0.0 && !pool.is_least;
        pools[pool.name] = is_pool_known ? Json(pool.sparsity) : Json();
        if (!is_pool_known && pool.sparsity >= 0.0) least[pool.name] = pool.sparsity;
      }
      json["pools"] = std::move(pools);
      if (!least.empty()) json["at_least"] = std::move(least);
    }
    if (stage.kind == StageKind::kThresholds) json["layers"] = stage.layers;
    const Json counts = {{"nonzeros", stage.nonzeros},
                         {"multiply_adds", stage.multiply_adds},
                         {"bytes", stage.bytes}};
    if (HasCounts(stage) && stage.certainty == Certainty::kAtMost) {
      for (const auto& [key, value] : counts.items()) json[key] = nullptr;
      json["at_most"] = counts;
    } else if (HasCounts(stage)) {
      json.update(counts);
    }
    if (HasCounts(stage)) json["certainty"] = CertaintyName(stage.certainty);
    list.push_back(std::move(json));
  }
  return list.dump();
}

}  // namespace espalier
