#include "pipeline/plan_text.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "report/text.h"

namespace espalier {
namespace {

using Json = nlohmann::ordered_json;

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

std::string RegularizersText(const StageSpec& stage) {
  std::string text;
  for (const RegularizerSpec& spec : stage.regularizers) {
    text += StrCat("; ", spec.name, " of strength ", spec.strength);
    if (!spec.granularity.empty()) text += " over " + spec.granularity;
  }
  return text;
}

std::string TrainText(const StageSpec& stage) {
  std::string text = TrainingText(stage.train) + RegularizersText(stage);
  for (const DynamicSpec& spec : stage.dynamic)
    text += StrCat("; ", spec.name, " in ", StrJoin(spec.layers, " "));
  if (!stage.keep_zeros) text += "; what was 0 trains, too";
  return text;
}

std::string EpochText(double epoch) { return StrCat(std::round(100.0 * epoch) / 100.0); }

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
  std::string text = "the highest of ";
  for (size_t i = 0; i < search.sparsities.size(); ++i) {
    text += StrCat(i == 0 ? "" : ", ", FormatPercent(search.sparsities[i], 2));
  }
  return StrCat(text, " that loses at most ", FormatPercent(search.within, 2),
                " of the validation metric");
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
  text += StrCat("; ", ScheduleText(stage), "; ", TrainingText(stage.train));
  if (stage.reconstruct == Reconstruction::kWeights) {
    text += "; what is left makes up for what went";
  } else if (stage.reconstruct == Reconstruction::kBias) {
    text += "; biases make up for what went";
  }
  if (!stage.teacher.stage.empty()) text += "; distilled from " + stage.teacher.stage;
  return text + RegularizersText(stage);
}

std::string ThresholdsText(const ThresholdSpec& spec) {
  const auto target = [](const char* what, const std::optional<double>& most) {
    return most ? StrCat(what, " at most ", FormatPercent(*most, 2)) : std::string();
  };
  return StrCat("of ", spec.method, ", ", target("share of the metric lost", spec.loss),
                target("columns sent", spec.sent), target("rows left", spec.rows),
                target("multiply-adds", spec.multiply_adds));
}

std::string CompileText(const CompileSpec& spec) {
  return StrCat(WeightTypeName(spec.weight_type), ", ",
                spec.formats.empty() ? "all formats" : StrJoin(spec.formats, " "), ", ",
                !spec.measure        ? "the smallest"
                : spec.costs.empty() ? "the fastest by measured times"
                                     : "the fastest by the costs of " + spec.costs);
}

std::string EvaluateText(const EvaluateSpec& spec) {
  return spec.exit ? StrCat("the test split, also with early exit at a confidence of ",
                            FormatPercent(double{spec.exit->confidence}, 1))
                   : "the test split";
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
    case StageKind::kThresholds: return ThresholdsText(stage.thresholds);
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
